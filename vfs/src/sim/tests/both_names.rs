//! Renames that leave both names.

use std::collections::BTreeSet;

use super::tools::{Desk, line, whole};
use crate::Rename;
use crate::sim::Profile;

/// Every tree with an entry under both names of a rename, where all that was done survives but for that.
fn left(desk: &Desk) -> BTreeSet<String> {
    let outcomes = desk.disk.outcomes(Profile::Strict);
    let split = outcomes.with_both_names(&outcomes.everything());
    assert!(split.iter().all(crate::sim::Outcome::has_both_names));
    split.iter().map(|outcome| line(&whole(&desk.disk.after(outcome)).dump())).collect()
}

fn lines(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_string()).collect()
}

#[test]
fn each_rename_alone_and_all_of_them_leave_both_names() {
    let desk = Desk::with(&["a", "b", "d/"]);
    desk.mv("a", "d/a");
    desk.rename("b", "c", Rename::NoReplace);
    assert_eq!(left(&desk), lines(&["a+d/a=old c=old d/", "b+c=old d/ d/a=old", "a+d/a=old b+c=old d/"]));
    desk.sync_dir("d");
    assert_eq!(left(&desk), lines(&["b+c=old d/ d/a=old"]));
}

#[test]
fn a_file_that_moves_on_may_stay_at_each_name_it_had() {
    let desk = Desk::with(&["a"]);
    desk.mv("a", "b");
    desk.mv("b", "c");
    assert_eq!(left(&desk), lines(&["a+c=old", "b+c=old", "a+b+c=old"]));
    desk.rm("c");
    assert_eq!(left(&desk), lines(&["a=old", "b=old", "a+b=old"]));
}

#[test]
fn exchanges_directories_and_names_that_are_used_again_leave_one() {
    let desk = Desk::with(&["a", "b", "c", "d/", "e/", "e/x"]);
    desk.rename("a", "b", Rename::Exchange);
    desk.mv("d", "f");
    desk.mv("c", "g");
    desk.write("c", b"other");
    desk.mv("e/x", "x");
    desk.rmdir("e");
    assert_eq!(left(&desk), lines(&[]));
}
