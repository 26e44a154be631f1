//! Odd entries in the tree itself: names that are no text, fifos that nobody opens, files that grow while they are read, and
//! a root that is replaced under an open handle.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use treewal::{Options, Outcome, Tree};

use crate::tools::walk_tree;

const NAMES: [&[u8]; 8] =
    [b"a\nb", b"\n", b"\xff\xfe", b"\x1b[31mred", b"-rf", b" ", b"..x", b"name\xf0\x28\x8c\x28 of no text"];

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO)
}

/// Each of them is written, moved, guarded, replaced by somebody else, and named in a report of one line for each path.
#[test]
fn names_that_are_no_text_are_names() {
    let dir = tempfile::tempdir().unwrap();
    let tree = options().open(dir.path()).unwrap();
    for name in NAMES {
        let (name, moved) = (Path::new(OsStr::from_bytes(name)), OsStr::from_bytes(name).to_owned());
        let inside = Path::new("d").join(&moved);
        tree.transaction(|tx| {
            tx.create_dir_all("d")?;
            tx.write(name, "new")
        })
        .unwrap();
        tree.transaction(|tx| tx.rename(name, &inside)).unwrap();
        let guard = tree.guard([&inside]).unwrap();
        fs::write(dir.path().join(&inside), "in place").unwrap();
        guard.rollback().unwrap();
        assert_eq!(fs::read(dir.path().join(&inside)).unwrap(), b"new", "{name:?}");
    }
    let all = || NAMES.map(|name| Path::new("d").join(OsStr::from_bytes(name)));
    tree.transaction(|tx| all().into_iter().try_for_each(|path| tx.write(path, "ours"))).unwrap();
    for path in all() {
        fs::remove_file(dir.path().join(&path)).unwrap();
        fs::write(dir.path().join(&path), "theirs").unwrap();
    }
    // Not closed in order: what follows is recovered from the journal.
    std::mem::forget(tree);
    let tree = options().open(dir.path()).unwrap();
    let report = tree.recovery().to_string();
    assert_eq!(
        tree.recovery().transactions.iter().map(|done| done.superseded.len()).sum::<usize>(),
        NAMES.len(),
        "{report}"
    );
    for name in NAMES {
        assert_eq!(fs::read(dir.path().join("d").join(OsStr::from_bytes(name))).unwrap(), b"theirs");
    }
    assert!(!report.contains("a\nb") && !report.contains('\x1b'), "a name goes to the terminal as it is: {report:?}");
    for case in fs::read_dir(dir.path().join(".treewal/quarantine")).unwrap() {
        let text = fs::read(case.unwrap().path().join("report.txt")).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 1 + NAMES.len(), "a line for the case and one for each path: {text:?}");
    }
}

/// Nobody opens the other end: whatever is asked of a fifo, nobody waits for it.
#[test]
fn a_fifo_is_an_entry_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["fifo", "other", "replaced"] {
        assert!(Command::new("mkfifo").arg(dir.path().join(name)).status().unwrap().success());
    }
    let begun = Instant::now();
    let tree = options().open(dir.path()).unwrap();
    for body in [
        (|tx| tx.read("fifo").map(drop)) as fn(&mut treewal::Transaction) -> treewal::Result<()>,
        |tx| tx.append("fifo", "x"),
        |tx| tx.copy("fifo", "copy").map(drop),
        |tx| tx.update("fifo", |_| Ok(())),
    ] {
        let error = tree.transaction(body).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unchanged, "{error:?}");
    }
    tree.transaction(|tx| {
        tx.rename("fifo", "moved")?;
        tx.remove_file("other")?;
        tx.remove_file("replaced")?;
        tx.write("replaced", "a file now")
    })
    .unwrap();
    let guard = tree.guard(["moved"]).unwrap();
    fs::remove_file(dir.path().join("moved")).unwrap();
    guard.rollback().unwrap();
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::symlink_metadata(dir.path().join("moved")).unwrap().file_type().is_fifo());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// A log that somebody else appends to all the time: what is copied is the beginning of it, or it is refused; never more than
/// it was at some moment, and never without an end.
#[test]
fn a_file_that_grows_while_it_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let line = b"a line of a log that grows\n";
    fs::write(dir.path().join("log"), line.repeat(2000)).unwrap();
    let tree = options().open(dir.path()).unwrap();
    let stop = AtomicBool::new(false);
    let (mut done, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = File::options().append(true).open(dir.path().join("log")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                log.write_all(&line.repeat(20)).unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            let copied = tree.transaction(|tx| tx.copy("log", "copy"));
            match copied {
                Ok(_) => {
                    done += 1;
                    let copy = fs::read(dir.path().join("copy")).unwrap();
                    assert!(
                        copy.len() >= line.len() * 2000 && copy.chunks_exact(line.len()).all(|found| found == line)
                    );
                }
                Err(error) => {
                    refused += 1;
                    assert_ne!(error.outcome(), Outcome::Undecided, "{error:?}");
                }
            }
            // To replace it is a conflict nearly always, and never loses a line of theirs.
            if let Err(error) = tree.transaction(|tx| tx.append("log", "ours\n")) {
                assert_ne!(error.outcome(), Outcome::Undecided, "{error:?}");
            } else {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("a log that grows: copied {done} times, refused {refused} times");
    assert!(done > 0);
}

/// The directory of an open tree is moved away, and another put in its place: the handle goes on in the one that it opened.
#[test]
fn a_root_that_is_replaced_under_an_open_handle() {
    let home = tempfile::tempdir().unwrap();
    let (root, aside) = (home.path().join("tree"), home.path().join("aside"));
    fs::create_dir(&root).unwrap();
    let tree: Tree = options().open(&root).unwrap();
    tree.transaction(|tx| tx.write("a", "before")).unwrap();
    fs::rename(&root, &aside).unwrap();
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "another tree").unwrap();
    tree.transaction(|tx| {
        tx.write("a", "after")?;
        tx.write("large", vec![b'l'; 100_000])
    })
    .unwrap();
    let guard = tree.guard(["a"]).unwrap();
    fs::write(aside.join("a"), "in place").unwrap();
    guard.rollback().unwrap();
    drop(tree);
    assert_eq!(fs::read(aside.join("a")).unwrap(), b"after");
    assert_eq!(fs::read(root.join("a")).unwrap(), b"another tree");
    assert_eq!(walk_tree(&root).len(), 1);
    assert!(!root.join(".treewal").exists());
    assert!(options().open(&aside).unwrap().recovery().is_clean());
}
