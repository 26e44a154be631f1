//! What of a tree a transaction touches: who meets that while the transaction is owed is refused.

use std::collections::BTreeSet;

use treewal_journal::record::{Goal, Guard, Intent};
use treewal_snapshot::Manifest;
use treewal_vfs::{Kind, RelPath};

use crate::history::{Told, Work};
use crate::home::Home;
use crate::patterns;
use crate::undo::snapshot_dir;

/// The paths that a transaction touches.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// With all that lies beneath.
    whole: BTreeSet<RelPath>,
    /// Only attributes of these are set: what lies beneath has nothing to do with it.
    alone: BTreeSet<RelPath>,
    /// What matches is touched as well, also where it is not there yet.
    patterns: Vec<RelPath>,
}

impl Reach {
    /// What a transaction touches, as far as its records name paths of the tree.
    #[must_use]
    pub fn of(home: &Home, told: &Told) -> Self {
        match &told.work {
            Work::Staged(_, intents) => Self::of_intents(intents),
            Work::Guarded(guard) => Self::of_guard(home, guard),
        }
    }

    pub(crate) fn of_intents(intents: &[Intent]) -> Self {
        let mut reach = Self::default();
        for intent in intents {
            let Ok(path) = intent.path.to_path() else { continue };
            let from = match &intent.goal {
                Goal::Moved { from, .. } => from.to_path().ok(),
                Goal::New(new) => match &new.body {
                    treewal_journal::record::Body::Link { from } => from.to_path().ok(),
                    _ => None,
                },
                _ => None,
            };
            let base = intent.base.as_ref().and_then(|base| base.to_path().ok());
            // A directory's times move with each name in it.
            let sets_times = intent.look.as_ref().is_some_and(|look| look.times.is_some());
            let is_dir = intent.prior.is_some_and(|prior| prior.kind == Kind::Dir);
            let to = if matches!(intent.goal, Goal::Kept) && !(sets_times && is_dir) {
                &mut reach.alone
            } else {
                &mut reach.whole
            };
            to.insert(path);
            to.extend(base);
            reach.whole.extend(from);
        }
        reach
    }

    /// The manifest is what counts; the record stands in for one that cannot be read.
    fn of_guard(home: &Home, guard: &Guard) -> Self {
        let mut reach = Self::default();
        reach.whole.extend(guard.paths.iter().filter_map(|path| path.to_path().ok()));
        let Ok(from) = snapshot_dir(home, &guard.snapshot) else { return reach };
        if let Ok(manifest) = Manifest::load(&*home.disk, &from) {
            reach.whole.extend(manifest.guarded().iter().map(|guarded| guarded.path.clone()));
        }
        reach.patterns = patterns::read(&*home.disk, &from).unwrap_or_default();
        reach
    }

    /// What of this is touched by who touches `path`, with all that lies beneath it.
    #[must_use]
    pub fn touched(&self, path: &RelPath) -> Option<RelPath> {
        let above = path.ancestors().chain([path.clone()]).find(|above| self.whole.contains(above));
        let beneath = |paths: &BTreeSet<RelPath>| {
            paths.range(path.clone()..).next().filter(|first| first.starts_with(path)).cloned()
        };
        let matching = || self.patterns.iter().find(|pattern| patterns::touches(pattern, path)).cloned();
        above.or_else(|| beneath(&self.whole)).or_else(|| beneath(&self.alone)).or_else(matching)
    }

    /// What of this a pattern describes, or may come to describe.
    #[must_use]
    pub fn matched(&self, pattern: &RelPath) -> Option<RelPath> {
        let mut own = self.whole.iter().chain(&self.alone);
        let found = own.find(|path| patterns::touches(pattern, path)).cloned();
        let same_dir = || self.patterns.iter().find(|own| own.parent() == pattern.parent()).cloned();
        found.or_else(same_dir)
    }

