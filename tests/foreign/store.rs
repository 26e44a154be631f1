//! What happens to treewal's own directory: by others, by disks that refuse, by crashes in between.

use std::ffi::OsStr;
use std::sync::Arc;

use treewal::{Durability, Error};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, RelPath, Rename, Verb, errno};

use crate::seen::{leftovers, look};
use crate::world::{Act, BODIES, ROOT, died_at, open, options, prepared};

fn own(disk: &SimDisk, path: &str) -> treewal_vfs::Dir {
    let path = RelPath::new(format!(".treewal/{path}")).unwrap();
    disk.open_dir(&disk.open_root(ROOT.as_ref()).unwrap(), &path).unwrap()
}

/// Leftovers that cannot be removed (a directory of another user's files that was removed from the tree) do not keep the
/// tree from opening, and go when they can.
#[test]
fn leftovers_that_cannot_be_removed_do_not_keep_the_tree_shut() {
    let base = prepared();
    let dead = (1..).map_while(|at| died_at(&base, BODIES[0].1, at)).max_by_key(|dead| dead.dump().len()).unwrap();
    assert!(!leftovers(&dead, ROOT).is_empty());
    for verb in [Verb::RemoveFile, Verb::RemoveDir] {
        let disk = dead.remount();
        let fault = Fault::ErrorFrom { at: 1, errno: errno::EACCES };
        let stubborn = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(verb));
        let tree = options(Durability::Journal).open_on(stubborn, ROOT).unwrap();
        tree.transaction(|tx| tx.write("b", "goes on")).unwrap();
        drop(tree);
        drop(open(&disk));
        assert_eq!(leftovers(&disk, ROOT), Vec::<String>::new());
        assert!(open(&disk).recovery().is_clean());
    }
}

/// A disk that fails while the lock is being taken does not leave the lock behind, held by nobody who knows.
#[test]
fn a_lock_that_could_not_be_taken_wholly_is_given_back() {
    for verb in [Verb::ReadAt, Verb::WriteAt, Verb::StatFile] {
        let disk = prepared();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None).only(verb));
        let tree = options(Durability::Journal).open_on(faulty.clone(), ROOT).unwrap();
        // Somebody else had it since: its holder is read and written.
        drop(open(&disk));
        faulty.arm(Fault::Error { at: 1, errno: errno::EIO });
        let refused = tree.checkpoint();
        faulty.arm(Fault::None);
        let other = options(Durability::Journal).open_on(Arc::new(disk.clone()), ROOT);
        assert!(other.is_ok(), "{verb:?}: {refused:?}, then {other:?}");
    }
}

/// Whoever removes the lock file, or all of `.treewal`, of an open tree does not get two writers.
#[test]
fn a_removed_lock_file_never_makes_two_writers() {
    let disk = prepared();
    let first = open(&disk);
    first.transaction(|tx| tx.write("a", "first")).unwrap();
    disk.remove_file(&own(&disk, ""), OsStr::new("lock")).unwrap();
    let second = open(&disk);
    let guard = second.guard(["a"]).unwrap();
    let refused = first.transaction(|tx| tx.write("b", "from the first"));
    assert!(matches!(refused, Err(Error::Store { .. })), "{refused:?}");
    guard.rollback().unwrap();
    drop(first);
    second.transaction(|tx| tx.write("b", "from the second")).unwrap();
    drop(second);
    let tree = open(&disk);
    assert!(tree.recovery().transactions.is_empty(), "{}", tree.recovery());
    assert_eq!(tree.begin().read_to_string("b").unwrap(), "from the second");
}

/// The process that first makes `.treewal` is killed at any call; the next one commits; then the power goes. What was
/// acknowledged is there.
#[test]
fn a_store_that_a_killed_process_began_is_as_durable_as_any() {
    let mut met = 0;
    for at in 1.. {
        let disk = SimDisk::new();
        disk.sync_all(&disk.open_root(ROOT.as_ref()).unwrap()).unwrap();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::Off { at }));
        drop(options(Durability::Journal).open_on(faulty.clone(), ROOT));
        if !faulty.is_off() {
            break;
        }
        met += 1;
        let next = disk.kill();
        let tree = open(&next);
        tree.transaction(|tx| tx.write("a", "acknowledged")).unwrap();
        for profile in [Profile::Strict, Profile::Ordered] {
            let lost = next.after(&next.outcomes(profile).nothing());
            let again = open(&lost);
            let found = again.begin().read_to_string("a");
            assert!(found.is_ok(), "killed at call {at}, {profile:?}: {found:?}: {}", again.recovery());
        }
    }
    assert!(met > 10, "{met}");
}

