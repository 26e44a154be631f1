//! Guards: any code may change the guarded paths, and a crash, a failure or a change of mind restores them.

mod back;
mod options;
mod sync;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use treewal_journal::record::Record;
use treewal_recovery::{home, patterns};
use treewal_snapshot::{Change, Manifest, Report as SnapshotReport, TakeOptions};
use treewal_vfs::{Dir, RelPath, Time, random, remove_tree};

use crate::engine::{About, Changed, Claim, Engine, Held, Hold, Mine, guard_record};
use crate::snapshot::kept;
use crate::{Error, Result, SnapshotEntry};
use options::Asked;
pub use options::{GuardOptions, Guarding};

/// A guard on paths of a tree: made with [`Tree::guard`](crate::Tree::guard), ended with [`commit`](Self::commit),
/// [`rollback`](Self::rollback) or by dropping it, which rolls back.
///
/// While it lives, it holds the tree: no other process commits, and anything may change the guarded paths in place, be it a
/// library, an embedded database or another program. Threads that share the handle go on beside it with transactions, guards
/// and named snapshots that do not touch the guarded paths, nor anything above or beneath them; [`GuardOptions::others`] says
/// what becomes of the rest. A process that dies leaves the paths to the next open, which restores them.
///
/// Who writes to the paths must have ended before the guard does. Where somebody goes on writing, a rollback that cannot
/// bring the paths to rest ends as [`Error::Undecided`], and the next opening restores them.
#[must_use = "dropping a guard rolls back"]
pub struct Guard {
    engine: Arc<Engine>,
    held: Arc<Held>,
    report: SnapshotReport,
    open: bool,
    _mine: Mine,
}

impl Engine {
    /// Snapshots the paths, makes that durable, and only then records that they may be changed.
    ///
    /// Crash argument: before the record is durable, nobody has been told to change anything, and the snapshot is
    /// nobody's: it is swept. After it, recovery restores.
    pub(crate) fn guard(self: &Arc<Self>, paths: &[PathBuf], options: GuardOptions) -> Result<Guard> {
        let _span = tracing::debug_span!("guard", paths = paths.len()).entered();
        let asked = Asked::of(paths, options)?;
        let mut hold = self.hold_over(&asked.scope())?;
        if hold.is_unsettled() {
            // What was committed before must be in the tree for good: recovery restores the guard's snapshot of it.
            hold.checkpoint()?;
        }
        self.guard_held(hold, asked, None)
    }

    /// A guard inside another: what was committed before it is settled, or does not meet the paths of the outer one.
    fn guard_within(self: &Arc<Self>, outer: &Held, paths: &[PathBuf], options: GuardOptions) -> Result<Guard> {
        let _span = tracing::debug_span!("guard", paths = paths.len()).entered();
        let asked = Asked::of(paths, options)?;
        if !outer.covers(&asked.scope()) {
            let text = "a guard inside another can have no paths that the outer one has not";
            return Err(Error::Input(text.to_owned()));
        }
        let hold = self.hold_beside_guards()?;
        if !hold.is_innermost(outer.txn()) {
            return Err(Error::Input("a guard can have one guard inside it at a time".to_owned()));
        }
        self.guard_held(hold, asked, Some(outer.txn()))
    }

