//! Publishing prepared files and directories.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal::{Publish, Tree};
use treewal_vfs::{RealDisk, RecordingDisk, Verb};

use crate::world::World;

/// A prepared directory outside of the tree, on its file system.
struct Prepared(tempfile::TempDir);

impl Prepared {
    fn new(files: &[(&str, &str)]) -> Self {
        let prepared = Self(tempfile::tempdir().unwrap());
        for (path, contents) in files {
            let path = prepared.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        prepared
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("next")
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_directory_from_outside_takes_the_place_of_an_old_one() {
    let world = World::new();
    fs::create_dir_all(world.at("site/old")).unwrap();
    fs::write(world.at("site/index"), "old").unwrap();
    let prepared = Prepared::new(&[("index", "new"), ("deep/page", "page")]);
    let mut tx = world.tree.begin();
    tx.publish(prepared.path(), "site").unwrap();
    // The transaction goes on working with it.
    assert_eq!(tx.read("site/index").unwrap(), b"new");
    tx.write("site/deep/page", "changed").unwrap();
    tx.write("site/version", "2").unwrap();
    assert!(!tx.exists("site/old").unwrap());
    assert_eq!(read(world.at("site/index")), "old");
    tx.commit().unwrap();
    assert_eq!(read(world.at("site/index")), "new");
    assert_eq!(read(world.at("site/deep/page")), "changed");
    assert_eq!(read(world.at("site/version")), "2");
    assert!(!world.at("site/old").exists() && !prepared.path().exists());
    world.close();
}

#[test]
fn where_nothing_comes_of_it_the_prepared_one_is_given_back() {
    let world = World::new();
    fs::create_dir(world.at("site")).unwrap();
    fs::write(world.at("site/mine"), "mine").unwrap();
    fs::create_dir(world.at("site/kept")).unwrap();
    let prepared = Prepared::new(&[("index", "new")]);
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(prepared.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let mut tx = world.tree.begin();
    tx.publish_with(Publish::new().keep_unmanaged(true), prepared.path(), "site").unwrap();
    assert!(!prepared.path().exists());
    drop(tx);
    assert_eq!(names(), ["index"]);
    // The same where the commit finds that somebody else was faster.
    let mut tx = world.tree.begin();
    tx.publish_with(Publish::new().keep_unmanaged(true), prepared.path(), "site").unwrap();
    fs::write(world.at("site/mine"), "somebody's").unwrap();
    let conflict = tx.commit();
    assert!(matches!(conflict, Err(treewal::Error::Conflict { .. })), "{conflict:?}");
    assert_eq!(names(), ["index"]);
    assert_eq!(read(world.at("site/mine")), "somebody's");
    // And where the operation fails.
    fs::write(world.at("file"), "").unwrap();
    let mut tx = world.tree.begin();
    assert_eq!(tx.publish(prepared.path(), "file").unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(tx.publish(prepared.path(), "none/site").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(tx.publish("/no/such/thing", "site").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(), ["index"]);
    drop(tx);
    world.close();
}

#[test]
fn unmanaged_entries_stay_and_are_never_missing() {
    let world = World::new();
    fs::create_dir_all(world.at("c/notes/deep")).unwrap();
    for (path, contents) in
        [("c/events", "old"), ("c/QUERY.md", "mine"), ("c/notes/deep/n", "note"), ("c/notes/x", "x")]
    {
        fs::write(world.at(path), contents).unwrap();
    }
    symlink("QUERY.md", world.at("c/link")).unwrap();
    fs::set_permissions(world.at("c/notes/deep"), Permissions::from_mode(0o750)).unwrap();
    let inode = fs::metadata(world.at("c/QUERY.md")).unwrap().ino();
    let prepared = Prepared::new(&[("events", "new"), ("notes/x", "new x")]);
    let mut tx = world.tree.begin();
    tx.publish_with(Publish::new().keep_unmanaged(true), prepared.path(), "c").unwrap();
    assert_eq!(tx.read("c/QUERY.md").unwrap(), b"mine");
    tx.commit().unwrap();
    for (path, contents) in
        [("c/events", "new"), ("c/QUERY.md", "mine"), ("c/notes/deep/n", "note"), ("c/notes/x", "new x")]
    {
        assert_eq!(read(world.at(path)), contents, "{path}");
    }
    assert_eq!(fs::read_link(world.at("c/link")).unwrap(), Path::new("QUERY.md"));
    assert_eq!(fs::metadata(world.at("c/QUERY.md")).unwrap().ino(), inode);
    assert_eq!(fs::metadata(world.at("c/notes/deep")).unwrap().mode() & 0o777, 0o750);
    world.close();
}

#[test]
fn a_prepared_one_inside_the_tree_is_named_either_way() {
    for absolute in [false, true] {
        let world = World::new();
        fs::create_dir_all(world.at("site")).unwrap();
        fs::write(world.at("site/kept"), "kept").unwrap();
        fs::create_dir_all(world.at("work/next")).unwrap();
        fs::write(world.at("work/next/index"), "new").unwrap();
        let source = if absolute { world.at("work/next") } else { "work/next".into() };
        world.tree.transaction(|tx| tx.publish_with(Publish::new().keep_unmanaged(true), &source, "site")).unwrap();
        assert_eq!((read(world.at("site/index")), read(world.at("site/kept"))), ("new".into(), "kept".into()));
        assert!(!world.at("work/next").exists());
        let mut tx = world.tree.begin();
        assert!(matches!(tx.publish(world.at(".treewal"), "x"), Err(treewal::Error::Reserved { .. })));
        assert_eq!(tx.publish("site", "site/in").unwrap_err().kind(), ErrorKind::InvalidInput);
        drop(tx);
        world.close();
    }
}

#[test]
fn a_file_takes_the_look_of_the_one_it_replaces() {
    let world = World::new();
    fs::write(world.at("conf"), "old").unwrap();
    fs::set_permissions(world.at("conf"), Permissions::from_mode(0o640)).unwrap();
    world.tree.transaction(|tx| tx.set_xattr("conf", "user.a", "1")).unwrap();
    let prepared = tempfile::tempdir().unwrap();
    let file = prepared.path().join("conf");
    fs::write(&file, "new").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    world.tree.transaction(|tx| tx.publish(&file, "conf")).unwrap();
    assert_eq!((read(world.at("conf")), fs::metadata(world.at("conf")).unwrap().mode() & 0o777), ("new".into(), 0o640));
    assert_eq!(world.xattrs("conf"), [("user.a".into(), b"1".to_vec())]);
    world.close();
}

#[test]
fn from_another_file_system_it_is_copied_and_stays_there() {
    let elsewhere = Path::new("/dev/shm");
    let world = World::new();
    let same = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.dev());
    if !elsewhere.is_dir() || same(elsewhere) == same(&world.at(".")) {
        eprintln!("skipped: there is no other file system");
        return;
    }
    let prepared = tempfile::tempdir_in(elsewhere).unwrap();
    let next = prepared.path().join("next");
    fs::create_dir_all(next.join("deep")).unwrap();
    fs::write(next.join("deep/f"), "new").unwrap();
    fs::set_permissions(next.join("deep/f"), Permissions::from_mode(0o604)).unwrap();
    symlink("deep/f", next.join("link")).unwrap();
    fs::set_permissions(next.join("deep"), Permissions::from_mode(0o555)).unwrap();
    let time = fs::metadata(next.join("deep")).unwrap().modified().unwrap();
    fs::create_dir(world.at("site")).unwrap();
    fs::write(world.at("site/old"), "").unwrap();
    drop({
        let mut tx = world.tree.begin();
        tx.publish(&next, "other").unwrap();
        tx
    });
    world.tree.transaction(|tx| tx.publish(&next, "site")).unwrap();
    assert_eq!(read(world.at("site/deep/f")), "new");
    assert_eq!(fs::metadata(world.at("site/deep/f")).unwrap().mode() & 0o777, 0o604);
    let deep = fs::metadata(world.at("site/deep")).unwrap();
    assert_eq!((deep.mode() & 0o777, deep.modified().unwrap()), (0o555, time));
    assert_eq!(fs::read_link(world.at("site/link")).unwrap(), Path::new("deep/f"));
    assert!(next.join("deep/f").exists() && !world.at("site/old").exists());
    world.close();
}

/// The cost does not know how many files there are.
#[test]
fn publishing_many_files_takes_as_many_calls_as_publishing_few() {
    let calls = |files: usize| {
        let dir = tempfile::tempdir().unwrap();
        let recording = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
        let tree: Tree = treewal::Options::new().open_on(Arc::clone(&recording) as _, dir.path()).unwrap();
        let prepared = tempfile::tempdir().unwrap();
        for at in [dir.path().join("site"), prepared.path().join("next")] {
            fs::create_dir(&at).unwrap();
            (0..files).for_each(|n| fs::write(at.join(n.to_string()), "x").unwrap());
        }
        tree.transaction(|tx| tx.write("first", "")).unwrap();
        recording.take();
        tree.transaction(|tx| tx.publish(prepared.path().join("next"), "site")).unwrap();
        // The files of the old directory are removed one by one, but not now.
        assert_eq!(recording.count(Verb::RemoveFile), 0);
        (recording.calls().len(), recording.count(Verb::Rename), recording.syncs())
    };
    assert_eq!(calls(2), calls(300));
}

#[test]
fn what_publishing_displaces_waits_for_its_removal_and_not_for_ever() {
    let world = World::new();
    let stage = world.at(".treewal/stage");
    let waiting = || {
        let owners = fs::read_dir(&stage).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        owners.map(|owner| fs::read_dir(owner).unwrap().count()).sum::<usize>()
    };
    let mut most = 0;
    for round in 0..40 {
        let next = world.at("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("f"), round.to_string()).unwrap();
        world.tree.transaction(|tx| tx.publish("next", "site")).unwrap();
        most = most.max(waiting());
    }
    assert!((2..=20).contains(&most), "{most} directories waited");
    world.tree.checkpoint().unwrap();
    assert_eq!(waiting(), 0);
    world.close();
}