    /// Whether two transactions touch each other's paths.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let one_way = |a: &Self, b: &Self| {
            let own = a.whole.iter().chain(&a.patterns);
            own.into_iter().any(|path| b.touched(path).is_some())
        };
        let matching = |a: &Self, b: &Self| a.patterns.iter().any(|pattern| b.matched(pattern).is_some());
        one_way(self, other)
            || one_way(other, self)
            || matching(self, other)
            || matching(other, self)
            || self.alone.intersection(&other.alone).next().is_some()
    }

    /// Of many staged transactions, which belong together: the places of each group in the list.
    ///
    /// One walk over all paths in their order, which puts what lies beneath a path behind it.
    #[must_use]
    pub fn groups(all: &[Self]) -> Vec<Vec<usize>> {
        let mut leader: Vec<usize> = (0..all.len()).collect();
        let mut paths: Vec<(&RelPath, bool, usize)> = Vec::new();
        for (n, reach) in all.iter().enumerate() {
            paths.extend(reach.whole.iter().map(|path| (path, true, n)));
            paths.extend(reach.alone.iter().map(|path| (path, false, n)));
        }
        paths.sort();
        // Those above the path at hand, and those at it.
        let mut above: Vec<(&RelPath, bool, usize)> = Vec::new();
        for (path, whole, n) in paths {
            while above.last().is_some_and(|(over, _, _)| !path.starts_with(over)) {
                above.pop();
            }
            for (over, is_whole, other) in &above {
                if *is_whole || *over == path {
                    join(&mut leader, *other, n);
                }
            }
            // One of a group stands for all of it.
            if !above.iter().any(|(over, is_whole, _)| *over == path && *is_whole == whole) {
                above.push((path, whole, n));
            }
        }
        let mut groups: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        for n in 0..all.len() {
            groups[lead(&mut leader, n)].push(n);
        }
        groups.retain(|group| !group.is_empty());
        groups
    }
}

fn lead(leader: &mut [usize], n: usize) -> usize {
    let mut at = n;
    while leader[at] != at {
        leader[at] = leader[leader[at]];
        at = leader[at];
    }
    at
}

fn join(leader: &mut [usize], a: usize, b: usize) {
    let (a, b) = (lead(leader, a), lead(leader, b));
    leader[a.max(b)] = a.min(b);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn reach(whole: &[&str], alone: &[&str], patterns: &[&str]) -> Reach {
        let paths = |list: &[&str]| list.iter().map(|text| path(text)).collect::<BTreeSet<_>>();
        Reach { whole: paths(whole), alone: paths(alone), patterns: paths(patterns).into_iter().collect() }
    }

    #[test]
    fn ro24_what_lies_above_or_beneath_is_touched_and_neighbours_are_not() {
        let owed = reach(&["a/b"], &["c/d"], &["e/*.db"]);
        for (text, touched) in [
            ("a/b", true),
            ("a/b/c", true),
            ("a", true),
            ("", true),
            ("a/bc", false),
            ("a/c", false),
            ("c/d", true),
            ("c", true),
            ("c/d/x", false),
            ("e", true),
            ("e/x.db", true),
            ("e/x.db/y", true),
            ("e/x.dbs", false),
            ("f", false),
        ] {
            assert_eq!(owed.touched(&path(text)).is_some(), touched, "{text:?}");
        }
    }

    #[test]
    fn a_tree_as_a_whole_meets_everything() {
        let whole = reach(&[""], &[], &[]);
        assert!(whole.touched(&path("any/where")).is_some());
        assert_eq!(Reach::groups(&[reach(&["x"], &[], &[]), whole, reach(&["y"], &[], &[])]), [[0, 1, 2]]);
    }

    fn some() -> impl Strategy<Value = Reach> {
        let texts = || proptest::collection::vec("[ab](/[ab]){0,2}", 0..3);
        (texts(), texts()).prop_map(|(whole, alone)| {
            let strs = |list: &[String]| list.iter().map(|text| path(text)).collect();
            Reach { whole: strs(&whole), alone: strs(&alone), patterns: Vec::new() }
        })
    }

    proptest! {
        /// One walk finds the groups that all pairs would.
        #[test]
        fn ro24_groups_are_those_of_all_pairs(all in proptest::collection::vec(some(), 0..7)) {
            let mut leader: Vec<usize> = (0..all.len()).collect();
            for a in 0..all.len() {
                for b in 0..a {
                    if all[a].meets(&all[b]) {
                        join(&mut leader, a, b);
                    }
                }
            }
            let groups = Reach::groups(&all);
            prop_assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), all.len());
            let of = |n: usize| groups.iter().position(|group| group.contains(&n));
            for a in 0..all.len() {
                for b in 0..a {
                    let together = lead(&mut leader, a) == lead(&mut leader, b);
                    prop_assert_eq!(of(a) == of(b), together, "{:?} and {:?}", &all[a], &all[b]);
                }
            }
        }
    }
}
