//! Real programs that write in place under a guard, and die, or the guard's own process does, at any moment: a database
//! with its sidecar files, version control, installers.
//!
//! Each round starts from a tree that the program itself has made. A process of its own (this test binary, run once
//! more) takes a guard and starts the program. At a random moment either the program is killed and the guard rolled
//! back, or everything is killed and the tree opened anew. What must hold:
//!
//! * where nothing was committed, every path is as it was, attributes and times among it;
//! * a commit that was said is there;
//! * and the program itself finds nothing wrong with its files: `PRAGMA integrity_check`, `git fsck`, an import.
//!
//! `TREEWAL_FOREIGN_DEPTH=n` tries n times as long (1, by default, is some 25 s for all). `TREEWAL_FOREIGN_DIR` names a
//! directory to work in; without it, it is memory where there is some. What is not installed is skipped, by name.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod database;
mod git;
mod holder;
mod in_place;
mod install;
mod living;
mod rig;
mod threads;
mod walk;

use rig::Writer;

/// Everything that is tried, by name.
pub(crate) const WRITERS: [&Writer; 9] = [
    &database::WAL,
    &database::JOURNAL,
    &git::COMMITS,
    &git::HOUSEKEEPING,
    &install::MAKE,
    &install::PIP,
    &install::NPM,
    &in_place::SHELL,
    &in_place::RSYNC,
];

#[test]
fn a_database_with_a_write_ahead_log() {
    rig::run(&database::WAL);
}

#[test]
fn a_database_with_a_rollback_journal() {
    rig::run(&database::JOURNAL);
}

#[test]
fn a_repository_that_gets_commits() {
    rig::run(&git::COMMITS);
}

#[test]
fn a_repository_that_is_packed_and_rebased() {
    rig::run(&git::HOUSEKEEPING);
}

#[test]
fn make_install() {
    rig::run(&install::MAKE);
}

#[test]
fn pip_install() {
    rig::run(&install::PIP);
}

#[test]
fn npm_install() {
    rig::run(&install::NPM);
}

#[test]
fn tools_that_write_in_place() {
    rig::run(&in_place::SHELL);
}

#[test]
fn rsync_in_place() {
    rig::run(&in_place::RSYNC);
}
