//! A commit under way, stage by stage, so that stages of several can alternate.

use std::sync::Arc;

use treewal_journal::Lsn;
use treewal_journal::record::{Begin, Change, Intent, Record};
use treewal_recovery::Batch;
use treewal_recovery::plan::Ground;
use treewal_vfs::{RelPath, Time};

use super::apply::Applied;
use super::materialize::Material;
use super::{Receipt, check, permits};
use crate::engine::{Changed, Claim, Core, Hold, Stage};
use crate::transaction::{Base, Difference, Expectations};
use crate::{Durability, Error, Result};

/// A commit whose new entries stand in the stage. Its stages are called in the order in which they stand here, from within
/// [`end`](Self::end).
pub(super) struct Flight<'a> {
    engine: &'a Core,
    stage: Arc<Stage>,
    intents: Vec<Record>,
    slots: Vec<u64>,
    claim: Arc<Claim>,
    expectations: &'a Expectations,
    batch: Batch,
    barrier: bool,
    durability: Durability,
    /// Its records are known to be on the disk.
    durable: bool,
    ground: Ground<'a>,
    hold: Option<Hold<'a>>,
    /// Bits of empty directories that are opened before they go.
    openings: Vec<(RelPath, Change<u32>)>,
    /// When it began to look, by the clock of the disk.
    at: Time,
}

impl<'a> Flight<'a> {
    /// *Materialize*: everything that is new stands in the stage. On an error, what was made is removed again.
    ///
    /// The records are encoded here as well, where nobody waits for it.
    pub(super) fn prepare(
        engine: &'a Core,
        base: &Base,
        difference: Vec<Difference>,
        expectations: &'a Expectations,
        durability: Durability,
    ) -> Result<Self> {
        let _span = tracing::debug_span!("prepare", changes = difference.len()).entered();
        let stage = engine.stage()?;
        let Material { intents, paths, slots, is_barrier: barrier } =
            Material::make(&stage, base, difference, (durability, engine.options().mounted_files))?;
        let relies = expectations.entries.iter().map(|expected| expected.path.clone()).collect();
        let mut ground = Ground::new(&**engine.disk(), engine.root().clone());
        ground.add_stage(stage.name(), stage.dir().clone());
        let claim = Arc::new(Claim::new(paths, relies).watching(expectations.since.paths.clone()));
        let batch = engine.batch();
        let mut flight = Self {
            engine,
            stage,
            intents,
            slots,
            claim,
            expectations,
            batch,
            barrier,
            durability,
            durable: false,
            ground,
            hold: None,
            openings: Vec::new(),
            at: Time::default(),
        };
        match flight.batch.extend(&flight.intents) {
            Ok(()) => Ok(flight),
            Err(error) => {
                flight.discard();
                Err(Error::from_recovery(error))
            }
        }
    }

    /// *Check*: claims the paths, and looks whether everything is as the transaction saw it.
    ///
    /// From here on no transaction of this handle touches the claimed paths, and no other handle touches any. What moves
    /// entries stands alone between two checkpoints instead: no record could make again what it moves.
    pub(super) fn check(&mut self) -> Result<()> {
        let hold = if self.barrier { self.engine.hold_for(&self.claim)? } else { self.engine.join(&self.claim)? };
        let hold = self.hold.insert(hold);
        if self.barrier {
            hold.refuse_owed(&self.claim, &[])?;
        }
        // Before the looks: recovery takes what is newer for work that they did not see.
        self.at = self.engine.disk().now();
        check::since(&self.expectations.since, hold.log()?.last())?;
        check::expectations(&mut self.ground, self.expectations)?;
        check::priors(&mut self.ground, self.claim.changes(), all(&self.intents))?;
        let emptied = &self.expectations.emptied;
        self.openings = permits::names(&mut self.ground, self.claim.changes(), all(&self.intents), emptied)?;
        if !self.barrier {
            check::single_names(&mut self.ground, all(&self.intents))?;
        } else if hold.is_unsettled() {
            hold.checkpoint()?;
        }
        Ok(())
    }

    /// *Promise*, first half: the records are in the log, and not durable. Gives the number of the transaction.
    pub(super) fn append(&mut self) -> Result<(u64, Lsn)> {
        let changes = self.intents.len();
        let intents = u32::try_from(changes)
            .map_err(|_| Error::Input(format!("a transaction of {changes} changes is too large")))?;
        let begin = Begin { txn: 0, stage: self.stage.name().to_owned(), barrier: self.barrier };
        let hold = self.hold.as_mut().ok_or(Error::Poisoned)?;
        let at = self.at;
        hold.append_staged(begin, &self.batch, |txn| Record::Commit { txn, intents, at })
    }

