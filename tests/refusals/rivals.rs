//! Others at work in the same tree: one that holds it, and one that wishes it ill.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use treewal::{Error, Options, Outcome, Tree};
use treewal_vfs::{Disk, RealDisk, Rename};

use crate::tools::{Walk, walk};

const HOLDER: &str = "TREEWAL_REFUSALS_HOLDER";

/// No test unless the environment names a tree: then this process holds it until its input ends.
#[test]
fn holder() {
    let Ok(dir) = std::env::var(HOLDER) else { return };
    let tree = Tree::open(dir).unwrap();
    let guard = tree.guard(["a"]).unwrap();
    io::stdout().write_all(b"holding\n").unwrap();
    io::stdin().read_line(&mut String::new()).unwrap();
    guard.rollback().unwrap();
}

#[test]
fn who_holds_the_tree_is_named_by_its_process() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let opened_before = Options::new().lock_wait(Duration::from_millis(50)).open(dir.path()).unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["rivals::holder", "--exact", "--nocapture", "--test-threads=1"])
        .env(HOLDER, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("holding")));
    let before = walk(dir.path());

    let begun = Instant::now();
    let at_opening = Options::new().lock_wait(Duration::ZERO).open(dir.path()).unwrap_err();
    let at_commit = opened_before.transaction(|tx| tx.write("a", "b")).unwrap_err();
    let at_guard = opened_before.guard(["a"]).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(5), "refused when the time to wait is over");
    for error in [at_opening, at_commit, at_guard] {
        let Error::Locked { holder: found } = &error else { panic!("{error:?}") };
        assert_eq!((found.pid, found.this_process), (Some(holder.id()), false), "{error:?}");
        assert!(error.to_string().contains(&holder.id().to_string()), "{error}");
        assert!(error.is_retryable() && error.outcome() == Outcome::Unchanged && found.since.is_some());
    }
    let status = treewal::status(dir.path()).unwrap();
    assert!(format!("{status:?}").contains(&holder.id().to_string()), "{status:?}");
    let staged = |path: &Path| path.starts_with(dir.path().join(".treewal/stage"));
    let unstaged = |walk: Walk| -> Walk { walk.into_iter().filter(|(path, ..)| !staged(path)).collect() };
    assert_eq!(unstaged(walk(dir.path())), unstaged(before), "the refused have changed nothing but their own stage");

    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    opened_before.transaction(|tx| tx.write("a", "b")).unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"b");
}

/// P6: somebody exchanges a directory for a symlink that leads out, over and over, while commits and guards work in it.
#[test]
fn a_symlink_that_is_raced_into_a_path_never_leads_out_of_the_tree() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(dir.path().join("d/deep")).unwrap();
    fs::write(dir.path().join("d/x"), "x").unwrap();
    symlink(outside.path(), dir.path().join("trap")).unwrap();
    let options = Options::new().segment_bytes(256 << 10);
    let stop = AtomicBool::new(false);
    let (mut done, mut refused, mut swaps) = (0u32, 0u32, 0u32);
    std::thread::scope(|scope| {
        let rival = scope.spawn(|| {
            let root = RealDisk.open_root(dir.path()).unwrap();
            let mut swaps = 0;
            while !stop.load(Ordering::Relaxed) {
                RealDisk.rename(&root, OsStr::new("d"), &root, OsStr::new("trap"), Rename::Exchange).unwrap();
                swaps += 1;
                // Long enough for a commit to fall on either side, short enough for one to be caught in the middle.
                std::thread::sleep(Duration::from_micros(u64::from(swaps % 7) * 60));
            }
            swaps
        });
        let begun = Instant::now();
        let mut tree = options.open(dir.path()).unwrap();
        for round in 0u32.. {
            if begun.elapsed() > Duration::from_secs(2) {
                break;
            }
            let result = work(&tree, round);
            match result {
                Ok(()) => done += 1,
                Err(error) => {
                    refused += 1;
                    if matches!(error, Error::Poisoned | Error::Undecided { .. } | Error::Pending { .. }) {
                        drop(tree);
                        tree = options.open(dir.path()).unwrap();
                    }
                }
            }
            assert_eq!(walk(outside.path()), [], "round {round}");
        }
        stop.store(true, Ordering::Relaxed);
        swaps = rival.join().unwrap();
    });
    println!("raced symlink: {swaps} exchanges, {done} pieces of work done, {refused} refused");
    assert!(done > 0 && refused > 0 && swaps > 100, "no race: {done} done, {refused} refused, {swaps} swaps");
    drop(options.open(dir.path()).unwrap());
    assert_eq!(walk(outside.path()), []);
}

/// One piece of work of each kind that resolves a path beneath `d`.
fn work(tree: &Tree, round: u32) -> treewal::Result<()> {
    match round % 4 {
        0 => tree.transaction(|tx| {
            tx.write("d/x", format!("{round}"))?;
            tx.write("d/deep/y", format!("{round}"))
        }),
        1 => tree.transaction(|tx| {
            tx.create_dir_all("d/new/deep")?;
            tx.write("d/new/deep/z", vec![b'z'; 100_000])
        }),
        2 => tree.transaction(|tx| tx.remove_dir_all("d/new")),
        _ => {
            let guard = tree.guard(["d/x", "d/deep"])?;
            if round % 8 == 3 { guard.commit() } else { guard.rollback() }
        }
    }
}
