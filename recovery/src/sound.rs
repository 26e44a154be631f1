//! Whether what the journal says of a transaction can be gone by: it is untrusted input.

use treewal_vfs::RelPath;

use crate::history::{Told, Work};
use crate::home::is_own_name;
use crate::redo::{Part, compose};

/// A staged transaction, as the redo takes it.
pub(crate) fn part(txn: u64, told: &Told) -> Option<Part<'_>> {
    match &told.work {
        Work::Staged(begin, intents) => Some(Part { txn, at: told.at, stage: &begin.stage, intents }),
        Work::Guarded(_) => None,
    }
}

/// Whether the records of a transaction name paths of the tree, and a stage: nothing of one that does not is trusted.
pub(crate) fn is_sound(txn: u64, told: &Told) -> bool {
    let Some(part) = part(txn, told) else { return true };
    let is_own = |path: &RelPath| path.components().next().is_some_and(is_own_name);
    is_one_name(part.stage) && compose(&[part]).is_ok_and(|wishes| !wishes.iter().any(|wish| is_own(&wish.path)))
}

/// Whether a name from the journal is a single component: it is untrusted.
pub(crate) fn is_one_name(name: &str) -> bool {
    RelPath::new(name).is_ok_and(|path| path.depth() == 1)
}
