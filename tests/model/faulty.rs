//! A disk that fails once in the middle of an operation: the transaction is as it was before the operation, and can go on.
//! What it shows of itself at the end is what its commit makes.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Fault, FaultDisk, Verb, errno};

use crate::ops::{Op, op};
use crate::random::{begin, cases, check, look_through, options};
use crate::seen::{differences, leftovers, look};

/// An operation, and at which call of it the disk fails.
fn failing() -> impl Strategy<Value = (Op, Option<u64>)> {
    (op(), prop::option::weighted(0.7, 1..6u64))
}

fn verb() -> impl Strategy<Value = Verb> {
    let looking = [Verb::Stat, Verb::List, Verb::Xattrs, Verb::OpenDir, Verb::Open, Verb::ReadAt, Verb::StatFile];
    let changing = [Verb::Create, Verb::WriteAt, Verb::SetLen, Verb::Reflink, Verb::NextData];
    prop::sample::select([looking.as_slice(), changing.as_slice()].concat())
}

fn run(ops: &[(Op, Option<u64>)], verb: Verb) -> Result<(), TestCaseError> {
    let sim = SimDisk::new();
    // Without a file of two names: what is set through one of them shows under both only once it is committed.
    begin(&sim, Path::new("/"), false);
    let disk = Arc::new(FaultDisk::new(Arc::new(sim.clone()), Fault::None).only(verb));
    let tree = options().open_on(Arc::clone(&disk) as Arc<dyn Disk>, "/").unwrap();
    let mut tx = tree.begin();
    for (op, at) in ops {
        let before = (tx.changes(), look_through(&tx));
        if let Some(at) = at {
            disk.arm(Fault::Error { at: *at, errno: errno::EIO });
        }
        let done = op.stage(&mut tx);
        disk.arm(Fault::None);
        // A file that is written in pieces has those that were written.
        if done.is_err() && !matches!(op, Op::Stream(..)) {
            let after = look_through(&tx);
            prop_assert!(after == before.1, "{:?}: {:?} left\n{}", op, done, differences(&after, &before.1));
            prop_assert_eq!(&before.0, &tx.changes(), "{:?}: {:?} changed something", op, done);
        }
    }
    let seen = look_through(&tx);
    let committed = tx.commit();
    prop_assert!(committed.is_ok(), "{:?}", committed);
    let found = look(&sim, "/");
    prop_assert!(found == seen, "the transaction saw something else\n{}", differences(&found, &seen));
    drop(tree);
    // A stage that could not be made is swept by the next opening.
    let tree = options().open_on(Arc::new(sim.clone()), "/").unwrap();
    prop_assert!(tree.recovery().transactions.is_empty(), "{}", tree.recovery());
    prop_assert_eq!(leftovers(&sim, "/"), Vec::<String>::new());
    Ok(())
}

#[test]
fn what_fails_half_way_has_not_happened() {
    check(cases(300), (prop::collection::vec(failing(), 1..10), verb()), |(ops, verb)| run(&ops, verb));
}
