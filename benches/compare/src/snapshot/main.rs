//! What a snapshot and a rollback cost, beside bare loops of system calls and beside `cp`, `rm` and `rsync`.
//!
//! `snapshot measure DIR [ROUNDS] [FILES,..] [WORKLOAD,..]` prints Markdown tables. FILES are numbers of files, in
//! directories of 100; the workloads are link, reflink, copy, rollback and exchange. What the file system or the
//! machine cannot do is left out by name. DIR is a directory of any file system, with room for three times FILES × 8
//! KiB; what is made in it is removed at the end. `snapshot once DIR NAME` does one of treewal's takes, a restore or a bare walk in
//! what `snapshot tree DIR FILES` has made, to count system calls. `run.sh` beside this crate runs the first on fresh images of
//! three file systems.

mod home;
mod rollbacks;
mod rounds;
mod takes;

use std::path::Path;
use std::process::ExitCode;

use crate::home::Home;

/// Whatever goes wrong ends the run: a number that was measured beside a failure is none.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

type Workload = fn(&Home, usize) -> Result;

const WORKLOADS: [(&str, Workload); 5] = [
    ("link", takes::link),
    ("reflink", takes::reflink),
    ("copy", takes::copy),
    ("rollback", rollbacks::rollback),
    ("exchange", rollbacks::exchange),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("snapshot: {error}");
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
            let rounds = given(0).map_or(Ok(5), str::parse)?;
            let sizes = given(1).unwrap_or("10000,100000");
            let only =
                given(2).map_or_else(|| WORKLOADS.map(|(name, _)| name).to_vec(), |list| list.split(',').collect());
            for size in sizes.split(',') {
                let home = Home::make(Path::new(dir), size.parse()?)?;
                for (_, workload) in WORKLOADS.iter().filter(|(name, _)| only.contains(name)) {
                    workload(&home, rounds)?;
                }
                home.remove()?;
            }
            Ok(())
        }
        ["tree", dir, files] => Home::make(Path::new(dir), files.parse()?).map(drop),
        ["once", dir, name] => takes::once(&Home::open(Path::new(dir))?, name),
        _ => Err("usage: snapshot measure DIR [ROUNDS] [FILES,..] [WORKLOAD,..]
       snapshot tree DIR FILES
       snapshot once DIR link|reflink|copy|restore|walk"
            .into()),
    }
}
