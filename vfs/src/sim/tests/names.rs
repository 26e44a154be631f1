//! Which changes of names may survive a crash.

use std::collections::BTreeSet;

use super::tools::{Desk, line};
use crate::sim::Profile;
use crate::{Disk, Open, Rename};

#[test]
fn a_new_name_may_vanish_until_its_directory_is_synced() {
    let desk = Desk::new();
    let file = desk.write("a", b"new");
    desk.disk.sync_file(&file).unwrap();
    desk.leaves(&["", "a=new"], &["a=new"]);
    desk.sync_dir("");
    desk.leaves(&["a=new"], &["a=new"]);
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_and_never_missing() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("t", b"new");
    desk.disk.sync_data(&file).unwrap();
    desk.sync_dir("");
    desk.mv("t", "a");
    desk.leaves(&["a=old t=new", "a=new"], &["a=old t=new", "a=new"]);
}

#[test]
fn a_replaced_file_may_be_empty_where_the_new_one_was_not_synced() {
    let desk = Desk::with(&["a"]);
    desk.write("t", b"new");
    desk.mv("t", "a");
    let all = ["a=", "a=000", "a=new", "a=old", "a=old t=", "a=old t=000", "a=old t=new"];
    desk.leaves(&all, &all);
}

#[test]
fn an_exchange_is_whole() {
    let desk = Desk::with(&["d/", "e/", "d/a", "e/b"]);
    let file = desk.write("d/a", b"new");
    desk.disk.sync_file(&file).unwrap();
    desk.rename("d/a", "e/b", Rename::Exchange);
    let all = ["d/ d/a=new e/ e/b=old", "d/ d/a=old e/ e/b=new"];
    desk.leaves(&all, &all);
    desk.sync_dir("e");
    desk.leaves(&["d/ d/a=old e/ e/b=new"], &["d/ d/a=old e/ e/b=new"]);
}

#[test]
fn a_move_between_directories_is_whole_and_either_sync_pins_it() {
    for side in ["d", "e"] {
        let desk = Desk::with(&["d/", "e/", "d/a"]);
        desk.mv("d/a", "e/a");
        let all = ["d/ d/a=old e/", "d/ e/ e/a=old"];
        desk.leaves(&all, &all);
        desk.sync_dir(side);
        desk.leaves(&["d/ e/ e/a=old"], &["d/ e/ e/a=old"]);
    }
}

#[test]
fn independent_renames_are_kept_in_any_order_unless_the_file_system_orders_them() {
    let desk = Desk::with(&["a", "b"]);
    desk.mv("a", "c");
    desk.mv("b", "d");
    desk.leaves(
        &["a=old b=old", "b=old c=old", "a=old d=old", "c=old d=old"],
        &["a=old b=old", "b=old c=old", "c=old d=old"],
    );
}

#[test]
fn changes_of_one_name_are_kept_in_their_order() {
    let desk = Desk::with(&["a", "b"]);
    desk.mv("a", "x");
    desk.mv("b", "a");
    desk.leaves(&["a=old b=old", "b=old x=old", "a=old x=old"], &["a=old b=old", "b=old x=old", "a=old x=old"]);
}

#[test]
fn changes_of_one_file_are_kept_in_their_order() {
    let desk = Desk::with(&["a"]);
    desk.link("a", "b");
    desk.rm("a");
    desk.leaves(&["a=old", "a+b=old", "b=old"], &["a=old", "a+b=old", "b=old"]);
}

#[test]
fn what_is_made_in_a_new_directory_needs_it() {
    let desk = Desk::new();
    desk.mkdir("d");
    desk.mkdir("d/e");
    desk.mkdir("f");
    desk.leaves(&["", "d/", "d/ d/e/", "f/", "d/ f/", "d/ d/e/ f/"], &["", "d/", "d/ d/e/", "d/ d/e/ f/"]);
    desk.sync_dir("d");
    desk.leaves(&["d/ d/e/", "d/ d/e/ f/"], &["d/ d/e/ f/"]);
}

#[test]
fn a_directory_goes_only_after_what_was_in_it() {
    let desk = Desk::with(&["d/", "d/a", "d/b", "k/"]);
    desk.rm("d/a");
    desk.mv("d/b", "k/b");
    desk.rmdir("d");
    desk.leaves(
        &["d/ d/a=old d/b=old k/", "d/ d/b=old k/", "d/ d/a=old k/ k/b=old", "d/ k/ k/b=old", "k/ k/b=old"],
        &["d/ d/a=old d/b=old k/", "d/ d/b=old k/", "d/ k/ k/b=old", "k/ k/b=old"],
    );
}

#[test]
fn directories_moved_into_each_other_in_turn_never_become_a_ring() {
    let desk = Desk::with(&["a/", "b/"]);
    desk.mv("a", "b/a");
    desk.mv("b/a", "a");
    desk.mv("b", "a/b");
    // The last needs the second, which brought `a` back above it, and so the first.
    desk.leaves(&["a/ b/", "b/ b/a/", "a/ a/b/"], &["a/ b/", "b/ b/a/", "a/ a/b/"]);
}

