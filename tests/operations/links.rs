//! Hard links, and parts of files.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;

use treewal::{Error, How, Options};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Open, RelPath, write_all};

use crate::world::World;

#[test]
fn names_of_one_file_are_one_file_before_and_after_the_commit() {
    let world = World::new();
    fs::write(world.at("old"), "old").unwrap();
    let mut tx = world.tree.begin();
    tx.hard_link("old", "second").unwrap();
    tx.rename("old", "first").unwrap();
    tx.write("new", vec![1; 100_000]).unwrap();
    tx.create_dir("d").unwrap();
    tx.hard_link("new", "d/new too").unwrap();
    tx.symlink("nowhere", "link").unwrap();
    tx.hard_link("link", "d/link too").unwrap();
    assert_eq!(tx.read("second").unwrap(), b"old");
    // Writing is replacing: the other name keeps what it has.
    tx.hard_link("second", "third").unwrap();
    tx.append("third", "er").unwrap();
    tx.write("m", "m").unwrap();
    tx.hard_link("m", "n").unwrap();
    tx.append("n", "n").unwrap();
    tx.commit().unwrap();
    let inode = |path| fs::symlink_metadata(world.at(path)).unwrap().ino();
    assert_eq!(inode("first"), inode("second"));
    assert_eq!(inode("new"), inode("d/new too"));
    assert_eq!(inode("link"), inode("d/link too"));
    assert_eq!(fs::metadata(world.at("d/new too")).unwrap().len(), 100_000);
    let read = |path| fs::read_to_string(world.at(path)).unwrap();
    assert_eq!((read("first"), read("third")), ("old".into(), "older".into()));
    assert_eq!((read("m"), read("n")), ("m".into(), "mn".into()));
    world.close();
}

#[test]
fn a_link_is_refused_where_std_fs_refuses_it() {
    let world = World::new();
    fs::write(world.at("f"), "").unwrap();
    fs::create_dir(world.at("d")).unwrap();
    let mut tx = world.tree.begin();
    for (original, link, kind) in [
        ("none", "n", ErrorKind::NotFound),
        ("f", "d", ErrorKind::AlreadyExists),
        ("f", "f", ErrorKind::AlreadyExists),
        ("d", "e", ErrorKind::PermissionDenied),
        ("f", "none/n", ErrorKind::NotFound),
        ("f", "f/n", ErrorKind::NotADirectory),
    ] {
        assert_eq!(tx.hard_link(original, link).unwrap_err().kind(), kind, "{original} {link}");
        assert_eq!(fs::hard_link(world.at(original), world.at(link)).unwrap_err().kind(), kind, "{original} {link}");
    }
    assert_eq!(tx.changes(), []);
    tx.hard_link("f", "g").unwrap();
    assert_eq!(tx.changes()[0].how, How::Linked { original: "f".into() });
    // Whoever changes the original before the commit is not linked over.
    fs::write(world.at("f"), "foreign").unwrap();
    assert!(matches!(tx.commit(), Err(treewal::Error::Conflict { path, .. }) if path == std::path::Path::new("f")));
    assert!(!world.at("g").exists());
    world.close();
}

#[test]
fn an_update_changes_a_part_and_leaves_the_rest() {
    let world = World::new();
    let body: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
    fs::write(world.at("large"), &body).unwrap();
    fs::write(world.at("small"), "0123456789").unwrap();
    symlink("small", world.at("link")).unwrap();
    let mut tx = world.tree.begin();
    let head = tx.update("large", |file| {
        let mut head = [0; 4];
        file.read_exact(&mut head)?;
        file.seek(SeekFrom::Start(150_000))?;
        file.write_all(b"part")?;
        Ok(head)
    });
    assert_eq!(head.unwrap(), [0, 1, 2, 3]);
    tx.update("small", |file| file.set_len(4)).unwrap();
    tx.update("small", |file| file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(b"!"))).unwrap();
    // One that fails leaves the file as it was.
    let failed: treewal::Result<()> = tx.update("small", |file| {
        file.write_all(b"gone")?;
        Err(ErrorKind::Other.into())
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(tx.read("small").unwrap(), b"0123!");
    assert_eq!(tx.update("none", |_| Ok(())).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(matches!(tx.update("link", |_| Ok(())), Err(treewal::Error::ThroughSymlink { .. })));
    tx.commit().unwrap();
    let mut wanted = body;
    wanted[150_000..150_004].copy_from_slice(b"part");
    assert_eq!(fs::read(world.at("large")).unwrap(), wanted);
    assert_eq!(fs::read_to_string(world.at("small")).unwrap(), "0123!");
    world.close();
}

#[test]
fn attributes_of_what_has_got_another_name_meanwhile_are_a_conflict() {
    let world = World::new();
    fs::write(world.at("one"), "one").unwrap();
    let mut tx = world.tree.begin();
    tx.set_permissions("one", fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(world.at("one"), world.at("two")).unwrap();
    let error = tx.commit().unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    // Who looks again sees both names.
    world.tree.transaction(|tx| tx.set_permissions("one", fs::Permissions::from_mode(0o600))).unwrap();
    assert_eq!(fs::metadata(world.at("two")).unwrap().mode() & 0o777, 0o600);
    world.close();
}

#[test]
fn attributes_are_set_through_one_name_of_a_file_in_one_transaction() {
    let world = World::new();
    fs::write(world.at("a"), "a").unwrap();
    fs::hard_link(world.at("a"), world.at("b")).unwrap();
    let mut tx = world.tree.begin();
    let mode = |mode| Permissions::from_mode(mode);
    tx.set_permissions("a", mode(0o600)).unwrap();
    assert_eq!(tx.set_permissions("b", mode(0o644)).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(tx.set_xattr("b", "user.a", "1").unwrap_err().kind(), ErrorKind::Unsupported);
    // What was set to what it is, is not set.
    tx.set_permissions("a", mode(fs::metadata(world.at("a")).unwrap().mode() & 0o7777)).unwrap();
    tx.set_permissions("b", mode(0o640)).unwrap();
    tx.commit().unwrap();
    assert_eq!(fs::metadata(world.at("a")).unwrap().mode() & 0o7777, 0o640);
    world.close();
}

/// A power loss brings the old file back, whose bytes are those that were written: it is not what was written, and what that is
/// given the other name of the old file must not get.
#[test]
fn the_same_bytes_under_a_second_name_are_not_yet_what_was_written() {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&root, "a".as_ref(), Open::CreateNew { mode: 0o644 }).unwrap();
    write_all(&disk, &file, b"same", 0).unwrap();
    disk.hard_link(&root, "a".as_ref(), &root, "other".as_ref()).unwrap();
    let open = |disk: &SimDisk| Options::new().open_on(Arc::new(disk.clone()), "/").unwrap();
    let tree = open(&disk);
    disk.sync_all(&root).unwrap();
    let mut tx = tree.begin();
    tx.write("a", "same").unwrap();
    tx.set_permissions("a", Permissions::from_mode(0o600)).unwrap();
    tx.commit().unwrap();
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    let modes = || ["a", "other"].map(|path| lost.dump()[&RelPath::new(path).unwrap()].mode & 0o777);
    assert_eq!(modes(), [0o644, 0o644]);
    drop(open(&lost));
    assert_eq!(modes(), [0o600, 0o644]);
}
