//! What a commit costs, beside what the disk allows and beside what other crates do with the same change set.
//!
//! `commit measure DIR [ROUNDS] [WORKLOAD,..] [CONTESTANT,..]` prints Markdown tables. The workloads are `commits`,
//! `sustained`, `inline`, `settling`, `publish`, `threads` and `size`, the first alone where none is named; `sustained=500`
//! makes so many commits, `threads=500` as many for each thread, and `size=10000` leaves larger trees out. A contestant is
//! told by how its name begins, and limits always take part. `commit once DIR CONTESTANT FILES` makes one commit between
//! two system calls that a trace can be cut at, `commit sustain DIR CONTESTANT COMMITS` many and a checkpoint. DIR is a
//! directory of any file system, with some 1.2 GiB free; what is made in it is removed at the end. `run.sh` beside this
//! crate does all that on fresh images of three file systems.
//!
//! Everything of our own goes through `treewal_vfs`, whose verbs are one system call each: the limit pays what treewal
//! pays to reach the kernel, some tens of nanoseconds a call.

mod contestant;
mod inline;
mod limit;
mod measure;
mod once;
mod ours;
mod peers;
mod publish;
mod settling;
mod size;
mod sqlite;
mod sustained;
mod table;
mod threads;
mod tree;
mod work;

use std::path::Path;
use std::process::ExitCode;

/// Whatever goes wrong ends the run: a number that was measured beside a failure is none.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: commit measure DIR [ROUNDS] [WORKLOAD,..] [CONTESTANT,..]
       commit once DIR CONTESTANT FILES
       commit sustain DIR CONTESTANT COMMITS
       commit names
       commit sustained-names";

/// What is asked of a workload.
struct Run<'a> {
    at: &'a Path,
    rounds: usize,
    only: Vec<&'a str>,
    /// How many commits, where the workload's own number shall not count.
    count: Option<usize>,
}

type Workload = fn(&Run<'_>) -> Result;

const WORKLOADS: [(&str, Workload); 7] = [
    ("commits", measure::measure),
    ("sustained", sustained::measure),
    ("inline", inline::measure),
    ("settling", settling::measure),
    ("publish", publish::measure),
    ("threads", threads::measure),
    ("size", size::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("commit: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["measure", dir, rest @ ..] if rest.len() <= 3 => {
            let given = |at: usize| rest.get(at).copied().filter(|given| !given.is_empty());
            let rounds = given(0).map_or(Ok(7), str::parse)?;
            let only: Vec<&str> = given(2).map_or_else(Vec::new, |list| list.split(',').collect());
            measure_all(Path::new(dir), rounds, given(1).unwrap_or("commits"), &only)
        }
        ["once", dir, name, files] => once::once(Path::new(dir), name, files.parse()?),
        ["sustain", dir, name, commits] => sustained::once(Path::new(dir), name, commits.parse()?),
        ["sustained-names"] => {
            sustained::names().for_each(|name| println!("{name}"));
            Ok(())
        }
        ["names"] => {
            contestant::NAMES.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn measure_all(at: &Path, rounds: usize, workloads: &str, only: &[&str]) -> Result {
    if rounds == 0 {
        return Err("no rounds, no medians".into());
    }
    let mut asked: Vec<(Workload, Run<'_>)> = Vec::new();
    for workload in workloads.split(',') {
        let (name, count) = workload.split_once('=').map_or((workload, None), |(name, count)| (name, Some(count)));
        let count = count.map(str::parse).transpose()?;
        let known = WORKLOADS.iter().find(|(known, _)| *known == name);
        let (_, workload) = known.ok_or_else(|| format!("no workload {name:?}"))?;
        asked.push((*workload, Run { at, rounds, only: only.to_vec(), count }));
    }
    asked.iter().try_for_each(|(workload, run)| workload(run))
}