#[test]
fn two_directories_exchanged_across_levels_stay_a_tree() {
    let desk = Desk::with(&["a/", "a/x/", "b/", "b/y/"]);
    desk.rename("a/x", "b", Rename::Exchange);
    desk.mkdir("b/n");
    desk.leaves(
        &["a/ a/x/ b/ b/y/", "a/ a/x/ a/x/y/ b/", "a/ a/x/ a/x/n/ b/ b/y/", "a/ a/x/ a/x/y/ b/ b/n/"],
        &["a/ a/x/ b/ b/y/", "a/ a/x/ a/x/y/ b/", "a/ a/x/ a/x/y/ b/ b/n/"],
    );
}

#[test]
fn a_sync_of_a_directory_carries_what_it_depends_on_and_nothing_else() {
    let desk = Desk::with(&["d/", "e/", "f/", "d/a", "d/z"]);
    desk.mv("d/a", "e/a");
    desk.mv("e/a", "f/a");
    desk.rm("d/z");
    desk.sync_dir("f");
    // The way of `a` is certain; the end of `z`, in a directory that took part, is not.
    desk.leaves(&["d/ d/z=old e/ f/ f/a=old", "d/ e/ f/ f/a=old"], &["d/ e/ f/ f/a=old"]);
}

#[test]
fn symlinks_and_nodes_are_names_like_others() {
    let desk = Desk::with(&["a"]);
    desk.disk.symlink("a".as_ref(), &desk.root, "s".as_ref()).unwrap();
    desk.leaves(&["a=old", "a=old s->a"], &["a=old", "a=old s->a"]);
    desk.disk.sync_all(&desk.root).unwrap();
    desk.leaves(&["a=old s->a"], &["a=old s->a"]);
}

#[test]
fn changes_that_come_to_nothing_are_not_counted_apart() {
    let desk = Desk::with(&["a", "d/"]);
    drop(desk.open("t", Open::CreateNew { mode: 0o600 }));
    desk.rm("t");
    desk.mv("a", "d/a");
    desk.mv("d/a", "a");
    let outcomes: Vec<_> = desk.disk.outcomes(Profile::Strict).exhaustive(100).unwrap().collect();
    assert_eq!(outcomes.len(), 2 * 2);
}

#[test]
fn a_change_of_names_moves_the_times_of_its_directories_and_of_what_it_names() {
    let desk = Desk::with(&["d/", "e/", "d/a"]);
    let look = |path| {
        let (dir, name) = desk.at(path);
        desk.disk.stat(&dir, name).unwrap()
    };
    let (d, e, a) = (look("d"), look("e"), look("d/a"));
    desk.mv("d/a", "e/a");
    for (before, after) in [(d, look("d")), (e, look("e"))] {
        assert!(before.modified < after.modified && before.changed < after.changed);
    }
    let moved = look("e/a");
    assert!(a.changed < moved.changed && a.modified == moved.modified);
}

#[test]
fn a_file_that_was_made_and_removed_leaves_no_trace_unless_half_of_it_survives() {
    let desk = Desk::new();
    drop(desk.write("t", b"x"));
    desk.rm("t");
    desk.leaves(&["", "t=", "t=0", "t=x"], &["", "t=", "t=0", "t=x"]);
    desk.disk.sync_all(&desk.root).unwrap();
    desk.leaves(&[""], &[""]);
    assert_eq!(desk.disk.state.lock().durable.inodes.len(), 1);
}

/// What a draw may miss of a large crash.
#[test]
fn each_change_is_also_kept_alone_and_lost_alone() {
    let desk = Desk::with(&["a", "b", "c", "k/"]);
    desk.mv("a", "x");
    desk.mv("b", "k/y");
    desk.mkdir("n");
    desk.mv("c", "n/z");
    let names = |profile: Profile| -> BTreeSet<String> {
        let single = desk.disk.outcomes(profile).single();
        single.iter().map(|outcome| line(&desk.disk.after(outcome).dump())).collect()
    };
    let strict = names(Profile::Strict);
    for wanted in [
        "b=old c=old k/ x=old",
        "a=old c=old k/ k/y=old",
        "a=old b=old c=old k/ n/",
        "a=old b=old k/ n/ n/z=old",
        "a=old k/ k/y=old n/ n/z=old",
        "b=old k/ n/ n/z=old x=old",
        "c=old k/ k/y=old x=old",
        "c=old k/ k/y=old n/ x=old",
    ] {
        assert!(strict.contains(wanted), "{wanted} is not in {strict:#?}");
    }
    let moments =
        ["a=old b=old c=old k/", "b=old c=old k/ x=old", "c=old k/ k/y=old x=old", "c=old k/ k/y=old n/ x=old"];
    let all = moments.into_iter().chain(["k/ k/y=old n/ n/z=old x=old"]).map(str::to_owned).collect();
    assert_eq!(names(Profile::Ordered), all);
}

#[test]
fn the_contents_of_each_file_are_also_lost_alone_and_kept_alone() {
    let desk = Desk::with(&["a", "b", "c"]);
    for path in ["a", "b", "c"] {
        desk.write(path, b"new");
    }
    for profile in [Profile::Strict, Profile::Ordered] {
        let single = desk.disk.outcomes(profile).single();
        let seen: BTreeSet<String> = single.iter().map(|outcome| line(&desk.disk.after(outcome).dump())).collect();
        for wanted in ["a=old b=new c=new", "a=new b=old c=new", "a=new b=new c=old", "a=new b=old c=old"] {
            assert!(seen.contains(wanted), "{profile:?}: {wanted} is not in {seen:#?}");
        }
    }
}
