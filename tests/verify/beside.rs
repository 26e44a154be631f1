//! Beside somebody at work nothing is found that is none.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use treewal::{Checkpoints, Options, Tree};

/// Ends with the test, however that ends.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Commits, guards, takes snapshots and opens the tree anew, until it is killed; by itself it has nothing to do.
#[test]
fn child_that_works() {
    let Some(dir) = std::env::var_os("TREEWAL_VERIFY_WORKER") else { return };
    let options = Options::new().segment_bytes(64 << 10).inline_max(4096).checkpoint_bytes(16 << 10);
    for round in 0_u64.. {
        let how = if round % 2 == 0 { Checkpoints::Beside } else { Checkpoints::Inline };
        let tree = options.clone().checkpoints(how).open(&dir).unwrap();
        for n in 0..20 {
            let text = "x".repeat(usize::try_from(n * 700).unwrap());
            tree.transaction(|tx| tx.write(format!("f{}", n % 7), &text)).unwrap();
        }
        let guard = tree.guard(["f1", "f2"]).unwrap();
        fs::write(std::path::Path::new(&dir).join("f1"), "in place").unwrap();
        if round % 2 == 0 {
            guard.commit().unwrap();
        } else {
            guard.rollback().unwrap();
        }
        let name = format!("s{round}");
        tree.snapshot(&name).unwrap();
        tree.remove_snapshot(&name).unwrap();
    }
}

#[test]
fn somebody_at_work_is_no_finding() {
    let dir = tempfile::tempdir().unwrap();
    drop(Tree::open(dir.path()).unwrap());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "beside::child_that_works"]).env("TREEWAL_VERIFY_WORKER", dir.path());
    let worker = Worker(command.stdout(std::process::Stdio::null()).spawn().unwrap());
    let (begun, mut checks) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(4) {
        let found = treewal::verify(dir.path()).unwrap_or_else(|error| panic!("check {checks}: {error:?}"));
        assert_eq!(found, [], "check {checks}");
        checks += 1;
    }
    assert!(dir.path().join("f1").exists(), "the worker worked");
    drop(worker);
    eprintln!("{checks} checks beside a worker");
    // What it left when it was killed is found, and goes with the next opening.
    drop(Tree::open(dir.path()).unwrap());
    assert_eq!(treewal::verify(dir.path()).unwrap(), []);
}
