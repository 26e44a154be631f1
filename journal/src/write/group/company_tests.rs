//! Who waits for company, and who does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::state::Hope;
use super::{Group, Medium};
use crate::Lsn;
use crate::error::Failure;

const SYNC: Duration = Duration::from_millis(40);
const ROUNDS: u64 = 20;

/// A log on a slow disk, which counts its syncs.
#[derive(Default)]
struct Slow {
    last: AtomicU64,
    syncs: AtomicU64,
}

impl Medium for Slow {
    type Chunk = ();

    fn last(&self) -> Lsn {
        Lsn(self.last.load(Ordering::SeqCst))
    }

    fn take(&self) -> ((), Lsn) {
        ((), self.last())
    }

    fn write(&self, (): &()) -> Result<(), Failure> {
        Ok(())
    }

    fn sync(&self, (): &()) -> Result<(), Failure> {
        thread::sleep(SYNC);
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn give_back(&self, (): ()) {}
}

/// How many syncs it takes for `threads` to commit [`ROUNDS`] times each.
fn syncs(threads: u64, patience: Duration) -> u64 {
    let (group, slow) = (Group::new(Lsn(0), patience), Slow::default());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let lsn = Lsn(slow.last.fetch_add(1, Ordering::SeqCst) + 1);
                    group.sync_to(&slow, lsn).unwrap();
                }
            });
        }
    });
    slow.syncs.into_inner()
}

#[test]
fn two_threads_share_each_sync_where_one_waits_for_the_other() {
    // Without waiting it takes about half as many again.
    let syncs = syncs(2, SYNC);
    assert!(syncs < ROUNDS * 5 / 4, "{syncs} syncs for {ROUNDS} commits of each");
}

#[test]
fn who_is_alone_waits_for_nobody() {
    let began = std::time::Instant::now();
    let patience = Duration::from_secs(3600);
    assert_eq!(syncs(1, patience), ROUNDS);
    assert!(began.elapsed() < patience);
}

#[test]
fn each_disappointment_doubles_the_flights_that_do_not_wait() {
    let mut hope = Hope::default();
    let mut waits = Vec::new();
    for flight in 0..1000 {
        if hope.is_left() {
            waits.push(flight);
            hope.learn(false);
        }
    }
    assert_eq!(waits[..7], [0, 2, 6, 14, 30, 62, 126], "one, three, seven .. go without");
    assert!(waits.windows(2).all(|pair| pair[1] - pair[0] <= 64), "at most 63 do: {waits:?}");
    hope.learn(true);
    assert!(hope.is_left() && hope.is_left(), "once somebody came, each waits");
}
