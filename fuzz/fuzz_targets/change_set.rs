//! Change sets as JSON, as the program takes them, applied to a tree on a disk in memory: never a panic; what is read, written
//! and read again is the same; what is refused changes nothing; what is acknowledged is there after a loss of power.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use treewal::{Change, ChangeSet, Outcome};
use treewal_fuzz::tree::{leftovers, open, prepared};
use treewal_vfs::RelPath;
use treewal_vfs::sim::{Node, Profile, SimDisk};

/// A file may grow this long: more costs memory and shows nothing.
const LEN_MAX: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(set) = serde_json::from_slice::<ChangeSet>(data) else { return };
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<ChangeSet>(&text).unwrap(), set, "{text}");
    let is_long = |change: &Change| match change {
        Change::Truncate { len, .. } => *len > LEN_MAX,
        Change::Patch { offset, .. } => *offset > LEN_MAX,
        _ => false,
    };
    if set.changes.len() > 64 || set.changes.iter().any(is_long) {
        return;
    }
    apply(&set);
});

fn apply(set: &ChangeSet) {
    let disk = prepared();
    let before = look(&disk);
    let tree = open(Arc::new(disk.clone())).unwrap();
    let result = tree.apply(set);
    let after = look(&disk);
    match &result {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.outcome(), Outcome::Unchanged, "nothing fails here: {error:?}");
            assert!(before == after, "refused, and something changed: {error:?}");
        }
    }
    // The power goes while the tree is open: what was acknowledged is there.
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    drop(tree);
    for disk in [disk, lost] {
        let tree = open(Arc::new(disk.clone())).unwrap();
        assert!(!tree.recovery().found_damage() && tree.recovery().pending().count() == 0, "{}", tree.recovery());
        drop(tree);
        assert!(look(&disk) == after, "{result:?}");
        assert_eq!(leftovers(&disk), Vec::<String>::new());
    }
}

/// A tree without what moves by itself: the times of the system, and what treewal keeps.
fn look(disk: &SimDisk) -> Vec<(RelPath, Node)> {
    let own = RelPath::new(".treewal").unwrap();
    let nodes = disk.dump().into_iter().filter(|(path, _)| !path.starts_with(&own));
    nodes
        .map(|(path, mut node)| {
            node.modified = Default::default();
            node.first_link = None;
            (path, node)
        })
        .collect()
}
