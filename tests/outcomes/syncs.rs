//! Syncs that fail once, while later ones succeed: the kernel has dropped what it could not write, and says so once.

use std::sync::Arc;

use treewal::{CheckpointSync, Durability, Error};
use treewal_vfs::sim::Profile;

use crate::seen::look;
use crate::world::{BODIES, Bed, ROOT, after, allowed, assert_among, assert_reopens, options, prepared};

/// One sync fails, in the commit, in the checkpoint after it or in closing the handle. What was said is true at once, on
/// the same boot, and after a loss of power.
fn every_sync(durability: Durability, sync: CheckpointSync) -> u64 {
    let mut count = 0;
    for (name, body) in BODIES {
        let base = prepared();
        let before = look(&base, ROOT);
        let done = after(&base, &[body]);
        for at in 1.. {
            let bed = Bed::with(&base, &options(durability).checkpoint_sync(sync), None);
            let syncs = bed.sim.syncs();
            bed.sim.fail_sync_at(Some(at));
            let result = bed.tree.transaction(body);
            let checkpoint = bed.tree.checkpoint();
            let Bed { sim, tree, .. } = bed;
            drop(tree);
            if sim.syncs() - syncs < at {
                break;
            }
            count += 1;
            let outcome = result.as_ref().err().map(Error::outcome);
            let wanted = allowed(outcome, &before, &done);
            let at = format!("{name}, {durability:?}, sync {at} fails: {result:?}, checkpoint {checkpoint:?}");
            // What is put off is durable with the checkpoint, and not before.
            let put_off = durability == Durability::Deferred && checkpoint.is_err();
            for profile in [Profile::Strict, Profile::Ordered].into_iter().filter(|_| !put_off) {
                let all = sim.outcomes(profile);
                for outcome in [all.nothing(), all.everything(), all.names_without_contents()] {
                    assert_reopens(&sim.after(&outcome), &wanted, &format!("{at}, power lost, {profile:?}"));
                }
            }
            drop(options(Durability::Journal).open_on(Arc::new(sim.clone()), ROOT).unwrap());
            assert_among(&look(&sim, ROOT), &wanted, &format!("{at}, opened again"));
        }
    }
    count
}

#[test]
fn a_sync_that_fails_once_breaks_no_word() {
    for sync in [CheckpointSync::Entries, CheckpointSync::FileSystem] {
        let levels = [Durability::Journal, Durability::Tree, Durability::Deferred];
        let count: u64 = levels.map(|durability| every_sync(durability, sync)).iter().sum();
        assert!(count > 60, "{count}");
    }
}
