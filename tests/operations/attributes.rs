//! Mode, owner, times and extended attributes.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

use treewal::{Error, FileTimes, How};

use crate::world::{World, is_root};

fn times(secs: u64) -> FileTimes {
    let at = |secs| UNIX_EPOCH + Duration::new(secs, 123_456_789);
    FileTimes::new().set_accessed(at(secs + 1)).set_modified(at(secs))
}

#[test]
fn times_are_set_to_the_nanosecond_on_what_is_there_and_on_what_is_new() {
    let world = World::new();
    fs::write(world.at("old"), "old").unwrap();
    fs::create_dir(world.at("dir")).unwrap();
    let mut tx = world.tree.begin();
    tx.write("dir/new", "new").unwrap();
    tx.create_dir("made").unwrap();
    tx.write("made/large", vec![7; 200_000]).unwrap();
    for (secs, path) in [(10, "old"), (20, "dir"), (30, "dir/new"), (40, "made"), (50, "made/large")] {
        tx.set_times(path, times(secs)).unwrap();
        assert_eq!(tx.metadata(path).unwrap().modified(), Some(UNIX_EPOCH + Duration::new(secs, 123_456_789)));
    }
    tx.commit().unwrap();
    for (secs, path) in [(10, "old"), (20, "dir"), (30, "dir/new"), (40, "made"), (50, "made/large")] {
        let found = fs::metadata(world.at(path)).unwrap();
        assert_eq!((found.mtime(), found.mtime_nsec()), (secs, 123_456_789), "{path}");
        assert_eq!(found.atime_nsec(), 123_456_789, "{path}");
    }
    // Only one of the two, from before 1970, and what is written afterwards has its own time.
    let old = UNIX_EPOCH - Duration::from_millis(1500);
    world.tree.transaction(|tx| tx.set_times("old", FileTimes::new().set_modified(old))).unwrap();
    let found = fs::metadata(world.at("old")).unwrap();
    assert_eq!((found.mtime(), found.mtime_nsec(), found.atime()), (-2, 500_000_000, 11));
    world.tree.transaction(|tx| tx.write("old", "newer")).unwrap();
    assert!(fs::metadata(world.at("old")).unwrap().mtime() > 1_000_000_000);
    world.close();
}

#[test]
fn a_directory_keeps_the_time_that_was_set_though_it_is_the_one_it_had() {
    let world = World::new();
    fs::create_dir(world.at("dir")).unwrap();
    fs::write(world.at("dir/old"), "old").unwrap();
    let time = |world: &World| {
        let found = fs::metadata(world.at("dir")).unwrap();
        (found.mtime(), found.mtime_nsec())
    };
    world.tree.transaction(|tx| tx.set_times("dir", times(20))).unwrap();
    for body in [
        |tx: &mut treewal::Transaction| tx.write("dir/old", "other"),
        |tx: &mut treewal::Transaction| tx.write("dir/new", "new"),
        |tx: &mut treewal::Transaction| tx.remove_file("dir/old"),
        |tx: &mut treewal::Transaction| tx.rename("dir/new", "dir/newer"),
    ] {
        world.tree.transaction(|tx| body(tx).and_then(|()| tx.set_times("dir", times(20)))).unwrap();
        assert_eq!(time(&world), (20, 123_456_789));
    }
    // Nothing changes, and so nothing is written.
    let mut tx = world.tree.begin();
    assert!(tx.exists("dir/newer").unwrap());
    tx.set_times("dir", FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(20, 123_456_789))).unwrap();
    assert_eq!(tx.commit().unwrap().id, 0);
    world.close();
}

