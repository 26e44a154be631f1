//! Publishing a prepared directory in the place of another one: what it costs, and that the number of files in it does not
//! matter once they are on the disk.
//!
//! Before the clock runs, a directory of N files of 4 KiB stands beside the tree, synced. Timed is one of
//!
//! * `two renames`: the old directory away, the new one into its place, and a sync of each of the two directories that
//!   changed. Readers find nothing in between, and a crash may leave nothing;
//! * `exchange`: one `RENAME_EXCHANGE` and the same two syncs, the least that keeps the name;
//! * `treewal`: `Transaction::publish` and its commit;
//! * `remove`: the old directory, file by file. Two renames and exchange leave it to the caller, treewal to its next
//!   checkpoint;
//! * `treewal, merge`: `Publish::merge` of a directory in which one file in ten differs.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use treewal::{Options, Publish};
use treewal_compare::{Dice, median, shown};
use treewal_vfs::{Dir, Disk, Open, RealDisk, RelPath, Rename, remove_tree, write_all};

use crate::{Result, Run};

const FILES: [usize; 3] = [10, 1_000, 10_000];
const FILE_BYTES: usize = 4096;
const NAMES: [&str; 5] = ["two renames", "exchange", "treewal", "remove", "treewal, merge"];

/// Where everything is made: the tree, and the place beside it where directories are prepared.
struct Bench<'a> {
    at: &'a Path,
    parent: Dir,
    dir: Dir,
    tree: Dir,
    handle: treewal::Tree,
}

/// Measures every row for every number of files, and prints a table of milliseconds.
pub(crate) fn measure(Run { at, rounds, .. }: &Run<'_>) -> Result {
    let name = "publish";
    let parent = RealDisk.open_root(at)?;
    RealDisk.create_dir(&parent, OsStr::new(name), 0o755)?;
    let dir = RealDisk.open_dir(&parent, &RelPath::root().join(name))?;
    RealDisk.create_dir(&dir, OsStr::new("tree"), 0o755)?;
    let tree = RealDisk.open_dir(&dir, &RelPath::root().join("tree"))?;
    let at = at.join(name);
    let handle = Options::new().open(at.join("tree"))?;
    let bench = Bench { at: &at, parent, dir, tree, handle };
    let mut times = vec![vec![Vec::new(); FILES.len()]; NAMES.len()];
    for round in 0..*rounds {
        for (column, files) in FILES.into_iter().enumerate() {
            for (row, time) in bench.round(files, round as u64)?.into_iter().enumerate() {
                times[row][column].push(time.as_secs_f64() * 1e3);
            }
        }
    }
    let columns: Vec<String> = FILES.iter().map(|files| format!("{files} files |")).collect();
    println!("| ms to publish a directory | {}\n|---|{}", columns.join(" "), "--:|".repeat(FILES.len()));
    for (name, row) in NAMES.iter().zip(&times) {
        let cells: Vec<String> = row.iter().map(|cell| format!("{} |", shown(median(cell.iter().copied())))).collect();
        println!("| {name} | {}", cells.join(" "));
    }
    println!();
    let Bench { parent, handle, .. } = bench;
    drop(handle);
    remove_tree(&RealDisk, &parent, OsStr::new(name))?;
    Ok(())
}

impl Bench<'_> {
    /// One time for each row.
    fn round(&self, files: usize, round: u64) -> Result<[Duration; 5]> {
        let disk = &RealDisk;
        let (site, next, old) = (OsStr::new("site"), OsStr::new("next"), OsStr::new("old"));
        let sync_both = || -> Result {
            disk.sync_dir(&self.dir)?;
            Ok(disk.sync_dir(&self.tree)?)
        };
        self.fill(&self.tree, site, files, (round, usize::MAX))?;
        let two_renames = self.timed(next, files, round + 1, || {
            disk.rename(&self.tree, site, &self.dir, old, Rename::NoReplace)?;
            disk.rename(&self.dir, next, &self.tree, site, Rename::NoReplace)?;
            sync_both()
        })?;
        remove_tree(disk, &self.dir, old)?;
        let exchange = self.timed(next, files, round + 2, || {
            disk.rename(&self.dir, next, &self.tree, site, Rename::Exchange)?;
            sync_both()
        })?;
        // The old one stands where the new one was prepared.
        disk.sync_all(&self.dir)?;
        let begun = Instant::now();
        remove_tree(disk, &self.dir, next)?;
        let remove = begun.elapsed();
        let publish = |how: Publish| -> Result {
            Ok(self.handle.transaction(|tx| tx.publish_with(how, self.at.join("next"), "site"))?)
        };
        self.handle.checkpoint()?;
        let treewal = self.timed(next, files, round + 3, || publish(Publish::exchange()))?;
        self.fill(&self.dir, next, files, (round + 3, 10))?;
        self.handle.checkpoint()?;
        let begun = Instant::now();
        publish(Publish::merge())?;
        let merge = begun.elapsed();
        remove_tree(disk, &self.dir, next)?;
        remove_tree(disk, &self.tree, site)?;
        self.handle.checkpoint()?;
        Ok([two_renames, exchange, treewal, remove, merge])
    }

    /// Prepares a directory, and times what is done with it.
    fn timed(&self, next: &OsStr, files: usize, seed: u64, body: impl FnOnce() -> Result) -> Result<Duration> {
        self.fill(&self.dir, next, files, (seed, usize::MAX))?;
        let begun = Instant::now();
        body()?;
        Ok(begun.elapsed())
    }

    /// Makes a directory of files, durable. Of each `another`, one is not what the seed says.
    fn fill(&self, at: &Dir, name: &OsStr, files: usize, (seed, another): (u64, usize)) -> Result {
        RealDisk.create_dir(at, name, 0o755)?;
        let dir = RealDisk.open_dir(at, &RelPath::root().join(name))?;
        let mut dice = Dice::new(seed + 1);
        for n in 0..files {
            let mut bytes = dice.bytes(FILE_BYTES);
            if (n + 1) % another == 0 {
                bytes[0] ^= 1;
            }
            let file = RealDisk.open(&dir, OsStr::new(&n.to_string()), Open::CreateNew { mode: 0o644 })?;
            write_all(&RealDisk, &file, &bytes, 0)?;
        }
        Ok(RealDisk.sync_all(&dir)?)
    }
}
