//! What only root can do, and what others must do without.

use std::os::unix::process::CommandExt;
use std::process::Command;

use treewal_snapshot::{Check, Sharing};
use treewal_vfs::{Disk, Kind, Meta, RealDisk};

use crate::bed::{Bed, assert_same, rel};

/// Nobody, on most systems; nothing here is theirs but what the test makes.
const SOMEBODY: u32 = 65_534;

/// Set for the run of this very test as somebody else.
const INNER: &str = "TREEWAL_TEST_AS_SOMEBODY";

#[test]
fn owners_special_files_and_access_control_lists_come_back_where_we_may() {
    let disk = RealDisk;
    if disk.user() != 0 {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let bed = Bed::new(&disk, home.path());
    bed.dir("w");
    let like = bed.meta("w");
    for (path, kind, rdev) in
        [("w/null", Kind::CharDevice, 0x103), ("w/loop", Kind::BlockDevice, 0x700), ("w/socket", Kind::Socket, 0)]
    {
        let path = rel(path);
        let (dir, name) = bed.at(&path);
        // A container may forbid devices to its root.
        let made = disk.make_node(&dir, name, &Meta { kind, rdev, mode: 0o600, ..like });
        assert!(made.is_ok() || kind != Kind::Socket, "{made:?}");
    }
    for path in ["w/theirs", "w/list"] {
        bed.write(path, b"contents");
    }
    bed.symlink("theirs", "w/link");
    for path in ["w/theirs", "w/link"].map(rel) {
        let (dir, name) = bed.at(&path);
        disk.set_owner(&dir, name, 1000, 1001).unwrap();
    }
    bed.mode("w/theirs", 0o4755);
    let is_listed = list(&bed, 6);
    let before = bed.dump();

    for sharing in [Sharing::Copy, Sharing::HardLink] {
        for entry in disk.list(&bed.private).unwrap() {
            treewal_vfs::remove_tree(&disk, &bed.private, &entry.name).unwrap();
        }
        bed.take(&["w"], sharing).unwrap();
        bed.remove("w");
        bed.restore(Check::Attributes).unwrap();
        assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
    }
    for entry in disk.list(&bed.private).unwrap() {
        treewal_vfs::remove_tree(&disk, &bed.private, &entry.name).unwrap();
    }
    bed.take(&["w"], Sharing::Copy).unwrap();
    let path = rel("w/theirs");
    let (dir, name) = bed.at(&path);
    disk.set_owner(&dir, name, 5, 5).unwrap();
    assert_eq!(is_listed, list(&bed, 4));
    bed.restore(Check::Attributes).unwrap();
    assert_same(&before, &bed.dump(), "in place");
}

/// Gives `w/list` an access control list: user 1000 may `permissions`. Says whether the file system has such things.
fn list(bed: &Bed<'_>, permissions: u16) -> bool {
    const NOBODY: u32 = u32::MAX;
    let entries = [(1, 6, NOBODY), (2, permissions, 1000), (4, 4, NOBODY), (0x10, 6, NOBODY), (0x20, 4, NOBODY)];
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&u16::to_le_bytes(tag));
        value.extend_from_slice(&u16::to_le_bytes(permissions));
        value.extend_from_slice(&u32::to_le_bytes(id));
    }
    let path = rel("w/list");
    let (dir, name) = bed.at(&path);
    bed.disk.set_xattr(&dir, name, "system.posix_acl_access".as_ref(), &value).is_ok()
}

#[test]
fn somebody_who_is_not_root_restores_what_is_read_only_and_locked() {
    if RealDisk.user() == 0 && std::env::var_os(INNER).is_none() {
        let home = tempfile::tempdir().unwrap();
        // Run anew without privilege: the program itself may lie where only root can read it.
        let program = home.path().join("test");
        let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
        assert!(copied.success());
        Bed::new(&RealDisk, home.path()).disk.set_mode(&root(home.path()), "test".as_ref(), 0o755).unwrap();
        let opened = Command::new("chmod").arg("0777").arg(home.path()).status().unwrap();
        assert!(opened.success());
        let name = "privilege::somebody_who_is_not_root_restores_what_is_read_only_and_locked";
        let out = Command::new(program)
            .args(["--exact", name, "--nocapture"])
            .env(INNER, "1")
            .env("TMPDIR", home.path())
            .uid(SOMEBODY)
            .gid(SOMEBODY)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    assert_ne!(RealDisk.user(), 0);
    for sharing in [Sharing::Auto, Sharing::Copy, Sharing::HardLink] {
        locked(sharing);
    }
}

fn root(path: &std::path::Path) -> treewal_vfs::Dir {
    RealDisk.open_root(path).unwrap()
}

fn locked(sharing: Sharing) {
    let home = tempfile::tempdir().unwrap();
    let bed = Bed::new(&RealDisk, home.path());
    for path in ["w", "w/locked", "w/locked/inner", "w/other"] {
        bed.dir(path);
    }
    for path in ["w/locked/inner/file", "w/locked/read-only", "w/other/file"] {
        bed.write(path, b"contents");
        bed.xattr(path, "user.tag", "one");
    }
    bed.mode("w/locked/read-only", 0o400);
    bed.mode("w/locked/inner", 0o500);
    bed.mode("w/locked", 0o500);
    let before = bed.dump();
    bed.take(&["w"], sharing).unwrap();

    bed.mode("w/locked", 0o700);
    bed.mode("w/locked/inner", 0o700);
    bed.remove("w/locked/read-only");
    bed.replace("w/locked/inner/file", b"another");
    bed.dir("w/new");
    bed.write("w/new/file", b"new");
    bed.remove("w/other/file");
    // Nobody may even look into these any more, their owner included.
    for path in ["w/new", "w/locked/inner", "w/locked", "w/other"] {
        bed.mode(path, 0o000);
    }
    bed.restore(Check::Attributes).unwrap();
    assert_same(&before, &bed.dump(), &format!("{sharing:?}"));
    if sharing != Sharing::HardLink {
        bed.mode("w/locked/read-only", 0o600);
        bed.xattr("w/locked/read-only", "user.tag", "two");
        bed.mode("w/locked/read-only", 0o400);
        bed.restore(Check::Contents).unwrap();
        assert_same(&before, &bed.dump(), &format!("{sharing:?}, in place"));
    }
}
