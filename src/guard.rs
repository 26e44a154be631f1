//! Guards: any code may change the guarded paths, and a crash, a failure or a change of mind restores them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal_journal::record::{Guard as GuardRecord, PathBytes, Record};
use treewal_recovery::home;
use treewal_snapshot::{Change, Report as SnapshotReport, Sharing};
use treewal_snapshot::{Check, Manifest, TakeOptions};
use treewal_vfs::{Dir, RelPath, Time, random, remove_tree};

use crate::engine::{Engine, Hold};
use crate::{Error, Result};

/// How a guard is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GuardOptions {
    /// How the snapshot shares bytes with the live files.
    pub sharing: Sharing,
}

/// A guard on paths of a tree: made with [`Tree::guard`](crate::Tree::guard), ended with [`commit`](Self::commit),
/// [`rollback`](Self::rollback) or by dropping it, which rolls back.
///
/// While it lives, it holds the tree: nobody else commits, and anything may change the guarded paths in place, be it a
/// library, an embedded database or another program. A process that dies leaves the paths to the next open, which
/// restores them.
#[must_use = "dropping a guard rolls back"]
pub struct Guard {
    engine: Arc<Engine>,
    txn: u64,
    name: String,
    from: Dir,
    report: SnapshotReport,
    open: bool,
}

impl Engine {
    /// Snapshots the paths, makes that durable, and only then records that they may be changed.
    ///
    /// Crash argument: before the record is durable, nobody has been told to change anything, and the snapshot is
    /// nobody's: it is swept. After it, recovery restores.
    pub(crate) fn guard(self: &Arc<Self>, paths: &[PathBuf], options: GuardOptions) -> Result<Guard> {
        let _span = tracing::debug_span!("guard", paths = paths.len()).entered();
        let paths = paths.iter().map(|path| crate::path::parse(path)).collect::<Result<Vec<_>>>()?;
        let mut hold = self.hold()?;
        if hold.is_unsettled() {
            // What was committed before must be in the tree for good: recovery restores the guard's snapshot of it.
            hold.checkpoint()?;
        }
        let name = format!("{:016x}", random());
        let guards = &self.home().guards;
        let io = |verb| move |source| Error::from_os(verb, PathBuf::from(home::DIR_NAME).join("guards"), source);
        self.disk().create_dir(guards, OsStr::new(&name), 0o700).map_err(io("make"))?;
        let from = self.disk().open_dir(guards, &RelPath::root().join(&name)).map_err(io("open"))?;
        let taken = self.take(&mut hold, &paths, options, &from, &name);
        match taken {
            Ok((txn, report)) => {
                hold.keep_for_guard(txn);
                Ok(Guard { engine: Arc::clone(self), txn, name, from, report, open: true })
            }
            Err(error) => {
                // An undecided record may be there after all: then its snapshot must be, too.
                if error.outcome() != crate::Outcome::Undecided {
                    self.drop_snapshot(&name);
                }
                Err(error)
            }
        }
    }

    fn take(
        &self,
        hold: &mut Hold<'_>,
        paths: &[RelPath],
        options: GuardOptions,
        into: &Dir,
        name: &str,
    ) -> Result<(u64, SnapshotReport)> {
        let exclude = vec![RelPath::root().join(home::DIR_NAME)];
        let take = TakeOptions { sharing: options.sharing, exclude };
        let report =
            treewal_snapshot::take(&**self.disk(), self.root(), paths, into, &take).map_err(Error::Snapshot)?;
        let txn = hold.next_txn()?;
        let paths = paths.iter().map(PathBytes::from).collect();
        let lsn = hold.append(&[Record::Guard(GuardRecord { txn, snapshot: name.to_owned(), paths })])?;
        hold.sync(lsn)?;
        Ok((txn, report))
    }

    /// Removes a snapshot that nobody needs any more. What fails to go is swept by the next open.
    fn drop_snapshot(&self, name: &str) {
        if let Err(error) = remove_tree(&**self.disk(), &self.home().guards, OsStr::new(name)) {
            tracing::debug!(name, %error, "a snapshot could not be removed");
        }
    }
}

impl Guard {
    /// Keeps what was changed: makes it durable, then records it. From then on nothing restores the old state.
    ///
    /// # Errors
    /// [`Error::Undecided`] where the disk fails: the next open restores the paths, or finds them committed.
    pub fn commit(mut self) -> Result<()> {
        self.open = false;
        let mut hold = self.engine.resume();
        let synced = self.engine.disk().sync_all(self.engine.root());
        let committed = synced.map_err(|source| Error::from_os("sync", ".".into(), source)).and_then(|()| {
            let lsn = hold.append(&[Record::Commit { txn: self.txn, intents: 0, at: Time::now() }])?;
            hold.sync(lsn)?;
            hold.note_commit(lsn, []);
            Ok(())
        });
        if let Err(error) = committed {
            hold.poison();
            return Err(match error {
                undecided @ Error::Undecided { .. } => undecided,
                other => Error::Undecided { source: Box::new(other) },
            });
        }
        drop(hold);
        self.engine.drop_snapshot(&self.name);
        Ok(())
    }

    /// Restores every guarded path to what it was, touching only what differs.
    ///
    /// # Errors
    /// [`Error::Undecided`] where the disk fails: the next open goes on with it.
    pub fn rollback(mut self) -> Result<()> {
        self.open = false;
        self.restore()
    }

    fn restore(&self) -> Result<()> {
        let mut hold = self.engine.resume();
        let restored = self
            .manifest()
            .and_then(|manifest| {
                treewal_snapshot::restore(
                    &**self.engine.disk(),
                    self.engine.root(),
                    &self.from,
                    &manifest,
                    Check::Attributes,
                )
                .map_err(Error::Snapshot)
            })
            .and_then(|_| hold.settle(vec![Record::Rollback { txn: self.txn }]));
        if let Err(error) = restored {
            hold.poison();
            return Err(Error::Undecided { source: Box::new(error) });
        }
        drop(hold);
        self.engine.drop_snapshot(&self.name);
        Ok(())
    }

    fn manifest(&self) -> Result<Manifest> {
        Manifest::load(&**self.engine.disk(), &self.from).map_err(Error::Snapshot)
    }

    /// What is different now from when the guard was taken.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn changes(&self) -> Result<Vec<Change>> {
        treewal_snapshot::compare(&**self.engine.disk(), self.engine.root(), &self.manifest()?).map_err(Error::Snapshot)
    }

    /// What the snapshot cost: entries, and how their bytes are shared with the live files.
    #[must_use]
    pub fn snapshot(&self) -> &SnapshotReport {
        &self.report
    }

    /// The number of the guarded transaction.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.txn
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.open {
            if let Err(error) = self.restore() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "rolling a guard back is left to the next opening"
                );
            }
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("id", &self.txn).field("report", &self.report).finish_non_exhaustive()
    }
}

/// Paths to guard, as a caller has them.
pub(crate) fn to_paths<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Vec<PathBuf> {
    paths.into_iter().map(|path| path.as_ref().to_owned()).collect()
}
