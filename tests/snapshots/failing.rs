//! A disk that fails while a snapshot is taken or removed: what the caller is told is what is there, at once and after the next
//! opening.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use treewal::{Options, Outcome, Result, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb, errno};

/// All calls that change or sync something, and each kind of call that only looks.
const VERBS: [Option<Verb>; 6] =
    [None, Some(Verb::OpenDir), Some(Verb::Open), Some(Verb::Stat), Some(Verb::List), Some(Verb::ReadAt)];

const FAULTS: [fn(u64) -> Fault; 2] =
    [|at| Fault::Error { at, errno: errno::EIO }, |at| Fault::ErrorFrom { at, errno: errno::EIO }];

#[test]
fn a_snapshot_that_was_refused_is_not_there() {
    let told = each_fault(|_| {}, |tree| tree.snapshot("one").map(drop), true);
    assert!(told["unchanged"] > 20 && told["undecided"] > 0 && told["done"] > 0, "{told:?}");
}

#[test]
fn a_snapshot_whose_removal_was_refused_is_there_whole() {
    let told = each_fault(|tree| drop(tree.snapshot("one").unwrap()), |tree| tree.remove_snapshot("one"), false);
    assert!(told["unchanged"] > 3 && told["undecided"] > 0 && told["done"] > 10, "{told:?}");
}

/// Counts what was told.
fn each_fault(before: impl Fn(&Tree), act: impl Fn(&Tree) -> Result<()>, makes: bool) -> BTreeMap<&'static str, usize> {
    let mut told = BTreeMap::new();
    for (verb, fault) in VERBS.into_iter().flat_map(|verb| FAULTS.map(|fault| (verb, fault))) {
        for at in 1.. {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("a"), "of a").unwrap();
            fs::create_dir(dir.path().join("d")).unwrap();
            fs::write(dir.path().join("d/b"), "of b").unwrap();
            let disk = FaultDisk::new(Arc::new(RealDisk), Fault::None);
            let disk = Arc::new(match verb {
                Some(verb) => disk.only(verb),
                None => disk,
            });
            let tree = Options::new().segment_bytes(64 << 10).open_on(disk.clone(), dir.path()).unwrap();
            before(&tree);
            disk.arm(fault(at));
            let done = act(&tree);
            let is_over = disk.mutations() < at;
            disk.arm(Fault::None);
            let (word, is_there) = match done.as_ref().map_err(treewal::Error::outcome) {
                Ok(()) => ("done", Some(makes)),
                Err(Outcome::Undecided) => ("undecided", None),
                Err(_) => ("unchanged", Some(!makes)),
            };
            *told.entry(word).or_default() += 1;
            let what = format!("call {at} of {verb:?}, {done:?}");
            is_as_told(dir.path(), is_there, &what);
            drop(tree);
            drop(Tree::open(dir.path()).unwrap());
            is_as_told(dir.path(), is_there, &format!("{what}, opened again"));
            let names = fs::read_dir(dir.path().join(".treewal/snapshots")).into_iter().flatten();
            let drafts = names.filter(|entry| entry.as_ref().unwrap().file_name().as_encoded_bytes()[0] == b'.');
            assert_eq!(drafts.count(), 0, "{what}: swept");
            if is_over {
                break;
            }
        }
    }
    told
}

/// One that is there is there whole.
fn is_as_told(dir: &Path, is_there: Option<bool>, what: &str) {
    let found = treewal::snapshots(dir).unwrap();
    if let Some(is_there) = is_there {
        assert_eq!(found.len(), usize::from(is_there), "{what}");
    }
    for snapshot in found {
        assert_eq!(snapshot.verify().unwrap(), Vec::<std::path::PathBuf>::new(), "{what}");
        assert_eq!(snapshot.read("d/b").unwrap(), b"of b", "{what}");
    }
}
