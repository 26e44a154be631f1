//! What a commit costs, beside what the disk allows and beside what other crates do with the same change set.
//!
//! `commit measure DIR [ROUNDS]` prints Markdown tables; `commit once DIR CONTESTANT FILES` makes one commit between two
//! system calls that a trace can be cut at. DIR is a directory of any file system, with some 700 MiB free; what is made
//! in it is removed at the end. `commit publish DIR [ROUNDS]` measures what it costs to publish a directory. `run.sh` beside this crate does both on fresh images of three file systems.
//!
//! Everything of our own goes through `treewal_vfs`, whose verbs are one system call each: the limit pays what treewal
//! pays to reach the kernel, some tens of nanoseconds a call.

mod contestant;
mod limit;
mod measure;
mod once;
mod ours;
mod peers;
mod publish;
mod table;
mod tree;
mod work;

use std::path::Path;
use std::process::ExitCode;

/// Whatever goes wrong ends the run: a number that was measured beside a failure is none.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: commit measure DIR [ROUNDS]
       commit once DIR CONTESTANT FILES
       commit names
       commit publish DIR [ROUNDS]";

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
        ["measure", dir] => measure::measure(Path::new(dir), 7),
        ["measure", dir, rounds] => measure::measure(Path::new(dir), rounds.parse()?),
        ["once", dir, name, files] => once::once(Path::new(dir), name, files.parse()?),
        ["publish", dir] => publish::measure(Path::new(dir), 7),
        ["publish", dir, rounds] => publish::measure(Path::new(dir), rounds.parse()?),
        ["names"] => {
            contestant::NAMES.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}
