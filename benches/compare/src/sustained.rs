//! A writer that never pauses: commits of 10 files over 1,000 files, until all of it is durable in the tree itself.
//!
//! The clock runs from the first commit to the end of the last checkpoint, those on the way among them. Change sets are
//! made beforehand and used again and again, so that nobody works while the clock stands still.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use treewal::{Checkpoints, Options};
use treewal_compare::{Dice, median, shown};
use treewal_vfs::{Dir, Disk, Kind, RealDisk, RelPath};

use crate::contestant::{Contestant, make, selected};
use crate::limit::{Limit, Part};
use crate::ours::Ours;
use crate::tree::Tree;
use crate::work::{Write, change_set_among};
use crate::{Result, Run};

const FILES: usize = 10;
const SPAN: usize = 1000;
/// Commits of a round, unless the command line says otherwise.
const COMMITS: usize = 10_000;
/// As many change sets as there are.
const SETS: usize = 500;
/// How often the size of a store is looked at, in commits, when no clock runs.
const LOOK_EVERY: usize = 10;
/// As treewal by itself.
const SETTLED_BYTES: u64 = 8 << 20;

const INLINE: &str = "treewal, Checkpoints::Inline";
const BESIDE: &str = "treewal, Checkpoints::Beside";
const LIMIT_SETTLING: &str = "limit, a syncfs every 8 MiB of log";
const NAMES: [&str; 6] =
    [LIMIT_SETTLING, INLINE, BESIDE, "fstx 0.1.1", "atomic-write-file 0.3.1, each file by itself", SQLITE];
const SQLITE: &str = "SQLite, N blobs in one transaction, WAL, synchronous=FULL";

fn make_sustained(name: &str, at: &Path) -> Result<Box<dyn Contestant>> {
    let tree = |label: &str| Tree::make(at, label);
    let ours = |checkpoints| Options::new().checkpoints(checkpoints);
    Ok(match name {
        LIMIT_SETTLING => Box::new(Limit::new(tree("limit")?, Part::StageRename)?.settling(SETTLED_BYTES)),
        INLINE => Box::new(Ours::new(tree("inline")?, &ours(Checkpoints::Inline))?),
        BESIDE => Box::new(Ours::new(tree("beside")?, &ours(Checkpoints::Beside))?),
        other => make(other, at)?,
    })
}

/// Measures and prints the table.
pub(crate) fn measure(Run { at, rounds, only, count }: &Run<'_>) -> Result {
    let names = selected(&NAMES, only)?;
    let commits = count.unwrap_or(COMMITS);
    let sets: Vec<Vec<Write>> = (0..SETS).map(|number| change_set_among(SPAN, FILES, number)).collect();
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    let mut peaks = Vec::new();
    let mut dice = Dice::new(std::process::id().into());
    for round in 0..*rounds {
        let mut order: Vec<usize> = (0..names.len()).collect();
        dice.shuffle(&mut order);
        for index in order {
            eprintln!("{}, round {}", names[index], round + 1);
            let mut contestant = make_sustained(names[index], at)?;
            rates[index].push(rate(&mut *contestant, &sets, commits)?);
            if round == 0 {
                peaks.push((index, peak(&mut *contestant, &sets)?));
            }
            contestant.end().remove()?;
        }
    }
    peaks.sort_by_key(|(index, _)| *index);
    println!(
        "| {commits} commits of {FILES} files over {SPAN}, checkpoints included | × limit | commits a second | peak of `.treewal`, MiB |"
    );
    println!("|---|--:|--:|--:|");
    for ((name, rate), (_, peak)) in names.iter().zip(&rates).zip(&peaks) {
        let ratio = median(rates[0].iter().zip(rate).map(|(limit, rate)| limit / rate));
        let peak = peak.map_or("–".to_owned(), |bytes| shown(bytes as f64 / f64::from(1 << 20)));
        println!("| {name} | {} | {} | {peak} |", shown(ratio), shown(median(rate.iter().copied())));
    }
    println!();
    Ok(())
}

/// One contestant for a trace: so many commits, and the checkpoint at the end.
pub(crate) fn once(at: &Path, name: &str, commits: usize) -> Result {
    let sets: Vec<Vec<Write>> = (0..SETS.min(commits)).map(|number| change_set_among(SPAN, FILES, number)).collect();
    let mut contestant = make_sustained(name, at)?;
    contestant.tree().flush()?;
    crate::once::mark(&contestant.tree().root, "trace-begins")?;
    run(&mut *contestant, &sets, commits)?;
    crate::once::mark(&contestant.tree().root, "trace-ends")?;
    contestant.end().remove()
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}

fn run(contestant: &mut dyn Contestant, sets: &[Vec<Write>], commits: usize) -> Result {
    for set in sets.iter().cycle().take(commits) {
        contestant.ready(set)?;
        contestant.commit(set)?;
    }
    contestant.settle()
}

/// Commits a second.
fn rate(contestant: &mut dyn Contestant, sets: &[Vec<Write>], commits: usize) -> Result<f64> {
    run(contestant, sets, 32.min(commits))?;
    contestant.tree().flush()?;
    let begun = Instant::now();
    run(contestant, sets, commits)?;
    let taken = begun.elapsed();
    let last = commits.saturating_sub(1) % sets.len();
    contestant.check(&sets[last])?;
    Ok(commits as f64 / taken.as_secs_f64())
}

/// The most that `.treewal` takes on the disk; `None` where there is none.
fn peak(contestant: &mut dyn Contestant, sets: &[Vec<Write>]) -> Result<Option<u64>> {
    let mut most = None;
    for (n, set) in sets.iter().cycle().take(3 * sets.len()).enumerate() {
        contestant.ready(set)?;
        contestant.commit(set)?;
        if n % LOOK_EVERY == 0 {
            let own = RealDisk.open_dir(&contestant.tree().root, &RelPath::new(".treewal")?);
            most = most.max(own.ok().map(|own| size(&own)).transpose()?);
        }
    }
    contestant.settle()?;
    Ok(most)
}

/// Bytes of all files beneath a directory, which others may be changing.
fn size(dir: &Dir) -> Result<u64> {
    let mut total = 0;
    for entry in RealDisk.list(dir)? {
        let Ok(meta) = RealDisk.stat(dir, OsStr::new(&entry.name)) else { continue };
        total += meta.allocated;
        if meta.kind == Kind::Dir {
            if let Ok(inner) = RealDisk.open_dir(dir, &RelPath::root().join(&entry.name)) {
                total += size(&inner)?;
            }
        }
    }
    Ok(total)
}
