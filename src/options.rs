//! How a tree is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal_vfs::{Disk, RealDisk};

use crate::{Result, Tree};

/// When a commit returns, and what a power loss may leave after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// One sync of the journal, whatever the number of files. The changes are visible and durable when the commit
    /// returns, but a power loss may take some of them out of the tree itself until it is next opened, which brings them
    /// back: a program that never heard of treewal, and looks before that, may see a file as it was, or one of the
    /// commit's own files empty or cut.
    #[default]
    Journal,
    /// The files and directories are synced as well, before and after the change of names: a program that never heard
    /// of treewal finds each file old or new, even before the tree is opened again.
    Tree,
}

/// What opening does about damage to acknowledged parts of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnDamage {
    /// What cannot be read goes to quarantine with a report, and the tree opens.
    #[default]
    Quarantine,
    /// The tree does not open, and nothing is touched.
    Refuse,
}

/// Who makes the checkpoints that become due while a tree is open; see [`Tree::checkpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Checkpoints {
    /// The commit after which one is due, before it returns. No thread is started.
    #[default]
    Inline,
    /// A thread of the handle, while commits go on. Only where it does not keep up, commits wait for it.
    Beside,
}

/// Options for opening a tree.
///
/// ```no_run
/// use treewal::{Durability, Options};
/// # fn main() -> treewal::Result<()> {
/// let tree = Options::new().durability(Durability::Tree).open("project")?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) on_damage: OnDamage,
    pub(crate) lock_wait: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) inline_max: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) checkpoint_bytes: Option<u64>,
    pub(crate) checkpoint_age: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            on_damage: OnDamage::default(),
            lock_wait: Duration::from_secs(10),
            attempts_max: 5,
            inline_max: 64 << 10,
            segment_bytes: 8 << 20,
            checkpoints: Checkpoints::default(),
            checkpoint_bytes: None,
            checkpoint_age: None,
        }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// When commits return; [`Durability::Journal`] by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// What to do about a damaged journal; [`OnDamage::Quarantine`] by default.
    #[must_use]
    pub fn on_damage(mut self, on_damage: OnDamage) -> Self {
        self.on_damage = on_damage;
        self
    }

    /// How long to wait for the tree's lock, 10 s by default. Zero asks once.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// How many tries recovery makes to finish or undo a transaction before it gives it up into quarantine; 5 by
    /// default, at least 1.
    #[must_use]
    pub fn max_attempts(mut self, tries: u32) -> Self {
        self.attempts_max = tries.max(1);
        self
    }

    /// The largest file, in bytes, whose contents travel in the journal: 64 KiB by default, 512 KiB at most, and never
    /// more than half of what a record in a segment may have. Larger ones are synced in the stage before the commit.
    #[must_use]
    pub fn inline_max(mut self, bytes: u64) -> Self {
        self.inline_max = bytes.min(512 << 10);
        self
    }

    /// The size of a journal segment, in bytes, taken once when the tree is first opened: 8 MiB by default. Multiples of
    /// 64 KiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Who makes checkpoints; [`Checkpoints::Inline`] by default.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = checkpoints;
        self
    }

    /// How many bytes of the journal make a checkpoint due; by default, as many as a segment has. Less keeps recovery
    /// short, more makes checkpoints rare.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: u64) -> Self {
        self.checkpoint_bytes = Some(bytes);
        self
    }

    /// How old the oldest commit that no checkpoint covers may become; not limited by default. With
    /// [`Checkpoints::Inline`] only a commit looks at the clock, so a tree that rests keeps what it has.
    #[must_use]
    pub fn checkpoint_age(mut self, age: Duration) -> Self {
        self.checkpoint_age = Some(age);
        self
    }

    /// Opens the tree at `path`, an existing directory, and recovers it.
    ///
    /// # Errors
    /// As [`Tree::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Tree> {
        self.open_on(Arc::new(RealDisk), path)
    }

    /// Opens a tree on a disk of one's own: a simulated, recording or failing one, to test what depends on treewal.
    ///
    /// # Errors
    /// As [`Tree::open`].
    pub fn open_on(&self, disk: Arc<dyn Disk>, path: impl AsRef<Path>) -> Result<Tree> {
        Tree::open_with(self.clone(), disk, path.as_ref())
    }
}