#[test]
fn a_directory_that_its_owner_may_not_fill_is_filled_first() {
    let world = World::new();
    let mut tx = world.tree.begin();
    tx.create_dir_all("closed/deeper").unwrap();
    tx.write("closed/deeper/file", "in").unwrap();
    tx.set_permissions("closed/deeper", Permissions::from_mode(0o111)).unwrap();
    tx.set_permissions("closed", Permissions::from_mode(0o0)).unwrap();
    tx.commit().unwrap();
    let mode = |path| fs::metadata(world.at(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("closed"), if is_root() { mode("closed/deeper") } else { 0o111 }), (0, 0o111));
    fs::set_permissions(world.at("closed"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(mode("closed/deeper"), 0o111);
    world.close();
}

#[test]
fn extended_attributes_are_set_replaced_removed_and_kept() {
    let world = World::new();
    fs::write(world.at("f"), "old").unwrap();
    let tx_xattrs = |tx: &treewal::Transaction| tx.xattrs("f").unwrap();
    let mut tx = world.tree.begin();
    tx.set_xattr("f", "user.a", "1").unwrap();
    tx.set_xattr("f", "user.b", "2").unwrap();
    assert_eq!(tx_xattrs(&tx), [("user.a".into(), b"1".to_vec()), ("user.b".into(), b"2".to_vec())]);
    assert_eq!(world.xattrs("f"), []);
    assert_eq!(tx.changes()[0].how, How::Attributes);
    tx.commit().unwrap();
    let mut tx = world.tree.begin();
    tx.remove_xattr("f", "user.a").unwrap();
    tx.write("f", "new").unwrap();
    tx.set_xattr("f", "user.c", "3").unwrap();
    tx.commit().unwrap();
    assert_eq!(world.xattrs("f"), [("user.b".into(), b"2".to_vec()), ("user.c".into(), b"3".to_vec())]);
    // What comes and goes is no change.
    let mut tx = world.tree.begin();
    tx.set_xattr("f", "user.d", "4").unwrap();
    tx.remove_xattr("f", "user.d").unwrap();
    assert_eq!(tx.commit().unwrap().changes, 0);
    world.close();
}

#[test]
fn a_file_that_is_published_has_the_attributes_of_the_one_that_it_replaces_and_no_others() {
    let world = World::new();
    fs::write(world.at("f"), "old").unwrap();
    fs::write(world.at("next"), "new").unwrap();
    world
        .tree
        .transaction(|tx| {
            tx.set_xattr("f", "user.a", "1")?;
            tx.set_xattr("next", "user.a", "2")?;
            tx.set_xattr("next", "user.b", "3")
        })
        .unwrap();
    world.tree.transaction(|tx| tx.publish("next", "f")).unwrap();
    assert_eq!(fs::read_to_string(world.at("f")).unwrap(), "new");
    assert_eq!(world.xattrs("f"), [("user.a".into(), b"1".to_vec())]);
    // Made in the same transaction, and replacing one that has none.
    world
        .tree
        .transaction(|tx| {
            tx.write("bare", "old")?;
            tx.write("next", "newer")?;
            tx.set_xattr("next", "user.b", "3")?;
            tx.publish("next", "bare")
        })
        .unwrap();
    assert_eq!(world.xattrs("bare"), []);
    world.close();
}

#[test]
fn an_attribute_that_cannot_be_is_refused_where_it_is_asked_for() {
    let world = World::new();
    fs::write(world.at("f"), "").unwrap();
    symlink("f", world.at("link")).unwrap();
    let mut tx = world.tree.begin();
    let kind = |result: treewal::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(tx.remove_xattr("f", "user.none")), ErrorKind::NotFound);
    assert_eq!(kind(tx.set_xattr("f", "nowhere.a", "")), ErrorKind::Unsupported);
    assert_eq!(kind(tx.set_xattr("f", format!("user.{}", "a".repeat(300)), "")), ErrorKind::InvalidInput);
    assert_eq!(kind(tx.set_xattr("f", "user.a", vec![0; 70_000])), ErrorKind::InvalidInput);
    assert_eq!(kind(tx.set_times("none", times(1))), ErrorKind::NotFound);
    assert_eq!(kind(tx.chown("f", Some(u32::MAX), None)), ErrorKind::InvalidInput);
    for refused in [
        tx.set_times("link", times(1)),
        tx.set_xattr("link", "user.a", ""),
        tx.chown("link", Some(1), None),
        tx.set_permissions("link", Permissions::from_mode(0o0)),
    ] {
        assert!(matches!(refused, Err(Error::ThroughSymlink { .. })), "{refused:?}");
    }
    assert_eq!(tx.changes(), []);
}

#[test]
fn an_owner_is_given_to_files_directories_and_links_and_clears_the_set_id_bits() {
    if !is_root() {
        return;
    }
    let world = World::new();
    fs::write(world.at("f"), "").unwrap();
    fs::set_permissions(world.at("f"), Permissions::from_mode(0o6755)).unwrap();
    symlink("f", world.at("link")).unwrap();
    let mut tx = world.tree.begin();
    tx.chown("f", Some(7), None).unwrap();
    tx.lchown("link", Some(5), Some(6)).unwrap();
    tx.create_dir("d").unwrap();
    tx.write("d/new", "").unwrap();
    tx.set_permissions("d/new", Permissions::from_mode(0o4711)).unwrap();
    tx.chown("d/new", None, Some(9)).unwrap();
    tx.chown("d/new", Some(8), None).unwrap();
    assert_eq!(tx.metadata("f").unwrap().mode(), Some(0o755));
    assert_eq!((tx.metadata("d/new").unwrap().uid(), tx.metadata("d/new").unwrap().gid()), (Some(8), Some(9)));
    tx.commit().unwrap();
    let owner = |path| {
        let found = fs::symlink_metadata(world.at(path)).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(owner("f"), (7, 0, 0o755));
    assert_eq!((owner("link").0, owner("link").1), (5, 6));
    assert_eq!(owner("d/new"), (8, 9, 0o711));
    // A file that takes its place keeps its owner.
    world.tree.transaction(|tx| tx.write("d/new", "newer")).unwrap();
    assert_eq!(owner("d/new"), (8, 9, 0o711));
    world.close();
}

#[test]
fn a_name_that_changes_after_it_takes_a_directorys_time_along() {
    let world = World::new();
    fs::create_dir(world.at("d")).unwrap();
    let mut tx = world.tree.begin();
    tx.set_times("d", times(10)).unwrap();
    tx.write("d/f", "").unwrap();
    tx.create_dir("e").unwrap();
    tx.write("e/f", "").unwrap();
    tx.set_times("e", times(20)).unwrap();
    // What fails changes nothing.
    assert!(tx.update("e/f", |_| -> std::io::Result<()> { Err(ErrorKind::Other.into()) }).is_err());
    tx.commit().unwrap();
    let time = |path| fs::metadata(world.at(path)).unwrap().mtime();
    assert!(time("d") > 1_000_000_000);
    assert_eq!(time("e"), 20);
    world.close();
}
