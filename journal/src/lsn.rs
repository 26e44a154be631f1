//! The two names that a log gives: one to each record, one to the tree it belongs to.

use std::fmt;

/// Log sequence number: the number of a record, 1 for the first. Dense while a log is healthy; a repair leaves a gap,
/// so that a number once given away is never given to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// The largest number that a log gives or a reader believes: far from where arithmetic wraps.
pub(crate) const LSN_MAX: Lsn = Lsn(u64::MAX >> 1);

impl Lsn {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number before this one; zero stays zero.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tree that a log belongs to: random, made once, stored in every segment, so that a segment of another tree is
/// never taken for one's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeId(pub [u8; 16]);

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeId({self})")
    }
}
