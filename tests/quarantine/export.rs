//! Taking out.

use std::ffi::OsStr;

use treewal_vfs::{Disk, RelPath};

use crate::world::*;

#[test]
fn a_staged_transaction_is_exported_under_its_own_paths() {
    let (disk, tree, id) = staged();
    let done = tree.export_quarantine(&id, "/out").unwrap();
    let out = below(&disk, "out");
    assert_eq!((out["replaced"].as_str(), out["made/deep/file"].as_str(), out["large"].len()), ("new", "made", LARGE));
    assert_eq!((out["link"].as_str(), done.left.len()), ("made/deep", 0), "{done:?}");
    assert!(out.contains_key(".quarantine/report.txt") && out.contains_key(".quarantine/report.json"));
    assert_eq!(tree.quarantine().unwrap().len(), 1, "it stays");
    // Never over anything.
    put(&disk, "taken/x", "theirs");
    let error = tree.export_quarantine(&id, "/taken").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(below(&disk, "taken").len(), 1);
    assert!(tree.export_quarantine(&id, "/.treewal/out").is_err());
    assert!(
        tree.export_quarantine("nothing", "/out2").is_err()
            && !disk.dump().contains_key(&RelPath::new("out2").unwrap())
    );
}

#[test]
fn the_snapshot_of_a_guard_is_exported_with_attributes() {
    let (disk, tree, id) = guarded();
    let done = tree.export_quarantine(&id, "/out").unwrap();
    assert_eq!(done.left, Vec::<String>::new());
    let out = below(&disk, "out");
    assert_eq!((out["db/index"].as_str(), out["db/gone"].as_str(), out.get("db/new")), ("before", "before too", None));
    let node = disk.dump().remove(&RelPath::new("out/db/index").unwrap()).unwrap();
    assert_eq!((node.mode, node.xattrs.len()), (0o640, 1));
    assert!(!out.keys().any(|path| path.starts_with(".quarantine/snapshot")), "{out:?}");
}

#[test]
fn an_old_directory_without_a_report_for_programs_is_listed_and_exported_as_it_is() {
    let (disk, tree, _) = superseded();
    put(&disk, ".treewal/quarantine/txn-7/report.txt", "what it is\n");
    put(&disk, ".treewal/quarantine/txn-7/0001", "contents");
    put(&disk, ".treewal/quarantine/00000000000000000003.wal", "a segment");
    put(&disk, ".treewal/quarantine/lost-lock", "was in the way");
    let kinds: Vec<(String, &str, bool)> =
        tree.quarantine().unwrap().into_iter().map(|entry| (entry.id, entry.kind, entry.has_report)).collect();
    assert!(kinds.contains(&("txn-7".into(), "staged", false)) && kinds.contains(&("lost-lock".into(), "lost", false)));
    assert!(kinds.contains(&("00000000000000000003.wal".into(), "journal", false)), "{kinds:?}");
    assert_eq!(tree.quarantined("txn-7").unwrap().report, "what it is\n");
    tree.export_quarantine("txn-7", "/old").unwrap();
    assert_eq!(below(&disk, "old")[".quarantine/0001"], "contents");
    tree.export_quarantine("00000000000000000003.wal", "/segment").unwrap();
    assert_eq!(below(&disk, "segment")["00000000000000000003.wal"], "a segment");
    assert!(tree.retry_quarantine("txn-7", treewal::Retry::new()).is_err(), "nothing tells where it belongs");
    let (dir, name) = at(&disk, "x");
    disk.symlink(OsStr::new("/elsewhere"), &dir, name).unwrap();
    assert!(tree.export_quarantine("txn-7", "/.treewal").is_err());
}
