//! Up to which size of a file its contents had better travel in the journal: commits of N files of one size, inline and
//! staged with a sync of their own, alone and with their share of the checkpoint.

use std::time::{Duration, Instant};

use treewal::Options;
use treewal_compare::{Dice, median, shown};

use crate::contestant::Contestant;
use crate::ours::Ours;
use crate::tree::Tree;
use crate::work::{Write, change_set};
use crate::{Result, Run};

const SIZES_KIB: [usize; 8] = [4, 8, 16, 32, 64, 128, 256, 512];
const COUNTS: [usize; 3] = [1, 10, 100];
/// Bytes that a turn commits before its checkpoint: less than makes one due, and enough that the checkpoint is shared.
const BYTES: usize = 6 << 20;
const COMMITS_MAX: usize = 32;

/// What a turn gives: the median of a commit, and the mean with the checkpoint.
#[derive(Clone, Copy)]
struct Figure {
    commit: f64,
    settled: f64,
}

/// Measures and prints the table.
pub(crate) fn measure(Run { at, rounds, .. }: &Run<'_>) -> Result {
    // Both never checkpoint by themselves: only what is timed as one counts as one.
    let options = || Options::new().checkpoint_bytes(u64::MAX);
    let inline = Ours::new(Tree::make(at, "inline")?, &options().inline_max(512 << 10))?;
    let staged = Ours::new(Tree::make(at, "staged")?, &options().inline_max(0))?;
    let mut both = [inline, staged];
    let mut dice = Dice::new(std::process::id().into());
    println!(
        "| files | KiB each | inline, ms | staged, ms | inline / staged | with the checkpoint |\n|--:|--:|--:|--:|--:|--:|"
    );
    for files in COUNTS {
        let mut pays_up_to = 0;
        for kib in SIZES_KIB {
            eprintln!("{files} files of {kib} KiB");
            let mut found: [Vec<Figure>; 2] = [Vec::new(), Vec::new()];
            for round in 0..=*rounds {
                let mut order = [0, 1];
                dice.shuffle(&mut order);
                for index in order {
                    let figure = turn(&mut both[index], files, kib << 10, round)?;
                    // The first only warms up.
                    if round > 0 {
                        found[index].push(figure);
                    }
                }
            }
            let of = |index: usize, what: fn(&Figure) -> f64| median(found[index].iter().map(what));
            let ratio = |what: fn(&Figure) -> f64| {
                median(found[0].iter().zip(&found[1]).map(|(inline, staged)| what(inline) / what(staged)))
            };
            let settled = ratio(|figure| figure.settled);
            if settled <= 1.0 {
                pays_up_to = kib;
            }
            println!(
                "| {files} | {kib} | {} | {} | {} | {} |",
                shown(of(0, |figure| figure.commit)),
                shown(of(1, |figure| figure.commit)),
                shown(ratio(|figure| figure.commit)),
                shown(settled),
            );
        }
        eprintln!("{files} files: inlining pays up to {pays_up_to} KiB");
    }
    println!();
    both.into_iter().try_for_each(|ours| Box::new(ours).end().remove())
}

fn turn(ours: &mut Ours, files: usize, bytes: usize, round: usize) -> Result<Figure> {
    let commits = (BYTES / (files * bytes)).clamp(2, COMMITS_MAX);
    let mut sets: Vec<Vec<Write>> =
        (0..commits).map(|commit| change_set(files, round * COMMITS_MAX + commit)).collect();
    let mut dice = Dice::new(round as u64);
    sets.iter_mut().flatten().for_each(|write| write.contents = dice.bytes(bytes));
    ours.settle()?;
    ours.tree().flush()?;
    let mut times: Vec<Duration> = Vec::new();
    let begun = Instant::now();
    for set in &sets {
        let begun = Instant::now();
        ours.commit(set)?;
        times.push(begun.elapsed());
    }
    ours.settle()?;
    let settled = begun.elapsed().as_secs_f64() * 1e3 / commits as f64;
    Ok(Figure { commit: median(times.iter().map(|time| time.as_secs_f64() * 1e3)), settled })
}
