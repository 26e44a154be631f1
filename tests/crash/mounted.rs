//! What is crashed where something is mounted at the file `a`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::entries::long_gone;
use crate::workloads::{Workload, sequence, staged};

/// Longer than a few sectors, each of which is kept or lost by itself.
fn long(letter: u8) -> Vec<u8> {
    vec![letter; 1700]
}

pub(crate) fn mounted() -> Vec<Workload> {
    vec![
        staged("rewrite one", |tx| tx.write("a", "new a")),
        staged("rewrite one, with every other kind of change", |tx| {
            tx.write("a", long(b'n'))?;
            tx.write("b", "new b")?;
            tx.remove_file("d/y")?;
            tx.rename("d/x", "x")?;
            tx.create_dir("n")?;
            tx.write("n/1", "one")
        }),
        staged("rewrite one with large contents", |tx| tx.write("a", vec![b'N'; 5000])),
        staged("rewrite one, and its attributes", |tx| {
            tx.append("a", " and a tail")?;
            tx.set_permissions("a", Permissions::from_mode(0o640))?;
            tx.set_xattr("a", "user.x", "value")?;
            tx.chown("a", Some(7), Some(8))?;
            tx.set_times("a", long_gone(5))
        }),
        sequence(
            "rewritten again and again, longer and shorter",
            &[
                |tx| tx.write("a", long(b'1')),
                |tx| tx.write("a", "2"),
                |tx| {
                    tx.write("a", "")?;
                    tx.write("b", "between")
                },
                |tx| tx.write("a", long(b'4')),
            ],
        ),
    ]
}
