//! The outcomes of a large crash that differ from nothing or from everything in one thing: a draw may miss each of them.

use std::collections::BTreeSet;

use super::file_log::Torn;
use super::image::Id;
use super::outcome::{Outcome, Outcomes};

impl Outcomes {
    /// Each change of names kept alone and lost alone, with what cannot be told from it; each changed field of metadata
    /// and the contents of each file, the same; or, where changes survive in their order, each moment, with all contents
    /// and without.
    #[must_use]
    pub fn single(&self) -> Vec<Outcome> {
        let (nothing, everything) = (self.nothing(), self.everything());
        let mut out = if self.is_ordered() { self.each_moment() } else { self.each_change(&nothing, &everything) };
        let with = |of: &Outcome, id: &Id, torn: Option<&Torn>| {
            let mut outcome = of.clone();
            outcome.files.extend(torn.map(|torn| (*id, torn.clone())));
            outcome
        };
        let bare = self.names_without_contents();
        for id in self.files.keys() {
            out.push(with(&everything, id, bare.files.get(id)));
            out.push(with(&bare, id, everything.files.get(id)));
        }
        out
    }

    fn each_moment(&self) -> Vec<Outcome> {
        let up_to = |moment: u64| {
            let metas = self.metas.values().flat_map(|log| &log.0).map(|change| change.seq);
            let kept = self.names.keys().copied().chain(metas).filter(|seq| *seq <= moment).collect();
            let without = self.with_files(kept, |log, base| log.none(base, self.window(log, moment)));
            let all = self.with_files(without.kept.clone(), |log, base| log.all(base, self.window(log, moment)));
            [without, all]
        };
        self.moments().into_iter().flat_map(up_to).collect()
    }

    fn each_change(&self, nothing: &Outcome, everything: &Outcome) -> Vec<Outcome> {
        let mut out = Vec::new();
        let mut push = |kept: BTreeSet<u64>, of: &Outcome| {
            out.push(Outcome { kept, both: BTreeSet::new(), files: of.files.clone() });
        };
        for seq in self.names.keys() {
            let alone = self.with_needed(*seq);
            push(alone.clone(), everything);
            push(alone, nothing);
            let without = self.without_needing(*seq);
            push(everything.kept.iter().copied().filter(|kept| !without.contains(kept)).collect(), everything);
        }
        for change in self.metas.values().flat_map(|log| &log.0) {
            push(everything.kept.iter().copied().filter(|kept| *kept != change.seq).collect(), everything);
        }
        out
    }

    /// A change of names and all that it needs.
    fn with_needed(&self, seq: u64) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        let mut open = vec![seq];
        while let Some(seq) = open.pop() {
            let Some(change) = self.names.get(&seq) else { continue };
            if found.insert(seq) {
                open.extend(&change.deps);
            }
        }
        found
    }

    /// A change of names and all that need it; they come later.
    fn without_needing(&self, seq: u64) -> BTreeSet<u64> {
        let mut found = BTreeSet::from([seq]);
        for (later, change) in self.names.range(seq + 1..) {
            if change.deps.iter().any(|dep| found.contains(dep)) {
                found.insert(*later);
            }
        }
        found
    }
}
