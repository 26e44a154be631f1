//! Trees with something in quarantine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Tree};
use treewal_vfs::sim::{Node, Outcome, Profile, SimDisk};
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, Open, RelPath, Verb, errno, write_all};

/// More than travels in a record.
pub(crate) const LARGE: usize = 4096;

pub(crate) fn options() -> Options {
    Options::new().segment_bytes(64 << 10).max_attempts(2).inline_max(1024).lock_wait(Duration::ZERO)
}

pub(crate) fn open(disk: &SimDisk) -> Tree {
    options().open_on(Arc::new(disk.clone()), "/").unwrap()
}

pub(crate) fn root(disk: &SimDisk) -> Dir {
    disk.open_root("/".as_ref()).unwrap()
}

/// The directory that a path is in, made where it is missing, and the name there.
pub(crate) fn at<'p>(disk: &SimDisk, path: &'p str) -> (Dir, &'p OsStr) {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut dir = root(disk);
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        drop(disk.create_dir(&dir, OsStr::new(part), 0o755));
        dir = disk.open_dir(&dir, &RelPath::new(part).unwrap()).unwrap();
    }
    (dir, OsStr::new(name))
}

pub(crate) fn put(disk: &SimDisk, path: &str, contents: &str) {
    let (dir, name) = at(disk, path);
    let file = disk.open(&dir, name, Open::Create { mode: 0o644 }).unwrap();
    disk.set_len(&file, 0).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

pub(crate) fn remove(disk: &SimDisk, path: &str) {
    let (dir, name) = at(disk, path);
    disk.remove_file(&dir, name).unwrap();
}

/// What a file holds, or where a symlink points to.
fn text(node: Node) -> String {
    let bytes = node.target.map_or(node.contents, OsString::into_encoded_bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn holds(disk: &SimDisk, path: &str) -> Option<String> {
    disk.dump().remove(&RelPath::new(path).unwrap()).map(text)
}

/// All paths of the disk beneath another one, with what files hold.
pub(crate) fn below(disk: &SimDisk, path: &str) -> BTreeMap<String, String> {
    let prefix = RelPath::new(path).unwrap();
    let inside = disk.dump().into_iter().filter_map(|(path, node)| {
        let inner = path.strip_prefix(&prefix).filter(|inner| !inner.is_root())?;
        Some((inner.to_string(), text(node)))
    });
    inside.collect()
}

/// The tree, without what is treewal's own.
pub(crate) fn tree_of(disk: &SimDisk) -> BTreeMap<String, String> {
    below(disk, "").into_iter().filter(|(path, _)| !path.starts_with(".treewal")).collect()
}

/// Opens the tree on a disk that renames nothing. Gives the number of what is owed, if anything is.
pub(crate) fn fails(disk: &SimDisk) -> Option<u64> {
    let fault = Fault::ErrorFrom { at: 1, errno: errno::ENODATA };
    let broken = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename));
    options().open_on(broken, "/").unwrap().recovery().pending().next().map(|line| line.txn)
}

/// Lets all tries fail, and gives everything up. `None` where nothing is owed.
pub(crate) fn give_up(disk: &SimDisk) -> Option<Tree> {
    fails(disk).and_then(|_| fails(disk))?;
    let tree = open(disk);
    assert!(tree.recovery().found_damage() && tree.recovery().pending().count() == 0, "{}", tree.recovery());
    Some(tree)
}

/// A committed transaction that was given up before anything of it was in the tree.
pub(crate) fn staged() -> (SimDisk, Tree, String) {
    given_up_where(|now| !now.contains_key("large"), |_| {})
}

/// The same, with its large file in the tree, and not all of it.
pub(crate) fn half_way() -> (SimDisk, Tree, String) {
    half_way_and(|_| {})
}

/// And then somebody was at work.
pub(crate) fn half_way_and(work: impl Fn(&SimDisk)) -> (SimDisk, Tree, String) {
    given_up_where(|now| now.contains_key("large") && now["replaced"] == "old", work)
}

/// A committed transaction that was given up when the tree was like this.
fn given_up_where(
    is_so: impl Fn(&BTreeMap<String, String>) -> bool,
    work: impl Fn(&SimDisk),
) -> (SimDisk, Tree, String) {
    let base = SimDisk::new();
    for path in ["replaced", "removed", "dir/inner"] {
        put(&base, path, "old");
    }
    drop(open(&base));
    base.sync_all(&root(&base)).unwrap();
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let done = options().open_on(Arc::new(disk.clone()), "/").and_then(|tree| {
            tree.transaction(|tx| {
                tx.write("replaced", "new")?;
                tx.create_dir_all("made/deep")?;
                tx.write("made/deep/file", "made")?;
                tx.write("large", "x".repeat(LARGE))?;
                tx.symlink("made/deep", "link")?;
                tx.remove_file("removed")
            })
        });
        assert!(done.is_err() || disk.is_off(), "no crash left it like this");
        let disk = disk.after(&disk.outcomes(Profile::Ordered).everything());
        if is_so(&tree_of(&disk)) {
            work(&disk);
            if let Some(tree) = give_up(&disk) {
                let id = tree.recovery().transactions[0].quarantine.clone().unwrap();
                return (disk, tree, id);
            }
        }
    }
    unreachable!()
}

/// A commit whose path somebody else changed before it was finished.
pub(crate) fn superseded() -> (SimDisk, Tree, String) {
    let disk = SimDisk::new();
    put(&disk, "page", "old");
    disk.sync_all(&root(&disk)).unwrap();
    let tree = open(&disk);
    tree.transaction(|tx| tx.write("page", "ours")).unwrap();
    let disk = disk.after(&disk.outcomes(Profile::Ordered).everything());
    put(&disk, "page", "theirs, later");
    let tree = open(&disk);
    let id = tree.recovery().transactions[0].quarantine.clone().unwrap();
    (disk, tree, id)
}

/// A guard that could not be undone.
pub(crate) fn guarded() -> (SimDisk, Tree, String) {
    let disk = SimDisk::new();
    put(&disk, "db/index", "before");
    put(&disk, "db/gone", "before too");
    put(&disk, "other", "o");
    let (dir, name) = at(&disk, "db/index");
    disk.set_mode(&dir, name, 0o640).unwrap();
    disk.set_xattr(&dir, name, OsStr::new("user.key"), b"value").unwrap();
    let tree = open(&disk);
    let guard = tree.guard(["db"]).unwrap();
    put(&disk, "db/index", "halfway");
    put(&disk, "db/new", "n");
    remove(&disk, "db/gone");
    std::mem::forget((guard, tree));
    let disk = disk.kill();
    let tree = give_up(&disk).unwrap();
    let id = tree.recovery().transactions[0].quarantine.clone().unwrap();
    (disk, tree, id)
}

/// What a loss of power may leave, at its extremes and by a draw, on a disk that keeps an order and on one that keeps none.
pub(crate) fn outcomes(disk: &SimDisk, seed: u64) -> Vec<Outcome> {
    let of_one = |profile| {
        let all = disk.outcomes(profile);
        let extremes = [all.nothing(), all.everything(), all.names_without_contents()];
        extremes.into_iter().chain(all.sample(seed, 6)).collect::<Vec<_>>()
    };
    [Profile::Strict, Profile::Ordered].into_iter().flat_map(of_one).collect()
}
