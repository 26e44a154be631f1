//! A checkpoint, entry by entry and by a sync of the whole file system, beside files that others have written and not synced.

use std::ffi::OsStr;
use std::time::Instant;

use treewal::{CheckpointSync, Options};
use treewal_compare::{Dice, median, shown};
use treewal_vfs::{Disk, Open, RealDisk, write_all};

use crate::contestant::Contestant;
use crate::ours::Ours;
use crate::tree::Tree;
use crate::work::change_set;
use crate::{Result, Run};

/// Files of a commit; the directories above them are synced as well, here as many again, and the root.
const FILES: [usize; 5] = [1, 4, 16, 64, 256];
const UNWRITTEN_MIB: [usize; 3] = [0, 64, 400];
const WAYS: [CheckpointSync; 3] = [CheckpointSync::Entries, CheckpointSync::FileSystem, CheckpointSync::Auto];

/// Measures and prints the table.
pub(crate) fn measure(Run { at, rounds, .. }: &Run<'_>) -> Result {
    let make =
        |(index, how)| Ours::new(Tree::make(at, &format!("settling-{index}"))?, &Options::new().checkpoint_sync(how));
    let mut trees: Vec<Ours> = WAYS.into_iter().enumerate().map(make).collect::<Result<_>>()?;
    let mut dice = Dice::new(std::process::id().into());
    let theirs = dice.bytes(1 << 20);
    println!("| unwritten by others, MiB | files | entries, ms | file system, ms | auto, ms |\n|--:|--:|--:|--:|--:|");
    for mebibytes in UNWRITTEN_MIB {
        for files in FILES {
            eprintln!("{mebibytes} MiB, {files} files");
            let mut times = [Vec::new(), Vec::new(), Vec::new()];
            for round in 0..=*rounds {
                let mut order = [0, 1, 2];
                dice.shuffle(&mut order);
                for index in order {
                    let time = turn(&mut trees[index], &theirs, mebibytes, files, round)?;
                    // The first only warms up.
                    if round > 0 {
                        times[index].push(time);
                    }
                }
            }
            let [entries, whole, auto] = times.map(|times| shown(median(times.into_iter())));
            println!("| {mebibytes} | {files} | {entries} | {whole} | {auto} |");
        }
    }
    println!();
    trees.into_iter().try_for_each(|ours| Box::new(ours).end().remove())
}

/// The time of a checkpoint, in milliseconds.
fn turn(ours: &mut Ours, theirs: &[u8], mebibytes: usize, files: usize, round: usize) -> Result<f64> {
    let root = ours.tree().root.clone();
    ours.settle()?;
    ours.tree().flush()?;
    let name = OsStr::new("of somebody else");
    let file = RealDisk.open(&root, name, Open::CreateNew { mode: 0o644 })?;
    for n in 0..mebibytes {
        write_all(&RealDisk, &file, theirs, (n << 20) as u64)?;
    }
    ours.commit(&change_set(files, round))?;
    let begun = Instant::now();
    ours.settle()?;
    let time = begun.elapsed().as_secs_f64() * 1e3;
    RealDisk.remove_file(&root, name)?;
    Ok(time)
}
