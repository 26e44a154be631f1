//! Random numbers that are the same in each run.

use std::cell::RefCell;

use super::sample::Random;

thread_local! {
    static SEEDED: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// From here on [`random`](crate::random) draws from `seed` in this thread, so that two runs of one workload are the same
/// to the byte and [`SimDisk::digest`](super::SimDisk::digest) knows them for the same; `None` takes that back. What
/// follows a crash needs another seed than what came before it: it must not draw the same names again.
pub fn seed_random(seed: Option<u64>) {
    SEEDED.with_borrow_mut(|seeded| *seeded = seed.map(Random));
}

/// The next number, where there is a seed.
pub(crate) fn drawn() -> Option<u64> {
    SEEDED.with_borrow_mut(|seeded| seeded.as_mut().map(Random::next))
}
