//! Readers and writers of several processes, and threads that would wait for themselves.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use treewal::{Error, GuardOptions, Holder, Options, Others};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Open, RelPath, Rename};

use crate::child::Process;

fn impatient() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::from_millis(60))
}

/// Longer than any test may take, so that whoever waits for it is found out.
fn patient() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::from_secs(30))
}

fn holder<T: std::fmt::Debug>(refused: treewal::Result<T>) -> Holder {
    match refused {
        Err(Error::Locked { holder }) => holder,
        other => panic!("{other:?}"),
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn ro21_readers_share_and_keep_writers_out_whose_error_names_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let tree = impatient().open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    let mut other = Process::on(dir.path());
    other.does("read");
    let reader = tree.read().unwrap();
    assert_eq!(reader.read("a").unwrap(), b"1");
    drop(reader);
    for refused in [
        tree.transaction(|tx| tx.write("a", "2")).map(drop),
        tree.guard(["a"]).map(drop),
        tree.checkpoint(),
        tree.snapshot("s").map(drop),
        impatient().open(dir.path()).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let Error::Locked { holder } = &error else { panic!("{error:?}") };
        assert!(holder.reads && !holder.this_process && !holder.this_thread, "{error:?}");
        // Where the system lists its locks, the reader is known.
        if fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.contains(&format!(" {} ", other.pid()))) {
            assert_eq!(holder.pid, Some(other.pid()));
            assert!(holder.since.is_some_and(|since| since <= now() + 1 && since + 600 > now()), "{error:?}");
            assert!(error.to_string().contains(&format!("process {}, which reads it", other.pid())), "{error}");
        }
    }
    let status = treewal::status(dir.path()).unwrap();
    assert!(status.holder.is_none() && status.readers.iter().all(|pid| *pid == other.pid()), "{status:?}");
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"1");
    other.does("drop");
    tree.transaction(|tx| tx.write("a", "2")).unwrap();
}

#[test]
fn a_reader_that_is_killed_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let tree = impatient().open(dir.path()).unwrap();
    for _ in 0..3 {
        let mut other = Process::on(dir.path());
        other.does("read");
        holder(tree.checkpoint());
        other.kill();
        tree.transaction(|tx| tx.write("a", "on")).unwrap();
    }
    assert!(fs::read_dir(dir.path().join(".treewal")).unwrap().count() < 12, "readers leave nothing behind");
}

#[test]
fn who_writes_is_named_to_readers() {
    let dir = tempfile::tempdir().unwrap();
    let tree = impatient().open(dir.path()).unwrap();
    let mut other = Process::on(dir.path());
    other.does("guard a");
    let begun = Instant::now();
    let found = holder(tree.read());
    assert_eq!((found.pid, found.reads, found.this_process), (Some(other.pid()), false, false));
    assert!(found.since.is_some_and(|since| since <= now() + 1 && since + 600 > now()), "{found:?}");
    assert!(begun.elapsed() >= Duration::from_millis(60) && begun.elapsed() < Duration::from_secs(5));
    holder(tree.read_within(Duration::ZERO));
    holder(impatient().open_read_only(dir.path()));
    other.does("end");
    assert!(!tree.read().unwrap().exists("a").unwrap());
}

