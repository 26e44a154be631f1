//! The model in memory is no witness until it has been heard against `std::fs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use treewal_vfs::{Disk, Kind, Meta, RealDisk, RelPath};

use crate::cases;
use crate::memory::{Groups, Memory, No};
use crate::ops::{Op, TARGET, transactions};
use crate::replay::{Answer, Replay};
use crate::seen::{Seen, differences, look};

/// By which number each path of a real tree is the same file as another.
fn inodes(at: &Path, seen: &Seen) -> BTreeMap<RelPath, u64> {
    seen.keys().map(|path| (path.clone(), at.join(path.to_path()).symlink_metadata().unwrap().ino())).collect()
}

/// Directories of the model have no times of their own.
fn without_times_of_directories(mut seen: Seen) -> Seen {
    seen.values_mut().filter(|entry| entry.kind == treewal_vfs::Kind::Dir).for_each(|entry| entry.set = None);
    seen
}

/// What every run begins with: directories, files above and below the limit, a symlink, a fifo, two names of one file.
fn begin(at: &Path) {
    for path in ["a", "b", "a/b"] {
        fs::create_dir(at.join(path)).unwrap();
    }
    for (file, len) in [("a/a", 5), ("a/b/c", 7), ("b/a", 70), ("c", 9)] {
        fs::write(at.join(file), file.repeat(len)).unwrap();
    }
    symlink(TARGET, at.join("b/b")).unwrap();
    fs::hard_link(at.join("c"), at.join("a/c")).unwrap();
    let (root, dir) = (RealDisk.open_root(at).unwrap(), RealDisk.open_root(&at.join("b")).unwrap());
    let fifo = Meta { kind: Kind::Fifo, mode: 0o644, ..RealDisk.stat_dir(&root).unwrap() };
    RealDisk.make_node(&dir, "c".as_ref(), &fifo).unwrap();
}

#[test]
fn the_model_answers_as_std_fs_does_and_is_left_with_the_same_tree() {
    let config = ProptestConfig { cases: cases(60), failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let agreed = runner.run(&transactions(), |transactions| {
        let replay = Replay::new();
        begin(replay.root());
        let mut memory = {
            let seen = look(&RealDisk, replay.root());
            Memory::of(&seen, &inodes(replay.root(), &seen))
        };
        memory.user = memory.at(&RelPath::root()).unwrap().owner;
        for op in transactions.iter().flatten() {
            let outside = replay.take(op);
            let before = memory.clone();
            let answer = match (memory.take(op), outside) {
                // Attributes of a file with several names: not asked of a transaction, either.
                (_, Answer::Outside) => {
                    memory = before;
                    continue;
                }
                (Ok(()), wanted) => (Answer::Done, wanted),
                (Err(No::Refused), wanted) => (Answer::Refuses, wanted),
                (Err(No::Because(kind)), wanted) => (Answer::Fails(kind), wanted),
            };
            same(op, &answer.0, &answer.1, (&before, &memory), replay.root()).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    agreed.unwrap_or_else(|failure| panic!("{failure}"));
}

fn same(
    op: &Op,
    found: &Answer,
    wanted: &Answer,
    (before, after): (&Memory, &Memory),
    at: &Path,
) -> Result<(), String> {
    if found != wanted {
        return Err(format!("{op:?}: the model says {found:?}, std::fs {wanted:?}"));
    }
    if *found != Answer::Done && before != after {
        return Err(format!("{op:?} failed and changed the model"));
    }
    let stands = without_times_of_directories(look(&RealDisk, at));
    let groups: Groups = Memory::of(&stands, &inodes(at, &stands)).groups();
    if stands != after.seen() || groups != after.groups() {
        let differ = differences(&after.seen(), &stands);
        return Err(format!("{op:?}: the model has\n{differ}{:?}, not {groups:?}", after.groups()));
    }
    Ok(())
}
