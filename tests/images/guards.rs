//! Guards and named snapshots on a disk that fails at any of their calls: what was guarded is as it was, and a restore happens
//! wholly or not at all.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use treewal::{GuardOptions, Sharing, Tree};
use treewal_vfs::{Disk, Fault, FaultDisk, RealDisk, errno};

use crate::image::{Image, KINDS};
use crate::work::{change, files, options, prepare, recovered, step};

type Work = fn(&Tree, &Path) -> treewal::Result<()>;

/// What is tried, and whether the tree may be as the transaction in it leaves it.
const WORKS: [(&str, Work, bool); 3] = [
    ("guard", |tree, dir| guarded(tree, dir, GuardOptions::new()), false),
    ("guard with exchange", |tree, dir| guarded(tree, dir, GuardOptions::new().exchange(true)), false),
    ("named snapshot", named, true),
];

fn guarded(tree: &Tree, dir: &Path, options: GuardOptions) -> treewal::Result<()> {
    let guard = tree.guard_with(options, ["a", "d", "large", "not yet"])?;
    fs::write(dir.join("a"), "in place").unwrap();
    fs::write(dir.join("d/x"), "in place, too").unwrap();
    fs::remove_dir_all(dir.join("d/deep")).unwrap();
    fs::write(dir.join("large"), "short").unwrap();
    fs::write(dir.join("not yet"), "appeared").unwrap();
    guard.rollback()
}

fn named(tree: &Tree, _: &Path) -> treewal::Result<()> {
    let snapshot = tree.snapshot("one")?;
    tree.transaction(|tx| change(tx, false))?;
    tree.restore(&snapshot)?;
    tree.remove_snapshot("one")
}

#[test]
fn any_call_of_a_guard_and_of_a_named_snapshot_may_fail() {
    for (kind, bytes) in KINDS {
        let Some(image) = Image::in_memory(kind, bytes, "any_call_of_a_guard_may_fail") else { continue };
        let tried: usize = WORKS.iter().map(|work| tried(&image, work)).sum();
        println!("{kind}: {tried} calls failed");
        assert!(tried > 15, "{kind}: {tried}");
    }
}

fn tried(image: &Image, (name, work, changes): &(&str, Work, bool)) -> usize {
    let dir = image.at().join("tree");
    let mut tried = 0;
    for at in (1..).step_by(step()) {
        fs::create_dir(&dir).unwrap();
        prepare(&dir);
        let before = files(&dir);
        let code = [errno::EIO, errno::ENOSPC][tried % 2];
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = options().open_on(disk.clone(), &dir).unwrap();
        disk.arm(Fault::Error { at, errno: code });
        let worked = work(&tree, &dir);
        let failed = disk.mutations() >= at;
        disk.arm(Fault::None);
        drop(tree);
        let at = format!("{name}, call {at} failed with {code}: {worked:?}");
        let (report, found) = recovered(&dir, &at);
        let after = {
            let tree = options().open(&dir).unwrap();
            let standing = tree.snapshots().unwrap();
            for snapshot in &standing {
                assert!(snapshot.verify().unwrap().is_empty(), "{at}");
                tree.remove_snapshot(snapshot.name()).unwrap();
            }
            tree.transaction(|tx| change(tx, false)).ok();
            files(&dir)
        };
        assert!(found == before || *changes && worked.is_err() && found == after, "{at}: {report}: {found:?}");
        let left = fs::read_dir(dir.join(".treewal/guards")).unwrap().count();
        assert_eq!(left, 0, "{at}: a snapshot of a guard is left");
        fs::remove_dir_all(&dir).unwrap();
        if !failed {
            break;
        }
        tried += 1;
    }
    tried
}

#[test]
fn a_managed_path_is_shared_by_reflink_where_there_is_one() {
    for (kind, bytes) in KINDS {
        let Some(image) = Image::in_memory(kind, bytes, "a_managed_path_is_shared_by_reflink") else { continue };
        let dir = image.at().join("tree");
        fs::create_dir(&dir).unwrap();
        prepare(&dir);
        // How many threads take a snapshot hangs on this.
        let root = RealDisk.open_root(&dir).unwrap();
        assert_eq!(RealDisk.keeps_one_tree(&root).unwrap(), kind == "btrfs", "{kind}");
        let tree = options().open(&dir).unwrap();
        let guard = tree.guard_with(GuardOptions::new().managed("d"), ["a", "d"]).unwrap();
        let report = *guard.snapshot();
        let found = (report.reflinked, report.hard_linked, report.copied);
        assert_eq!(found, if kind == "ext4" { (0, 2, 1) } else { (3, 0, 0) }, "{kind}: {report:?}");
        guard.rollback().unwrap();
        let reflinked = tree.guard_with(GuardOptions::new().sharing(Sharing::Reflink), ["d"]);
        assert_eq!(reflinked.is_ok(), kind != "ext4", "{kind}");
    }
}
