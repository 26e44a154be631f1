//! The same commit in trees of different sizes: it replaces three files.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use treewal::{Options, Tree as Handle};
use treewal_compare::{Dice, median, shown};
use treewal_vfs::{Dir, Disk, Open, RealDisk, RelPath, remove_tree};

use crate::work::FILE_BYTES;
use crate::{Result, Run};

/// Files of the trees, unless the command line gives the largest.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];
const FILES_IN_A_DIR: usize = 1000;
/// Files that a commit replaces.
const TOUCHED: usize = 3;
/// Commits of a round, of which the median counts.
const COMMITS: usize = 32;

struct Sized {
    files: usize,
    name: String,
    handle: Handle,
}

/// Measures and prints the table.
pub(crate) fn measure(Run { at, rounds, count, .. }: &Run<'_>) -> Result {
    let parent = RealDisk.open_root(at)?;
    let sizes = SIZES.iter().copied().filter(|size| count.is_none_or(|most| *size <= most));
    let trees: Vec<Sized> = sizes.map(|files| make(at, &parent, files)).collect::<Result<_>>()?;
    let mut dice = Dice::new(std::process::id().into());
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); trees.len()];
    // The first round only warms up.
    for round in 0..=*rounds {
        eprintln!("trees of different sizes, round {round}");
        let mut order: Vec<usize> = (0..trees.len()).collect();
        dice.shuffle(&mut order);
        for index in order {
            trees[index].handle.checkpoint()?;
            RealDisk.sync_all(&parent)?;
            let time = time(&trees[index], &mut dice)?;
            if round > 0 {
                times[index].push(time);
            }
        }
    }
    println!("| files in the tree | × the smallest | ms a commit of {TOUCHED} files |");
    println!("|--:|--:|--:|");
    for (tree, time) in trees.iter().zip(&times) {
        let ratio = median(times[0].iter().zip(time).map(|(smallest, this)| this / smallest));
        println!("| {} | {} | {} |", tree.files, shown(ratio), shown(median(time.iter().copied())));
    }
    println!();
    for Sized { name, handle, .. } in trees {
        drop(handle);
        remove_tree(&RealDisk, &parent, OsStr::new(&name))?;
    }
    Ok(())
}

fn make(at: &Path, parent: &Dir, files: usize) -> Result<Sized> {
    eprintln!("making a tree of {files} files");
    let name = format!("size-{files}");
    RealDisk.create_dir(parent, OsStr::new(&name), 0o755)?;
    let root = RealDisk.open_dir(parent, &RelPath::root().join(&name))?;
    for first in (0..files).step_by(FILES_IN_A_DIR) {
        let dir = dir_of(first);
        RealDisk.create_dir(&root, OsStr::new(&dir), 0o755)?;
        let dir = RealDisk.open_dir(&root, &RelPath::root().join(&dir))?;
        for file in first..files.min(first + FILES_IN_A_DIR) {
            RealDisk.open(&dir, OsStr::new(&format!("f{file}")), Open::CreateNew { mode: 0o644 })?;
        }
    }
    RealDisk.sync_all(&root)?;
    let handle = Options::new().open(at.join(&name))?;
    Ok(Sized { files, name, handle })
}

fn dir_of(file: usize) -> String {
    format!("d{}", file / FILES_IN_A_DIR)
}

/// The median time of a commit, in milliseconds.
fn time(Sized { files, handle, .. }: &Sized, dice: &mut Dice) -> Result<f64> {
    let contents = dice.bytes(FILE_BYTES);
    let mut times = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let some = usize::try_from(dice.roll() % *files as u64)?;
        // In one directory: to find it is no part of what is compared.
        let paths: Vec<String> = (0..TOUCHED)
            .map(|n| {
                let first = some / FILES_IN_A_DIR * FILES_IN_A_DIR;
                let among = FILES_IN_A_DIR.min(files - first);
                let file = first + (some + n) % among;
                format!("{}/f{file}", dir_of(file))
            })
            .collect();
        let begun = Instant::now();
        handle.transaction(|tx| paths.iter().try_for_each(|path| tx.write(path, &contents)))?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(times.into_iter()))
}
