//! What was tried.

use std::fmt;

use crate::deaf::Found;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) recordings: usize,
    pub(crate) writes: usize,
    pub(crate) flushes: usize,
    /// Of the flushes those that came while a write was on its way.
    pub(crate) overtaking: usize,
    /// Different disks that the rules lead to.
    pub(crate) distinct: usize,
    /// Of these, how many were tried.
    pub(crate) tried: usize,
    /// The same for losses of power inside a recovery.
    pub(crate) distinct_inside: usize,
    pub(crate) tried_inside: usize,
    /// Of all that were tried, those that came back under another device number.
    pub(crate) elsewhere: usize,
    /// Of all that were tried, those in which recovery had something to do.
    pub(crate) with_work: usize,
    /// Disks with a torn block that the file system refused, as it may; each was tried again torn at pages.
    pub(crate) refused_torn: usize,
    /// Disks that the file system refused, and may not.
    pub(crate) refused: usize,
    /// Disks on which treewal broke a promise.
    pub(crate) failed: usize,
    /// Of these, those on which what was acknowledged was gone.
    pub(crate) lost: usize,
    /// Flushes in recordings of recoveries, and of these those that overtook a write.
    pub(crate) flushes_inside: usize,
    pub(crate) overtaking_inside: usize,
    /// Of a disk that ignores flushes.
    pub(crate) deaf: Deaf,
}

/// What became of disks that ignore flushes.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Deaf {
    pub(crate) refused: usize,
    pub(crate) told: usize,
    pub(crate) whole: usize,
    pub(crate) mixed: usize,
    /// Those on which something did not hold that holds without flushes too.
    pub(crate) unexpected: usize,
}

impl Count {
    pub(crate) fn sum<'a>(counts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        counts.into_iter().for_each(|count| sum.add(count));
        sum
    }

    fn add(&mut self, other: &Self) {
        self.recordings += other.recordings;
        self.writes += other.writes;
        self.flushes += other.flushes;
        self.overtaking += other.overtaking;
        self.distinct += other.distinct;
        self.tried += other.tried;
        self.distinct_inside += other.distinct_inside;
        self.tried_inside += other.tried_inside;
        self.elsewhere += other.elsewhere;
        self.with_work += other.with_work;
        self.lost += other.lost;
        self.refused += other.refused;
        self.refused_torn += other.refused_torn;
        self.failed += other.failed;
        self.flushes_inside += other.flushes_inside;
        self.overtaking_inside += other.overtaking_inside;
        self.deaf.refused += other.deaf.refused;
        self.deaf.told += other.deaf.told;
        self.deaf.whole += other.deaf.whole;
        self.deaf.mixed += other.deaf.mixed;
        self.deaf.unexpected += other.deaf.unexpected;
    }

    /// Whether something was tried, and nothing went wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.tried > 0 && self.failed == 0 && self.refused == 0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recordings, writes, flushes, overtaking, distinct, tried, .. } = self;
        let Self { distinct_inside, tried_inside, flushes_inside, overtaking_inside, elsewhere, .. } = self;
        let Self { with_work, refused, refused_torn, failed, .. } = self;
        write!(
            f,
            "{recordings} recordings ({writes} writes, {flushes} flushes, {overtaking} of them overtaking a write); \
             images tried {tried} of {distinct} distinct; inside recovery {tried_inside} of {distinct_inside} distinct \
             ({flushes_inside} flushes, {overtaking_inside} of them overtaking a write); \
             under another device number {elsewhere}, with work for recovery {with_work}; \
             refused by the file system {refused}, and {refused_torn} for a torn block; failed {failed}"
        )
    }
}

impl Deaf {
    pub(crate) fn add_one(&mut self, found: Option<Found>) {
        let count = match found {
            Some(Found::Refused) => &mut self.refused,
            Some(Found::Told) => &mut self.told,
            Some(Found::Whole) => &mut self.whole,
            Some(Found::Mixed) => &mut self.mixed,
            None => &mut self.unexpected,
        };
        *count += 1;
    }
}

impl fmt::Display for Deaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { refused, told, whole, mixed, unexpected } = self;
        write!(
            f,
            "refused by the file system {refused}, opened and as after some step {whole}, opened with a report of damage \
             {told}, opened and of several moments with nothing to tell it by {mixed}; unexpected {unexpected}"
        )
    }
}
