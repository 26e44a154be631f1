//! What is crashed, of attributes and of names: entries whose contents stay as they are.

use std::time::{Duration, UNIX_EPOCH};

use treewal::FileTimes;

use crate::judge::Lasting;
use crate::workloads::{Body, Workload, sequence, staged};

pub(crate) fn long_gone(secs: u64) -> FileTimes {
    FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(secs, 123_456_789))
}

/// Attributes of what is there, of what is new, and of both one after the other.
pub(crate) fn attributes() -> Vec<Workload> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    vec![
        staged("attributes of what is there", |tx| {
            tx.set_times("a", long_gone(1))?;
            tx.set_times("d", long_gone(2))?;
            tx.chown("b", Some(7), Some(8))?;
            tx.set_xattr("d/x", "user.x", "value")?;
            tx.set_permissions("d/y", Permissions::from_mode(0o4750))?;
            tx.chown("e", Some(9), None)
        }),
        staged("attributes of what is new", |tx| {
            tx.create_dir_all("n/m")?;
            tx.write("n/m/f", "f")?;
            tx.write("n/large", vec![b'N'; 9001])?;
            tx.set_times("n/m/f", long_gone(1))?;
            tx.set_times("n/large", long_gone(2))?;
            tx.set_times("n/m", long_gone(3))?;
            tx.set_permissions("n/m", Permissions::from_mode(0o500))?;
            tx.set_xattr("n", "user.n", "value")?;
            tx.chown("n/m/f", Some(7), Some(8))
        }),
        staged("attributes of what moves", |tx| {
            tx.rename("d", "moved")?;
            tx.set_times("moved/x", long_gone(1))?;
            tx.set_xattr("moved", "user.n", "value")?;
            tx.rename("a", "moved/a")?;
            tx.set_times("moved/a", long_gone(2))?;
            tx.set_times("moved", long_gone(3))
        }),
        sequence(
            "a time set back, and forth, and a new file over it",
            &[
                |tx| tx.set_times("a", long_gone(9)),
                |tx| tx.set_times("a", long_gone(5)),
                |tx| tx.set_times("a", long_gone(7)),
                |tx| tx.write("a", "new"),
                |tx| tx.set_times("a", long_gone(3)),
            ],
        ),
        sequence(
            "attributes come and go",
            &[
                |tx| tx.set_xattr("a", "user.x", "1"),
                |tx| tx.set_xattr("a", "user.x", "22"),
                |tx| tx.remove_xattr("a", "user.x"),
                |tx| {
                    tx.write("a", "new")?;
                    tx.set_xattr("a", "user.x", "333")
                },
                |tx| tx.remove_xattr("a", "user.x"),
            ],
        ),
        sequence(
            "a directory's time, until its names change",
            &[
                |tx| tx.set_times("d", long_gone(1)),
                |tx| tx.chown("d", Some(7), None),
                |tx| tx.write("d/new", "new"),
                |tx| tx.chown("d", Some(8), Some(8)),
            ],
        ),
    ]
}

/// The contents of what was there before, with other attributes: what a loss of power brings back looks like what was committed.
pub(crate) fn same_contents() -> Vec<Workload> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    let restored: Body = |tx| {
        tx.write("a", "restored")?;
        tx.set_times("a", long_gone(5))
    };
    vec![
        sequence("the same contents and time, twice", &[restored, restored]),
        staged("the same contents, with attributes", |tx| {
            tx.write("a", "old a")?;
            tx.set_permissions("a", Permissions::from_mode(0o600))?;
            tx.write("b", "old b")?;
            tx.set_times("b", long_gone(1))?;
            tx.write("d/x", "old x")?;
            tx.set_xattr("d/x", "user.x", "value")?;
            tx.remove_file("link")?;
            tx.symlink("a", "link")
        }),
        sequence(
            "the same contents, closed and opened again",
            &[
                |tx| {
                    tx.write("a", "secret")?;
                    tx.chown("a", Some(7), Some(8))
                },
                |tx| {
                    tx.write("a", "secret")?;
                    tx.set_permissions("a", Permissions::from_mode(0o600))
                },
                |tx| {
                    tx.write("a", "secret")?;
                    tx.set_permissions("a", Permissions::from_mode(0o644))
                },
            ],
        ),
        staged("the same contents, with attributes, and exchanged", |tx| {
            tx.write("a", "old a")?;
            tx.set_permissions("a", Permissions::from_mode(0o600))?;
            tx.exchange("a", "b")
        }),
        sequence(
            "large ones of one size and time",
            &[
                |tx| {
                    tx.write("large", vec![b'N'; 9001])?;
                    tx.set_times("large", long_gone(5))
                },
                |tx| {
                    tx.write("large", vec![b'M'; 9001])?;
                    tx.set_times("large", long_gone(5))
                },
            ],
        ),
    ]
}

