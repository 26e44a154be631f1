//! Files that their owner may not read and directories that their owner may not enter: a commit to them survives, and
//! none of them keeps other paths from anything.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal::{Options, Tree};
use treewal_vfs::{Disk, Fault, FaultDisk, RealDisk};

use crate::tree;

pub(super) fn bits(mode: u32) -> Permissions {
    Permissions::from_mode(mode)
}

pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

pub(super) fn close(path: &Path, mode: u32) {
    fs::set_permissions(path, bits(mode)).unwrap();
}

/// More closed directories than handles: each is closed again at some time in between.
#[test]
fn many_closed_directories() {
    const DIRS: usize = 1500;
    let Some(top) = tree() else { return };
    let dir = fresh(&top, "many");
    let tree = Tree::open(&dir).unwrap();
    tree.transaction(|tx| {
        for n in 0..DIRS {
            tx.create_dir(format!("own/{n}"))?;
            tx.write(format!("own/{n}/f"), n.to_string())?;
            tx.set_permissions(format!("own/{n}"), bits(0))?;
        }
        Ok(())
    })
    .unwrap();
    std::mem::forget(tree);
    // As a power loss may: a name in each third of them is gone.
    for n in (0..DIRS).step_by(3) {
        let at = dir.join(format!("own/{n}"));
        close(&at, 0o700);
        fs::remove_file(at.join("f")).unwrap();
        close(&at, 0);
    }
    let tree = Tree::open(&dir).unwrap();
    assert_eq!(tree.recovery().pending().count(), 0, "{}", tree.recovery());
    assert!(tree.recovery().transactions[0].superseded.is_empty());
    for n in 0..DIRS {
        assert_eq!(mode(&dir.join(format!("own/{n}"))), 0, "{n}");
        assert_eq!(reveal(&dir, &format!("own/{n}/f")), n.to_string());
    }
}

/// One thing that a transaction does, what others do behind it, and what shall be there in the end.
struct Work {
    name: &'static str,
    before: fn(&Path),
    commit: fn(&Tree),
    after: fn(&Path),
    /// Paths with their bits, and what a file holds once it is opened.
    modes: &'static [(&'static str, u32)],
    holds: &'static [(&'static str, &'static str)],
}

fn nothing(_: &Path) {}

fn works() -> [Work; 5] {
    let [first, second] = files();
    let [third, fourth, fifth] = directories();
    [first, second, third, fourth, fifth]
}

fn files() -> [Work; 2] {
    [
        Work {
            name: "a file that nobody may read",
            before: nothing,
            commit: |tree| {
                tree.transaction(|tx| {
                    tx.write("own/f", "x")?;
                    tx.set_permissions("own/f", bits(0o200))
                })
                .unwrap();
            },
            after: nothing,
            modes: &[("own/f", 0o200)],
            holds: &[("own/f", "x")],
        },
        Work {
            name: "one with attributes, which later transactions closed, opened and replaced",
            before: |dir| {
                fs::write(dir.join("own/f"), "old").unwrap();
                close(&dir.join("own/f"), 0);
            },
            commit: |tree| {
                tree.transaction(|tx| tx.set_permissions("own/f", bits(0o600))).unwrap();
                tree.transaction(|tx| tx.write("own/f", "new")).unwrap();
                tree.transaction(|tx| tx.set_xattr("own/f", "user.k", b"v")).unwrap();
                tree.transaction(|tx| tx.set_permissions("own/f", bits(0))).unwrap();
            },
            after: nothing,
            modes: &[("own/f", 0)],
            holds: &[("own/f", "new")],
        },
    ]
}