    fn guard_held(self: &Arc<Self>, mut hold: Hold<'_>, asked: Asked, outer: Option<u64>) -> Result<Guard> {
        let scope = asked.scope();
        let Asked { mut paths, patterns, take, others } = asked;
        for pattern in &patterns {
            let found = patterns::found(&**self.disk(), self.root(), pattern).map_err(Error::from_recovery)?;
            paths.extend(
                found.into_iter().filter(|path| !take.exclude.iter().any(|excluded| path.starts_with(excluded))),
            );
        }
        // What is owed stands between two states.
        hold.refuse_owed(&Claim::of(paths.clone()), &patterns)?;
        let about = About { paths, scope, others, exchange: take.exchange, outer };
        let name = format!("{:016x}", random());
        let guards = &self.home().guards;
        let io = |verb| move |source| Error::from_os(verb, PathBuf::from(home::DIR_NAME).join("guards"), source);
        self.disk().create_dir(guards, OsStr::new(&name), 0o700).map_err(io("make"))?;
        let from = self.disk().open_dir(guards, &RelPath::root().join(&name)).map_err(io("open"))?;
        match self.take(&mut hold, (&about.paths, &patterns), &take, &from, &name) {
            Ok((txn, report)) => {
                let held = Arc::new(Held::new(txn, name, from, about));
                hold.keep_for_guard(Arc::clone(&held));
                let mine = self.note_mine(false);
                Ok(Guard { engine: Arc::clone(self), held, report, open: true, _mine: mine })
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
        (paths, patterns): (&[RelPath], &[RelPath]),
        take: &TakeOptions,
        into: &Dir,
        name: &str,
    ) -> Result<(u64, SnapshotReport)> {
        let disk = &**self.disk();
        let report = treewal_snapshot::take(disk, self.root(), paths, into, take).map_err(Error::Snapshot)?;
        patterns::write(disk, into, patterns).map_err(Error::from_recovery)?;
        let txn = hold.next_txn()?;
        let lsn = hold.append(&[Record::Guard(guard_record(txn, name, paths))])?;
        hold.sync(lsn)?;
        Ok((txn, report))
    }

    /// The manifest of a guard, with what has come to match its patterns.
    fn manifest_of(&self, held: &Held) -> Result<Manifest> {
        let disk = &**self.disk();
        let manifest = Manifest::load(disk, &held.from).map_err(Error::Snapshot)?;
        patterns::with_matches(disk, self.root(), &held.from, manifest).map_err(Error::from_recovery)
    }

    /// What is different now from when a guard was taken.
    pub(crate) fn changes_under(&self, held: &Held) -> Result<Vec<Change>> {
        let manifest = self.manifest_of(held)?;
        treewal_snapshot::compare(&**self.disk(), self.root(), &manifest).map_err(Error::Snapshot)
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
    /// The commit of a guard [inside](Self::guard) another is undone where the outer one is rolled back, and durable when
    /// that one commits. Of guards that are still open inside this one, what they guard is rolled back first.
    ///
    /// # Errors
    /// [`Error::Undecided`] where the disk fails: the next open restores the paths, or finds them committed.
    pub fn commit(mut self) -> Result<()> {
        let _span = tracing::debug_span!("guard_commit", txn = self.held.txn()).entered();
        self.engine.prove_own_process()?;
        self.open = false;
        let (mut hold, ending) = self.engine.resume(self.held.txn()).ok_or_else(ended)?;
        let inner = ending.get(1..).unwrap_or_default();
        let committed = self.engine.bring_all_back(inner).and_then(|mut ends| {
            if self.held.outer.is_none() {
                self.engine.sync_guarded(&self.held, &self.report)?;
            }
            ends.push(Record::Commit { txn: self.held.txn(), intents: 0, at: Time::now() });
            let lsn = hold.append(&ends)?;
            hold.sync(lsn)?;
            hold.note_commit(lsn, Changed::Nothing, []);
            Ok(())
        });
        self.end(hold, &ending, committed)
    }

    /// Restores every guarded path to what it was, touching only what differs.
    ///
    /// # Errors
    /// [`Error::Undecided`] where the disk fails, or somebody goes on writing: the next open goes on with it.
    pub fn rollback(mut self) -> Result<()> {
        self.engine.prove_own_process()?;
        self.open = false;
        self.restore()
    }

    fn restore(&self) -> Result<()> {
        let _span = tracing::debug_span!("guard_rollback", txn = self.held.txn()).entered();
        let (mut hold, ending) = self.engine.resume(self.held.txn()).ok_or_else(ended)?;
        let restored = self.engine.bring_all_back(&ending).and_then(|ends| {
            if self.held.outer.is_none() {
                return hold.settle(ends);
            }
            // The outer guard is undone after a crash, whatever reached the disk of this.
            let lsn = hold.append(&ends)?;
            hold.sync(lsn)?;
            hold.note_commit(lsn, Changed::Nothing, []);
            Ok(())
        });
        self.end(hold, &ending, restored)
    }

    fn end(&self, hold: Hold<'_>, ending: &[Arc<Held>], ended: Result<()>) -> Result<()> {
        // One that still owes its end stops the handle.
        drop(hold);
        ended.map_err(|error| match error {
            undecided @ Error::Undecided { .. } => undecided,
            other => Error::Undecided { source: Box::new(other) },
        })?;
        ending.iter().for_each(|held| self.engine.drop_snapshot(&held.name));
        Ok(())
    }

    /// A guard inside this one, on paths of it: a part of the work that can be undone by itself. What it commits is undone
    /// with this one.
    ///
    /// # Errors
    /// [`Error::Input`] for a path that this guard does not have, and where another guard is inside it already; else as
    /// [`Tree::guard`](crate::Tree::guard).
    pub fn guard<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Self> {
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
    ) -> Result<Self> {
        self.engine.guard_within(&self.held, &to_paths(paths), options)
    }

    /// What is different now from when the guard was taken.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn changes(&self) -> Result<Vec<Change>> {
        self.engine.changes_under(&self.held)
    }

    /// What the snapshot cost: entries, and how their bytes are shared with the live files.
    #[must_use]
    pub fn snapshot(&self) -> &SnapshotReport {
        &self.report
    }

    /// Every guarded entry as it was, and how its contents are kept.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn kept(&self) -> Result<Vec<SnapshotEntry>> {
        kept(&**self.engine.disk(), &self.engine.manifest_of(&self.held)?)
    }

    /// The number of the guarded transaction.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.held.txn()
    }
}

/// The error of a guard that went with the one around it.
fn ended() -> Error {
    Error::Input("this guard has ended with the one around it, and was rolled back".to_owned())
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.open && !self.engine.is_forked() {
            match self.restore() {
                // It has ended with the one around it.
                Err(Error::Input(_)) | Ok(()) => {}
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "rolling a guard back is left to the next opening"
                ),
            }
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("id", &self.held.txn()).field("report", &self.report).finish_non_exhaustive()
    }
}

/// Paths to guard, as a caller has them.
pub(crate) fn to_paths<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Vec<PathBuf> {
    paths.into_iter().map(|path| path.as_ref().to_owned()).collect()
}
