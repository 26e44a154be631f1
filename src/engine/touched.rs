//! What commits have changed since the last checkpoint: what the next one has to sync, and what a commit that syncs nothing
//! must not meet. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use treewal_journal::Lsn;
use treewal_vfs::RelPath;

use super::Claim;

/// The paths of the commits that no checkpoint covers.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Each by the number of its commit record, as they came to their end.
    commits: Vec<(Lsn, Arc<Claim>)>,
    /// The paths of the first of them, each with the oldest commit that changed it. Made when somebody asks, which most
    /// programs never do.
    index: BTreeMap<RelPath, Lsn>,
    indexed: usize,
    /// Up to here others may have changed anything: another handle, or a commit that moved what no list names.
    anything: Option<Lsn>,
}

impl Touched {
    /// Adds a commit.
    pub(super) fn add(&mut self, lsn: Lsn, claim: &Arc<Claim>) {
        self.commits.push((lsn, Arc::clone(claim)));
    }

    /// Anything may have been changed by what the journal has up to `lsn`.
    pub(super) fn add_anything(&mut self, lsn: Lsn) {
        self.anything = self.anything.max(Some(lsn));
    }

    /// Forgets what a checkpoint covers.
    pub(super) fn forget(&mut self, upto: Lsn) {
        self.commits.retain(|(lsn, _)| *lsn > upto);
        self.anything = self.anything.filter(|lsn| *lsn > upto);
        self.index.clear();
        self.indexed = 0;
    }

    /// The paths that commits up to `upto` have changed, and the directories above them; `None` where these are more than
    /// `most` together, or not known.
    pub(super) fn paths(&self, upto: Lsn, most: usize) -> Option<BTreeSet<RelPath>> {
        if self.anything.is_some() {
            return None;
        }
        let mut paths = BTreeSet::new();
        for path in self.commits.iter().filter(|(lsn, _)| *lsn <= upto).flat_map(|(_, claim)| claim.changes()) {
            if !paths.contains(path) {
                paths.extend(path.ancestors());
                paths.insert(path.clone());
            }
            if paths.len() > most {
                return None;
            }
        }
        Some(paths)
    }

    /// Whether a commit with this claim takes away, from where it stands, what one up to `durable` has put there.
    ///
    /// What lies *beneath* a path that was changed is no harm: it is looked at by itself.
    pub(super) fn is_replaced_by(&mut self, claim: &Claim, durable: Lsn) -> bool {
        if self.anything.is_some() {
            return true;
        }
        self.complete_index();
        let beneath = |path: &RelPath| {
            let path = path.clone();
            self.index.range(path.clone()..).take_while(move |(other, _)| other.starts_with(&path))
        };
        claim.changes().iter().any(|path| beneath(path).any(|(_, oldest)| *oldest <= durable))
    }

    fn complete_index(&mut self) {
        for (lsn, claim) in &self.commits[self.indexed..] {
            for path in claim.changes() {
                let oldest = self.index.entry(path.clone()).or_insert(*lsn);
                *oldest = (*oldest).min(*lsn);
            }
        }
        self.indexed = self.commits.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn claim(texts: &[&str]) -> Arc<Claim> {
        let mut paths: Vec<RelPath> = texts.iter().map(|text| path(text)).collect();
        paths.sort();
        Arc::new(Claim::new(paths, vec![path("relied")]))
    }

    #[test]
    fn to_replace_is_to_stand_where_it_stands_or_above() {
        let mut touched = Touched::default();
        touched.add(Lsn(9), &claim(&["a/b", "c"]));
        touched.add(Lsn(5), &claim(&["e"]));
        for (text, replaces) in
            [("a/b", true), ("a", true), ("a/b/c", false), ("a/bc", false), ("c", true), ("relied", false)]
        {
            assert_eq!(touched.is_replaced_by(&claim(&[text]), Lsn(9)), replaces, "{text}");
            assert!(!touched.is_replaced_by(&claim(&[text]), Lsn(8)), "{text} is not durable");
        }
        // The oldest counts, whatever came later and in whatever order.
        touched.add(Lsn(20), &claim(&["e"]));
        assert!(touched.is_replaced_by(&claim(&["e"]), Lsn(5)));
        touched.forget(Lsn(9));
        assert!(!touched.is_replaced_by(&claim(&["c", "a"]), Lsn(30)));
        assert!(!touched.is_replaced_by(&claim(&["e"]), Lsn(19)));
        assert!(touched.is_replaced_by(&claim(&["e"]), Lsn(20)));
    }

    #[test]
    fn a_checkpoint_is_told_of_what_it_covers_with_the_directories_above() {
        let mut touched = Touched::default();
        touched.add(Lsn(5), &claim(&["a/b/c", "d"]));
        touched.add(Lsn(9), &claim(&["later"]));
        let wanted: BTreeSet<RelPath> = ["", "a", "a/b", "a/b/c", "d"].map(path).into();
        assert_eq!(touched.paths(Lsn(5), 5), Some(wanted));
        assert_eq!(touched.paths(Lsn(5), 4), None);
        assert_eq!(touched.paths(Lsn(9), 6).map(|paths| paths.len()), Some(6));
    }

    #[test]
    fn where_anything_may_have_changed_nothing_is_known() {
        let mut touched = Touched::default();
        touched.add_anything(Lsn(7));
        assert_eq!(touched.paths(Lsn(3), 100), None);
        assert!(touched.is_replaced_by(&claim(&["a"]), Lsn(0)));
        touched.forget(Lsn(6));
        assert_eq!(touched.paths(Lsn(9), 100), None);
        touched.forget(Lsn(7));
        assert_eq!(touched.paths(Lsn(9), 100), Some(BTreeSet::new()));
    }
}