/// Recovery is cut short at every call while it brings large and small contents to quarantine: all of them are there in
/// the end, and the report names them.
#[test]
fn quarantine_loses_nothing_when_recovery_is_cut_short() {
    let base = prepared();
    let large = vec![b'N'; 9001];
    let body: crate::world::Body = |tx| {
        tx.write("d/x", "new x, small")?;
        tx.write("a", vec![b'N'; 9001])?;
        tx.write("b", "new b, small")
    };
    let dead = (1..)
        .map_while(|at| died_at(&base, body, at))
        .find(|dead| open(&dead.remount()).recovery().transactions.iter().any(|done| done.label == "redo"))
        .unwrap();
    for path in ["a", "b", "d/x"] {
        Act::Replace.on(&dead, path).unwrap();
    }
    let mut met = 0;
    for at in 1.. {
        let disk = dead.remount();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::Off { at }));
        drop(options(Durability::Journal).open_on(faulty.clone(), ROOT));
        let disk = disk.kill();
        let tree = open(&disk);
        let kept: Vec<Vec<u8>> = disk
            .dump()
            .into_iter()
            .filter(|(path, _)| path.to_string().contains("quarantine"))
            .map(|(_, node)| node.contents)
            .collect();
        for wanted in [b"new x, small".as_slice(), b"new b, small", &large] {
            assert!(kept.iter().any(|kept| kept == wanted), "cut at call {at}: {} bytes are lost", wanted.len());
        }
        let report = kept.iter().map(|kept| String::from_utf8_lossy(kept)).find(|text| text.contains("was committed"));
        let report = report.unwrap().into_owned();
        for path in ["\"a\"", "\"b\"", "\"d/x\""] {
            let line = report.lines().find(|line| line.starts_with(path) && line.contains("its contents are in"));
            assert!(line.is_some(), "cut at call {at}: {path} is not in\n{report}");
        }
        drop(tree);
        if !faulty.is_off() {
            break;
        }
        met += 1;
    }
    assert!(met > 10, "{met}");
}

/// A promised large file whose stage somebody removed: nothing can bring it back, and that is said.
#[test]
fn contents_that_are_gone_are_reported() {
    let base = prepared();
    let body: crate::world::Body = |tx| tx.write("n", vec![b'N'; 9001]);
    let dead = (1..)
        .map_while(|at| died_at(&base, body, at))
        .find(|dead| open(&dead.remount()).recovery().transactions.iter().any(|done| done.label == "redo"))
        .unwrap();
    let stage = own(&dead, "stage");
    for entry in dead.list(&stage).unwrap() {
        treewal_vfs::remove_tree(&dead, &stage, &entry.name).unwrap();
    }
    let tree = open(&dead);
    assert!(tree.recovery().found_damage(), "{}", tree.recovery());
    tree.transaction(|tx| tx.write("a", "the tree works on")).unwrap();
}

/// A tree that is moved while it is open, and one that is moved between crash and recovery, are the same trees.
#[test]
fn a_moved_tree_recovers() {
    let disk = SimDisk::new();
    let top = disk.open_root(ROOT.as_ref()).unwrap();
    disk.create_dir(&top, OsStr::new("old"), 0o755).unwrap();
    let tree = options(Durability::Journal).open_on(Arc::new(disk.clone()), "/old").unwrap();
    tree.transaction(|tx| tx.write("a", "before the move")).unwrap();
    disk.rename(&top, OsStr::new("old"), &top, OsStr::new("new"), Rename::NoReplace).unwrap();
    tree.transaction(|tx| tx.write("b", vec![b'b'; 9000])).unwrap();
    let disk = disk.kill();
    let tree = options(Durability::Journal).open_on(Arc::new(disk.clone()), "/new").unwrap();
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
    assert_eq!(look(&disk, "/new").len(), 3);
}
