//! What was tried.

use std::fmt;

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
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recordings, writes, flushes, overtaking, distinct, tried, .. } = self;
        let Self { distinct_inside, tried_inside, elsewhere, with_work, refused, refused_torn, failed, .. } = self;
        write!(
            f,
            "{recordings} recordings ({writes} writes, {flushes} flushes, {overtaking} of them overtaking a write); \
             images tried {tried} of {distinct} distinct; inside recovery {tried_inside} of {distinct_inside} distinct; \
             under another device number {elsewhere}, with work for recovery {with_work}; \
             refused by the file system {refused}, and {refused_torn} for a torn block; failed {failed}"
        )
    }
}
