//! Staged transactions on a real directory: `std::fs` semantics, one sync, nothing left over.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests look at the tree from outside")]

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use treewal::{Durability, Error, Expect, Options, Outcome, Tree};
use treewal_vfs::{RealDisk, RecordingDisk, Verb};

fn tree() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    (dir, tree)
}

fn read(dir: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap()
}

/// Everything below `.treewal` that is not always there.
fn leftovers(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for sub in ["stage", "guards", "quarantine"] {
        for entry in fs::read_dir(dir.join(".treewal").join(sub)).unwrap() {
            found.push(format!("{sub}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    found
}

#[test]
fn a_commit_replaces_creates_renames_and_removes_together() {
    let (dir, tree) = tree();
    fs::write(dir.path().join("old"), "old").unwrap();
    fs::write(dir.path().join("gone"), "gone").unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    fs::write(dir.path().join("dir/child"), "child").unwrap();

    let mut tx = tree.begin();
    tx.write("old", "new").unwrap();
    tx.create_dir_all("a/b").unwrap();
    tx.write("a/b/c", "deep").unwrap();
    tx.remove_file("gone").unwrap();
    tx.rename("dir", "a/moved").unwrap();
    tx.write("a/moved/child", "changed").unwrap();
    tx.symlink("b/c", "a/link").unwrap();
    assert_eq!(tx.read("a/moved/child").unwrap(), b"changed");
    assert!(!tx.exists("dir").unwrap());
    assert_eq!(read(&dir, "old"), "old", "nothing happens before the commit");
    let receipt = tx.commit().unwrap();
    assert!(receipt.id > 0 && receipt.changes > 0);

    assert_eq!(read(&dir, "old"), "new");
    assert_eq!(read(&dir, "a/b/c"), "deep");
    assert_eq!(read(&dir, "a/moved/child"), "changed");
    assert_eq!(fs::read_link(dir.path().join("a/link")).unwrap(), Path::new("b/c"));
    assert!(!dir.path().join("gone").exists() && !dir.path().join("dir").exists());
    drop(tree);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
}

#[test]
fn dropping_and_rolling_back_leave_the_tree_and_the_stage_as_they_were() {
    let (dir, tree) = tree();
    let mut tx = tree.begin();
    tx.write("big", vec![7; 1 << 20]).unwrap();
    tx.rollback();
    let mut tx = tree.begin();
    tx.write("big", vec![7; 1 << 20]).unwrap();
    drop(tx);
    let error = tree
        .transaction(|tx| {
            tx.write("x", "x")?;
            tx.remove_file("missing")
        })
        .unwrap_err();
    assert_eq!((error.kind(), error.path()), (io::ErrorKind::NotFound, Some(Path::new("missing"))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only .treewal");
    drop(tree);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn a_panic_in_the_body_rolls_back() {
    let (dir, tree) = tree();
    let body = || {
        tree.transaction(|tx| -> treewal::Result<()> {
            tx.write("x", "x")?;
            panic!("on purpose")
        })
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err());
    assert!(!dir.path().join("x").exists());
    tree.transaction(|tx| tx.write("x", "y")).unwrap();
    assert_eq!(read(&dir, "x"), "y");
}

#[test]
fn errors_come_at_the_operation_as_from_std_fs() {
    let (dir, tree) = tree();
    fs::write(dir.path().join("file"), "").unwrap();
    fs::create_dir_all(dir.path().join("full/inner")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let mut tx = tree.begin();
    let kind = |result: treewal::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(tx.write("missing/file", "")), io::ErrorKind::NotFound);
    assert_eq!(kind(tx.write("file/child", "")), io::ErrorKind::NotADirectory);
    assert_eq!(kind(tx.write("full", "")), io::ErrorKind::IsADirectory);
    assert_eq!(kind(tx.create_dir("full")), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(tx.create_dir_all("file")), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(tx.create_dir_all("file/x")), io::ErrorKind::NotADirectory);
    assert_eq!(kind(tx.remove_dir("full")), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(tx.remove_file("full")), io::ErrorKind::IsADirectory);
    assert_eq!(kind(tx.remove_dir_all("file")), io::ErrorKind::NotADirectory);
    assert_eq!(kind(tx.rename("empty", "full")), io::ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(tx.rename("full", "full/inner/x")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(tx.rename("full", "file")), io::ErrorKind::NotADirectory);
    assert_eq!(kind(tx.rename("file", "full")), io::ErrorKind::IsADirectory);
    assert_eq!(kind(tx.rename("nothing", "x")), io::ErrorKind::NotFound);
    assert!(tx.changes().is_empty(), "a failed operation changes nothing: {:?}", tx.changes());
}

#[test]
fn paths_that_leave_the_tree_or_enter_ours_are_refused_by_name() {
    let (dir, tree) = tree();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("in")).unwrap();
    let mut tx = tree.begin();
    assert!(matches!(tx.write("../x", ""), Err(Error::InvalidPath { .. })));
    assert!(matches!(tx.write("/etc/x", ""), Err(Error::InvalidPath { .. })));
    assert!(matches!(tx.write(".treewal/x", ""), Err(Error::Reserved { .. })));
    assert!(matches!(tx.remove_dir_all("./.treewal"), Err(Error::Reserved { .. })));
    assert!(matches!(tx.write("out/x", ""), Err(Error::ThroughSymlink { .. })));
    assert!(matches!(tx.write("in/x", ""), Err(Error::ThroughSymlink { .. })));
    assert!(matches!(tx.write("in", ""), Err(Error::ThroughSymlink { .. })));
    assert!(matches!(tx.read("out/x"), Err(Error::ThroughSymlink { .. })));
    assert!(matches!(tree.guard(["../x"]), Err(Error::InvalidPath { .. })));
    assert!(matches!(tree.guard([".treewal/journal"]), Err(Error::Reserved { .. })));
    tx.remove_file("in").unwrap();
    tx.commit().unwrap();
    assert!(dir.path().join("real").exists() && !dir.path().join("in").exists());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn replaced_files_keep_what_they_are_and_new_ones_get_the_umask_mode() {
    let (dir, tree) = tree();
    let path = dir.path().join("private");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(12), Some(34)).unwrap();
    tree.transaction(|tx| {
        tx.write("private", "new")?;
        tx.write("public", "new")
    })
    .unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o640, 12, 34));
    let plain = tempfile::tempdir().unwrap();
    fs::write(plain.path().join("public"), "new").unwrap();
    let expected = fs::metadata(plain.path().join("public")).unwrap().mode();
    assert_eq!(fs::metadata(dir.path().join("public")).unwrap().mode(), expected);
}

#[test]
fn a_streamed_file_grows_past_the_inline_limit_and_can_be_read_back() {
    let (dir, tree) = tree();
    let mut tx = tree.begin();
    tx.create_dir("d").unwrap();
    let mut file = tx.create("d/stream").unwrap();
    let block = [3u8; 50_000];
    for _ in 0..10 {
        file.write_all(&block).unwrap();
    }
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"head").unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    let mut two = [0; 4];
    file.read_exact(&mut two).unwrap();
    assert_eq!(&two, b"ad\x03\x03");
    drop(file);
    tx.append("d/stream", "tail").unwrap();
    tx.copy("d/stream", "copy").unwrap();
    tx.commit().unwrap();
    let found = fs::read(dir.path().join("d/stream")).unwrap();
    assert_eq!(found.len(), 500_004);
    assert_eq!((&found[..4], &found[500_000..]), (&b"head"[..], &b"tail"[..]));
    assert_eq!(fs::read(dir.path().join("copy")).unwrap(), found);
}

#[test]
fn what_changed_since_the_transaction_looked_is_a_conflict_and_stays() {
    let (dir, tree) = tree();
    fs::write(dir.path().join("a"), "1").unwrap();
    let mut tx = tree.begin();
    tx.write("a", "2").unwrap();
    tx.write("b", "2").unwrap();
    fs::write(dir.path().join("a"), "theirs").unwrap();
    let error = tx.commit().unwrap_err();
    assert!(matches!(&error, Error::Conflict { path, .. } if path == Path::new("a")), "{error}");
    assert!(error.is_retryable() && error.outcome() == Outcome::Unchanged);
    assert_eq!(read(&dir, "a"), "theirs");
    assert!(!dir.path().join("b").exists());

    let mut tx = tree.begin();
    tx.expect("a", Expect::Unchanged).unwrap();
    assert!(matches!(tx.expect("a", Expect::Absent), Err(Error::Conflict { .. })));
    assert!(matches!(tx.expect("a", Expect::Digest([0; 32])), Err(Error::Conflict { .. })));
    tx.write("b", "x").unwrap();
    fs::write(dir.path().join("a"), "theirs again").unwrap();
    assert!(matches!(tx.commit(), Err(Error::Conflict { .. })));
    assert!(!dir.path().join("b").exists());
}

/// The promise of the journal: one sync for any number of small files, and none of any file or directory.
#[test]
fn a_commit_of_many_small_files_makes_one_data_sync() {
    for files in [1usize, 10, 100, 1000] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f0"), "old").unwrap();
        let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
        let tree = Options::new().open_on(disk.clone(), dir.path()).unwrap();
        // The first commit makes the stage directory.
        tree.transaction(|tx| tx.write("warm", "up")).unwrap();
        let mut tx = tree.begin();
        for n in 0..files {
            tx.write(format!("f{n}"), vec![b'x'; 4096]).unwrap();
        }
        disk.take();
        tx.commit().unwrap();
        let calls = disk.take();
        let count = |verb| calls.iter().filter(|call| call.verb == verb).count();
        assert_eq!(count(Verb::SyncData), 1, "{files} files");
        assert_eq!(calls.iter().filter(|call| call.verb.is_sync()).count(), 1, "{files} files");
        assert_eq!(count(Verb::Rename), files);
        assert_eq!(count(Verb::Create), files, "each staged file is opened once");
        drop(tree);
    }
}

#[test]
fn replacing_a_file_costs_a_known_number_of_calls() {
    for (files, dirs) in [(1, 1), (10, 10), (100, 4)] {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: usize| format!("d{}/f{n}", n % dirs);
        (0..dirs).for_each(|d| fs::create_dir(dir.path().join(format!("d{d}"))).unwrap());
        (0..files).for_each(|n| fs::write(dir.path().join(path(n)), "old").unwrap());
        let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
        let tree = Options::new().open_on(disk.clone(), dir.path()).unwrap();
        tree.transaction(|tx| tx.write("warm", "up")).unwrap();
        disk.take();
        tree.transaction(|tx| (0..files).try_for_each(|n| tx.write(path(n), vec![b'x'; 4096]))).unwrap();
        let of = |verb| disk.count(verb);
        // Each file: looked at and its attributes read when it is written, made in the stage and asked for its identity,
        // looked at once more before the promise, and what came out of the tree after the rename.
        assert_eq!(of(Verb::Stat), 3 * files + dirs + 1, "and each directory, and the name of the lock file");
        assert_eq!((of(Verb::Xattrs), of(Verb::Create)), (files, files));
        // A few get their time of modification from us, so that nobody has to ask for it.
        let (stamped, asked) = if files <= 16 { (files, 0) } else { (0, files) };
        assert_eq!((of(Verb::SetTimes), of(Verb::StatFile)), (stamped, asked));
        assert_eq!((of(Verb::Rename), of(Verb::WriteAt)), (files, files + 1), "and the journal");
        assert_eq!(of(Verb::OpenDir), 2 * dirs, "to look, and again when the paths are claimed");
        assert_eq!((of(Verb::TryLock), of(Verb::ReadAt), of(Verb::Unlock)), (2, 1, 2), "the lock and its queue");
        assert_eq!(of(Verb::SyncData), 1);
        assert_eq!(disk.calls().len(), 8 * files + 3 * dirs + 8);
    }
}

#[test]
fn durability_tree_syncs_contents_before_the_promise_and_names_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
    let tree = Options::new().durability(Durability::Tree).open_on(disk.clone(), dir.path()).unwrap();
    let mut tx = tree.begin();
    tx.write("a", "1").unwrap();
    tx.write("b", "2").unwrap();
    disk.take();
    tx.commit().unwrap();
    let verbs: Vec<Verb> =
        disk.take().iter().map(|call| call.verb).filter(|verb| verb.is_sync() || *verb == Verb::Rename).collect();
    let first_rename = verbs.iter().position(|verb| *verb == Verb::Rename).unwrap();
    let last_rename = verbs.iter().rposition(|verb| *verb == Verb::Rename).unwrap();
    assert!(
        verbs[..first_rename].contains(&Verb::SyncAll) && verbs[..first_rename].contains(&Verb::SyncData),
        "{verbs:?}"
    );
    assert!(verbs[last_rename..].iter().any(|verb| verb.is_sync()), "{verbs:?}");
    assert_eq!(read(&dir, "b"), "2");
}

#[test]
fn a_second_handle_waits_for_the_first_and_sees_its_work() {
    let (dir, tree) = tree();
    let other = Options::new().lock_wait(std::time::Duration::ZERO).open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    other.transaction(|tx| tx.write("a", "2")).unwrap();
    tree.transaction(|tx| tx.write("b", "3")).unwrap();
    assert_eq!((read(&dir, "a"), read(&dir, "b")), ("2".into(), "3".into()));
    let guard = tree.guard(["a"]).unwrap();
    assert!(matches!(other.transaction(|tx| tx.write("c", "")), Err(Error::Locked { holder }) if holder.this_process));
    assert!(matches!(tree.transaction(|tx| tx.write("a", "")), Err(Error::Locked { .. })));
    tree.transaction(|tx| tx.write("d", "")).unwrap();
    guard.commit().unwrap();
    other.transaction(|tx| tx.write("c", "")).unwrap();
}

#[test]
fn many_threads_commit_through_one_tree() {
    let (dir, tree) = tree();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let tree = tree.clone();
            scope.spawn(move || {
                for n in 0..20 {
                    tree.transaction(|tx| tx.write(format!("t{thread}-{n}"), format!("{n}"))).unwrap();
                }
            });
        }
    });
    drop(tree);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 81);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn names_need_not_be_utf8_and_newlines_are_names() {
    use std::os::unix::ffi::OsStrExt;
    let (dir, tree) = tree();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe\nx");
    tree.transaction(|tx| {
        tx.create_dir(odd)?;
        tx.write(Path::new(odd).join(odd), "odd")
    })
    .unwrap();
    assert_eq!(fs::read(dir.path().join(odd).join(odd)).unwrap(), b"odd");
    assert!(treewal::log(dir.path()).unwrap().records.iter().any(|entry| entry.kind == "intent"));
}

#[test]
fn the_inspections_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(treewal::status(dir.path()).unwrap().state, "unused");
    assert!(treewal::verify(dir.path()).unwrap().is_empty() && treewal::log(dir.path()).unwrap().records.is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let tree = Tree::open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    assert_eq!(treewal::status(dir.path()).unwrap().state, "unfinished");
    drop(tree);
    let status = treewal::status(dir.path()).unwrap();
    assert_eq!((status.state, status.tail, status.stages), ("clean", "clean", 0));
    assert_eq!(treewal::verify(dir.path()).unwrap(), []);
}
