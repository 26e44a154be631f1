//! Whether a staged transaction is one that treewal can have written: its records are untrusted, though their checksums hold.
//! Pure.

use treewal_journal::record::{Body, Goal, Intent, New, PathBytes};
use treewal_vfs::RelPath;

use crate::history::{Told, Work};
use crate::home::{DIR_NAME, is_own_name};
use crate::redo::{Part, compose};

/// A staged transaction, as the redo takes it.
pub(crate) fn part(txn: u64, told: &Told) -> Option<Part<'_>> {
    match &told.work {
        Work::Staged(begin, intents) => Some(Part { txn, at: told.at, stage: &begin.stage, intents }),
        Work::Guarded(_) => None,
    }
}

/// Whether a name from the journal is a single component.
pub(crate) fn is_one_name(name: &str) -> bool {
    RelPath::new(name).is_ok_and(|path| path.depth() == 1)
}

/// Whether the records name a stage and paths of the tree: nothing of a transaction that does not is trusted.
///
/// Nothing is to happen in treewal's own directory, and nothing is to come from there but what stands in the stage of the
/// transaction itself, to be published. The tree itself gets attributes, and is never replaced or removed.
pub(crate) fn is_sound(part: Part<'_>) -> bool {
    is_one_name(part.stage) && part.intents.iter().all(|intent| is_sound_intent(part.stage, intent)) && {
        compose(&[part]).is_ok_and(|wishes| !wishes.iter().any(|wish| is_own(&wish.path)))
    }
}

fn is_sound_intent(stage: &str, intent: &Intent) -> bool {
    let from = match &intent.goal {
        Goal::Moved { from, .. } | Goal::New(New { body: Body::Link { from }, .. }) => Some(from),
        Goal::New(_) | Goal::Absent | Goal::Kept | Goal::Emptied | Goal::Rewritten { .. } => None,
    };
    let is_all = |path: &PathBytes| path.to_path().is_ok_and(|path| path.is_root());
    // What becomes of the tree itself is a matter of its attributes.
    let touches_all = is_all(&intent.path) || intent.base.iter().chain(from).any(is_all);
    if touches_all && !(is_all(&intent.path) && matches!(intent.goal, Goal::Kept)) {
        return false;
    }
    let mut origins = intent.base.iter().chain(from);
    origins.all(|path| path.to_path().is_ok_and(|path| !is_own(&path) || is_staged(stage, &path)))
}

fn is_own(path: &RelPath) -> bool {
    path.components().next().is_some_and(is_own_name)
}

/// Whether a path lies in the stage of that name.
fn is_staged(stage: &str, path: &RelPath) -> bool {
    let stage = RelPath::root().join(DIR_NAME).join("stage").join(stage);
    path.starts_with(&stage) && path.depth() > stage.depth()
}
