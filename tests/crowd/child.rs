//! The processes: this test binary, run once more with a job in its environment.

use std::path::Path;

pub(crate) use crate::process::{Process, say};

/// Says what the process is to do; without it, this is a test like any other.
const JOB: &str = "TREEWAL_MODEL_JOB";
const TREE: &str = "TREEWAL_MODEL_TREE";

/// No test unless the environment says what to do.
#[test]
fn process() {
    let Ok(job) = std::env::var(JOB) else { return };
    let tree = std::env::var(TREE).unwrap();
    crate::work::work(Path::new(&tree), &job);
}

/// Starts one, which has the tree open when this returns.
pub(crate) fn start(job: &str, tree: &Path) -> Process {
    let mut process = Process::start(&[(JOB, job.as_ref()), (TREE, tree.as_ref())]);
    let said = process.hear();
    assert!(said.is_some(), "process {job} has not opened {}", tree.display());
    process
}
