//! Trees that are not nice: each is kept by a named snapshot, by a guard and by a guard that exchanges, and comes back from all
//! three; or is refused by name, with nothing left over.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use treewal::{GuardOptions, Options, Sharing, SnapshotOptions, Tree};
use treewal_vfs::{RealDisk, Verb};

use crate::hooked::Hooked;
use crate::walk::{Walk, walk};

/// What keeps the directory `w`, and what brings it back.
type Keep = fn(&Tree, &dyn Fn()) -> treewal::Result<()>;

/// What is done to the tree in `dir`.
type Change = fn(&Path);

const WAYS: [(&str, Keep); 3] = [
    ("named snapshot", |tree, change| {
        let snapshot = tree.snapshot("one")?;
        change();
        tree.restore(&snapshot)?;
        tree.remove_snapshot("one")
    }),
    ("guard", |tree, change| {
        let guard = tree.guard(["w"])?;
        change();
        guard.rollback()
    }),
    ("guard that exchanges", |tree, change| {
        let guard = tree.guard_with(GuardOptions::new().exchange(true), ["w"])?;
        change();
        guard.rollback()
    }),
];

fn world() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("w")).unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    (dir, tree)
}

fn odd_names() -> Vec<PathBuf> {
    let long = "n".repeat(255);
    let names: [&[u8]; 11] =
        [b"\n", b"a\nb", b"\xff\xfe", b"caf\xe9", b" ", b"-rf", b"\\", b"a\tb", b"...", b"*", long.as_bytes()];
    names.iter().map(|name| PathBuf::from("w").join(OsStr::from_bytes(name))).collect()
}

fn make(dir: &Path) {
    let at = |path: &Path| dir.join(path);
    for name in odd_names() {
        fs::write(at(&name), name.as_os_str().as_bytes()).unwrap();
        fs::create_dir_all(at(Path::new("w/dirs")).join(name.file_name().unwrap())).unwrap();
    }
    symlink("loop-b", dir.join("w/loop-a")).unwrap();
    symlink("loop-a", dir.join("w/loop-b")).unwrap();
    symlink(".", dir.join("w/self")).unwrap();
    symlink("../..", dir.join("w/up")).unwrap();
    symlink("/", dir.join("w/root")).unwrap();
    symlink(OsStr::from_bytes(b"\xff\n"), dir.join("w/nowhere")).unwrap();
    let made = Command::new("mkfifo").arg(dir.join("w/fifo")).status().unwrap();
    assert!(made.success());
    let mut deep = dir.join("w/deep");
    for level in 0..300 {
        fs::create_dir(&deep).unwrap();
        if level % 50 == 0 || level == 299 {
            fs::write(deep.join("f"), level.to_string()).unwrap();
        }
        deep.push("d");
    }
}

fn is(dir: &Path, wanted: &Walk, at: &str) {
    let found = walk(dir);
    let differ = wanted.iter().find(|(path, seen)| found.get(*path).is_none_or(|found| !found.is(seen)));
    let more = found.keys().find(|path| !wanted.contains_key(*path));
    assert!(differ.is_none() && more.is_none(), "{at}: {:?}, more: {more:?}", differ.map(|(path, _)| path));
}

/// What may be done to it: nothing is left, all of it is of another kind, or all of it is another file.
const CHANGES: [(&str, Change); 3] = [
    ("all removed", |dir| fs::remove_dir_all(dir.join("w")).unwrap()),
    ("other kinds", |dir| {
        for entry in fs::read_dir(dir.join("w")).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                fs::remove_dir_all(&path).unwrap();
                symlink("/", &path).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
        }
    }),
    ("a link outside in its place", |dir| {
        fs::rename(dir.join("w"), dir.join("w.aside")).unwrap();
        fs::remove_dir_all(dir.join("w.aside")).unwrap();
        let outside = dir.with_extension("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("precious"), "precious").unwrap();
        symlink(&outside, dir.join("w")).unwrap();
    }),
];

#[test]
fn odd_names_loops_fifos_and_depth_come_back() {
    for (way, keep) in WAYS {
        let (dir, tree) = world();
        make(dir.path());
        let before = walk(dir.path());
        assert!(before.len() > 330, "{}", before.len());
        for (what, change) in CHANGES {
            keep(&tree, &|| change(dir.path())).unwrap();
            is(dir.path(), &before, &format!("{way}, {what}"));
        }
        let outside = dir.path().with_extension("outside");
        assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious", "{way}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{way}");
        fs::remove_dir_all(&outside).unwrap();
    }
}

const TERA: u64 = 1_000_000_000_000;

