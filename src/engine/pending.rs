//! What this handle knows of transactions that are owed: recovery could neither finish nor undo them yet.
//!
//! Who meets one is refused by name, and everything else goes on. So whatever is committed beside them never touches
//! their paths, and a later try meets nothing that is newer than they are. How they outlast checkpoints is said in
//! `recovery/src/owed.rs`. What a handle knows of them it has from the journal: it learns it with a recovery, its own at
//! opening or at taking over from another, and knows it until the next one. Nobody but a recovery changes it; see
//! `hand_over.rs`.

use std::path::Path;
use std::sync::Arc;

use treewal_journal::record::Record;
use treewal_recovery::decide::Resolution;
use treewal_recovery::{Owed, RecoveryReport};
use treewal_vfs::{Disk, RelPath};

use super::{Claim, Core, How, State, identity, recovered, take};
use crate::{Error, Options, Result};

impl State {
    /// # Errors
    /// [`Error::Pending`] with the first path that meets one.
    pub(super) fn refuse_owed(&self, claim: &Claim, patterns: &[RelPath]) -> Result<()> {
        for owed in &self.owed {
            let touched = claim.all_paths().find_map(|path| owed.touched(path));
            let matched = || patterns.iter().find_map(|pattern| owed.matched(pattern));
            if let Some(path) = touched.or_else(matched) {
                return Err(Error::Pending { path: path.to_path(), txn: owed.txn });
            }
        }
        Ok(())
    }

    /// What a checkpoint writes behind what it covers: what goes on is told again, as a crash would have to end it.
    pub(super) fn told_again(&self) -> impl Iterator<Item = Record> {
        let guards = self.guards.iter().map(|guard| guard.record());
        guards.chain(self.owed.iter().flat_map(Owed::records).cloned())
    }

    /// How many bytes a checkpoint writes for what is owed.
    pub(super) fn owed_bytes(&self) -> u64 {
        self.owed.iter().map(Owed::bytes).sum()
    }
}

impl Core {
    /// What is owed may need anything in its stage, and that may be the one of this handle: displaced versions that wait
    /// for removal are then not removed slot by slot, but with the stage.
    pub(super) fn keep_what_is_needed(&self, state: &mut State) {
        if self.stage.lock().as_ref().is_some_and(|stage| is_needed(state, stage.name())) {
            state.garbage.clear();
        }
    }

    /// Whether the stage of this handle must outlast it.
    pub(super) fn is_stage_needed(&self, name: &str) -> bool {
        is_needed(&self.state.lock(), name)
    }
}

fn is_needed(state: &State, name: &str) -> bool {
    state.owed.iter().any(|owed| owed.stage() == Some(name))
}

/// Recovers the tree at `path` as a handle does that takes over, and decides about a transaction by hand, unless `check`,
/// which is asked under the lock, has something against it.
pub(crate) fn resolve_held(
    options: &Options,
    disk: Arc<dyn Disk>,
    path: &Path,
    (txn, how): (u64, Resolution),
    check: &dyn Fn() -> Result<()>,
) -> Result<RecoveryReport> {
    let (home, lock, mended) = take(options, disk, path)?;
    let report = check().and_then(|()| {
        let tree = identity(&home)?;
        let mut report = recovered(&home, options, tree, How::Resolve(txn, how))?.report;
        report.damage.extend(mended);
        Ok(report)
    });
    // Other handles have to look for themselves.
    lock.release(&home, None).map_err(Error::from_recovery)?;
    report
}
