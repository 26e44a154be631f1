//! An open tree.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use treewal_recovery::RecoveryReport;
use treewal_vfs::Disk;

use crate::engine::Engine;
use crate::guard::{Guard, GuardOptions, to_paths};
use crate::inspect::{status_of, verify_of};
use crate::snapshot::{self, Snapshot, SnapshotOptions};
use crate::{
    ChangeSet, Exported, Finding, Options, QuarantineDetails, Quarantined, Reader, Receipt, Result, Retried, Retry,
    Status, Transaction, quarantine,
};

/// A tree of files, opened for transactions. Clones share one handle; its last clone settles what is left when it goes.
#[derive(Clone)]
pub struct Tree {
    engine: Arc<Engine>,
}

impl Tree {
    /// Opens the tree at `path`, an existing directory, with the default [`Options`].
    ///
    /// Makes the directory `.treewal` in it on first use, and finishes or undoes whatever a crash left unfinished; see
    /// [`recovery`](Self::recovery).
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) where another process holds the tree for longer than the lock may be
    /// waited for, [`Error::Store`](crate::Error::Store) where `.treewal` cannot be used, any error of the disk.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().open(path)
    }

    pub(crate) fn open_with(options: Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        Ok(Self { engine: Arc::new(Engine::open(options, disk, path)?) })
    }

    /// Opens the tree at `path` to read it, and changes nothing: on a read-only mount, without the right to write, or on a
    /// copy that is to stay as it is. Nobody writes while the [`Reader`] lives.
    ///
    /// Nothing is recovered. So it is refused where a transaction is not settled: recovery might have to finish it, or to
    /// undo it, before the tree is whole. A tree that was closed in order has none; one that is open for writing elsewhere
    /// has none after a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store) where there is something to recover, the journal is damaged, or treewal was
    /// never used on the tree; [`Error::Locked`](crate::Error::Locked) where somebody writes for longer than may be waited
    /// for; any error of the disk.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Reader> {
        Options::new().open_read_only(path)
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        self.engine.recovery()
    }

    /// Begins a staged transaction. Touches nothing yet.
    pub fn begin(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.engine))
    }

    /// Reads the tree while nobody changes it; see [`Reader`]. Waits for who writes at most as long as
    /// [`Options::lock_wait`] says.
    ///
    /// Readers and writers stand in one queue: a reader that comes while somebody waits to write waits behind that one.
    /// Where somebody was killed at work, the tree is recovered first. Costs a few calls and no sync, but the first time of a
    /// handle that was alone so far.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) where somebody writes for too long, with the number of the process;
    /// [`Error::Pending`](crate::Error::Pending) where there is a transaction that recovery can neither finish nor undo yet;
    /// any error of the disk.
    pub fn read(&self) -> Result<Reader> {
        self.read_within(self.engine.options().lock_wait)
    }

    /// As [`read`](Self::read), waiting at most `wait`. Zero asks once.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_within(&self, wait: Duration) -> Result<Reader> {
        Reader::of(&self.engine, wait)
    }

    /// Runs `body` in a transaction: commits if it returns `Ok`, rolls back if it returns `Err` or panics.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// let tree = treewal::Tree::open("site")?;
    /// tree.transaction(|tx| {
    ///     tx.write("index.html", "<h1>new</h1>")?;
    ///     tx.rename("draft.md", "posts/first.md")
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The error of `body`, or that of the commit.
    pub fn transaction<T>(&self, body: impl FnOnce(&mut Transaction) -> Result<T>) -> Result<T> {
        let mut tx = self.begin();
        let value = body(&mut tx)?;
        tx.commit()?;
        Ok(value)
    }

    /// Applies a set of changes, all or nothing.
    ///
    /// # Errors
    /// [`Error::Change`](crate::Error::Change) names the change that failed; else as [`Transaction::commit`].
    pub fn apply(&self, changes: &ChangeSet) -> Result<Receipt> {
        let mut tx = self.begin();
        changes.stage(&mut tx)?;
        tx.commit()
    }

    /// Guards paths, which need not exist yet, while other code changes them in place; see [`Guard`].
    ///
    /// The guard costs what its snapshot costs: an entry each where the file system shares extents, bytes where it must
    /// copy. [`Guard::snapshot`] tells which.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) where somebody else holds the tree, or another guard has some of the paths;
    /// any error of the disk. Nothing has changed then.
    pub fn guard<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Guard> {
        self.guard_with(GuardOptions::default(), paths)
    }

    /// As [`guard`](Self::guard), with options.
    ///
    /// # Errors
    /// As [`guard`](Self::guard).
    pub fn guard_with<P: AsRef<Path>>(
        &self,
        options: GuardOptions,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Guard> {
        self.engine.guard(&to_paths(paths), options)
    }

    /// Takes a snapshot of the whole tree, and keeps it under a name until [`remove_snapshot`](Self::remove_snapshot).
    ///
    /// It holds all of a transaction or nothing of it, and is durable when this returns. It costs an entry for each file
    /// where the file system shares extents, and its bytes where it must be copied; see
    /// [`SnapshotOptions::sharing`]. Nothing else is committed meanwhile, and nothing
    /// that a guard goes on with can be in it.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// let tree = treewal::Tree::open("site")?;
    /// let before = tree.snapshot("before-the-move")?;
    /// tree.transaction(|tx| tx.remove_dir_all("posts"))?;
    /// tree.restore(&before)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `AlreadyExists`; [`Error::Input`](crate::Error::Input) for a name that is none; [`Error::Undecided`](crate::Error::Undecided)
    /// where it has its name, and the disk neither makes that durable nor takes it back; as [`guard`](Self::guard).
    pub fn snapshot(&self, name: &str) -> Result<Snapshot> {
        self.snapshot_with(SnapshotOptions::default(), name)
    }

    /// As [`snapshot`](Self::snapshot), with options.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn snapshot_with(&self, options: SnapshotOptions, name: &str) -> Result<Snapshot> {
        self.engine.snapshot(name, options)
    }

    /// The named snapshots, by name.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        snapshot::list(self.engine.home())
    }

    /// The snapshot of that name.
    ///
    /// # Errors
    /// `NotFound`; any error of the disk.
    pub fn find_snapshot(&self, name: &str) -> Result<Snapshot> {
        self.engine.find_snapshot(name)
    }

    /// Brings everything that a snapshot was taken of back to what it was, as one transaction: all or nothing, durable
    /// when this returns, redone after a crash. What has come since goes. The snapshot stays.
    ///
    /// Costs a look at every entry, and what differs is written, or shared where the file system can. To be able to take
    /// it back, take a snapshot before.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) where somebody commits each time it is tried, eight times at the least and
    /// for as long as it would wait for the lock ([`Options::lock_wait`](crate::Options::lock_wait));
    /// [`Error::Snapshot`](crate::Error::Snapshot) where contents are lost, with their paths; `PermissionDenied` where a
    /// device would have to be made by one who is not root; else as [`Transaction::commit`].
    pub fn restore(&self, snapshot: &Snapshot) -> Result<Receipt> {
        self.engine.restore(snapshot, None)
    }

    /// As [`restore`](Self::restore), of these paths alone, with all beneath them.
    ///
    /// # Errors
    /// As [`restore`](Self::restore), and [`Error::Input`](crate::Error::Input) for a path that the snapshot was not taken
    /// of.
    pub fn restore_paths<P: AsRef<Path>>(
        &self,
        snapshot: &Snapshot,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Receipt> {
        self.engine.restore(snapshot, Some(&to_paths(paths)))
    }

    /// Removes the snapshot of that name, durably, and gives back the room it took; what of it the disk does not let go is
    /// swept when the tree is opened next.
    ///
    /// # Errors
    /// [`Error::Undecided`](crate::Error::Undecided) where the name is gone, and a power loss may bring it back;
    /// `NotFound`; [`Error::Locked`](crate::Error::Locked) where somebody else holds the tree; any error of the disk.
    pub fn remove_snapshot(&self, name: &str) -> Result<()> {
        self.engine.remove_snapshot(name)
    }

    /// The state of the tree, as [`status`](crate::status) tells it of a tree that nobody has opened here. Reads only.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn status(&self) -> Result<Status> {
        status_of(self.engine.home(), self.engine.options())
    }

    /// Checks everything that treewal keeps in the tree, as [`verify`](crate::verify) does. Changes nothing.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn verify(&self) -> Result<Vec<Finding>> {
        let home = self.engine.home();
        verify_of(Arc::clone(&home.disk), home.root.clone(), self.engine.options())
    }

    /// What recovery could not place, by name: see `docs/recovery.md`. Nothing in quarantine goes by itself.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>> {
        quarantine::list(self.engine.home())
    }

    /// What is in one entry of quarantine, by path.
    ///
    /// # Errors
    /// `NotFound`; [`Error::Snapshot`](crate::Error::Snapshot) where the entries of a snapshot cannot be read; any error of
    /// the disk.
    pub fn quarantined(&self, id: &str) -> Result<QuarantineDetails> {
        quarantine::show(self.engine.home(), id)
    }

    /// Copies an entry of quarantine to `dest`, a directory that is empty or not there yet: its contents under their own
    /// paths, with their attributes as far as this process may set them, and beneath `.quarantine` the reports, and what
    /// no report has a path for. The entry stays. Durable when it returns.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` where something is at `dest`; `InvalidInput` for one in `.treewal`; any error of the disk. What
    /// cannot be written there is in [`Exported::left`], and no error.
    pub fn export_quarantine(&self, id: &str, dest: impl AsRef<Path>) -> Result<Exported> {
        quarantine::export(self.engine.home(), id, dest.as_ref())
    }

    /// Brings an entry of quarantine into the tree, as one transaction: the snapshot of a guard is restored; what a staged
    /// transaction was to write is written where the path is still in the state in which recovery left it. What was changed
    /// since is a conflict, and then nothing is done. The entry goes once the transaction is durable: after a crash
    /// before that it is there still, and another retry finds everything in place.
    ///
    /// # Errors
    /// `NotFound`; [`Error::Input`](crate::Error::Input) where nothing tells where it belongs;
    /// [`Error::Snapshot`](crate::Error::Snapshot) where the snapshot of a guard is damaged; else as
    /// [`Transaction::commit`]. Conflicts are in [`Retried::conflicts`], and no error.
    pub fn retry_quarantine(&self, id: &str, how: Retry) -> Result<Retried> {
        self.engine.retry_quarantine(id, how)
    }

    /// Throws an entry of quarantine away, for good. It loses its name first, in one durable step; what a crash then leaves
    /// of it is removed by the next opening.
    ///
    /// # Errors
    /// `NotFound`; [`Error::Locked`](crate::Error::Locked) where somebody else holds the tree; any error of the disk.
    pub fn purge_quarantine(&self, id: &str) -> Result<()> {
        self.engine.purge_quarantine(id)
    }

    /// Makes every commit so far survive a power loss, those under [`Durability::Deferred`](crate::Durability::Deferred)
    /// among them: one sync of the journal, for any number of commits. Files that they wrote may reach the tree only when
    /// it is next opened, as under [`Durability::Journal`](crate::Durability::Journal).
    ///
    /// # Errors
    /// [`Error::Journal`](crate::Error::Journal) where the disk fails: whether they survive is not known, and the handle
    /// refuses further work. [`Error::Poisoned`](crate::Error::Poisoned) where it did before.
    pub fn sync(&self) -> Result<()> {
        self.engine.sync_journal()
    }

    /// Makes every committed transaction durable in the tree itself, so that the journal may forget it.
    ///
    /// # Errors
    /// Any error of the disk: then the next open does it.
    pub fn checkpoint(&self) -> Result<()> {
        self.engine.checkpoint()
    }

    /// What the thread of [`Checkpoints::Beside`](crate::Checkpoints::Beside) does, in this thread: for tests, which
    /// choose the moment. Says whether there was anything to settle.
    #[doc(hidden)]
    pub fn checkpoint_beside(&self) -> Result<bool> {
        self.engine.checkpoint_beside()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared<T: Clone + Send + Sync>() {}
    shared::<Tree>();
};
