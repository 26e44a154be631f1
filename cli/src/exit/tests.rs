//! Every error of treewal has its code, and the code agrees with the state that the error says it leaves.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use treewal::{Error, Holder, Options, Outcome};
use treewal_vfs::{Fault, FaultDisk, RealDisk, RelPath, Verb, errno};

use super::*;

fn path() -> PathBuf {
    "a/b".into()
}

fn os(number: i32) -> Error {
    Error::Io { verb: "write", path: path(), source: io::Error::from_raw_os_error(number) }
}

fn conflict() -> Error {
    Error::Conflict { path: path(), detail: "it is another".into() }
}

fn boxed(error: Error) -> Box<Error> {
    Box::new(error)
}

#[test]
fn what_the_tree_or_the_input_refuses_is_no_failure_of_the_disk() {
    for number in [errno::ENOENT, errno::EEXIST, errno::ENOTDIR, errno::EROFS, errno::EACCES, errno::EISDIR] {
        assert_eq!(Exit::of_error(&os(number)), Exit::REFUSED, "{number}");
    }
    for number in [errno::EIO, errno::ENOSPC] {
        assert_eq!(Exit::of_error(&os(number)), Exit::IO, "{number}");
    }
    let source = RelPath::new("..").unwrap_err();
    assert_eq!(Exit::of_error(&Error::InvalidPath { path: path(), source }), Exit::BAD_INPUT);
    assert_eq!(Exit::of_error(&Error::Reserved { path: path() }), Exit::BAD_INPUT);
    assert_eq!(Exit::of_error(&Error::Input("bad".into())), Exit::BAD_INPUT);
    assert_eq!(Exit::of_error(&Error::ThroughSymlink { path: path() }), Exit::REFUSED);
    assert_eq!(Exit::of_error(&Error::OtherFileSystem { path: path() }), Exit::REFUSED);
    assert_eq!(Exit::of_error(&Error::Store { path: path(), reason: "theirs".into() }), Exit::REFUSED);
}

#[test]
fn conflicts_locks_and_open_outcomes_have_their_own() {
    assert_eq!(Exit::of_error(&conflict()), Exit::CONFLICT);
    assert_eq!(Exit::of_error(&Error::Locked { holder: Holder::default() }), Exit::BUSY);
    assert_eq!(Exit::of_error(&Error::RolledBack { path: path(), source: boxed(os(errno::ENOSPC)) }), Exit::IO);
    assert_eq!(Exit::of_error(&Error::RolledBack { path: path(), source: boxed(os(errno::EROFS)) }), Exit::IO);
    assert_eq!(Exit::of_error(&Error::RolledBack { path: path(), source: boxed(conflict()) }), Exit::CONFLICT);
    assert_eq!(Exit::of_error(&Error::Undecided { source: boxed(os(errno::EIO)) }), Exit::UNDECIDED);
    assert_eq!(Exit::of_error(&Error::Undecided { source: boxed(conflict()) }), Exit::UNDECIDED);
    assert_eq!(Exit::of_error(&Error::Poisoned), Exit::UNDECIDED);
    assert_eq!(Exit::of_error(&Error::Pending { path: "a".into(), txn: 7 }), Exit::UNDECIDED);
}

#[test]
fn a_change_has_the_code_of_what_is_wrong_with_it() {
    let change = |source| Error::Change { index: 3, source: boxed(source) };
    assert_eq!(Exit::of_error(&change(os(errno::ENOENT))), Exit::REFUSED);
    assert_eq!(Exit::of_error(&change(os(errno::EIO))), Exit::IO);
    assert_eq!(Exit::of_error(&change(Error::Input("bad".into()))), Exit::BAD_INPUT);
    assert_eq!(Exit::of_error(&change(conflict())), Exit::CONFLICT);
    assert_eq!(Exit::of_error(&change(Error::Undecided { source: boxed(os(errno::EIO)) })), Exit::UNDECIDED);
}

/// The errors that only a disk can make, by a disk that fails at each of its calls in turn.
#[test]
fn whatever_a_failing_disk_makes_of_a_commit_or_a_guard_the_code_agrees_with_the_outcome() {
    let mut seen = std::collections::BTreeSet::new();
    for verb in [None, Some(Verb::ReadAt), Some(Verb::Reflink), Some(Verb::StatDir), Some(Verb::List)] {
        for at in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let disk = FaultDisk::new(Arc::new(RealDisk), Fault::ErrorFrom { at, errno: errno::EIO });
            let disk = Arc::new(match verb {
                Some(verb) => disk.only(verb),
                None => disk,
            });
            let error = Options::new().segment_bytes(64 << 10).open_on(disk.clone(), dir.path()).and_then(|tree| {
                tree.transaction(|tx| tx.write("a", "a"))?;
                let guard = tree.guard(["a"])?;
                tree.begin().read("a")?;
                guard.rollback()
            });
            let Err(error) = error else { break };
            let expected = match error.outcome() {
                Outcome::Unchanged | Outcome::RolledBack => Exit::IO,
                _ => Exit::UNDECIDED,
            };
            assert_eq!(Exit::of_error(&error), expected, "{error:?}");
            let debug = format!("{error:?}");
            seen.insert(debug.split([' ', '(']).next().unwrap_or_default().to_owned());
        }
    }
    for variant in ["Io", "Journal", "Snapshot", "Undecided"] {
        assert!(seen.contains(variant), "the disk never made {variant} of it: {seen:?}");
    }
}

#[test]
fn a_command_gives_its_own_status_or_its_signal() {
    assert_eq!(Exit::of_command(ExitStatus::from_raw(7 << 8)).code(), 7);
    assert_eq!(Exit::of_command(ExitStatus::from_raw(9)).code(), 137);
    assert_eq!(Exit::of_signal(2).code(), 130);
    assert_eq!(Exit::of_signal(15).code(), 143);
}

#[test]
fn the_table_has_a_line_for_every_code() {
    let listed: Vec<u8> = TABLE.iter().flat_map(|(code, _)| code.split(", ")).filter_map(|c| c.parse().ok()).collect();
    let ours = [
        Exit::DONE,
        Exit::REFUSED,
        Exit::BAD_INPUT,
        Exit::IO,
        Exit::UNDECIDED,
        Exit::CONFLICT,
        Exit::DAMAGE,
        Exit::BUSY,
        Exit::RUN_FAILED,
        Exit::RUN_NOT_EXECUTABLE,
        Exit::RUN_NOT_FOUND,
        Exit::of_signal(2),
        Exit::of_signal(15),
    ];
    assert_eq!(listed, ours.map(Exit::code));
}
