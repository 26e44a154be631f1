//! What may be left of mode, owner, times and extended attributes.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::tools::{BOTH, Desk, rel};
use crate::sim::{Node, Profile};
use crate::{Disk, Time};

fn nodes(desk: &Desk, profile: Profile, path: &str) -> Vec<Node> {
    let outcomes = desk.disk.outcomes(profile).exhaustive(10_000).unwrap();
    outcomes.filter_map(|outcome| desk.disk.after(&outcome).dump().get(&rel(path)).cloned()).collect()
}

const THEN: Time = Time { secs: 5, nanos: 6 };

#[test]
fn each_field_is_old_or_new_for_itself() {
    let desk = Desk::with(&["a"]);
    let a = OsStr::new("a");
    desk.disk.set_mode(&desk.root, a, 0o600).unwrap();
    desk.disk.set_owner(&desk.root, a, 7, 8).unwrap();
    desk.disk.set_xattr(&desk.root, a, "user.k".as_ref(), b"v").unwrap();
    let seen = |profile| -> BTreeSet<(u32, u32, u32, usize)> {
        nodes(&desk, profile, "a").iter().map(|node| (node.mode, node.uid, node.gid, node.xattrs.len())).collect()
    };
    let strict = seen(Profile::Strict);
    assert_eq!(strict.len(), 8);
    assert!(strict.iter().all(|(_, uid, gid, _)| (*uid, *gid) == (0, 0) || (*uid, *gid) == (7, 8)));
    let in_order = [(0o644, 0, 0, 0), (0o600, 0, 0, 0), (0o600, 7, 8, 0), (0o600, 7, 8, 1)];
    assert_eq!(seen(Profile::Ordered), BTreeSet::from(in_order));
}

#[test]
fn a_field_set_twice_may_have_either_value() {
    let desk = Desk::with(&["a"]);
    for mode in [0o600, 0o640] {
        desk.disk.set_mode(&desk.root, "a".as_ref(), mode).unwrap();
    }
    for profile in BOTH {
        let seen: BTreeSet<u32> = nodes(&desk, profile, "a").iter().map(|node| node.mode).collect();
        assert_eq!(seen, BTreeSet::from([0o644, 0o600, 0o640]));
    }
}

#[test]
fn a_new_file_has_the_mode_it_was_made_with_until_it_is_synced() {
    let desk = Desk::new();
    let file = desk.write("a", b"");
    desk.disk.set_mode(&desk.root, "a".as_ref(), 0o600).unwrap();
    desk.sync_dir("");
    let seen: BTreeSet<u32> = nodes(&desk, Profile::Strict, "a").iter().map(|node| node.mode).collect();
    assert_eq!(seen, BTreeSet::from([0o644, 0o600]));
    // A journal that holds the name, made before, holds the mode too.
    assert!(nodes(&desk, Profile::Ordered, "a").iter().all(|node| node.mode == 0o600));
    desk.disk.sync_file(&file).unwrap();
    assert!(nodes(&desk, Profile::Strict, "a").iter().all(|node| node.mode == 0o600));
}

#[test]
fn syncing_the_data_alone_leaves_times_and_modes_open() {
    let desk = Desk::with(&["a"]);
    let before = desk.disk.dump()[&rel("a")].modified;
    let file = desk.write("a", b"new");
    let after = desk.disk.dump()[&rel("a")].modified;
    assert!(before < after);
    desk.disk.sync_data(&file).unwrap();
    for profile in BOTH {
        let seen: BTreeSet<Time> = nodes(&desk, profile, "a").iter().map(|node| node.modified).collect();
        assert_eq!(seen, BTreeSet::from([before, after]));
    }
    desk.disk.sync_file(&file).unwrap();
    assert_eq!(nodes(&desk, Profile::Strict, "a").len(), 1);
}

#[test]
fn times_that_were_set_are_not_undone_by_an_older_change_that_comes_late() {
    let desk = Desk::with(&["d/", "d/a", "e/"]);
    desk.disk.set_times(&desk.root, "d".as_ref(), THEN, THEN).unwrap();
    desk.mv("d/a", "e/a");
    let moved = desk.disk.dump()[&rel("d")].modified;
    desk.sync_dir("e");
    // The move is certain and came after, so the time that was set has no say any more.
    for profile in BOTH {
        assert!(nodes(&desk, profile, "d").iter().all(|node| node.modified == moved));
    }
}

#[test]
fn syncing_a_directory_covers_its_own_metadata_and_not_that_of_its_files() {
    let desk = Desk::with(&["d/", "d/a"]);
    desk.disk.set_mode(&desk.root, "d".as_ref(), 0o700).unwrap();
    desk.disk.set_times(&desk.root, "d".as_ref(), THEN, THEN).unwrap();
    desk.disk.set_mode(&desk.dir("d"), "a".as_ref(), 0o600).unwrap();
    desk.sync_dir("d");
    let dirs = nodes(&desk, Profile::Strict, "d");
    assert!(dirs.iter().all(|node| node.mode == 0o700 && node.modified == THEN));
    let files: BTreeSet<u32> = nodes(&desk, Profile::Strict, "d/a").iter().map(|node| node.mode).collect();
    assert_eq!(files, BTreeSet::from([0o644, 0o600]));
}

#[test]
fn many_fields_are_lost_one_at_a_time() {
    let desk = Desk::with(&["a"]);
    for key in ["user.a", "user.b", "user.c", "user.d", "user.e"] {
        desk.disk.set_xattr(&desk.root, "a".as_ref(), key.as_ref(), b"v").unwrap();
    }
    let counts: Vec<usize> = nodes(&desk, Profile::Strict, "a").iter().map(|node| node.xattrs.len()).collect();
    assert_eq!(counts, [0, 5, 4, 4, 4, 4, 4]);
    let outcomes = desk.disk.outcomes(Profile::Strict);
    let random: BTreeSet<usize> =
        outcomes.sample(3, 200).map(|outcome| desk.disk.after(&outcome).dump()[&rel("a")].xattrs.len()).collect();
    assert_eq!(random.len(), 6);
}
