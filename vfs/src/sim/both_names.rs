//! Renames that a loss of power takes apart: the new name survives, and the old one stands there, too.
//!
//! [`Disk::rename`](crate::Disk::rename) promises that this cannot happen, and on a file system with a journal it does not. POSIX
//! says it of the processes that look, and of no crash.

use super::image::{Edit, Id};
use super::names_log::NameChange;
use super::outcome::{Outcome, Outcomes};

/// The edit that gives the entry its new name, of a change that is a rename and could leave both.
pub(super) fn new_name(change: &NameChange) -> Option<&Edit> {
    match change.edits.as_slice() {
        [from, to] if from.new.is_none() && from.old == to.new => Some(to),
        _ => None,
    }
}

impl Outcome {
    /// Whether there is an entry in it under both names of a rename.
    #[must_use]
    pub fn has_both_names(&self) -> bool {
        !self.both.is_empty()
    }
}

impl Outcomes {
    /// The outcomes that are as `of`, but for renames that left the old name as well: each that can alone, and all of them. An
    /// exchange has no old name that is free, a directory has one name, and a name that was used again is not left.
    #[must_use]
    pub fn with_both_names(&self, of: &Outcome) -> Vec<Outcome> {
        let apart: Vec<u64> = of.kept.iter().copied().filter(|seq| self.may_leave_both(*seq, of)).collect();
        let all = (apart.len() > 1).then(|| apart.clone());
        let each = apart.into_iter().map(|seq| vec![seq]).chain(all);
        each.map(|both| Outcome { both: both.into_iter().collect(), ..of.clone() }).collect()
    }

    fn may_leave_both(&self, seq: u64, of: &Outcome) -> bool {
        let Some(change) = self.names.get(&seq) else { return false };
        let [Some(from), Some(to)] = [change.edits.first(), new_name(change)] else { return false };
        let is_dir = |id: Id| self.durable.is_dir(id);
        let mut later = self.names.range(seq + 1..).filter(|(seq, _)| of.kept.contains(seq));
        let uses = |edit: &Edit| edit.old == Some(from.dir) || (edit.dir == from.dir && edit.name == from.name);
        !to.new.is_none_or(is_dir) && !later.any(|(_, change)| change.edits.iter().any(uses))
    }
}
