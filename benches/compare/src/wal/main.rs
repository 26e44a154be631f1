//! What the journal costs, beside what the disk allows and beside other crates that keep a log.
//!
//! `wal measure DIR [ROUNDS] [WORKLOAD,..] [CONTESTANT,..]` prints Markdown tables. The workloads are W1, W2, W3a, W3b,
//! rotation and memory; a contestant is told by how its name begins, and limits always take part.
//! DIR is a directory of any file system, with 7 GiB free for W3b and memory and 1 GiB for the others; what is made in it
//! is removed at the end. `wal peak DIR NAME BYTES` is what the workload `memory` calls. `run.sh` beside this crate runs
//! the first on fresh images of three file systems.

mod contestant;
mod goals;
mod home;
mod limit;
mod mapped;
mod memory;
mod okay;
mod ours;
mod raft;
mod redb;
mod rotation;
mod rounds;
mod scans;
mod sqlite;
mod table;
mod w1;
mod w2;
mod w3a;
mod w3b;
mod waldb;

use std::path::Path;
use std::process::ExitCode;

use crate::goals::Goals;
use crate::rounds::Run;

/// Whatever goes wrong ends the run: a number that was measured beside a failure is none. It crosses threads.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: wal measure DIR [ROUNDS] [WORKLOAD,..] [CONTESTANT,..]
       wal peak DIR NAME BYTES";

type Workload = fn(&mut Run, &mut Goals) -> Result;

const WORKLOADS: [(&str, Workload); 6] = [
    ("W1", w1::measure),
    ("W2", w2::measure),
    ("W3a", w3a::measure),
    ("W3b", w3b::measure),
    ("rotation", rotation::measure),
    ("memory", memory::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("wal: {error}");
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
            let workloads: Vec<&str> = given(1).map_or_else(|| WORKLOADS.map(|(name, _)| name).to_vec(), split);
            let only: Vec<&str> = given(2).map_or_else(Vec::new, split);
            measure(Path::new(dir), rounds, &workloads, &only)
        }
        ["peak", dir, name, bytes] => memory::peak(Path::new(dir), name, bytes.parse()?),
        _ => Err(USAGE.into()),
    }
}

fn split(list: &str) -> Vec<&str> {
    list.split(',').collect()
}

fn measure(dir: &Path, rounds: usize, names: &[&str], only: &[&str]) -> Result {
    if rounds == 0 {
        return Err("no rounds, no medians".into());
    }
    if let Some(stray) = names.iter().find(|name| !WORKLOADS.iter().any(|(known, _)| known == *name)) {
        return Err(format!("no workload {stray:?}").into());
    }
    let mut run = Run::new(dir, rounds, only)?;
    let mut goals = Goals::default();
    for (_, workload) in WORKLOADS.iter().filter(|(name, _)| names.contains(name)) {
        workload(&mut run, &mut goals)?;
    }
    goals.print();
    Ok(())
}
