//! Taking, looking, restoring, removing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use treewal::{Error, GuardChangeKind, Options, Sharing, SnapshotOptions, Tree};

use crate::walk::{Walk, walk};

pub(crate) fn world() -> (TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("notes/deep")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (path, text) in [("notes/a", "old a"), ("notes/deep/b", "old b"), ("run.sh", "#!/bin/sh"), ("top", "old top")] {
        fs::write(at(path), text).unwrap();
    }
    fs::write(at("large"), vec![b'L'; 300_000]).unwrap();
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::hard_link(at("notes/a"), at("notes/deep/a too")).unwrap();
    symlink("notes/a", at("link")).unwrap();
    let long_gone = UNIX_EPOCH + Duration::new(1_000_000, 77);
    for path in ["notes/a", "notes/deep/b", "notes/deep", "notes", "empty", "run.sh", "large"] {
        fs::File::open(at(path)).unwrap().set_modified(long_gone).unwrap();
    }
    let tree = Tree::open(dir.path()).unwrap();
    (dir, tree)
}

/// Everything that can happen to a tree, in place.
fn vandalise(dir: &Path) {
    let at = |path: &str| dir.join(path);
    fs::write(at("notes/a"), "in place").unwrap();
    fs::remove_file(at("notes/deep/b")).unwrap();
    fs::create_dir_all(at("notes/deep/b/now a directory")).unwrap();
    fs::write(at("notes/deep/b/file"), "x").unwrap();
    fs::remove_dir(at("empty")).unwrap();
    fs::write(at("empty"), "now a file").unwrap();
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(at("link")).unwrap();
    symlink("elsewhere", at("link")).unwrap();
    fs::write(at("large"), vec![b'l'; 300_000]).unwrap();
    fs::remove_file(at("top")).unwrap();
    fs::create_dir_all(at("new/deep")).unwrap();
    fs::write(at("new/deep/file"), "x").unwrap();
    fs::write(at("another"), "x").unwrap();
}

