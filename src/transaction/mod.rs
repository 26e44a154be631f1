//! Staged transactions: operations gather in an overlay that reads its own writes; the tree changes at the commit.

mod acl;
mod adopt;
mod attributes;
mod base;
mod change;
mod content;
mod diff;
mod emptied;
mod expect;
mod file;
mod fill;
mod link;
mod look;
mod merge;
mod overlay;
mod publish;
mod put_back;
mod rename;
mod source;
mod times;

use std::sync::Arc;

use treewal_vfs::{Identity, RelPath};

pub use attributes::FileTimes;
pub(crate) use base::{Base, split};
pub(crate) use content::{Content, Staged};
pub(crate) use diff::{Difference, Fresh, Wanted};
pub use diff::{How, PathChange};
pub(crate) use emptied::Emptied;
pub use expect::Expect;
pub use file::StagedFile;
pub use look::{DirEntry, Metadata};
pub(crate) use look::{READ_BYTES_MAX, as_text, of_disk};
pub(crate) use overlay::{Attributes, NewBody, NewNode};
use overlay::{NodeId, Overlay};
pub use publish::Publish;
pub(crate) use publish::is_own;
pub(crate) use put_back::Since;
pub(crate) use source::Bytes;
pub(crate) use times::to_system_time;

use crate::engine::{Engine, Stage};
use crate::{Durability, Outcome, Receipt, Result};
use adopt::Adopted;

/// A staged transaction: begun with [`Tree::begin`](crate::Tree::begin), ended with [`commit`](Self::commit),
/// [`rollback`](Self::rollback) or by dropping it, which rolls back.
///
/// Method names and semantics follow `std::fs`, relative to the tree: an operation fails where `std::fs` would fail on
/// a tree in which the operations before it had already happened. The tree itself is untouched until the commit.
/// Replaced files keep mode, owner, ACLs and other extended attributes; new ones get the umask mode. Symlinks are
/// entries of their own and never followed, neither at the end of a path nor on the way.
#[must_use = "dropping a transaction rolls it back"]
pub struct Transaction {
    base: Base,
    overlay: Overlay,
    stage: Option<Arc<Stage>>,
    /// New files in the stage that are open though nobody writes to them.
    kept_open: Vec<NodeId>,
    expectations: Vec<Expectation>,
    /// Up to which record nothing may have been committed, and the paths it is about.
    since: Option<(treewal_journal::Lsn, Vec<RelPath>)>,
    /// Bytes of contents that came from a snapshot.
    put_back_bytes: u64,
    durability: Durability,
    /// What stands in the stage to be published.
    adopted: Vec<Adopted>,
    /// The last to go: it gives the stage back, which contents above still hold.
    engine: Arc<Engine>,
}

/// Something that must still hold at the commit.
pub(crate) struct Expectation {
    pub(crate) path: RelPath,
    pub(crate) identity: Option<Identity>,
}

/// All that must still hold at the commit.
#[derive(Default)]
pub(crate) struct Expectations {
    pub(crate) entries: Vec<Expectation>,
    pub(crate) emptied: Vec<Emptied>,
    pub(crate) since: Since,
}

/// What a commit is made of.
pub(crate) struct Parts<'a> {
    pub(crate) base: &'a Base,
    pub(crate) engine: Arc<Engine>,
    pub(crate) difference: Vec<Difference>,
    pub(crate) expectations: Expectations,
    pub(crate) durability: Durability,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let base = Base::new(Arc::clone(engine.disk()), engine.root().clone());
        let overlay = Overlay::new(*engine.root_meta());
        Self {
            base,
            overlay,
            stage: None,
            kept_open: Vec::new(),
            expectations: Vec::new(),
            since: None,
            put_back_bytes: 0,
            durability: engine.options().durability,
            adopted: Vec::new(),
            engine,
        }
    }

    /// What this transaction's commit waits for, where that is not what the tree was opened with; see
    /// [`Durability`](crate::Durability). It counts at the commit, whenever it is said.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("project")?;
    /// use treewal::Durability;
    ///
    /// // A cache: after a power loss it may be made anew.
    /// tree.transaction(|tx| {
    ///     tx.set_durability(Durability::Deferred);
    ///     tx.write("cache/index", "..")
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// Makes all changes happen: wholly, or not at all. A transaction without a net change writes nothing.
    ///
    /// When this returns `Ok`, the changes are visible and survive a kill; except under
    /// [`Durability::Deferred`](crate::Durability::Deferred) they survive a power loss too. Under
    /// [`Durability::Journal`](crate::Durability::Journal) they may reach their places in the tree only when it is next
    /// opened; see there.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) where somebody else changed what this transaction replaces; any error
    /// of the disk. [`Error::outcome`](crate::Error::outcome) tells whether the tree is untouched, was put back, or is
    /// undecided until it is opened again.
    pub fn commit(mut self) -> Result<Receipt> {
        let Parts { base, engine, difference, expectations, durability } = self.take_parts();
        let receipt = engine.commit(base, difference, &expectations, durability);
        self.settle(&receipt);
        drop(self);
        receipt
    }

    /// What a commit is made of, taken out of the transaction.
    pub(crate) fn take_parts(&mut self) -> Parts<'_> {
        let difference = self.difference();
        let emptied = self.overlay.emptied();
        let since = Since::of(self.since.take());
        let mut entries = std::mem::take(&mut self.expectations);
        // What is linked to is not replaced: nothing else claims it, or compares it with what the transaction saw.
        entries.extend(difference.iter().filter_map(|change| match &change.goal {
            Wanted::Linked { from, identity } => Some(Expectation { path: from.clone(), identity: Some(*identity) }),
            _ => None,
        }));
        Parts {
            base: &self.base,
            engine: Arc::clone(&self.engine),
            difference,
            expectations: Expectations { entries, emptied, since },
            durability: self.durability,
        }
    }

    /// What became of it decides what becomes of what it took into the stage.
    pub(crate) fn settle(&mut self, receipt: &Result<Receipt>) {
        match receipt {
            Ok(_) => self.adopted.drain(..).for_each(|adopted| adopted.forget()),
            // The next opening decides what becomes of it.
            Err(error) if error.outcome() == Outcome::Undecided => self.adopted.clear(),
            Err(_) => {}
        }
    }

    /// Gives all changes up. The tree was never touched; what was staged is removed.
    pub fn rollback(self) {
        drop(self);
    }

    /// The disk that the tree stands on.
    pub(crate) fn disk(&self) -> Arc<dyn treewal_vfs::Disk> {
        Arc::clone(self.engine.disk())
    }

    /// The stage of this tree's handle, made on first use.
    fn stage(&mut self) -> Result<Arc<Stage>> {
        if let Some(stage) = &self.stage {
            return Ok(Arc::clone(stage));
        }
        let stage = self.engine.stage()?;
        self.stage = Some(Arc::clone(&stage));
        Ok(stage)
    }

    /// A path of the tree, as an operation was given it.
    fn path(path: impl AsRef<std::path::Path>) -> Result<RelPath> {
        crate::path::parse(path.as_ref())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.engine.is_forked() {
            // It is the other process that goes on with it.
            return self.adopted.clear();
        }
        self.adopted.drain(..).rev().for_each(|adopted| adopted.give_back(&self.engine));
        // Slots that the commit took over are no longer ours: they are gone from the overlay's contents then.
        let Some(stage) = self.stage.take() else { return };
        for slot in self.overlay.staged_slots() {
            stage.discard(slot);
        }
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("changes", &self.overlay.changed_names()).finish_non_exhaustive()
    }
}

const _: () = {
    const fn send<T: Send>() {}
    send::<Transaction>();
};