fn directories() -> [Work; 3] {
    [
        Work {
            name: "a new directory that nobody may enter",
            before: nothing,
            commit: |tree| {
                tree.transaction(|tx| {
                    tx.create_dir("own/d")?;
                    tx.write("own/d/f", "x")?;
                    tx.create_dir("own/d/e")?;
                    tx.write("own/d/e/g", "y")?;
                    tx.set_permissions("own/d/e", bits(0o200))?;
                    tx.set_permissions("own/d", bits(0))
                })
                .unwrap();
            },
            after: nothing,
            modes: &[("own/d", 0)],
            holds: &[("own/d/f", "x"), ("own/d/e/g", "y")],
        },
        Work {
            name: "one that was there before",
            before: |dir| fs::create_dir(dir.join("own/d")).unwrap(),
            commit: |tree| {
                tree.transaction(|tx| {
                    tx.write("own/d/f", "x")?;
                    tx.set_permissions("own/d", bits(0))
                })
                .unwrap();
            },
            after: nothing,
            modes: &[("own/d", 0)],
            holds: &[("own/d/f", "x")],
        },
        Work {
            name: "one that may be entered, and not written to",
            before: |dir| fs::create_dir(dir.join("own/d")).unwrap(),
            commit: |tree| {
                tree.transaction(|tx| {
                    tx.write("own/d/f", "x")?;
                    tx.set_permissions("own/d", bits(0o500))
                })
                .unwrap();
            },
            after: |dir| {
                // As after a power loss that kept the bits and took the name.
                close(&dir.join("own/d"), 0o700);
                fs::remove_file(dir.join("own/d/f")).unwrap();
                close(&dir.join("own/d"), 0o500);
            },
            modes: &[("own/d", 0o500)],
            holds: &[("own/d/f", "x")],
        },
    ]
}

/// What is beneath a path, whatever bits the directories have.
pub(super) fn reveal(dir: &Path, path: &str) -> String {
    let mut at = PathBuf::from(dir);
    for part in Path::new(path).parent().unwrap() {
        at.push(part);
        let opened = mode(&at) | 0o700;
        close(&at, opened);
    }
    let file = dir.join(path);
    let opened = mode(&file) | 0o400;
    close(&file, opened);
    fs::read_to_string(file).unwrap()
}

/// A tree of its own for each try, beneath the one that this user was given.
pub(super) fn fresh(top: &Path, name: &str) -> PathBuf {
    let dir = top.join("own").join(name);
    fs::create_dir_all(dir.join("own")).unwrap();
    dir
}

fn judge(dir: &Path, work: &Work, tree: &Tree, when: &str) {
    let report = tree.recovery();
    assert_eq!(report.pending().count(), 0, "{}, {when}: {report}", work.name);
    assert!(report.transactions.iter().all(|line| line.superseded.is_empty()), "{}, {when}: {report}", work.name);
    tree.transaction(|tx| tx.write("next", "n")).unwrap();
    for (path, bits) in work.modes {
        assert_eq!(mode(&dir.join(path)), *bits, "{}, {when}: {path}", work.name);
    }
    for (path, contents) in work.holds {
        assert_eq!(reveal(dir, path), *contents, "{}, {when}: {path}", work.name);
    }
}

#[test]
fn closed_entries() {
    let Some(top) = tree() else { return };
    for (n, work) in works().iter().enumerate() {
        // The first opening is cut short at each of its calls.
        for at in 0.. {
            let dir = fresh(&top, &format!("closed-{n}-{at}"));
            (work.before)(&dir);
            let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
            let tree = Options::new().open_on(Arc::clone(&disk) as Arc<dyn Disk>, &dir).unwrap();
            (work.commit)(&tree);
            // As after a kill, and without the handles that a forgotten tree would keep.
            disk.arm(Fault::Off { at: 1 });
            drop(tree);
            (work.after)(&dir);
            let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::Off { at }));
            let first = if at == 0 { None } else { Some(Options::new().open_on(disk as Arc<dyn Disk>, &dir)) };
            let is_over = matches!(&first, Some(Ok(tree)) if tree.recovery().pending().count() == 0);
            drop(first);
            judge(&dir, work, &Tree::open(&dir).unwrap(), &format!("cut at {at}"));
            if is_over {
                assert!(at > 10, "{}: {at}", work.name);
                break;
            }
        }
    }
}

