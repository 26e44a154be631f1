//! Somebody replaces a file and syncs nothing; a durable commit replaces theirs; the power goes, and brings back the file
//! before. That one is older than the commit, which had not even seen it: what was acknowledged is there.

use treewal_vfs::Disk;
use treewal_vfs::sim::{Profile, SimDisk};

use crate::world::{Act, Body, THEIRS, open, prepared};

/// Each acts on `a`, which somebody has just replaced.
const WAYS: [(&str, Body, Option<&str>); 4] = [
    ("replaced", |tx| tx.write("a", "new a"), Some("new a")),
    ("replaced by a symlink", |tx| tx.remove_file("a").and_then(|()| tx.symlink("b", "a")), Some("@b")),
    ("a large file", |tx| tx.write("a", vec![b'N'; 9001]), None),
    ("removed", |tx| tx.remove_file("a"), Some("")),
];

/// Where the bytes of the old `a` are, in the tree and in quarantine.
fn holds_old(disk: &SimDisk) -> usize {
    let held = disk
        .dump()
        .into_iter()
        .filter(|(path, node)| node.contents == b"old a" && !path.to_string().starts_with(".treewal/stage"));
    held.count()
}

#[test]
fn an_older_state_that_the_power_brings_back_takes_nothing_from_a_commit() {
    let mut back = 0;
    for (name, body, wanted) in WAYS {
        for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
            let disk = prepared();
            Act::Replace.on(&disk, "a").unwrap();
            let tree = open(&disk);
            tree.transaction(body).unwrap();
            let dark = disk.after(&disk.outcomes(profile).nothing());
            let is_back =
                dark.dump().into_iter().any(|(path, node)| path.to_string() == "a" && node.contents == b"old a");
            back += usize::from(is_back);
            drop(tree);
            let tree = open(&dark);
            let report = tree.recovery().clone();
            let at = format!("{name}, {profile:?}: {report}");
            match wanted {
                Some("") => assert!(!tree.begin().exists("a").unwrap(), "{at}"),
                Some("@b") => assert_eq!(tree.begin().read_link("a").unwrap(), std::path::Path::new("b"), "{at}"),
                Some(wanted) => assert_eq!(tree.begin().read_to_string("a").unwrap(), wanted, "{at}"),
                None => assert_eq!(tree.begin().read("a").unwrap(), vec![b'N'; 9001], "{at}"),
            }
            assert_eq!(report.pending().count(), 0, "{at}");
            if is_back {
                assert!(holds_old(&dark) > 0, "{at}: contents that are not ours are gone");
                assert!(report.transactions.iter().any(|done| done.quarantine.is_some()), "{at}: not told");
            }
            drop(tree);
            assert!(open(&dark).recovery().is_clean(), "{at}: done twice");
        }
    }
    println!("{back} times the power brought back what others had replaced");
    assert!(back >= 4, "{back}");
}

/// With a clock that is set back, nothing is lost either way: theirs, or ours, is in quarantine, and that is said.
#[test]
fn a_clock_that_is_set_back_loses_nothing() {
    for before in [false, true] {
        let disk = prepared();
        Act::Replace.on(&disk, "a").unwrap();
        let year = 365 * 24 * 3600;
        let now = u64::try_from(disk.now().secs).unwrap();
        if before {
            disk.set_clock(now - year);
        }
        let tree = open(&disk);
        tree.transaction(|tx| tx.write("a", "new a")).unwrap();
        let dark = if before {
            disk.after(&disk.outcomes(Profile::Strict).nothing())
        } else {
            disk.set_clock(now - year);
            Act::Replace.on(&disk, "a").unwrap();
            disk.kill()
        };
        drop(tree);
        let tree = open(&dark);
        let report = tree.recovery().clone();
        let held: Vec<Vec<u8>> = dark
            .dump()
            .into_iter()
            .filter(|(path, _)| !path.to_string().starts_with(".treewal/stage"))
            .map(|(_, node)| node.contents)
            .collect();
        let theirs: &[u8] = if before { b"old a" } else { THEIRS };
        for wanted in [theirs, b"new a"] {
            assert!(
                held.iter().any(|held| held == wanted),
                "{before}: {:?} is gone: {report}",
                String::from_utf8_lossy(wanted)
            );
        }
        assert!(report.transactions.iter().any(|done| done.quarantine.is_some()), "{before}: not told: {report}");
    }
}
