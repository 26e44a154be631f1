//! Directories that a transaction opens, and those whose bits forbid what it wants.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use treewal::{Options, Outcome, Transaction, Tree};
use treewal_vfs::{Disk, Fault, FaultDisk, RealDisk, Verb, errno};

use crate::closed::{bits, close, fresh, mode};
use crate::tree;

/// The standard library lets a directory be opened and then written to, so a transaction does, too.
#[test]
fn opened_first() {
    let Some(top) = tree() else { return };
    let body = |tx: &mut Transaction| {
        tx.set_permissions("own/d", bits(0o700))?;
        tx.write("own/d/f", "new")?;
        tx.write("own/g", "beside")
    };
    let prepared = |name: &str| {
        let dir = fresh(&top, name);
        fs::create_dir(dir.join("own/d")).unwrap();
        fs::write(dir.join("own/d/f"), "old").unwrap();
        close(&dir.join("own/d"), 0o500);
        dir
    };
    let state = |dir: &Path| {
        let f = fs::read_to_string(dir.join("own/d/f")).unwrap();
        (mode(&dir.join("own/d")), f, dir.join("own/g").exists())
    };
    let (old, new) = ((0o500, "old".to_owned(), false), (0o700, "new".to_owned(), true));
    // A rename that fails is taken back, and so are the bits.
    for at in 1..=3 {
        let dir = prepared(&format!("fails-{at}"));
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None).only(Verb::Rename));
        let tree = Options::new().open_on(Arc::clone(&disk) as Arc<dyn Disk>, &dir).unwrap();
        disk.arm(Fault::Error { at, errno: errno::EIO });
        let done = tree.transaction(body);
        match at {
            1 | 2 => assert_eq!((done.unwrap_err().outcome(), state(&dir)), (Outcome::RolledBack, old.clone()), "{at}"),
            _ => assert_eq!((done.is_ok(), state(&dir)), (true, new.clone()), "{at}"),
        }
    }
    // Killed at each of its calls, it is there wholly or not at all.
    let mut met = [0, 0];
    for at in 1.. {
        let dir = prepared(&format!("killed-{at}"));
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = Options::new().open_on(Arc::clone(&disk) as Arc<dyn Disk>, &dir).unwrap();
        disk.arm(Fault::Off { at });
        let done = tree.transaction(body);
        drop(tree);
        let tree = Tree::open(&dir).unwrap();
        assert_eq!(tree.recovery().pending().count(), 0, "{at}: {}", tree.recovery());
        let found = state(&dir);
        assert!(found == new || found == old && done.is_err(), "{at}: {found:?}, {done:?}");
        met[usize::from(found == new)] += 1;
        if done.is_ok() {
            break;
        }
    }
    assert!(met[0] > 3 && met[1] > 3, "{met:?}");
}

/// The standard library removes an empty directory whatever its own bits are, so a transaction does, too.
#[test]
fn closed_and_empty() {
    let Some(top) = tree() else { return };
    let body = |tx: &mut Transaction| {
        tx.remove_dir("own/d")?;
        tx.write("own/g", "beside")
    };
    let prepared = |name: &str| {
        let dir = fresh(&top, name);
        fs::create_dir(dir.join("own/d")).unwrap();
        close(&dir.join("own/d"), 0o500);
        dir
    };
    let state = |dir: &Path| {
        let d = dir.join("own/d");
        (d.exists().then(|| mode(&d)), dir.join("own/g").exists())
    };
    let (old, new) = ((Some(0o500), false), (None, true));
    for at in 1..=3 {
        let dir = prepared(&format!("empty-fails-{at}"));
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None).only(Verb::Rename));
        let tree = Options::new().open_on(Arc::clone(&disk) as Arc<dyn Disk>, &dir).unwrap();
        disk.arm(Fault::Error { at, errno: errno::EIO });
        let done = tree.transaction(body);
        match at {
            1 | 2 => assert_eq!((done.unwrap_err().outcome(), state(&dir)), (Outcome::RolledBack, old), "{at}"),
            _ => assert_eq!((done.is_ok(), state(&dir)), (true, new), "{at}"),
        }
    }
    let mut met = [0, 0];
    for at in 1.. {
        let dir = prepared(&format!("empty-killed-{at}"));
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = Options::new().open_on(Arc::clone(&disk) as Arc<dyn Disk>, &dir).unwrap();
        disk.arm(Fault::Off { at });
        let done = tree.transaction(body);
        drop(tree);
        let tree = Tree::open(&dir).unwrap();
        assert_eq!(tree.recovery().pending().count(), 0, "{at}: {}", tree.recovery());
        let found = state(&dir);
        assert!(found == new || found == old && done.is_err(), "{at}: {found:?}, {done:?}");
        met[usize::from(found == new)] += 1;
        if done.is_ok() {
            break;
        }
    }
    assert!(met[0] > 3 && met[1] > 3, "{met:?}");
    // One that is not empty is not opened, and neither is what the transaction would have to take out of it.
    let dir = prepared("not-empty");
    fs::set_permissions(dir.join("own/d"), bits(0o700)).unwrap();
    fs::write(dir.join("own/d/f"), "f").unwrap();
    close(&dir.join("own/d"), 0o500);
    let tree = Tree::open(&dir).unwrap();
    let emptied = tree.transaction(|tx| {
        tx.remove_file("own/d/f")?;
        tx.remove_dir("own/d")
    });
    assert_eq!(emptied.unwrap_err().outcome(), Outcome::Unchanged);
    assert_eq!(state(&dir), old);
}

/// What the bits of a directory forbid is told before anything is promised, with the name of the directory.
#[test]
fn refused_untouched() {
    let Some(dir) = tree() else { return };
    for (sub, mode) in [("own/full", 0o700), ("own/narrow", 0o700), ("own/from", 0o700)] {
        fs::create_dir(dir.join(sub)).unwrap();
        fs::write(dir.join(sub).join("f"), "x").unwrap();
        close(&dir.join(sub), mode);
    }
    close(&dir.join("own/full"), 0);
    close(&dir.join("own/narrow"), 0o500);
    close(&dir.join("own/from"), 0o500);
    let tree = Tree::open(&dir).unwrap();
    type Body = fn(&mut Transaction) -> treewal::Result<()>;
    let refused: [(&str, Body); 6] = [
        ("own/full", |tx| tx.remove_dir_all("own/full")),
        ("own/narrow", |tx| tx.write("own/narrow/f", "y")),
        ("own/narrow", |tx| tx.remove_file("own/narrow/f")),
        ("own/narrow", |tx| tx.create_dir("own/narrow/d")),
        ("own/from", |tx| tx.rename("own/from/f", "own/f")),
        ("roots", |tx| tx.write("roots/x", "y")),
    ];
    for (path, body) in refused {
        let error = tree
            .transaction(|tx| {
                tx.write("own/a", "never")?;
                body(tx)
            })
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::PermissionDenied, Outcome::Unchanged),
            "{path}: {error}"
        );
        assert_eq!(error.path(), Some(Path::new(path)), "{error}");
        assert_eq!(fs::read_to_string(dir.join("own/a")).unwrap(), "a", "{path}");
    }
    // What changes nothing in them goes.
    tree.transaction(|tx| {
        tx.rename("own/narrow", "own/narrow2")?;
        tx.set_permissions("own/full", bits(0o700))
    })
    .unwrap();
    assert_eq!((mode(&dir.join("own/narrow2")), mode(&dir.join("own/full"))), (0o500, 0o700));
}
