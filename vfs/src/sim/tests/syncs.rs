//! Syncs that fail, and what each profile makes of the ones that succeed.

use super::tools::{Desk, rel};
use crate::sim::{Lose, Profile};
use crate::{Disk, errno};

#[test]
fn after_a_failed_sync_a_later_one_proves_nothing_about_the_same_bytes() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", b"new");
    desk.disk.fail_sync_at(Some(1));
    assert_eq!(desk.disk.sync_data(&file).unwrap_err().raw_os_error(), Some(errno::EIO));
    desk.disk.sync_data(&file).unwrap();
    desk.leaves(&["a=000", "a=new", "a=old"], &["a=new", "a=old"]);
    // Written again and synced, they are durable.
    desk.write("a", b"NEW");
    desk.disk.sync_data(&file).unwrap();
    desk.leaves(&["a=NEW"], &["a=NEW"]);
}

#[test]
fn a_sync_after_a_failed_one_covers_what_came_after_it() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", b"one");
    desk.disk.fail_sync_at(Some(1));
    desk.disk.sync_data(&file).unwrap_err();
    crate::write_all(&desk.disk, &file, b"two", 3).unwrap();
    desk.disk.sync_data(&file).unwrap();
    desk.leaves(&["a=000two", "a=oldtwo", "a=onetwo"], &["a=oldtwo", "a=onetwo"]);
}

#[test]
fn a_failed_sync_of_a_directory_leaves_its_names_in_doubt_for_good() {
    let desk = Desk::with(&["a", "b"]);
    desk.mv("a", "c");
    desk.disk.fail_sync_at(Some(1));
    desk.disk.sync_dir(&desk.root).unwrap_err();
    desk.mv("b", "d");
    desk.disk.sync_all(&desk.root).unwrap();
    desk.leaves(&["a=old d=old", "c=old d=old"], &["a=old d=old", "c=old d=old"]);
}

#[test]
fn what_needs_a_name_in_doubt_is_in_doubt_too() {
    let desk = Desk::with(&["a"]);
    desk.mv("a", "b");
    desk.disk.fail_sync_at(Some(1));
    desk.disk.sync_dir(&desk.root).unwrap_err();
    desk.mv("b", "c");
    desk.disk.sync_dir(&desk.root).unwrap();
    desk.leaves(&["a=old", "b=old", "c=old"], &["a=old", "b=old", "c=old"]);
}

#[test]
fn a_failed_sync_of_everything_leaves_metadata_in_doubt_until_it_is_set_again() {
    let desk = Desk::with(&["a"]);
    let modes = || -> Vec<u32> {
        let outcomes = desk.disk.outcomes(Profile::Strict).exhaustive(10).unwrap();
        outcomes.map(|outcome| desk.disk.after(&outcome).dump()[&rel("a")].mode).collect()
    };
    desk.disk.set_mode(&desk.root, "a".as_ref(), 0o600).unwrap();
    desk.disk.fail_sync_at(Some(1));
    desk.disk.sync_all(&desk.root).unwrap_err();
    desk.disk.sync_all(&desk.root).unwrap();
    assert_eq!(modes(), [0o644, 0o600]);
    desk.disk.set_mode(&desk.root, "a".as_ref(), 0o640).unwrap();
    desk.disk.sync_all(&desk.root).unwrap();
    assert_eq!(modes(), [0o640]);
}

#[test]
fn where_contents_alone_are_lost_a_later_sync_covers_names_and_metadata() {
    let desk = Desk::with(&["a", "b"]);
    desk.disk.set_failed_syncs(Lose::Contents);
    desk.write("a", b"new");
    desk.mv("b", "c");
    desk.disk.set_mode(&desk.root, "c".as_ref(), 0o600).unwrap();
    desk.disk.fail_sync_at(Some(1));
    desk.disk.sync_all(&desk.root).unwrap_err();
    desk.leaves(
        &["a=000 b=old", "a=000 c=old", "a=new b=old", "a=new c=old", "a=old b=old", "a=old c=old"],
        &["a=new b=old", "a=new c=old", "a=old b=old", "a=old c=old"],
    );
    desk.disk.sync_all(&desk.root).unwrap();
    desk.leaves(&["a=000 c=old", "a=new c=old", "a=old c=old"], &["a=new c=old", "a=old c=old"]);
    let lost = desk.disk.after(&desk.disk.outcomes(Profile::Strict).nothing());
    assert_eq!(lost.dump()[&rel("c")].mode, 0o600);
}

