//! Reading a tree that nobody changes meanwhile: for readers who know of treewal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use treewal_journal::Tail;
use treewal_recovery::decide::{Verdict, decide};
use treewal_recovery::home::{Home, Place, ReadLock, read_identity};
use treewal_recovery::survey::read_history;
use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, read_all};

use crate::engine::{Engine, Mine, Own, refuse_network};
use crate::path::parse;
use crate::transaction::{Base, READ_BYTES_MAX, as_text, of_disk};
use crate::{DirEntry, Error, Metadata, Options, Result};

/// A tree to read, in which every transaction is there wholly or not at all: taken with [`Tree::read`](crate::Tree::read)
/// or [`Tree::open_read_only`](crate::Tree::open_read_only), ended by dropping it.
///
/// While it lives, no process commits, guards, restores or recovers anything in the tree, and any number of threads and
/// processes read beside it. Who wants to write waits for it, as long as its own options say, and is refused then with the
/// number of the process that reads. So keep it for as long as it takes to read what belongs together, and no longer.
///
/// It may be shared by threads, and handed from one to another. The thread that took it is refused at once
/// ([`Holder::this_thread`](crate::Holder::this_thread)) where it commits, guards or opens the same tree before it has
/// dropped it; it may take another reader. Programs that know nothing of treewal write whenever they like, here as ever.
///
/// ```no_run
/// # fn main() -> treewal::Result<()> {
/// let tree = treewal::Tree::open("site")?;
/// let reader = tree.read()?;
/// let index = reader.read_to_string("index.md")?;
/// // What the index names is there, and is of the same transaction.
/// let posts = reader.read_dir("posts")?;
/// # drop((index, posts));
/// # Ok(()) }
/// ```
#[must_use = "dropping a reader lets others write"]
pub struct Reader {
    // In this order they go: the lock first, and the last handle of the tree last.
    _lock: ReadLock,
    _mine: Option<Mine>,
    disk: Arc<dyn Disk>,
    root: Dir,
    taken_by: u32,
    _engine: Option<Arc<Engine>>,
}

impl Reader {
    /// Of a tree that is open.
    pub(crate) fn of(engine: &Arc<Engine>, wait: Duration) -> Result<Self> {
        let lock = engine.lock_to_read(wait)?;
        Ok(Self {
            _lock: lock,
            _mine: Some(engine.note_mine(true)),
            disk: Arc::clone(engine.disk()),
            root: engine.root().clone(),
            taken_by: std::process::id(),
            _engine: Some(Arc::clone(engine)),
        })
    }

    /// Of a tree that this process must not change, or cannot.
    pub(crate) fn open(options: &Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let root = disk.open_root(path).map_err(|source| Error::from_os("open", path.to_owned(), source))?;
        refuse_network(&*disk, &root, path, options)?;
        let home = Home::open(Arc::clone(&disk), root.clone()).map_err(Error::from_recovery)?;
        let home = home.ok_or_else(|| Error::Store {
            path: ".treewal".into(),
            reason: "treewal was never used on this tree, so there is no lock to hold".to_owned(),
        })?;
        let me = treewal_recovery::home::Holder { pid: std::process::id(), ..Default::default() };
        let lock = {
            let _span = tracing::debug_span!("lock_wait", reads = true).entered();
            ReadLock::take(&home, options.lock_wait, Place::InTurn)
                .map_err(|error| Error::from_lock(error, me, Own::default()))?
        };
        prove_settled(&home)?;
        Ok(Self { _lock: lock, _mine: None, disk, root, taken_by: me.pid, _engine: None })
    }

    /// The contents of a file.
    ///
    /// # Errors
    /// As `std::fs::read`; a symlink is not followed ([`Error::ThroughSymlink`]). `FileTooLarge` beyond 4 GiB.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let (base, path) = self.at(path.as_ref())?;
        match found(&base, "read", &path)?.kind {
            Kind::File => {}
            Kind::Dir => return Err(Error::kinded("read", &path, io::ErrorKind::IsADirectory)),
            Kind::Symlink => return Err(Error::ThroughSymlink { path: path.to_path() }),
            _ => return Err(Error::kinded("read", &path, io::ErrorKind::InvalidInput)),
        }
        let file = base.open("read", &path)?;
        read_all(&*self.disk, &file, READ_BYTES_MAX).map_err(Error::io("read", &path))
    }

    /// The contents of a file as text.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `InvalidData` where the bytes are not UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> Result<String> {
        as_text(path.as_ref(), self.read(path.as_ref())?)
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// As `std::fs::read_link`.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let (base, path) = self.at(path.as_ref())?;
        base.read_link("read link", &path).map(PathBuf::from)
    }

    /// What stands at a path; a symlink is described itself.
    ///
    /// # Errors
    /// As `std::fs::symlink_metadata`.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        let (base, path) = self.at(path.as_ref())?;
        found(&base, "look at", &path).map(|meta| of_disk(&meta))
    }

    /// Whether something stands at a path; a dangling symlink counts.
    ///
    /// # Errors
    /// As `std::fs::exists`: whatever keeps from looking, but not that a directory on the way is missing.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        let (base, path) = self.at(path.as_ref())?;
        match base.stat("look at", &path) {
            Ok(found) => Ok(found.is_some()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The entries of a directory, sorted by name; treewal's own directory is not among them.
    ///
    /// # Errors
    /// As `std::fs::read_dir`.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<DirEntry>> {
        let (base, path) = self.at(path.as_ref())?;
        if found(&base, "list", &path)?.kind != Kind::Dir {
            return Err(Error::kinded("list", &path, io::ErrorKind::NotADirectory));
        }
        let mut entries = base.entries("list", &path)?;
        entries.sort();
        Ok(entries)
    }

    /// A look at the tree, and a path in it.
    fn at(&self, path: &Path) -> Result<(Base, RelPath)> {
        if self.taken_by != std::process::id() {
            let reason = "this process was forked off the one that reads the tree; open the tree again".to_owned();
            return Err(Error::Store { path: ".treewal/lock".into(), reason });
        }
        Ok((Base::new(Arc::clone(&self.disk), self.root.clone()), parse(path)?))
    }
}

fn found(base: &Base, verb: &'static str, path: &RelPath) -> Result<Meta> {
    base.stat(verb, path)?.ok_or_else(|| Error::kinded(verb, path, io::ErrorKind::NotFound))
}

/// Whether nothing is left for a recovery to do, by what the journal says. What the lock file says is not asked: nobody
/// who has had the tree open since it was written is here to believe it.
fn prove_settled(home: &Home) -> Result<()> {
    let store = |reason: String| Error::Store { path: ".treewal/journal".into(), reason };
    let identity = read_identity(home).map_err(Error::from_recovery)?;
    let (scan, history) = read_history(home, identity).map_err(Error::from_recovery)?;
    if let Tail::Corrupt { .. } = scan.tail {
        return Err(store(format!("{}; open the tree to write, or recover it, where that can be done", scan.tail)));
    }
    let owed = history.transactions.iter().find(|(_, told)| {
        let (_, verdict) = decide(told.facts(u32::MAX));
        !matches!(verdict, Verdict::Forget | Verdict::Discard)
    });
    match owed {
        None => Ok(()),
        Some((txn, _)) => Err(store(format!(
            "transaction {txn} is not settled, so parts of it may be missing in the tree; open the tree to write, or \
             recover it, where that can be done"
        ))),
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Reader>();
};