#[test]
fn readers_that_come_all_the_time_do_not_starve_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let tree = patient().open(dir.path()).unwrap();
    let mut other = Process::on(dir.path());
    let stop = AtomicBool::new(false);
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Each is there before the one before it goes.
                    let one = tree.read().unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                    drop(one);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        for turn in 0..10 {
            let begun = Instant::now();
            other.does(&format!("write a {turn}"));
            longest = longest.max(begun.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("10 commits beside 4 readers that never rest: none waited longer than {longest:?}");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}

#[test]
fn one_that_never_stops_writing_does_not_starve_who_reads() {
    let dir = tempfile::tempdir().unwrap();
    let tree = patient().open(dir.path()).unwrap();
    let reading = patient().open(dir.path()).unwrap();
    let stop = AtomicBool::new(false);
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                tree.transaction(|tx| {
                    tx.write("a", format!("{n}"))?;
                    tx.write("b", format!("{n}"))
                })
                .unwrap();
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        for _ in 0..20 {
            let begun = Instant::now();
            for tree in [&tree, &reading] {
                let reader = tree.read().unwrap();
                let a = reader.read("a").unwrap();
                std::thread::sleep(Duration::from_millis(2));
                assert_eq!(reader.read("b").unwrap(), a);
            }
            longest = longest.max(begun.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}

#[test]
fn a_thread_that_would_wait_for_itself_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, other) = (patient().open(dir.path()).unwrap(), patient().open(dir.path()).unwrap());
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    let begun = Instant::now();
    let itself = |error: Error, reads: bool| {
        let Error::Locked { holder } = &error else { panic!("{error:?}") };
        assert!(holder.this_thread && holder.this_process && holder.reads == reads, "{error:?}");
        assert!(!error.is_retryable() && error.to_string().contains("this thread"), "{error}");
    };

    let reader = tree.read().unwrap();
    itself(tree.transaction(|tx| tx.write("a", "2")).unwrap_err(), true);
    itself(tree.transaction_with(treewal::RetryPolicy::new(), |tx| tx.write("a", "2")).unwrap_err(), true);
    itself(tree.guard(["a"]).unwrap_err(), true);
    itself(tree.snapshot("s").unwrap_err(), true);
    itself(tree.begin().rename_a().unwrap_err(), true);
    itself(other.transaction(|tx| tx.write("a", "2")).unwrap_err(), true);
    itself(patient().open(dir.path()).unwrap_err(), true);
    // To read is no harm, through whatever handle.
    let (second, third) = (tree.read().unwrap(), other.read().unwrap());
    drop((reader, second));
    itself(tree.guard(["a"]).unwrap_err(), true);
    drop(third);

    let guard = tree.guard_with(GuardOptions::new().others(Others::Wait), ["a"]).unwrap();
    itself(tree.read().unwrap_err(), false);
    itself(tree.transaction(|tx| tx.write("a", "2")).unwrap_err(), false);
    itself(other.transaction(|tx| tx.write("b", "2")).unwrap_err(), false);
    itself(patient().open(dir.path()).unwrap_err(), false);
    tree.transaction(|tx| tx.write("b", "beside the guard")).unwrap();
    guard.commit().unwrap();
    other.transaction(|tx| tx.write("a", "2")).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

trait Moves {
    fn rename_a(self) -> treewal::Result<()>;
}

impl Moves for treewal::Transaction {
    fn rename_a(mut self) -> treewal::Result<()> {
        self.rename("a", "c")?;
        self.commit().map(drop)
    }
}

#[test]
fn a_second_reader_of_a_thread_does_not_wait_behind_a_writer_that_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let tree = patient().open(dir.path()).unwrap();
    let mut other = Process::on(dir.path());
    let first = tree.read().unwrap();
    other.begins("write a 1");
    // Until the other process stands at the head of the queue: a reader of another thread waits behind it.
    while std::thread::scope(|scope| scope.spawn(|| tree.read_within(Duration::ZERO).is_ok()).join().unwrap()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let begun = Instant::now();
    let second = tree.read().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(first);
    std::thread::sleep(Duration::from_millis(30));
    assert!(!second.exists("a").unwrap(), "the second keeps the writer out when the first has gone");
    drop(second);
    assert_eq!(other.hear(), "done");
    assert_eq!(tree.read().unwrap().read("a").unwrap(), b"1");
}

#[test]
fn another_thread_waits_for_a_reader_and_goes_on_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let tree = patient().open(dir.path()).unwrap();
    let reader = tree.read().unwrap();
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tree.transaction(|tx| tx.write("a", "1")).unwrap();
            written.store(true, Ordering::SeqCst);
        });
        std::thread::sleep(Duration::from_millis(100));
        assert!(!written.load(Ordering::SeqCst) && !reader.exists("a").unwrap());
        // Handed to another thread, which ends it.
        scope.spawn(move || drop(reader));
    });
    assert!(written.load(Ordering::SeqCst));
}

#[test]
fn the_last_handle_may_go_before_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let tree = patient().open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    let reader = tree.read().unwrap();
    drop(tree);
    assert_eq!(reader.read_to_string("a").unwrap(), "1");
    drop(reader);
    assert_eq!(treewal::status(dir.path()).unwrap().transactions, [], "the tree was closed, and settled");
}

