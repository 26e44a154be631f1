//! Throwing away.

use std::sync::Arc;

use treewal_vfs::Disk;

use crate::world::*;

#[test]
fn a_purge_removes_one_entry_and_may_be_cut_anywhere() {
    let (base, tree, id) = guarded();
    put(&base, ".treewal/quarantine/stays/0001", "stays");
    drop(tree);
    base.sync_all(&root(&base)).unwrap();
    let whole = below(&base, &format!(".treewal/quarantine/{id}"));
    let (mut gone, mut there) = (0, 0);
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let done = options().open_on(Arc::new(disk.clone()), "/").and_then(|tree| tree.purge_quarantine(&id));
        if !disk.is_off() {
            done.unwrap();
            break;
        }
        for outcome in outcomes(&disk, cut) {
            let lost = disk.after(&outcome);
            let tree = open(&lost);
            assert!(tree.recovery().pending().count() == 0);
            let ids: Vec<String> = tree.quarantine().unwrap().into_iter().map(|entry| entry.id).collect();
            drop(tree);
            // A later opening removes what was thrown away, and nothing else.
            drop(open(&lost));
            let left = below(&lost, ".treewal/quarantine");
            assert!(!left.keys().any(|path| path.starts_with(".purged")), "cut {cut}: {left:?}");
            assert_eq!(left["stays/0001"], "stays");
            if ids.contains(&id) {
                assert!(done.is_err(), "cut {cut}: it was said to be gone");
                assert_eq!(below(&lost, &format!(".treewal/quarantine/{id}")), whole, "cut {cut}: whole or gone");
                there += 1;
            } else {
                assert_eq!(left.len(), 2, "cut {cut}: {left:?}");
                gone += 1;
            }
        }
    }
    assert!(gone > 10 && there > 10, "{gone} gone, {there} there");
}

#[test]
fn what_is_not_there_cannot_be_thrown_away() {
    let (_, tree, id) = superseded();
    for name in ["", "..", ".", "txn-0", "../journal", &format!("{id}/report.txt")] {
        assert!(tree.purge_quarantine(name).is_err(), "{name:?}");
    }
    assert_eq!(tree.quarantine().unwrap().len(), 1);
    tree.purge_quarantine(&id).unwrap();
    assert_eq!(tree.quarantine().unwrap(), []);
}
