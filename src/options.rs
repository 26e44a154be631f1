//! How a tree is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal_vfs::{Disk, RealDisk};

use crate::{Reader, Result, Tree};

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
    /// No sync: for what may be lost with the power, or can be made again. The changes are visible when the commit returns,
    /// and atomic for whatever happens to the *process*: a kill loses none of them, and leaves none in part once the tree is
    /// opened. They become durable with the next checkpoint, [`Tree::sync`], or commit of another level, all of them
    /// that came before.
    ///
    /// **A power loss before that may leave a part of them**, also once the tree is opened: any path that such a commit
    /// wrote may be as it was before, as it was to be, or the new file empty, cut or with zeros in it; and what stood there
    /// before may be gone. There is no record left to tell which. Never harmed are other paths, and what commits of the
    /// other levels have done: where a deferred commit replaces something of theirs that no checkpoint covers, it syncs the
    /// journal as they do. So it does where it moves entries or gives them other names, and it syncs contents above
    /// [`Options::inline_max`], which no record could make again.
    Deferred,
}

impl Durability {
    /// This level, or the least that survives a power loss.
    pub(crate) fn or_journal(self) -> Self {
        if self == Self::Deferred { Self::Journal } else { self }
    }
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

/// How a checkpoint makes durable what commits have changed in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CheckpointSync {
    /// By what costs less: entry by entry where few have changed, or where others have left much unwritten; else the whole
    /// file system.
    #[default]
    Auto,
    /// Each changed file and directory by itself, and those above them, however many they are. The file system as a whole
    /// is synced only where it must be: for a symlink, for what this process may not open, and after a transaction that
    /// moves entries or gives them other names.
    Entries,
    /// The whole file system, with one call, which writes what *others* have left unwritten on it as well.
    FileSystem,
}

/// What a commit does about a file at whose path something is mounted, such as a file that is bind-mounted into a container.
/// No rename can replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MountedFiles {
    /// New contents for it are refused, with its path, and the whole transaction with them.
    #[default]
    Refuse,
    /// It is rewritten in place, wherever what is mounted there lies, and keeps its inode. Before it is touched, what it
    /// holds is copied to the stage and synced, and the new contents are durable; so the transaction happens wholly or not at
    /// all, as ever. **But who reads the file during the commit, or after a crash and before the tree is opened again, may find
    /// it torn**, and what somebody else writes to it in that moment is lost. Such a transaction stands alone between two
    /// checkpoints. To remove, rename or exchange such a file is refused as before.
    RewriteInPlace,
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
    pub(crate) segment_bytes: Option<u64>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) checkpoint_bytes: Option<u64>,
    pub(crate) checkpoint_age: Option<Duration>,
    pub(crate) checkpoint_sync: CheckpointSync,
    pub(crate) mounted_files: MountedFiles,
    pub(crate) allow_network: bool,
    pub(crate) quarantine_limit: u64,
}

/// What quarantine may take before a warning, in bytes, unless [`Options::quarantine_limit`] says otherwise: 1 GiB.
pub(crate) const QUARANTINE_LIMIT: u64 = 1 << 30;

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            on_damage: OnDamage::default(),
            lock_wait: Duration::from_secs(10),
            attempts_max: 5,
            inline_max: 64 << 10,
            segment_bytes: None,
            checkpoints: Checkpoints::default(),
            checkpoint_bytes: None,
            checkpoint_age: None,
            checkpoint_sync: CheckpointSync::default(),
            mounted_files: MountedFiles::default(),
            allow_network: false,
            quarantine_limit: QUARANTINE_LIMIT,
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

    /// The size of the journal segments that are made from now on, in bytes, a multiple of 4096. By default that of the
    /// newest segment there is, so that whoever opens a tree goes on as it was made; in a new tree 8 MiB. Segments of
    /// another size are given back one by one, as they become empty.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = Some(bytes);
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

    /// How checkpoints make the tree durable; [`CheckpointSync::Auto`] by default.
    #[must_use]
    pub fn checkpoint_sync(mut self, how: CheckpointSync) -> Self {
        self.checkpoint_sync = how;
        self
    }

    /// What to do about files at whose path something is mounted; [`MountedFiles::Refuse`] by default.
    #[must_use]
    pub fn mounted_files(mut self, how: MountedFiles) -> Self {
        self.mounted_files = how;
        self
    }

    /// Whether to open a tree on a network file system, which is refused otherwise
    /// ([`Error::NetworkFileSystem`](crate::Error::NetworkFileSystem)). Then it is for the caller to see to it that one
    /// machine at a time uses the tree, and that the server keeps what it acknowledges; see `docs/guarantees.md`.
    #[must_use]
    pub fn allow_network(mut self, allow: bool) -> Self {
        self.allow_network = allow;
        self
    }

    /// How many bytes of disk quarantine may take before opening warns (`tracing`), and [`Tree::verify`] and
    /// [`Tree::status`] say so; 1 GiB by default. Nothing in quarantine is ever removed for it.
    #[must_use]
    pub fn quarantine_limit(mut self, bytes: u64) -> Self {
        self.quarantine_limit = bytes;
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

    /// Opens the tree at `path` to read it, without changing anything; see [`Tree::open_read_only`].
    ///
    /// # Errors
    /// As [`Tree::open_read_only`].
    pub fn open_read_only(&self, path: impl AsRef<Path>) -> Result<Reader> {
        self.open_read_only_on(Arc::new(RealDisk), path)
    }

    /// The same on a disk of one's own.
    ///
    /// # Errors
    /// As [`Tree::open_read_only`].
    pub fn open_read_only_on(&self, disk: Arc<dyn Disk>, path: impl AsRef<Path>) -> Result<Reader> {
        Reader::open(self, disk, path.as_ref())
    }
}