#[test]
fn one_sync_commits_the_journal_of_an_ordered_file_system_up_to_now_only() {
    let desk = Desk::with(&["a", "b", "d/"]);
    desk.mv("a", "d/a");
    desk.mv("b", "c");
    let file = desk.write("x", b"x");
    desk.disk.sync_file(&file).unwrap();
    desk.mv("c", "e");
    desk.leaves(
        &[
            "a=old b=old d/",
            "a=old b=old d/ x=x",
            "a=old c=old d/",
            "a=old c=old d/ x=x",
            "a=old d/ e=old",
            "a=old d/ e=old x=x",
            "b=old d/ d/a=old",
            "b=old d/ d/a=old x=x",
            "c=old d/ d/a=old",
            "c=old d/ d/a=old x=x",
            "d/ d/a=old e=old",
            "d/ d/a=old e=old x=x",
        ],
        &["c=old d/ d/a=old x=x", "d/ d/a=old e=old x=x"],
    );
}

#[test]
fn syncing_data_commits_no_journal() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("x", b"x");
    desk.disk.sync_data(&file).unwrap();
    desk.leaves(&["a=old", "a=old x=x"], &["a=old", "a=old x=x"]);
}

#[test]
fn syncing_a_directory_opened_as_a_file_is_syncing_the_directory() {
    let desk = Desk::with(&["d/"]);
    drop(desk.write("d/a", b""));
    let as_file = desk.open("d", crate::Open::Read);
    desk.disk.sync_file(&as_file).unwrap();
    desk.leaves(&["d/ d/a="], &["d/ d/a="]);
}

#[test]
fn the_named_outcomes_are_what_their_names_say() {
    for profile in [Profile::Strict, Profile::Ordered] {
        let desk = Desk::with(&["a"]);
        desk.write("a", b"new");
        drop(desk.write("b", b"more"));
        let outcomes = desk.disk.outcomes(profile);
        assert_eq!((outcomes.open_names(), outcomes.open_files()), (1, 2));
        let named = [
            outcomes.nothing(),
            outcomes.everything(),
            outcomes.names_without_contents(),
            outcomes.names_and_lengths(),
            outcomes.contents_without_names(),
        ];
        let lines = named.map(|outcome| super::tools::line(&desk.disk.after(&outcome).dump()));
        let zeros = if profile == Profile::Strict { "a=000 b=0000" } else { "a=old b=0000" };
        assert_eq!(lines, ["a=old", "a=new b=more", "a=old b=", zeros, "a=new"], "{profile:?}");
    }
}

/// ext4 commits what came before along with what is synced; btrfs logs what is synced alone, and strict knows no order at all.
#[test]
fn a_sync_of_one_directory_says_of_another_what_the_profile_says() {
    let desk = Desk::with(&["d/", "e/", "d/a", "e/b"]);
    desk.mv("d/a", "d/c");
    desk.mv("e/b", "e/f");
    desk.disk.sync_dir(&desk.dir("e")).unwrap();
    let left = |profile: Profile| -> std::collections::BTreeSet<bool> {
        let outcomes = desk.disk.outcomes(profile).exhaustive(10).unwrap();
        let trees = outcomes.map(|outcome| desk.disk.after(&outcome).dump());
        trees
            .inspect(|tree| assert!(tree.contains_key(&rel("e/f"))))
            .map(|tree| tree.contains_key(&rel("d/c")))
            .collect()
    };
    assert_eq!(left(Profile::Ordered), [true].into());
    assert_eq!(left(Profile::Grouped), [false, true].into());
    assert_eq!(left(Profile::Strict), [false, true].into());
    // Names that no sync has covered survive in their order, and strict knows none.
    desk.mv("e/f", "e/g");
    let both = |profile: Profile| -> std::collections::BTreeSet<(bool, bool)> {
        let outcomes = desk.disk.outcomes(profile).exhaustive(20).unwrap();
        let trees = outcomes.map(|outcome| desk.disk.after(&outcome).dump());
        trees.map(|tree| (tree.contains_key(&rel("d/c")), tree.contains_key(&rel("e/g")))).collect()
    };
    assert_eq!(both(Profile::Grouped), [(false, false), (true, false), (true, true)].into());
    assert_eq!(both(Profile::Strict).len(), 4);
}
