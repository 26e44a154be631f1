//! What a commit claims while it is under way: two that do not meet may go on at the same time. Pure.

use treewal_vfs::RelPath;

/// The paths that a commit changes, and those it relies on.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    changes: Vec<RelPath>,
    relies: Vec<RelPath>,
    /// Where nobody may commit meanwhile. A guard is no commit before it ends.
    watches: Vec<RelPath>,
}

impl Claim {
    /// `changes` must be sorted.
    pub(crate) fn new(changes: Vec<RelPath>, mut relies: Vec<RelPath>) -> Self {
        debug_assert!(changes.is_sorted());
        relies.sort();
        Self { changes, relies, watches: Vec::new() }
    }

    /// And nobody else is to commit anything to these meanwhile. Who guards them, and has been looked at, may go on.
    pub(crate) fn watching(mut self, mut paths: Vec<RelPath>) -> Self {
        paths.sort();
        self.watches = paths;
        self
    }

    /// Some paths, in any order.
    pub(crate) fn of(mut paths: Vec<RelPath>) -> Self {
        paths.sort();
        Self::new(paths, Vec::new())
    }

    /// The paths that change, sorted.
    pub(crate) fn changes(&self) -> &[RelPath] {
        &self.changes
    }

    /// The paths that change, and those that are relied on.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &RelPath> {
        self.changes.iter().chain(&self.relies)
    }

    /// These, and the paths that are watched.
    pub(crate) fn all_paths(&self) -> impl Iterator<Item = &RelPath> {
        self.paths().chain(&self.watches)
    }

    /// Whether one of the two changes what the other changes or relies on, or something above or beneath that.
    ///
    /// Above, because to remove or replace a directory is to change all that is in it.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        overlap(&self.changes, &other.changes)
            || overlap(&self.changes, &other.relies)
            || overlap(&self.relies, &other.changes)
            || overlap(&self.changes, &other.watches)
            || overlap(&self.watches, &other.changes)
    }
}

/// Whether a path of one list is one of the other, or lies above or beneath it. Both are sorted, which puts everything
/// beneath a path right behind it: so one walk over both is enough.
fn overlap(a: &[RelPath], b: &[RelPath]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(one), Some(other)) = (a.peek(), b.peek()) {
        if one.starts_with(other) || other.starts_with(one) {
            return true;
        }
        if one < other {
            a.next();
        } else {
            b.next();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths(texts: &[&str]) -> Vec<RelPath> {
        let mut paths: Vec<RelPath> = texts.iter().map(|text| RelPath::new(text).unwrap()).collect();
        paths.sort();
        paths
    }

    fn claim(changes: &[&str], relies: &[&str]) -> Claim {
        Claim::new(paths(changes), paths(relies))
    }

    #[test]
    fn what_lies_above_or_beneath_a_change_is_claimed_with_it() {
        let change = claim(&["a/b"], &[]);
        for (other, meets) in [("a/b", true), ("a/b/c", true), ("a", true), ("a/c", false), ("a/bc", false)] {
            assert_eq!(change.meets(&claim(&[other], &[])), meets, "{other}");
            assert_eq!(change.meets(&claim(&[], &[other])), meets, "{other}");
            assert_eq!(claim(&[], &[other]).meets(&change), meets, "{other}");
        }
    }

    #[test]
    fn two_may_rely_on_the_same() {
        assert!(!claim(&["a"], &["c"]).meets(&claim(&["b"], &["c"])));
        // Each changes what the other relies on: one after the other, or neither sees the other's change.
        assert!(claim(&["a"], &["b"]).meets(&claim(&["b"], &["a"])));
    }

    #[test]
    fn what_is_watched_keeps_changes_out_and_is_no_change() {
        let watching = || claim(&["a"], &[]).watching(paths(&["", "b"]));
        assert!(watching().meets(&claim(&["z"], &[])) && claim(&["z"], &[]).meets(&watching()));
        assert!(!claim(&[], &[]).watching(paths(&[""])).meets(&claim(&[], &["z"]).watching(paths(&[""]))));
        assert_eq!(watching().paths().count(), 1);
        assert_eq!(watching().all_paths().count(), 3);
    }

    proptest! {
        #[test]
        fn one_walk_finds_what_all_pairs_would(
            a in proptest::collection::vec("[ab](/[ab]){0,2}", 0..6),
            b in proptest::collection::vec("[abc](/[ab]){0,2}", 0..6),
        ) {
            let texts = |list: &[String]| paths(&list.iter().map(String::as_str).collect::<Vec<_>>());
            let (a, b) = (texts(&a), texts(&b));
            let pairs = a.iter().any(|one| b.iter().any(|other| one.starts_with(other) || other.starts_with(one)));
            prop_assert_eq!(overlap(&a, &b), pairs);
        }
    }
}