#[test]
fn a_file_of_a_terabyte_that_is_nearly_all_hole_stays_one_and_is_fast() {
    for (way, keep) in WAYS {
        let (dir, tree) = world();
        let path = dir.path().join("w/sparse");
        let file = fs::File::create(&path).unwrap();
        file.write_all_at(b"head", 0).unwrap();
        file.write_all_at(b"middle", TERA / 2).unwrap();
        if file.set_len(TERA).is_err() {
            crate::say("skipped: a_file_of_a_terabyte: the file system has no files of that size");
            return;
        }
        drop(file);
        let begun = Instant::now();
        keep(&tree, &|| {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.write_all_at(b"tail", TERA - 4).unwrap();
        })
        .unwrap();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(60), "{way}: {took:?}");
        let meta = fs::metadata(&path).unwrap();
        assert!(meta.len() == TERA && meta.blocks() < 4096, "{way}: {} blocks", meta.blocks());
        let file = fs::File::open(&path).unwrap();
        for (at, wanted) in [(0, *b"head\0\0"), (TERA / 2, *b"middle"), (TERA - 6, [0; 6])] {
            let mut found = [1; 6];
            file.read_exact_at(&mut found, at).unwrap();
            assert_eq!(found, wanted, "{way}, at {at}");
        }
    }
}

/// A tree in which something happens after each call of one kind, as long as a snapshot is being taken.
fn disturbed(verb: Verb, mut disturb: impl FnMut(&Path, u32) + Send + 'static) -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    for path in ["w/a", "w/m", "w/z"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
        fs::write(dir.path().join(path).join("f"), path.repeat(1000)).unwrap();
    }
    drop(Tree::open(dir.path()).unwrap());
    let (home, calls, disturb) = (dir.path().to_owned(), AtomicU32::new(0), {
        let disturb = std::sync::Mutex::new(move |dir: &Path, n| disturb(dir, n));
        move |dir: &Path, n: u32| (disturb.lock().unwrap())(dir, n)
    });
    let after = move |done: Verb| {
        if done == verb && home.join("disturb").exists() {
            disturb(&home, calls.fetch_add(1, Ordering::Relaxed));
        }
    };
    let tree = Options::new().open_on(Arc::new(Hooked { inner: RealDisk, after }), dir.path()).unwrap();
    (dir, tree)
}

fn left(dir: &Path) -> Vec<PathBuf> {
    let names = |sub: &str| fs::read_dir(dir.join(".treewal").join(sub)).ok().into_iter().flatten();
    ["guards", "snapshots"].into_iter().flat_map(names).map(|entry| entry.unwrap().path()).collect()
}

/// Takes while it is disturbed, both ways.
fn taken(dir: &Path, tree: &Tree) -> [treewal::Result<()>; 2] {
    let copies = || (GuardOptions::new().sharing(Sharing::Copy), SnapshotOptions::new().sharing(Sharing::Copy));
    let (guard, snapshot) = copies();
    fs::write(dir.join("disturb"), "").unwrap();
    let taken = [
        tree.guard_with(guard, ["w"]).and_then(treewal::Guard::rollback),
        tree.snapshot_with(snapshot.path("w"), "one").map(drop),
    ];
    fs::remove_file(dir.join("disturb")).unwrap();
    taken
}

#[test]
fn a_file_that_grows_while_it_is_copied_is_named_and_nothing_is_left() {
    let (dir, tree) = disturbed(Verb::ReadAt, |dir, _| {
        use std::io::Write;
        fs::File::options().append(true).open(dir.join("w/m/f")).unwrap().write_all(b"more").unwrap();
    });
    for result in taken(dir.path(), &tree) {
        let error = format!("{:?}", result.unwrap_err());
        assert!(error.contains("w/m/f"), "{error}");
    }
    assert_eq!(left(dir.path()), Vec::<PathBuf>::new());
    // And when it has come to rest, it can be had.
    tree.snapshot("one").unwrap();
    let before = walk(dir.path());
    let guard = tree.guard(["w"]).unwrap();
    fs::write(dir.path().join("w/m/f"), "x").unwrap();
    guard.rollback().unwrap();
    is(dir.path(), &before, "at rest");
}

#[test]
fn a_directory_that_is_renamed_away_while_it_is_walked_does_no_harm() {
    for at in 0..12 {
        // It comes back a few looks later, or somewhere else.
        let (dir, tree) = disturbed(Verb::Stat, move |dir, n| {
            if n == at {
                fs::rename(dir.join("w/m"), dir.join("w/moved")).unwrap();
            } else if n == at + 3 {
                fs::rename(dir.join("w/moved"), dir.join("w/m")).unwrap();
            }
        });
        let taken = taken(dir.path(), &tree);
        fs::rename(dir.path().join("w/moved"), dir.path().join("w/m")).ok();
        for error in taken.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.outcome(), treewal::Outcome::Unchanged, "{at}: {error:?}");
        }
        // What was taken is whole: each file that is in it is one that was there, under one of its names.
        for snapshot in tree.snapshots().unwrap() {
            assert_eq!(snapshot.verify().unwrap(), Vec::<PathBuf>::new(), "{at}");
            let entries = snapshot.entries().unwrap();
            assert!(["w/a/f", "w/z/f"].iter().all(|path| entries.iter().any(|entry| entry == Path::new(path))), "{at}");
        }
        assert_eq!(left(dir.path()).len(), tree.snapshots().unwrap().len(), "{at}");
        assert_eq!(fs::read_to_string(dir.path().join("w/m/f")).unwrap(), "w/m".repeat(1000), "{at}");
    }
}
