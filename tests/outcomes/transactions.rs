//! Staged transactions.

use treewal::{Durability, Error, Outcome, interleave};
use treewal_vfs::sim::Profile;
use treewal_vfs::{Fault, Verb, errno};

use crate::seen::look;
use crate::world::{BODIES, Bed, Body, ROOT, after, allowed, assert_among, assert_reopens, options, prepared};

fn faults(at: u64) -> [Fault; 5] {
    [
        Fault::Error { at, errno: errno::EIO },
        Fault::Error { at, errno: errno::ENOSPC },
        Fault::ErrorFrom { at, errno: errno::ENOSPC },
        Fault::ErrorFrom { at, errno: errno::EIO },
        Fault::Off { at },
    ]
}

/// Runs `body` with a fault at every call; gives the number of faults that happened.
fn every_call(name: &str, earlier: &[Body], body: Body, durability: Durability) -> u64 {
    let base = prepared();
    let before = after(&base, earlier);
    let done = after(&base, &[earlier, &[body]].concat());
    let mut count = 0;
    for kind in 0..5 {
        for at in 1.. {
            let bed = Bed::new(&base, durability);
            earlier.iter().for_each(|body| bed.tree.transaction(body).unwrap());
            bed.tree.sync().unwrap();
            let fault = faults(at)[kind];
            bed.faulty.arm(fault);
            let result = bed.tree.transaction(body);
            if bed.faulty.mutations() < at {
                result.unwrap();
                break;
            }
            count += 1;
            let at = format!("{name}, {durability:?}, {fault:?}: {result:?}");
            let outcome = result.as_ref().err().map(Error::outcome);
            let wanted = allowed(outcome, &before, &done);
            if outcome != Some(Outcome::Undecided) {
                assert_among(&look(&bed.sim, ROOT), &wanted, &at);
            }
            // What was said survives a loss of power without any further word from the process, unless that was put off ..
            let put_off = durability == Durability::Deferred && matches!(outcome, None | Some(Outcome::Undecided));
            for profile in [Profile::Strict, Profile::Ordered].into_iter().filter(|_| !put_off) {
                let lost = bed.sim.after(&bed.sim.outcomes(profile).nothing());
                assert_reopens(&lost, &wanted, &format!("{at}, power lost, {profile:?}"));
            }
            // .. and a kill, and the process closing its handle on the disk that fails, or that works again.
            assert_reopens(&bed.sim.remount(), &wanted, &format!("{at}, killed"));
            if count % 2 == 0 {
                bed.faulty.arm(Fault::None);
            }
            drop(bed.tree);
            assert_reopens(&bed.sim, &wanted, &format!("{at}, closed"));
        }
    }
    count
}

#[test]
fn an_error_says_what_became_of_the_transaction() {
    let mut count = 0;
    for (name, body) in BODIES {
        count += every_call(name, &[], body, Durability::Journal);
    }
    assert!(count > 500, "{count} faults are too few to prove anything");
    println!("{count} faults");
}

#[test]
fn the_same_after_earlier_commits_that_no_checkpoint_covers() {
    let earlier: [Body; 2] = [|tx| tx.write("a", "earlier"), |tx| tx.write("d/x", vec![b'x'; 9000])];
    for (name, body) in BODIES {
        every_call(name, &earlier, body, Durability::Journal);
    }
}

#[test]
fn the_same_where_nothing_is_synced() {
    let earlier: [Body; 2] = [|tx| tx.write("a", "earlier"), |tx| tx.write("d/x", vec![b'x'; 9000])];
    for (name, body) in BODIES {
        every_call(name, &[], body, Durability::Deferred);
        every_call(name, &earlier, body, Durability::Deferred);
    }
}

#[test]
fn the_same_where_the_tree_is_synced_with_every_commit() {
    for (name, body) in BODIES {
        every_call(name, &[], body, Durability::Tree);
    }
}

/// The records of one are in the log, and go with those of another, which then fails for good: nobody knows what becomes of
/// the first before the tree is opened.
#[test]
fn whoever_has_appended_is_undecided_where_another_stops_the_handle() {
    let bodies: [Body; 2] = [
        |tx| tx.write("b", "new b"),
        |tx| {
            tx.write("a", "new a")?;
            tx.write("d/x", "new x")
        },
    ];
    let base = prepared();
    let both = after(&base, &bodies);
    for durability in [Durability::Journal, Durability::Deferred] {
        let Bed { sim, faulty, tree } = Bed::with(&base, &options(durability), Some(Verb::Rename));
        let transactions = bodies.map(|body| {
            let mut tx = tree.begin();
            body(&mut tx).unwrap();
            tx
        });
        let results = interleave(Vec::from(transactions), &[0, 0, 1, 1, 1, 1, 0], &mut |taken| {
            if taken == 5 {
                // Of its two renames the second fails, and the one that would take the first back.
                faulty.arm(Fault::ErrorFrom { at: 2, errno: errno::EIO });
            }
        });
        let outcomes: Vec<_> = results.iter().map(|result| result.as_ref().err().map(Error::outcome)).collect();
        assert_eq!(outcomes, [Some(Outcome::Undecided); 2], "{durability:?}: {results:?}");
        assert_reopens(&sim.remount(), &[&both], "opened again");
    }
}