pub(crate) fn is(dir: &Path, wanted: &Walk) {
    let found = walk(dir);
    let differ: Vec<_> = found
        .keys()
        .chain(wanted.keys())
        .filter(|path| found.get(*path) != wanted.get(*path))
        .map(|path| {
            let shown = |walk: &Walk| walk.get(path).map_or("absent".to_owned(), ToString::to_string);
            format!("{}: {} not {}", path.display(), shown(&found), shown(wanted))
        })
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn a_restore_brings_everything_back_in_one_transaction_and_keeps_the_snapshot() {
    for sharing in [Sharing::Auto, Sharing::Copy] {
        let (dir, tree) = world();
        let before = walk(dir.path());
        let snapshot = tree.snapshot_with(SnapshotOptions::new().sharing(sharing), "one").unwrap();
        assert_eq!(snapshot.diff().unwrap(), []);
        assert_eq!(tree.restore(&snapshot).unwrap().changes, 0);
        for _ in 0..2 {
            vandalise(dir.path());
            let receipt = tree.restore(&snapshot).unwrap();
            assert!(receipt.id > 0 && receipt.changes > 8, "{receipt:?}");
            is(dir.path(), &before);
            assert_eq!(snapshot.diff().unwrap(), []);
        }
        assert_eq!(snapshot.verify().unwrap(), Vec::<std::path::PathBuf>::new());
        drop(tree);
        is(dir.path(), &before);
    }
}

#[test]
fn the_difference_says_what_and_only_what() {
    let (dir, tree) = world();
    let snapshot = tree.snapshot("one").unwrap();
    // The same contents in another inode, with the same times: nobody could see a difference.
    let at = |path: &str| dir.path().join(path);
    let times = fs::metadata(at("large")).unwrap().modified().unwrap();
    fs::copy(at("large"), at("new")).unwrap();
    fs::rename(at("new"), at("large")).unwrap();
    fs::File::open(at("large")).unwrap().set_modified(times).unwrap();
    assert_eq!(snapshot.diff().unwrap(), []);
    fs::write(at("top"), "new top").unwrap();
    fs::write(at("added"), "x").unwrap();
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(at("link")).unwrap();
    let changes = snapshot.diff().unwrap();
    let told: Vec<(String, GuardChangeKind)> = changes.iter().map(|one| (one.path.to_string(), one.kind)).collect();
    use GuardChangeKind::*;
    let wanted = [("added", Added), ("link", Removed), ("run.sh", Metadata), ("top", Modified)];
    assert_eq!(told, wanted.map(|(path, kind)| (path.to_owned(), kind)));
}

#[test]
fn some_paths_come_back_and_the_others_stay() {
    let (dir, tree) = world();
    let before = walk(dir.path());
    let snapshot = tree.snapshot("one").unwrap();
    vandalise(dir.path());
    let spoiled = walk(dir.path());
    tree.restore_paths(&snapshot, ["notes", "top"]).unwrap();
    let after = walk(dir.path());
    for (path, seen) in &before {
        let back = path.starts_with("notes") || path == Path::new("top");
        assert_eq!(after.get(path) == Some(seen), back || spoiled.get(path) == Some(seen), "{}", path.display());
    }
    assert!(after.contains_key(Path::new("new/deep/file")));
    let small = tree.snapshot_with(SnapshotOptions::new().path("notes"), "notes").unwrap();
    assert!(matches!(tree.restore_paths(&small, ["top"]), Err(Error::Input(_))));
    assert!(tree.restore_paths(&snapshot, [".treewal"]).is_err());
}

#[test]
fn what_is_left_out_is_left_alone_and_never_removed_with_a_directory() {
    let (dir, tree) = world();
    let options = SnapshotOptions::new().exclude("notes/deep").exclude("fresh/cache");
    let snapshot = tree.snapshot_with(options, "one").unwrap();
    fs::write(dir.path().join("notes/deep/b"), "not looked at").unwrap();
    fs::write(dir.path().join("top"), "new").unwrap();
    tree.restore(&snapshot).unwrap();
    assert_eq!(fs::read(dir.path().join("notes/deep/b")).unwrap(), b"not looked at");
    assert_eq!(fs::read(dir.path().join("top")).unwrap(), b"old top");
    fs::create_dir_all(dir.path().join("fresh/cache")).unwrap();
    let error = tree.restore(&snapshot).unwrap_err();
    assert!(matches!(&error, Error::Snapshot(_)) && format!("{error:?}").contains("Excluded"), "{error:?}");
    assert!(dir.path().join("fresh/cache").exists());
}

#[test]
fn names_of_one_file_are_one_file_again() {
    let (dir, tree) = world();
    let before = walk(dir.path());
    let snapshot = tree.snapshot("one").unwrap();
    let at = |path: &str| dir.path().join(path);
    let inode = |path: &str| fs::metadata(at(path)).unwrap().ino();
    // One name is another file, with the same contents and time.
    let time = fs::metadata(at("notes/a")).unwrap().modified().unwrap();
    fs::copy(at("notes/a"), at("draft")).unwrap();
    fs::rename(at("draft"), at("notes/a")).unwrap();
    fs::File::open(at("notes/a")).unwrap().set_modified(time).unwrap();
    assert_ne!(inode("notes/a"), inode("notes/deep/a too"));
    tree.restore(&snapshot).unwrap();
    assert_eq!(inode("notes/a"), inode("notes/deep/a too"));
    is(dir.path(), &before);
    // Both are gone.
    fs::remove_file(at("notes/a")).unwrap();
    fs::remove_dir_all(at("notes/deep")).unwrap();
    tree.restore(&snapshot).unwrap();
    assert_eq!(inode("notes/a"), inode("notes/deep/a too"));
    is(dir.path(), &before);
}

#[test]
fn names_of_one_file_get_their_look_back_together() {
    let (dir, tree) = world();
    let at = |path: &str| dir.path().join(path);
    // Alike but for their bits, and two files.
    fs::write(at("plain"), "alike").unwrap();
    fs::copy(at("plain"), at("closed")).unwrap();
    let time = fs::metadata(at("plain")).unwrap().modified().unwrap();
    fs::File::open(at("closed")).unwrap().set_modified(time).unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o600)).unwrap();
    let before = walk(dir.path());
    let snapshot = tree.snapshot("one").unwrap();
    fs::set_permissions(at("notes/a"), fs::Permissions::from_mode(0o640)).unwrap();
    tree.restore(&snapshot).unwrap();
    is(dir.path(), &before);
    // One file now, with the look of neither.
    fs::remove_file(at("closed")).unwrap();
    fs::hard_link(at("plain"), at("closed")).unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o640)).unwrap();
    tree.restore(&snapshot).unwrap();
    is(dir.path(), &before);
}

