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
mod flight;
mod interleave;
mod materialize;
mod names;
mod permits;
mod rewrites;
mod steps;

use treewal_recovery::plan::Ground;

use crate::engine::Core;
use crate::transaction::{Base, Difference, Expectations};
use crate::{Durability, Result};
use flight::Flight;
pub use interleave::interleave;
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
    /// Whether it survives a power loss from here on: always, but for [`Durability::Deferred`], and there where it had to be
    /// synced all the same. A number or a position that is not durable may be given again after a power loss.
    pub durable: bool,
}

impl Core {
    /// Commits a difference; see the table above.
    pub(crate) fn commit(
        &self,
        base: &Base,
        difference: Vec<Difference>,
        expectations: &Expectations,
        durability: Durability,
    ) -> Result<Receipt> {
        let _span = tracing::debug_span!("commit", changes = difference.len()).entered();
        if difference.is_empty() {
            let mut ground = Ground::new(base.disk(), self.root().clone());
            if expectations.since.lsn.is_some() {
                check::since(&expectations.since, self.hold_beside_guards()?.log()?.last())?;
            }
            check::expectations(&mut ground, expectations)?;
            return Ok(Receipt { id: 0, lsn: 0, changes: 0, durable: true });
        }
        let flight = Flight::prepare(self, base, difference, expectations, durability)?;
        let result = flight.end(|flight| {
            flight.check()?;
            let promise = flight.append()?;
            flight.sync(promise)?;
            flight.apply(promise)
        });
        self.checkpoint_if_due();
        result
    }
}