    /// *Promise*, second half: **the commit point**. Who syncs at the same time shares the sync.
    ///
    /// Under [`Durability::Deferred`] the records go no further than to the kernel, which a kill leaves alone. They are
    /// synced all the same where no redo could do without: before entries move, and before a durable commit's work is
    /// replaced.
    pub(super) fn sync(&mut self, (_, lsn): (u64, Lsn)) -> Result<()> {
        let _span = tracing::debug_span!("promise", lsn = lsn.0).entered();
        let hold = self.hold.as_mut().ok_or(Error::Poisoned)?;
        if self.durability == Durability::Deferred && !self.barrier {
            hold.flush()?;
            if !hold.replaces_durable(&self.claim)? {
                return Ok(());
            }
        }
        hold.sync(lsn)?;
        self.durable = true;
        Ok(())
    }

    /// *Apply*, and what belongs to it under [`Durability::Tree`] and for what moves entries. Gives the hold back.
    pub(super) fn apply(&mut self, (txn, lsn): (u64, Lsn)) -> Result<Receipt> {
        let _span = tracing::debug_span!("apply").entered();
        let mut hold = self.hold.take().ok_or(Error::Poisoned)?;
        let mut applied = Applied::plan((&self.stage, txn), self.claim.changes(), all(&self.intents));
        applied.open_first(std::mem::take(&mut self.openings));
        if let Err(error) = applied.take(&mut self.ground, &self.expectations.emptied) {
            return Err(put_back(&mut hold, &mut self.ground, &applied, txn, error));
        }
        if self.durability == Durability::Tree {
            applied.sync(&mut self.ground).map_err(undecided)?;
        }
        let changed = if self.barrier { Changed::Anything } else { Changed::Claimed(&self.claim) };
        hold.note_commit(lsn, changed, applied.displaced());
        if self.barrier {
            hold.checkpoint_alone().map_err(undecided)?;
        }
        Ok(Receipt { id: txn, lsn: lsn.0, changes: self.intents.len(), durable: self.durable })
    }

    /// Takes the stages that are left, and ends the commit: what failed for good leaves nothing in the stage.
    pub(super) fn end(mut self, rest: impl FnOnce(&mut Self) -> Result<Receipt>) -> Result<Receipt> {
        let result = rest(&mut self);
        // Whatever is undecided may still be needed from the stage; anything else that failed will never be.
        if result.as_ref().is_err_and(|error| error.outcome() != crate::Outcome::Undecided) {
            self.discard();
        }
        result
    }

    /// Removes what stands in the stage, when it never happened.
    fn discard(&self) {
        for slot in &self.slots {
            self.stage.discard(*slot);
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.engine.keep_batch(std::mem::take(&mut self.batch));
    }
}

/// The intents among the records: all of them.
fn all(records: &[Record]) -> impl Iterator<Item = &Intent> + Clone {
    records.iter().filter_map(|record| match record {
        Record::Intent(intent) => Some(intent),
        _ => None,
    })
}

/// Undoes what was applied, makes that durable, and records it: then the transaction never happened.
///
/// Crash argument: until the rollback record is durable, recovery redoes the transaction, whose outcome nobody has been
/// told; after it, the tree was synced before it, and there is nothing to do. Nobody else has touched its paths: they
/// are claimed until the hold goes.
fn put_back(hold: &mut Hold<'_>, ground: &mut Ground<'_>, applied: &Applied, txn: u64, error: Error) -> Error {
    let path = error.path().map_or_else(|| ".".into(), ToOwned::to_owned);
    let undone = applied.undo(ground).and_then(|()| hold.record_undone(txn));
    match undone {
        Ok(()) => Error::RolledBack { path, source: Box::new(error) },
        Err(later) => {
            tracing::error!(error = &later as &dyn std::error::Error, "putting a failed commit back failed too");
            undecided(error)
        }
    }
}

/// The hold owes something, or its checkpoint has failed: nobody uses the handle any more.
fn undecided(error: Error) -> Error {
    Error::Undecided { source: Box::new(error) }
}

/// Paths and intents of a transaction belong together, one to one.
pub(super) fn pairs<'a>(
    paths: &'a [RelPath],
    intents: impl Iterator<Item = &'a Intent> + Clone,
) -> impl Iterator<Item = (&'a RelPath, &'a Intent)> + Clone {
    debug_assert_eq!(paths.len(), intents.clone().count());
    paths.iter().zip(intents)
}