/// A directory of the stage that survives a power loss, and loses what is in it: recovery makes that again, in the directory,
/// and may be cut before it has all its attributes.
pub(crate) fn made_again() -> Workload {
    staged("attributes of what is in a new directory", |tx| {
        tx.create_dir("n")?;
        tx.write("n/1", "1")?;
        tx.set_xattr("n/1", "user.n", "value")?;
        tx.chown("n/1", Some(7), Some(8))?;
        tx.set_times("n/1", long_gone(1))?;
        tx.symlink("1", "n/2")?;
        tx.set_times("n", long_gone(2))
    })
}

/// Its time may be lost where the contents are not, and so may the name of the one that takes its place.
pub(crate) fn restored() -> Workload {
    sequence(
        "a new file with a time of long ago, and another in its place",
        &[
            |tx| {
                tx.write("a", "new a")?;
                tx.set_times("a", long_gone(9))
            },
            |tx| tx.write("a", "newer"),
        ],
    )
}

/// One entry with several names.
pub(crate) fn links() -> Vec<Workload> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    vec![
        staged("another name of what is there", |tx| {
            tx.hard_link("a", "d/link")?;
            tx.hard_link("large", "large too")?;
            tx.set_permissions("a", Permissions::from_mode(0o600))
        }),
        staged("another name, and something else under the first", |tx| {
            tx.hard_link("a", "n")?;
            tx.write("a", "new")?;
            tx.hard_link("d/x", "e/x")?;
            tx.remove_dir_all("d")
        }),
        staged("other names, and the first one moves", |tx| {
            tx.hard_link("a", "z")?;
            tx.rename("a", "d/a")?;
            tx.rename("d", "moved")?;
            tx.create_dir("n")?;
            tx.hard_link("moved/x", "n/x")
        }),
        staged("names of what is new", |tx| {
            tx.write("n", "new")?;
            tx.hard_link("n", "d/m")?;
            tx.create_dir("nd")?;
            tx.hard_link("n", "nd/k")?;
            tx.write("nd/large", vec![b'N'; 9001])?;
            tx.hard_link("nd/large", "big")?;
            tx.hard_link("nd/large", "a too")
        }),
        sequence(
            "two names of a new file, and what becomes of them",
            &[
                |tx| {
                    tx.write("m", "new")?;
                    tx.hard_link("m", "n")
                },
                |tx| tx.set_permissions("n", Permissions::from_mode(0o600)),
                |tx| tx.set_xattr("m", "user.m", "value"),
                |tx| tx.write("m", "newer"),
                |tx| tx.set_permissions("n", Permissions::from_mode(0o640)),
                |tx| tx.remove_file("n"),
            ],
        ),
        // What it keeps follows the exchange: the guarantees name that gap.
        Workload {
            lasting: Lasting::NotInside("d"),
            ..staged("publish inside the tree, and keep what is not managed", |tx| {
                tx.create_dir("work")?;
                tx.rename("e", "work/next")?;
                tx.write("work/next/y", "managed")?;
                tx.publish_with(treewal::Publish::new().keep_unmanaged(true), "work/next", "d")
            })
        },
        sequence(
            "publish over and over",
            &[|tx| tx.publish("d", "e"), |tx| tx.write("e/x", "2"), |tx| tx.publish("/e/x", "a")],
        ),
        sequence(
            "a link, a write, a link",
            &[
                |tx| tx.write("a", "new"),
                |tx| tx.hard_link("a", "n"),
                |tx| tx.write("n", "newer"),
                |tx| tx.remove_file("a"),
                |tx| tx.hard_link("n", "a"),
            ],
        ),
    ]
}
