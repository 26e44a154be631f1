//! Somebody else changes a file between two commits of which the later one sets nothing but attributes: it has seen theirs, and
//! keeps it. A recovery must not put the earlier one in its place.

use std::os::unix::fs::PermissionsExt;

use treewal_vfs::Disk;

use crate::world::{Act, Body, THEIRS, holds_theirs, open, prepared};

const FIRST: [(&str, Body, &[Act]); 4] = [
    ("written", |tx| tx.write("a", "ours"), &[Act::Edit, Act::Replace]),
    ("a large file", |tx| tx.write("a", vec![b'N'; 9001]), &[Act::Edit, Act::Replace]),
    ("removed", |tx| tx.remove_file("a"), &[Act::Create]),
    ("chmod", |tx| tx.set_permissions("a", std::fs::Permissions::from_mode(0o604)), &[Act::Edit]),
];

const LATER: [(&str, Body); 3] = [
    ("bits", |tx| tx.set_permissions("a", std::fs::Permissions::from_mode(0o640))),
    ("an attribute", |tx| tx.set_xattr("a", "user.later", [1])),
    ("times", |tx| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(7);
        tx.set_times("a", treewal::FileTimes::new().set_modified(time))
    }),
];

#[test]
fn what_others_wrote_before_a_commit_of_attributes_is_not_lost() {
    for (first, body, acts) in FIRST {
        for act in acts {
            for (later, attributes) in LATER {
                let disk = prepared();
                let tree = open(&disk);
                tree.transaction(body).unwrap();
                act.on(&disk, "a").unwrap();
                tree.transaction(attributes).unwrap();
                let dead = disk.kill();
                drop(tree);
                let tree = open(&dead);
                let report = tree.recovery().clone();
                let at = format!("{first}, {act:?}, {later}: {report}");
                assert_eq!(report.pending().count(), 0, "{at}");
                assert!(!holds_theirs(&dead).is_empty(), "{at}: theirs is lost");
                let stands = tree.begin().read("a").unwrap();
                // A time from before the first commit makes theirs pass for an older state, which is kept in quarantine.
                assert!(stands == THEIRS || later == "times", "{at}: {stands:?}");
                let told = report.transactions.iter().any(|one| !one.superseded.is_empty());
                assert!(told || first == "chmod" || later == "times", "{at}: not told");
                drop(tree);
                assert!(open(&dead).recovery().is_clean(), "{at}: done twice");
                let root = dead.open_root("/".as_ref()).unwrap();
                let mode = dead.stat(&root, "a".as_ref()).unwrap().mode;
                assert!(later != "bits" || mode == 0o640, "{at}: {mode:o}");
            }
        }
    }
}