#[test]
fn a_name_that_comes_back_is_not_made_one_of_what_another_name_has_become() {
    let (dir, tree) = world();
    let snapshot = tree.snapshot("one").unwrap();
    let at = |path: &str| dir.path().join(path);
    let (one, other) = ("notes/a", "notes/deep/a too");
    let is = |path: &str, wanted: &str| assert_eq!(fs::read_to_string(at(path)).unwrap(), wanted, "{path}");
    let inode = |path: &str| fs::metadata(at(path)).unwrap().ino();
    let mode = |path: &str| fs::metadata(at(path)).unwrap().mode() & 0o777;
    let before = mode(one);
    // Nobody has touched the other name: they are one file again.
    tree.transaction(|tx| tx.write(one, "new")).unwrap();
    tree.restore_paths(&snapshot, [one]).unwrap();
    is(one, "old a");
    assert_eq!(inode(one), inode(other));
    // Both were written to.
    tree.transaction(|tx| tx.write(one, "new").and_then(|()| tx.write(other, "newer"))).unwrap();
    tree.restore_paths(&snapshot, [one]).unwrap();
    is(one, "old a");
    is(other, "newer");
    // The other has the same contents, and another mode, which is its own.
    tree.restore(&snapshot).unwrap();
    tree.transaction(|tx| {
        tx.remove_file(one)?;
        tx.set_permissions(other, fs::Permissions::from_mode(0o600))
    })
    .unwrap();
    tree.restore_paths(&snapshot, [one]).unwrap();
    assert_eq!((mode(one), mode(other)), (before, 0o600));
    assert_eq!(snapshot.verify().unwrap(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn people_and_programs_can_read_it() {
    let (dir, tree) = world();
    let snapshot = tree.snapshot("one").unwrap();
    vandalise(dir.path());
    assert_eq!(snapshot.read("notes/a").unwrap(), b"old a");
    assert_eq!(snapshot.read("notes/deep/a too").unwrap(), b"old a");
    assert_eq!(snapshot.read("nothing").unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(snapshot.read("notes").unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let files = dir.path().join(snapshot.files());
    assert_eq!(fs::read(files.join("notes/deep/b")).unwrap(), b"old b");
    assert_eq!(fs::read_link(files.join("link")).unwrap(), Path::new("notes/a"));
    let meta = fs::metadata(files.join("notes/deep/b")).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.mtime(), meta.mtime_nsec()), (0o400, 1_000_000, 77));
    assert_eq!(fs::metadata(files.join("notes")).unwrap().mtime(), 1_000_000);
    let summary = snapshot.summary().unwrap();
    // The tree itself is an entry; two names are one file.
    assert_eq!((summary.entries, summary.files, summary.bytes), (11, 5, 300_000 + 5 + 5 + 9 + 7), "{summary:?}");
    assert!(snapshot.entries().unwrap().contains(&"notes/deep/a too".into()));
}

#[test]
fn a_name_is_given_once_and_again_after_it_was_removed() {
    let (dir, tree) = world();
    tree.snapshot("two").unwrap();
    tree.snapshot("one").unwrap();
    let names = |tree: &Tree| tree.snapshots().unwrap().iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&tree), ["one", "two"]);
    assert_eq!(tree.snapshot("one").unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    for bad in ["", ".x", "a/b", "..", "a b"] {
        assert!(matches!(tree.snapshot(bad), Err(Error::Input(_))), "{bad:?}");
        assert!(matches!(tree.remove_snapshot(bad), Err(Error::Input(_))), "{bad:?}");
    }
    tree.remove_snapshot("one").unwrap();
    assert_eq!(tree.remove_snapshot("one").unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(tree.find_snapshot("one").unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(names(&tree), ["two"]);
    tree.snapshot("one").unwrap();
    drop(tree);
    let tree = Tree::open(dir.path()).unwrap();
    assert!(tree.recovery().is_clean());
    assert_eq!(names(&tree), ["one", "two"]);
    let status = treewal::status(dir.path()).unwrap();
    assert_eq!(status.snapshots, ["one", "two"]);
    assert_eq!(treewal::verify(dir.path()).unwrap(), []);
}

#[test]
fn by_hard_link_it_costs_no_bytes_and_notices_who_writes_in_place() {
    let (dir, tree) = world();
    let before = walk(dir.path());
    let snapshot = tree.snapshot_with(SnapshotOptions::new().sharing(Sharing::HardLink), "one").unwrap();
    assert_eq!(snapshot.summary().unwrap().copied, 0);
    // Transactions replace.
    tree.transaction(|tx| {
        tx.write("top", "new")?;
        tx.write("large", "small now")?;
        tx.remove_dir_all("notes")
    })
    .unwrap();
    tree.restore(&snapshot).unwrap();
    let contents = |walk: Walk| walk.into_iter().map(|(path, seen)| (path, seen.contents)).collect::<Vec<_>>();
    assert_eq!(contents(walk(dir.path())), contents(before));
    let untouched = dir.path().join("run.sh");
    fs::File::options()
        .append(true)
        .open(untouched)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
        .unwrap();
    let error = tree.restore(&snapshot).unwrap_err();
    assert!(format!("{error:?}").contains("run.sh"), "{error:?}");
    assert_eq!(snapshot.verify().unwrap(), [Path::new("run.sh")]);
}

#[test]
fn fifos_sockets_and_devices_come_back() {
    let (dir, tree) = world();
    let at = |path: &str| dir.path().join(path);
    let run = |words: &str| {
        let mut words = words.split(' ');
        let done = std::process::Command::new(words.next().unwrap()).args(words).current_dir(dir.path()).status();
        done.unwrap().success()
    };
    assert!(run("mkfifo -m 640 pipe notes/pipe") && run("ln pipe notes/pipe-too"));
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    let with_devices = run("mknod device c 1 3");
    if !with_devices {
        use std::io::Write as _;
        std::io::stderr().write_all(b"skipped: fifos_sockets_and_devices_come_back: devices: not permitted\n").unwrap();
    }
    run("touch -d 2001-02-03T04:05:06.789 pipe");
    let before = walk(dir.path());
    let snapshot = tree.snapshot("one").unwrap();
    fs::remove_dir_all(at("notes")).unwrap();
    fs::remove_file(at("pipe")).unwrap();
    fs::write(at("pipe"), "a file now").unwrap();
    fs::remove_file(at("socket")).unwrap();
    fs::write(at("top"), "new").unwrap();
    if with_devices {
        fs::remove_file(at("device")).unwrap();
        assert!(run("mknod device c 1 5"));
    }
    tree.restore(&snapshot).unwrap();
    assert!(walk(dir.path()) == before, "{}", tree.restore(&snapshot).unwrap().changes);
    assert!(snapshot.diff().unwrap().is_empty(), "{:?}", snapshot.diff().unwrap());
    let inode = |path: &str| fs::metadata(at(path)).unwrap().ino();
    assert_eq!(inode("pipe"), inode("notes/pipe-too"));
    if with_devices {
        assert_eq!(fs::metadata(at("device")).unwrap().rdev(), 0x103);
    }
    fs::remove_file(at("socket")).unwrap();
    tree.restore_paths(&snapshot, ["socket"]).unwrap();
    assert!(at("socket").exists());
    drop(tree);
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
    assert_eq!(fs::read_dir(dir.path().join(".treewal/quarantine")).unwrap().count(), 0);
}

#[test]
fn damage_is_found_by_verify_and_never_restored() {
    let (dir, tree) = world();
    let snapshot = tree.snapshot_with(SnapshotOptions::new().sharing(Sharing::Copy), "one").unwrap();
    let own = dir.path().join(".treewal/snapshots/one");
    let large = (0..9)
        .map(|n| own.join(format!("contents/0/{n}")))
        .find(|path| fs::metadata(path).is_ok_and(|meta| meta.len() == 300_000));
    let large = large.unwrap();
    let (time, mode) = (fs::metadata(&large).unwrap().modified().unwrap(), fs::Permissions::from_mode(0o600));
    fs::set_permissions(&large, mode).unwrap();
    fs::write(&large, vec![b'X'; 300_000]).unwrap();
    fs::File::open(&large).unwrap().set_modified(time).unwrap();
    fs::write(dir.path().join("large"), "gone").unwrap();
    fs::write(dir.path().join("top"), "new").unwrap();
    assert_eq!(snapshot.verify().unwrap(), [Path::new("large")]);
    let error = tree.restore(&snapshot).unwrap_err();
    assert!(format!("{error:?}").contains("Lost"), "{error:?}");
    assert_eq!(fs::read(dir.path().join("top")).unwrap(), b"new");
    let findings = treewal::verify(dir.path()).unwrap();
    assert!(
        findings.iter().any(|one| one.damage && one.what.contains("large") && one.what.contains("one")),
        "{findings:?}"
    );
    fs::write(own.join("manifest"), "nonsense").unwrap();
    assert!(snapshot.summary().is_err() && tree.restore(&snapshot).is_err());
    assert!(treewal::verify(dir.path()).unwrap().iter().any(|one| one.damage && one.what.contains("manifest")));
    tree.remove_snapshot("one").unwrap();
    assert_eq!(treewal::verify(dir.path()).unwrap(), []);
    drop(tree);
    assert!(Options::new().open(dir.path()).unwrap().recovery().is_clean());
}