#[test]
fn closed_by_others() {
    let Some(top) = tree() else { return };
    // Somebody puts a file there that cannot be read: it stays, and what was committed is in quarantine.
    let dir = fresh(&top, "unreadable");
    let tree = Tree::open(&dir).unwrap();
    tree.transaction(|tx| tx.write("own/f", "ours")).unwrap();
    std::mem::forget(tree);
    fs::remove_file(dir.join("own/f")).unwrap();
    fs::write(dir.join("own/f"), "theirs").unwrap();
    close(&dir.join("own/f"), 0);
    let tree = Tree::open(&dir).unwrap();
    let report = tree.recovery().clone();
    assert_eq!(report.pending().count(), 0, "{report}");
    assert_eq!(report.transactions[0].superseded, ["own/f"], "{report}");
    let kept = report.transactions[0].quarantine.clone().unwrap();
    assert_eq!(fs::read_to_string(dir.join(".treewal/quarantine").join(kept).join("0001")).unwrap(), "ours");
    tree.transaction(|tx| tx.write("next", "n")).unwrap();
    assert_eq!((mode(&dir.join("own/f")), reveal(&dir, "own/f").as_str()), (0, "theirs"));
    drop(tree);

    // Somebody closes a directory after the commit: it stays closed, with what was committed in it.
    let dir = fresh(&top, "shut");
    let tree = Tree::open(&dir).unwrap();
    tree.transaction(|tx| tx.write("own/f", "ours")).unwrap();
    std::mem::forget(tree);
    fs::remove_file(dir.join("own/f")).unwrap();
    close(&dir.join("own"), 0o050);
    let tree = Tree::open(&dir).unwrap();
    assert_eq!(tree.recovery().pending().count(), 0, "{}", tree.recovery());
    tree.transaction(|tx| tx.write("next", "n")).unwrap();
    assert_eq!((mode(&dir.join("own")), reveal(&dir, "own/f").as_str()), (0o050, "ours"));
}

#[test]
fn committed_before_root_came() {
    let Some(dir) = tree() else { return };
    for sub in ["own/shut", "own/narrow", "own/full"] {
        fs::create_dir(dir.join(sub)).unwrap();
    }
    fs::create_dir(dir.join("own/full/sub")).unwrap();
    let tree = Tree::open(&dir).unwrap();
    tree.transaction(|tx| {
        tx.write("own/a", "after")?;
        tx.write("own/shut/f", "in a directory of root")?;
        tx.write("own/narrow/f", "in one that others may read")?;
        tx.remove_dir_all("own/full")
    })
    .unwrap();
    std::mem::forget(tree);
}

/// What root does to the tree in between. What the commit did is taken back, as a power loss may.
pub(super) fn as_root(dir: &Path) {
    for sub in ["own/shut", "own/narrow"] {
        fs::remove_file(dir.join(sub).join("f")).unwrap();
    }
    fs::write(dir.join("own/a"), "af").unwrap();
    fs::create_dir_all(dir.join("own/full/sub/of root")).unwrap();
    for (sub, mode) in [("own/shut", 0o700), ("own/narrow", 0o755), ("own/full/sub/of root", 0o700)] {
        chown(dir.join(sub), Some(0), Some(0)).unwrap();
        close(&dir.join(sub), mode);
    }
}

#[test]
fn and_reopened_behind_root() {
    let Some(dir) = tree() else { return };
    let tree = Tree::open(&dir).unwrap();
    let report = tree.recovery();
    assert_eq!(report.pending().count(), 0, "{report}");
    tree.transaction(|tx| tx.write("own/next", "n")).unwrap();
    let line = &report.transactions[0];
    for path in ["own/shut/f", "own/narrow/f"] {
        assert!(line.superseded.iter().any(|other| other == path), "{path}: {report}");
    }
    assert!(!line.superseded.iter().any(|path| path == "own/next"), "{report}");
    let case = dir.join(".treewal/quarantine").join(line.quarantine.clone().unwrap());
    let said = fs::read_to_string(case.join("report.txt")).unwrap();
    assert!(said.contains("own/shut/f") && said.contains("open its directory to this user"), "{said}");
    let kept: Vec<String> =
        ["0001", "0002", "0003"].iter().filter_map(|name| fs::read_to_string(case.join(name)).ok()).collect();
    assert!(
        kept.contains(&"in a directory of root".into()) && kept.contains(&"in one that others may read".into()),
        "{kept:?}"
    );
    drop(tree);
    assert!(Tree::open(&dir).unwrap().recovery().is_clean());
}