#[test]
fn a_reader_looks_as_a_transaction_does() {
    let dir = tempfile::tempdir().unwrap();
    let tree = patient().open(dir.path()).unwrap();
    tree.transaction(|tx| {
        tx.create_dir("d")?;
        tx.write("d/f", "text")?;
        tx.write("d/g", [0xff])?;
        tx.symlink("d/f", "link")
    })
    .unwrap();
    let (reader, tx) = (tree.read().unwrap(), tree.begin());
    for path in ["", "d", "d/f", "link", "none", "d/f/below", ".treewal", ".treewal/lock", "..", "/d"] {
        let said = |result: Result<String, Error>| result.map_err(|error| error.kind());
        let same = |one: Result<String, Error>, two: Result<String, Error>| assert_eq!(said(one), said(two), "{path}");
        same(reader.read(path).map(|it| format!("{it:?}")), tx.read(path).map(|it| format!("{it:?}")));
        same(reader.metadata(path).map(|it| format!("{it:?}")), tx.metadata(path).map(|it| format!("{it:?}")));
        same(reader.read_dir(path).map(|it| format!("{it:?}")), tx.read_dir(path).map(|it| format!("{it:?}")));
        same(reader.read_link(path).map(|it| format!("{it:?}")), tx.read_link(path).map(|it| format!("{it:?}")));
        same(reader.exists(path).map(|it| format!("{it:?}")), tx.exists(path).map(|it| format!("{it:?}")));
    }
    assert_eq!(reader.read_to_string("d/g").unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert!(reader.read_dir("").unwrap().iter().all(|entry| entry.file_name() != ".treewal"));
}

#[test]
fn rs12_a_lock_file_that_was_removed_or_replaced_is_noticed_by_the_next_batch_and_the_next_reader() {
    for replaced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let tree = impatient().open(dir.path()).unwrap();
        tree.transaction(|tx| tx.write("a", "1")).unwrap();
        let held = tree.read().unwrap();
        let lock = dir.path().join(".treewal/lock");
        fs::remove_file(&lock).unwrap();
        // Somebody works with the new one, and says there that the tree is in order.
        let other = replaced.then(|| impatient().open(dir.path()).unwrap());
        drop(held);
        let noticed = |refused: treewal::Result<()>| match refused {
            Err(Error::Store { path, reason }) => {
                assert_eq!(path, Path::new(".treewal/lock"));
                assert!(reason.contains("open the tree again"), "{reason}");
            }
            other => panic!("{other:?}"),
        };
        noticed(tree.read().map(drop));
        noticed(tree.transaction(|tx| tx.write("a", "2")));
        noticed(tree.guard(["a"]).map(drop));
        let again = other.unwrap_or_else(|| impatient().open(dir.path()).unwrap());
        again.transaction(|tx| tx.write("a", "2")).unwrap();
        assert_eq!(again.read().unwrap().read("a").unwrap(), b"2");
    }
}

#[test]
fn rs12_the_lock_file_replaced_while_somebody_waits_for_it() {
    let disk = SimDisk::new();
    let tree = patient().open_on(Arc::new(disk.clone()), "/").unwrap();
    let reader = tree.read().unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| tree.transaction(|tx| tx.write("a", "1")));
        std::thread::sleep(Duration::from_millis(50));
        let dot = disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(".treewal").unwrap()).unwrap();
        let (lock, draft) = ("lock".as_ref(), "lock.new".as_ref());
        disk.open(&dot, draft, Open::CreateNew { mode: 0o600 }).unwrap();
        disk.rename(&dot, draft, &dot, lock, Rename::Replace).unwrap();
        drop(reader);
        assert!(matches!(waits.join().unwrap(), Err(Error::Store { .. })));
    });
}

#[test]
fn a_network_file_system_is_refused_by_name_unless_it_is_allowed() {
    let disk = SimDisk::new();
    disk.set_network(Some("NFS"));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    for opened in [
        impatient().open_on(shared.clone(), "/").map(drop),
        impatient().open_read_only_on(shared.clone(), "/").map(drop),
    ] {
        let error = opened.unwrap_err();
        assert!(matches!(&error, Error::NetworkFileSystem { file_system, .. } if file_system == "NFS"), "{error:?}");
        assert_eq!((error.path(), error.kind()), (Some(Path::new("/")), std::io::ErrorKind::Unsupported));
        assert!(error.to_string().contains("NFS") && !error.is_retryable());
    }
    let root = disk.open_root("/".as_ref()).unwrap();
    assert_eq!(disk.list(&root).unwrap(), [], "nothing was made");
    let tree = impatient().allow_network(true).open_on(shared.clone(), "/").unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    drop(tree);
    let reader = impatient().allow_network(true).open_read_only_on(shared, "/").unwrap();
    assert_eq!(reader.read("a").unwrap(), b"1");
}
