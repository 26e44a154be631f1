//! Trees in which something is owed.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Transaction, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RelPath, errno, write_all};

use crate::stubborn::Stubborn;

pub(crate) type Body = fn(&mut Transaction) -> treewal::Result<()>;

pub(crate) fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(4 << 10).max_attempts(3).lock_wait(Duration::ZERO)
}

pub(crate) fn open_on(disk: Arc<dyn Disk>) -> Tree {
    options().open_on(disk, "/").unwrap()
}

pub(crate) fn open(disk: &SimDisk) -> Tree {
    open_on(Arc::new(disk.clone()))
}

pub(crate) fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// Writes into the tree as anybody does.
pub(crate) fn put(disk: &SimDisk, at: &str, contents: &str) {
    let (parent, name) = (path(at).parent().unwrap(), path(at));
    let root = disk.open_root("/".as_ref()).unwrap();
    let dir = disk.open_dir(&root, &parent).unwrap();
    let file = disk.open(&dir, name.name().unwrap(), Open::Create { mode: 0o644 }).unwrap();
    disk.set_len(&file, 0).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

/// What stands at a path, as text.
pub(crate) fn at(disk: &SimDisk, text: &str) -> Option<String> {
    let node = disk.dump().remove(&path(text))?;
    Some(String::from_utf8_lossy(&node.contents).into_owned())
}

pub(crate) fn sync(disk: &SimDisk) {
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
}

/// A tree with a few files, all durable.
pub(crate) fn base() -> SimDisk {
    let disk = SimDisk::new();
    let tree = open(&disk);
    tree.transaction(|tx| {
        for dir in ["d", "e", "f"] {
            tx.create_dir(dir)?;
            for name in ["x", "y"] {
                tx.write(format!("{dir}/{dir}{name}"), format!("old {dir}{name}"))?;
            }
        }
        tx.write("a", "old a")
    })
    .unwrap();
    drop(tree);
    sync(&disk);
    disk.remount()
}

/// What is owed in all that follows: a file replaced, one made, one removed, a large one, all in `d`.
pub(crate) fn owed(tx: &mut Transaction) -> treewal::Result<()> {
    tx.write("d/dx", "new dx")?;
    tx.write("d/made", "new made")?;
    tx.write("d/large", vec![b'L'; 9000])?;
    tx.remove_file("d/dy")
}

pub(crate) const OWED: &[&str] = &["dx", "made", "large", "dy"];

/// The process died after it had promised `body`, before it changed anything in the tree.
pub(crate) fn promised(base: &SimDisk, body: Body) -> SimDisk {
    for at in 1.. {
        let disk = base.remount();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None));
        let tree = open_on(faulty.clone());
        let mut tx = tree.begin();
        body(&mut tx).unwrap();
        faulty.arm(Fault::Off { at });
        assert!(tx.commit().is_err(), "no call of the commit is the one");
        drop(tree);
        let look = disk.remount();
        if open(&look).recovery().transactions.iter().any(|line| line.label == "redo") {
            return disk.kill();
        }
    }
    unreachable!()
}

/// A guard on `paths` that is owed its undoing; what stands there was written in place.
pub(crate) fn guarded(base: &SimDisk, paths: &[&str], writes: &[&str]) -> SimDisk {
    let disk = base.remount();
    let tree = open(&disk);
    let guard = tree.guard(paths).unwrap();
    for at in writes {
        put(&disk, at, "in place");
    }
    std::mem::forget((guard, tree));
    disk.kill()
}

/// Opened on a disk that cannot do what is owed.
pub(crate) fn stubborn(disk: &SimDisk, names: &[&str]) -> (Tree, Arc<Stubborn>) {
    let stubborn = Stubborn::new(disk, errno::ENODATA, names);
    let tree = open_on(stubborn.clone());
    (tree, stubborn)
}

/// What a power loss may leave, some of it.
pub(crate) fn losses(disk: &SimDisk, seed: u64, samples: usize) -> Vec<(SimDisk, String)> {
    let mut all = Vec::new();
    for profile in [Profile::Strict, Profile::Ordered] {
        let outcomes = disk.outcomes(profile);
        let named = [
            outcomes.nothing(),
            outcomes.everything(),
            outcomes.names_without_contents(),
            outcomes.contents_without_names(),
        ];
        for outcome in named.into_iter().chain(outcomes.sample(seed, samples)) {
            all.push((disk.after(&outcome).remount(), format!("{profile:?}: {}", disk.describe(&outcome))));
        }
    }
    all
}

/// What is in `.treewal/<sub>`.
pub(crate) fn names(disk: &SimDisk, sub: &str) -> Vec<String> {
    let root = disk.open_root("/".as_ref()).unwrap();
    let dir = disk.open_dir(&root, &path(".treewal").join(OsStr::new(sub))).unwrap();
    disk.list(&dir).unwrap().iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect()
}

/// Whether any file in quarantine has these contents.
pub(crate) fn is_kept(disk: &SimDisk, contents: &[u8]) -> bool {
    let own = path(".treewal/quarantine");
    disk.dump().into_iter().any(|(at, node)| at.starts_with(&own) && node.contents == contents)
}
