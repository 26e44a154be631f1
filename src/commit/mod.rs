//! The commit of a staged transaction.
//!
//! | step | what it does | what a crash leaves |
//! |---|---|---|
//! | materialize | new entries stand complete in the stage; large contents are synced there | the tree as it was; the stage is swept |
//! | check | under the tree's lock: everything that is to be replaced is as it was when the transaction looked | the same |
//! | promise | intents, contents and the commit record become durable in one sync: **the commit point** | before the sync returned: either; after: recovery redoes it |
//! | apply | renames that leave every path present that was present; nothing is synced | recovery redoes what is missing |
//! | settle | later, off this path: a checkpoint syncs the tree, and the journal forgets | recovery finds everything in place |

mod apply;
mod check;
mod materialize;
mod names;

use std::sync::Arc;

use treewal_journal::Lsn;
use treewal_journal::record::{Begin, Intent, Record};
use treewal_recovery::plan::Ground;
use treewal_vfs::Time;

use crate::engine::{Engine, Hold, Stage};
use crate::transaction::{Base, Difference, Expectation};
use crate::{Durability, Error, Result};
use apply::Applied;
use materialize::Material;
pub(crate) use materialize::SYNCS_MAX;

/// What a commit gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Number of the transaction; 0 where nothing had changed.
    pub id: u64,
    /// Position of its commit record in the journal; 0 where nothing had changed.
    pub lsn: u64,
    /// How many paths are not as they were before.
    pub changes: usize,
}

impl Engine {
    /// Commits a difference; see the table above.
    pub(crate) fn commit(
        &self,
        base: &Base,
        difference: Vec<Difference>,
        expectations: &[Expectation],
    ) -> Result<Receipt> {
        let _span = tracing::debug_span!("commit", changes = difference.len()).entered();
        if difference.is_empty() {
            let mut ground = Ground::new(base.disk(), self.root().clone());
            check::expectations(&mut ground, expectations)?;
            return Ok(Receipt { id: 0, lsn: 0, changes: 0 });
        }
        let stage = self.stage()?;
        let mut material = Material::make(&stage, base, difference, self.options().durability)?;
        let result = self.promise_and_apply(&stage, &mut material, expectations);
        // Whatever is undecided may still be needed from the stage; anything else that failed will never be.
        if result.as_ref().is_err_and(|error| error.outcome() != crate::Outcome::Undecided) {
            material.discard(&stage);
        }
        result
    }

    fn promise_and_apply(
        &self,
        stage: &Arc<Stage>,
        material: &mut Material,
        expectations: &[Expectation],
    ) -> Result<Receipt> {
        let mut hold = self.hold()?;
        let mut ground = Ground::new(&**self.disk(), self.root().clone());
        ground.add_stage(stage.name(), stage.dir().clone());
        check::expectations(&mut ground, expectations)?;
        check::priors(&mut ground, material.intents())?;

        let barrier = material.is_barrier;
        if barrier && hold.is_unsettled() {
            hold.checkpoint()?;
        }
        let txn = hold.next_txn()?;
        let lsn = promise(&mut hold, stage, material, txn, barrier)?;

        let _span = tracing::debug_span!("apply").entered();
        let mut applied = Applied::plan(stage, material.intents());
        if let Err(error) = applied.take(&mut ground) {
            return Err(put_back(&mut hold, &mut ground, &applied, txn, error));
        }
        if self.options().durability == Durability::Tree {
            applied.sync(&mut ground).map_err(|error| undecided(&mut hold, error))?;
        }
        hold.note_commit(lsn, applied.displaced());
        if barrier {
            hold.checkpoint().map_err(|error| undecided(&mut hold, error))?;
        } else if let Err(error) = hold.checkpoint_if_due() {
            // The transaction is committed all the same; the handle says so itself when it is used again.
            tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint failed");
        }
        Ok(Receipt { id: txn, lsn: lsn.0, changes: material.intents().count() })
    }
}

/// The commit point: one append, one sync.
fn promise(hold: &mut Hold<'_>, stage: &Stage, material: &mut Material, txn: u64, barrier: bool) -> Result<Lsn> {
    let _span = tracing::debug_span!("promise", txn).entered();
    let changes = material.records.len();
    let intents =
        u32::try_from(changes).map_err(|_| Error::Input(format!("a transaction of {changes} changes is too large")))?;
    material.records.insert(0, Record::Begin(Begin { txn, stage: stage.name().to_owned(), barrier }));
    material.records.push(Record::Commit { txn, intents, at: Time::now() });
    let lsn = hold.append(&material.records)?;
    hold.sync(lsn)?;
    Ok(lsn)
}

/// Undoes what was applied, makes that durable, and records it: then the transaction never happened.
///
/// Crash argument: until the rollback record is durable, recovery redoes the transaction, whose outcome nobody has been
/// told; after it, the tree was synced before it, and there is nothing to do.
fn put_back(hold: &mut Hold<'_>, ground: &mut Ground<'_>, applied: &Applied, txn: u64, error: Error) -> Error {
    let path = error.path().map_or_else(|| ".".into(), ToOwned::to_owned);
    let undone = applied.undo(ground).and_then(|()| hold.settle(vec![Record::Rollback { txn }]));
    match undone {
        Ok(()) => Error::RolledBack { path, source: Box::new(error) },
        Err(later) => {
            tracing::error!(error = &later as &dyn std::error::Error, "putting a failed commit back failed too");
            undecided(hold, error)
        }
    }
}

fn undecided(hold: &mut Hold<'_>, error: Error) -> Error {
    hold.poison();
    Error::Undecided { source: Box::new(error) }
}

/// The paths that intents are about, for people.
pub(crate) fn path_of(intent: &Intent) -> treewal_vfs::RelPath {
    intent.path.to_path().unwrap_or_default()
}
