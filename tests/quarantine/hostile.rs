//! What somebody planted in quarantine leads nowhere.

use std::ffi::OsStr;

use treewal::Retry;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Kind, Meta, RelPath};

use crate::world::*;

const CASE: &str = ".treewal/quarantine/txn-99";

fn report(items: &[(&str, &str, &str)]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|(path, goal, file)| {
            let file = if file.is_empty() { "null".to_owned() } else { format!("{file:?}") };
            format!(r#"{{"path": {path:?}, "reason": "forged", "goal": {goal:?}, "file": {file}, "found": "nothing"}}"#)
        })
        .collect();
    format!(r#"{{"format": 1, "kind": "staged", "items": [{}]}}"#, items.join(","))
}

fn world() -> SimDisk {
    let disk = SimDisk::new();
    put(&disk, "outside/secret", "nobody may read this");
    // The tree is a directory of its own, so that there is something outside.
    put(&disk, "tree/inside", "i");
    disk
}

fn open_inner(disk: &SimDisk) -> treewal::Tree {
    options().open_on(std::sync::Arc::new(disk.clone()), "/tree").unwrap()
}

#[test]
fn forged_paths_are_conflicts_and_written_nowhere() {
    for path in
        ["../outside/new", "/outside/new", ".treewal/tree", ".treewal/journal/x", "", ".", "a/../../outside/new"]
    {
        let disk = world();
        let tree = open_inner(&disk);
        put(&disk, &format!("tree/{CASE}/report.json"), &report(&[(path, "file", "0001"), ("good", "file", "0001")]));
        put(&disk, &format!("tree/{CASE}/0001"), "forged");
        let before = below(&disk, "");
        for how in [Retry::new(), Retry::new().dry_run(true), Retry::new().dry_run(true).force(true)] {
            let done = tree.retry_quarantine("txn-99", how).unwrap();
            assert!(done.receipt.is_none() && done.conflicts.len() == 1, "{path}: {done:?}");
        }
        assert_eq!(below(&disk, ""), before, "{path}");
        let done = tree.export_quarantine("txn-99", "/out").unwrap();
        assert_eq!((done.left.len(), done.placed), (1, 1), "{path}: {done:?}");
        assert_eq!(below(&disk, "outside").len(), 1, "{path}");
        assert_eq!(holds(&disk, "out/good").as_deref(), Some("forged"));
        let forced = tree.retry_quarantine("txn-99", Retry::new().force(true)).unwrap();
        assert!(forced.receipt.is_some() && !forced.purged);
        assert_eq!(below(&disk, "outside").len(), 1, "{path}");
    }
}

#[test]
fn contents_are_read_beneath_the_case_and_through_no_link() {
    let files =
        ["../../../../outside/secret", "/outside/secret", "link", "dirlink/secret", "pipe", "../txn-99/pipe", ".."];
    for file in files {
        let disk = world();
        let tree = open_inner(&disk);
        put(&disk, &format!("tree/{CASE}/report.json"), &report(&[("stolen", "file", file)]));
        let (case, _) = at(&disk, &format!("tree/{CASE}/x"));
        disk.symlink(OsStr::new("/outside/secret"), &case, OsStr::new("link")).unwrap();
        disk.symlink(OsStr::new("/outside"), &case, OsStr::new("dirlink")).unwrap();
        let like: Meta = disk.stat(&case, OsStr::new("report.json")).unwrap();
        disk.make_node(&case, OsStr::new("pipe"), &Meta { kind: Kind::Fifo, ..like }).unwrap();
        tree.quarantined("txn-99").unwrap();
        let exported = tree.export_quarantine("txn-99", "/out").unwrap();
        let forced = tree.retry_quarantine("txn-99", Retry::new().force(true)).unwrap();
        for (path, node) in disk.dump() {
            let secret = node.contents == b"nobody may read this";
            assert!(
                !secret || path == RelPath::new("outside/secret").unwrap(),
                "{file}: {path} {exported:?} {forced:?}"
            );
        }
        assert_eq!(below(&disk, "outside").len(), 1, "{file}");
    }
}

#[test]
fn links_on_the_way_are_not_followed() {
    let disk = world();
    let tree = open_inner(&disk);
    let items = [("way", "symlink", "0001"), ("way/new", "file", "0002"), ("inside", "file", "0002")];
    put(&disk, &format!("tree/{CASE}/report.json"), &report(&items));
    put(&disk, &format!("tree/{CASE}/0001"), "/outside");
    put(&disk, &format!("tree/{CASE}/0002"), "forged");
    let exported = tree.export_quarantine("txn-99", "/out").unwrap();
    assert_eq!(exported.left.len(), 1, "{exported:?}");
    let forced = tree.retry_quarantine("txn-99", Retry::new().force(true)).unwrap();
    assert!(!forced.conflicts.is_empty(), "{forced:?}");
    assert_eq!(below(&disk, "outside").len(), 1);
    // A whole case that is a link.
    let (quarantine, _) = at(&disk, "tree/.treewal/quarantine/x");
    disk.symlink(OsStr::new("/outside"), &quarantine, OsStr::new("txn-100")).unwrap();
    let listed = tree.quarantine().unwrap();
    assert!(listed.iter().any(|entry| entry.id == "txn-100" && !entry.has_report));
    assert!(tree.retry_quarantine("txn-100", Retry::new().force(true)).is_err());
    tree.export_quarantine("txn-100", "/out100").unwrap();
    assert_eq!(holds(&disk, "out100/txn-100").as_deref(), Some("/outside"), "the link itself");
    tree.purge_quarantine("txn-100").unwrap();
    assert_eq!(below(&disk, "outside").len(), 1);
}

#[test]
fn whatever_stands_for_a_report_is_read_or_passed_over() {
    for text in
        ["", "[", "{}", "{\"format\": 1, \"items\": 3}", "{\"format\": 9}", "{\"format\": 1, \"snapshot\": \"../..\"}"]
    {
        let disk = world();
        let tree = open_inner(&disk);
        put(&disk, &format!("tree/{CASE}/report.json"), text);
        assert_eq!(tree.quarantine().unwrap().len(), 1, "{text}");
        tree.quarantined("txn-99").unwrap();
        assert!(tree.retry_quarantine("txn-99", Retry::new().force(true)).is_err(), "{text}");
        tree.export_quarantine("txn-99", "/out").unwrap();
    }
}
