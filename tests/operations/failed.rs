//! An operation that fails leaves the transaction as it was: who goes on and commits must not commit half of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use treewal::{Error, Expect, Options, Publish};
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb, errno};

use crate::world::World;

/// Two directories, an entry of the old one changed by somebody else since the transaction looked at it.
fn met_half_way(world: &World, source: &str, dest: &str) -> treewal::Transaction {
    for dir in [source, dest] {
        fs::create_dir_all(world.at(dir)).unwrap();
    }
    for file in ["a", "x"] {
        fs::write(world.at(dest).join(file), file).unwrap();
    }
    fs::write(world.at(source).join("y"), "y").unwrap();
    let tx = world.tree.begin();
    tx.read(format!("{dest}/x")).unwrap();
    fs::write(world.at(dest).join("x"), "changed").unwrap();
    tx
}

#[test]
fn a_directory_that_could_not_be_published_stays_and_so_does_the_old_one() {
    for (source, dest) in [("new", "old"), ("old/b/new", "old")] {
        let world = World::new();
        let mut tx = met_half_way(&world, source, dest);
        let failed = tx.publish_with(Publish::new().keep_unmanaged(true), source, dest);
        assert!(matches!(failed, Err(Error::Conflict { .. })), "{failed:?}");
        assert_eq!(tx.changes(), []);
        tx.write("apart", "apart").unwrap();
        tx.commit().unwrap();
        assert_eq!(fs::read(world.at(source).join("y")).unwrap(), b"y");
        assert_eq!(fs::read(world.at(dest).join("x")).unwrap(), b"changed");
        assert_eq!(fs::read(world.at(dest).join("a")).unwrap(), b"a");
        world.close();
    }
}

#[test]
fn a_directory_from_outside_that_could_not_be_published_goes_back_without_the_old_ones_entries() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    let prepared = outside.path().join("new");
    fs::create_dir(&prepared).unwrap();
    fs::write(prepared.join("y"), "y").unwrap();
    let mut tx = met_half_way(&world, "unused", "old");
    // A directory that the transaction has changed is merged entry by entry.
    tx.write("old/b", "b").unwrap();
    let failed = tx.publish_with(Publish::new().keep_unmanaged(true), &prepared, "old");
    assert!(matches!(failed, Err(Error::Conflict { .. })), "{failed:?}");
    tx.commit().unwrap();
    assert_eq!(fs::read_dir(&prepared).unwrap().count(), 1);
    for (file, contents) in [("a", "a"), ("b", "b"), ("x", "changed")] {
        assert_eq!(fs::read_to_string(world.at("old").join(file)).unwrap(), contents);
    }
    world.close();
}

/// What stands in the tree is moved at the commit; what is named through a link from elsewhere would be moved at once.
#[test]
fn what_is_in_the_tree_is_not_published_by_way_of_a_link_from_elsewhere() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(world.at("sub/deep")).unwrap();
    fs::write(world.at("sub/deep/f"), "f").unwrap();
    symlink(world.at("sub"), outside.path().join("in")).unwrap();
    symlink(world.at(".treewal"), outside.path().join("own")).unwrap();
    let mut tx = world.tree.begin();
    for source in ["in/deep/f", "in/deep", "own/journal", "own/tree"] {
        let refused = tx.publish(outside.path().join(source), "there");
        assert!(matches!(refused, Err(Error::ThroughSymlink { .. })), "{source}: {refused:?}");
    }
    assert!(world.at("sub/deep/f").exists() && world.at(".treewal/journal").exists());
    // The link itself is as good as any other entry, and so is what stands beside the tree.
    tx.publish(outside.path().join("in/../own"), "own").unwrap_err();
    tx.publish(outside.path().join("in"), "there").unwrap();
    tx.commit().unwrap();
    assert_eq!(fs::read_link(world.at("there")).unwrap(), world.at("sub"));
    world.close();
}

#[test]
fn contents_that_find_no_room_in_the_stage_leave_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None).only(Verb::WriteAt));
    let tree = Options::new().inline_max(100).open_on(disk.clone(), dir.path()).unwrap();
    let mut tx = tree.begin();
    let mut file = tx.create("f").unwrap();
    file.write_all(&[1; 80]).unwrap();
    disk.arm(Fault::Error { at: 1, errno: errno::ENOSPC });
    let failed = file.write_all(&[2; 80]).unwrap_err();
    assert_eq!(failed.kind(), std::io::ErrorKind::StorageFull);
    drop(file);
    assert_eq!(tx.read("f").unwrap(), [1; 80]);
    let stage = fs::read_dir(dir.path().join(".treewal/stage")).unwrap();
    let stage = stage.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    assert_eq!(fs::read_dir(stage).unwrap().count(), 0);
}

#[test]
fn the_tree_itself_may_be_expected_unchanged() {
    let world = World::new();
    let mut tx = world.tree.begin();
    tx.expect(".", Expect::Unchanged).unwrap();
    assert!(tx.expect("", Expect::Absent).is_err());
    tx.write("f", "f").unwrap();
    tx.commit().unwrap();
    world.close();
}
