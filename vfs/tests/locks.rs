//! Kernel locks on the real disk. A program of its own that starts no children: a child holds a copy of every handle
//! until its `exec`, and with it the locks that another test has just dropped.

#![cfg(test)]

use treewal_vfs::{Disk, File, Lock, Open, RealDisk};

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn opened(scratch: &tempfile::TempDir) -> File {
    let root = RealDisk.open_root(scratch.path()).unwrap();
    RealDisk.open(&root, "lock".as_ref(), Open::Create { mode: 0o600 }).unwrap()
}

fn locks(file: &File, lock: Lock) -> bool {
    RealDisk.try_lock(file, lock).unwrap()
}

#[test]
fn two_opens_exclude_each_other() {
    let scratch = scratch();
    let (one, two) = (opened(&scratch), opened(&scratch));
    assert!(locks(&one, Lock::Exclusive));
    assert!(!locks(&two, Lock::Exclusive) && !locks(&two, Lock::Shared));
    RealDisk.unlock(&one).unwrap();
    assert!(locks(&two, Lock::Shared) && locks(&one, Lock::Shared));
    assert!(!locks(&opened(&scratch), Lock::Exclusive));
}

#[test]
fn a_lock_ends_with_the_last_clone() {
    let scratch = scratch();
    let (one, two) = (opened(&scratch), opened(&scratch));
    assert!(locks(&one, Lock::Exclusive));
    let clone = one.clone();
    assert!(locks(&clone, Lock::Exclusive), "a clone is the same open");
    drop(one);
    assert!(!locks(&two, Lock::Exclusive));
    drop(clone);
    assert!(locks(&two, Lock::Exclusive));
}

#[test]
fn a_lock_that_could_not_be_raised_is_lost() {
    let scratch = scratch();
    let (one, two, three) = (opened(&scratch), opened(&scratch), opened(&scratch));
    assert!(locks(&one, Lock::Shared) && locks(&two, Lock::Shared));
    assert!(!locks(&one, Lock::Exclusive));
    RealDisk.unlock(&two).unwrap();
    assert!(locks(&three, Lock::Exclusive), "the shared lock of the first is gone");
}
