//! What is owed may need the stage of a handle that lives, and outlasts it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use treewal::{Error, Resolution};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, Layer, RelPath, Verb, errno};

use crate::world::*;

/// A disk on which the directory `d` cannot be opened, while it is told so.
#[derive(Debug)]
struct Blind {
    inner: SimDisk,
    is_blind: AtomicBool,
}

impl Layer for Blind {
    fn inner(&self) -> &dyn Disk {
        &self.inner
    }

    fn open_dir(&self, at: &Dir, beneath: &RelPath) -> io::Result<Dir> {
        if self.is_blind.load(Ordering::SeqCst) && *beneath == path("d") {
            return Err(io::Error::from_raw_os_error(errno::EIO));
        }
        Disk::open_dir(&self.inner, at, beneath)
    }
}

/// One handle commits; another is killed, and a third recovers, which cannot see what was committed, and so owes it. What it
/// displaced stands in the stage of the first, which knows that when it is closed.
#[test]
fn a_handle_that_is_closed_leaves_its_stage_to_what_is_owed() {
    let disk = base();
    let ours = open(&disk);
    let blind = Arc::new(Blind { inner: disk.another_process(), is_blind: AtomicBool::new(false) });
    let theirs = open_on(blind.clone());
    let doomed = disk.another_process();
    let faulty = Arc::new(FaultDisk::new(Arc::new(doomed.clone()), Fault::None).only(Verb::SyncData));
    let killed = open_on(faulty.clone());
    for (tree, name) in [(&ours, "f/fx"), (&theirs, "f/fy"), (&killed, "a")] {
        tree.transaction(|tx| tx.write(name, "met")).unwrap();
    }
    let mut tx = ours.begin();
    owed(&mut tx).unwrap();
    let txn = tx.commit().unwrap().id;
    // At its commit point, with the lock of the tree.
    faulty.arm(Fault::Off { at: 1 });
    assert!(killed.transaction(|tx| tx.write("a", "new a")).is_err());
    std::mem::forget(killed);
    drop(doomed.kill());
    blind.is_blind.store(true, Ordering::SeqCst);
    theirs.transaction(|tx| tx.write("e/ex", "theirs")).unwrap();
    let refused = ours.transaction(|tx| tx.write("d/dx", "later"));
    assert!(matches!(&refused, Err(Error::Pending { txn: owed, .. }) if *owed == txn), "{refused:?}");
    drop(ours);
    drop(theirs);
    options().resolve_on(&(Arc::new(disk.clone()) as Arc<dyn Disk>), "/", txn, Resolution::Restore).unwrap();
    assert_eq!(["d/dx", "d/dy"].map(|at_path| at(&disk, at_path).unwrap()), ["old dx", "old dy"]);
    assert_eq!(at(&disk, "d/made"), None);
}
