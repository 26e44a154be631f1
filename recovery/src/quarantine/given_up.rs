//! What a transaction that is given up holds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use treewal_journal::record::{Body, Goal, Intent, New};
use treewal_vfs::RelPath;

use crate::redo::{Contents, Superseded};

/// All contents that the records of a staged transaction hold, as things that could not be placed: record by record, since
/// a transaction that cannot be composed is given up like any other.
pub(crate) fn given_up(txn: u64, intents: &[Intent]) -> Vec<Superseded> {
    let given_up = |intent: &Intent| {
        let contents = match &intent.goal {
            Goal::New(New { body: Body::Inline(bytes) | Body::Symlink(bytes), .. })
            | Goal::Rewritten { new: New { body: Body::Inline(bytes), .. }, .. } => {
                Some(Contents::Bytes(bytes.clone()))
            }
            _ => None,
        };
        // A path that leaves the tree is one to be shown: nothing is done with it.
        let shown = || RelPath::root().join(OsStr::from_bytes(&intent.path.0));
        Superseded::given_up(txn, intent.path.to_path().unwrap_or_else(|_| shown()), contents)
    };
    intents.iter().map(given_up).collect()
}
