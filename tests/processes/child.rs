//! The processes: this test binary, run once more with a job in its environment.

use std::path::Path;

pub(crate) use crate::process::{Process, say, told};

/// Says what the process is to do; without it, this is a test like any other.
const JOB: &str = "TREEWAL_PROCESSES_JOB";
const TREE: &str = "TREEWAL_PROCESSES_TREE";
const WITH: &str = "TREEWAL_PROCESSES_WITH";

/// No test unless the environment says what to do.
#[test]
fn process() {
    let Ok(job) = std::env::var(JOB) else { return };
    let told = |name: &str| std::env::var(name).unwrap();
    let (tree, with) = (told(TREE), told(WITH));
    match job.as_str() {
        "soak" => crate::soak::work(Path::new(&tree), &with),
        "turns" => crate::turns::child(Path::new(&tree), &with),
        "work" => crate::worker::work(Path::new(&tree), &with),
        other => panic!("no such job: {other}"),
    }
}

/// Starts one.
pub(crate) fn start(job: &str, tree: &Path, with: &str) -> Process {
    Process::start(&[(JOB, job.as_ref()), (TREE, tree.as_ref()), (WITH, with.as_ref())])
}
