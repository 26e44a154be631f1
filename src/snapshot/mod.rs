//! Named snapshots: the tree as it was, kept until somebody removes it.
//!
//! | step of taking one | what a crash leaves |
//! |---|---|
//! | under the lock, alone: entries and contents are kept under a draft's name | a draft, which the next opening sweeps |
//! | all of it is synced | the same |
//! | the draft gets the name; the directory is synced | the snapshot, or the draft |
//!
//! A snapshot depends on nothing but its own directory: neither the journal nor another snapshot.

mod beside;
mod diff;
mod kept;
mod name;
mod options;
mod restore;
mod view;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use treewal_recovery::home::{Home, is_draft, make_snapshots, open_snapshots};
use treewal_recovery::undo::is_confined;
use treewal_snapshot::{Manifest, Mode, Stored, TakeOptions};
use treewal_vfs::{Dir, Disk, Kind, RelPath, Rename, random, read_all, remove_tree};

use crate::engine::{Claim, Core, Engine, Scope};
use crate::transaction::to_system_time;
use crate::{Error, GuardChange, Result};
pub use kept::SnapshotEntry;
pub(crate) use kept::kept;
pub use options::{Naming, SnapshotOptions};

/// The largest file that [`Snapshot::read`] brings into memory, in bytes: 4 GiB.
const READ_BYTES_MAX: u64 = 4 << 30;
/// The view for people, in the directory of a snapshot.
const FILES: &str = "files";

/// A named snapshot: taken with [`Tree::snapshot`](crate::Tree::snapshot), found with
/// [`Tree::snapshots`](crate::Tree::snapshots).
#[derive(Debug, Clone)]
pub struct Snapshot {
    name: String,
    /// Where it lies, for people.
    lies: PathBuf,
    dir: Dir,
    home: Home,
}

/// What a snapshot holds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SnapshotSummary {
    /// When it was taken, by the clock of the file system.
    pub taken: SystemTime,
    /// Entries: files, directories, links.
    pub entries: u64,
    /// Files with contents of their own.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these files, those that share their extents with the tree, until they change there.
    pub reflinked: u64,
    /// Of these files, those that are second names of files in the tree.
    pub hard_linked: u64,
    /// Of these files, those whose bytes were copied.
    pub copied: u64,
    /// Bytes of these.
    pub bytes_copied: u64,
    /// The paths it is about; the empty one is the whole tree.
    pub paths: Vec<PathBuf>,
}

impl Snapshot {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds, in numbers. Reads the manifest, which grows with the number of entries.
    ///
    /// # Errors
    /// [`Error::Snapshot`] where the manifest is damaged; any error of the disk.
    pub fn summary(&self) -> Result<SnapshotSummary> {
        let manifest = self.manifest()?;
        let stored = self.stored(&manifest)?;
        let files = || stored.entries().iter().filter_map(|entry| Some((entry, entry.backup.as_ref()?)));
        let kept_by = |mode| files().filter(move |(_, backup)| backup.mode == mode);
        Ok(SnapshotSummary {
            taken: to_system_time(manifest.taken()).unwrap_or(SystemTime::UNIX_EPOCH),
            entries: stored.entries().len() as u64,
            files: files().count() as u64,
            bytes: files().map(|(entry, _)| entry.meta.size).sum(),
            reflinked: kept_by(Mode::Reflink).count() as u64,
            hard_linked: kept_by(Mode::HardLink).count() as u64,
            copied: kept_by(Mode::Copy).count() as u64,
            bytes_copied: kept_by(Mode::Copy).map(|(entry, _)| entry.meta.size).sum(),
            paths: manifest.guarded().iter().map(|guarded| guarded.path.to_path()).collect(),
        })
    }

    /// The paths that it holds, in order.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub fn entries(&self) -> Result<Vec<PathBuf>> {
        let manifest = self.manifest()?;
        let stored = self.stored(&manifest)?;
        let mut paths: Vec<RelPath> = stored.entries().iter().map(|entry| entry.path.clone()).collect();
        paths.sort_unstable();
        Ok(paths.iter().filter(|path| !path.is_root()).map(RelPath::to_path).collect())
    }

    /// Every entry that it was taken of, in order, and how its contents are kept.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub fn kept(&self) -> Result<Vec<SnapshotEntry>> {
        kept(&*self.home.disk, &self.manifest()?)
    }

    /// The contents that a file had.
    ///
    /// # Errors
    /// `NotFound` where the snapshot has no file there; [`Error::Snapshot`] where the contents are lost; any error of the
    /// disk.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = crate::path::parse(path.as_ref())?;
        let manifest = self.manifest()?;
        let stored = self.stored(&manifest)?;
        let entry = stored.entry(&path).filter(|entry| entry.meta.kind == Kind::File);
        let entry = entry.ok_or_else(|| Error::kinded("read", &path, io::ErrorKind::NotFound))?;
        let file = stored.contents(entry).map_err(Error::Snapshot)?;
        read_all(&*self.home.disk, &file, READ_BYTES_MAX).map_err(Error::io("read", &path))
    }

    /// What is different in its tree now, sorted by path. Takes no lock: what somebody is just changing may be seen in part.
    /// Contents are compared where attributes leave a doubt.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub fn diff(&self) -> Result<Vec<GuardChange>> {
        let manifest = self.manifest()?;
        self.differences(&manifest, &self.stored(&manifest)?, &|_| true)
    }

    /// What is different in a later snapshot, sorted by path: what was added, changed or removed from this one to that. What
    /// only one of them was taken of is no difference. Reads no contents: files with checksums are compared by these, others
    /// by inode, size and time.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub fn diff_to(&self, later: &Self) -> Result<Vec<GuardChange>> {
        let (old, new) = (self.manifest()?, later.manifest()?);
        let changes = treewal_snapshot::diff(&*self.home.disk, &old, &new).filter(|change| {
            // The tree's own root directory is the caller's, and is none.
            !change.as_ref().is_ok_and(|change| change.path.is_root())
        });
        changes.collect::<Result<_, _>>().map_err(Error::Snapshot)
    }

    /// Where its files lie, relative to the tree, with the names, contents and times of then, to be read by any program,
    /// and not to be written to. Owners, modes and the rest come back by a restore. Not there where any of them is kept by
    /// hard link.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.lies.join(FILES)
    }

    /// Reads every backup, and gives the paths of those that do not hold what was taken.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub fn verify(&self) -> Result<Vec<PathBuf>> {
        let manifest = self.manifest()?;
        let stored = self.stored(&manifest)?;
        Ok(stored.unusable().map_err(Error::Snapshot)?.iter().map(RelPath::to_path).collect())
    }

    /// The manifest, which is not trusted to keep off treewal's own directory.
    fn manifest(&self) -> Result<Manifest> {
        let manifest = Manifest::load(&*self.home.disk, &self.dir).map_err(Error::Snapshot)?;
        if !is_confined(&manifest) {
            let reason = "its manifest reaches into .treewal, so it is not one that treewal wrote".to_owned();
            return Err(Error::Store { path: self.lies.clone(), reason });
        }
        Ok(manifest)
    }

    fn stored(&self, manifest: &Manifest) -> Result<Stored<'_>> {
        Stored::open(&*self.home.disk, &self.dir, manifest).map_err(Error::Snapshot)
    }

    fn open(home: &Home, parent: &Dir, name: &str) -> Result<Self> {
        let opened = home.disk.open_dir(parent, &RelPath::root().join(name));
        let dir = opened.map_err(|source| Error::from_os("open snapshot", shown(name), source))?;
        Ok(Self { name: name.to_owned(), lies: shown(name), dir, home: home.clone() })
    }

    /// The snapshot of a guard, which nobody has named.
    pub(crate) fn of_guard(home: &Home, lies: &Path, dir: Dir) -> Self {
        Self { name: String::new(), lies: lies.to_owned(), dir, home: home.clone() }
    }
}

/// Where a snapshot lies, for people.
fn shown(name: &str) -> PathBuf {
    Path::new(treewal_recovery::home::DIR_NAME).join("snapshots").join(name)
}

/// The named snapshots of a tree, by name.
pub(crate) fn list(home: &Home) -> Result<Vec<Snapshot>> {
    let Some(parent) = open_snapshots(home).map_err(Error::from_recovery)? else { return Ok(Vec::new()) };
    let entries = home.disk.list(&parent).map_err(|source| Error::from_os("list", shown(""), source))?;
    let names = entries.iter().filter(|entry| !is_draft(&entry.name)).filter_map(|entry| entry.name.to_str());
    // What somebody else put there is not taken for one.
    let mut names: Vec<&str> = names.filter(|name| name::check(name).is_ok()).collect();
    names.sort_unstable();
    // One that was removed meanwhile is none; nor is what is no directory.
    let is_one = |opened: &Result<Snapshot>| match opened {
        Err(Error::ThroughSymlink { .. }) => false,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        Ok(_) => true,
    };
    names.into_iter().map(|name| Snapshot::open(home, &parent, name)).filter(is_one).collect()
}

impl Core {
    /// The snapshot of that name.
    pub(crate) fn find_snapshot(&self, name: &str) -> Result<Snapshot> {
        name::check(name)?;
        let none = || Error::from_os("open snapshot", shown(name), io::ErrorKind::NotFound.into());
        let parent = open_snapshots(self.home()).map_err(Error::from_recovery)?.ok_or_else(none)?;
        Snapshot::open(self.home(), &parent, name)
    }

    /// Removes a snapshot with all it holds.
    ///
    /// Crash argument: it loses its name first, durably. From then on the rest is swept by any opening. Before that, all that was
    /// committed is settled: where it shares files with the tree, each name that goes moves the time of change of a file,
    /// and in a directory that a commit has displaced a recovery would take that for somebody's work.
    pub(crate) fn remove_snapshot(&self, name: &str) -> Result<()> {
        name::check(name)?;
        let failed = |source| Error::from_os("remove snapshot", shown(name), source);
        // What it holds is nothing that a guard is about.
        let mut hold = self.hold_beside_guards()?;
        let parent = open_snapshots(self.home()).map_err(Error::from_recovery)?;
        let parent = parent.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let (disk, draft) = (&**self.disk(), draft());
        disk.stat(&parent, OsStr::new(name)).map_err(failed)?;
        hold.checkpoint()?;
        disk.rename(&parent, OsStr::new(name), &parent, OsStr::new(&draft), Rename::NoReplace).map_err(failed)?;
        // The name is gone, and may be back after a power loss.
        disk.sync_dir(&parent).map_err(|source| Error::Undecided { source: Box::new(failed(source)) })?;
        if let Err(error) = remove_tree(disk, &parent, OsStr::new(&draft)) {
            tracing::warn!(%error, "a removed snapshot is left to the next opening");
        }
        Ok(())
    }
}

impl Engine {
    /// Takes a snapshot; see the table above.
    ///
    /// No commit is under way meanwhile, of this handle or another: it holds all of a transaction, or nothing of it.
    pub(crate) fn snapshot(&self, name: &str, options: SnapshotOptions) -> Result<Snapshot> {
        let _span = tracing::debug_span!("snapshot", name).entered();
        name::check(name)?;
        let (paths, take) = options.asked()?;
        let hold = self.hold_over(&Scope::new(&paths, &[], &take.exclude))?;
        // What is owed stands between two states.
        hold.refuse_owed(&Claim::of(paths.clone()), &[])?;
        let failed = |source| Error::from_os("create snapshot", shown(name), source);
        let parent = make_snapshots(self.home()).map_err(Error::from_recovery)?;
        let disk = &**self.disk();
        match disk.stat(&parent, OsStr::new(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return Err(failed(found.err().unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))),
        }
        let draft = draft();
        disk.create_dir(&parent, OsStr::new(&draft), 0o700).map_err(failed)?;
        let made = self.fill_snapshot(&parent, &draft, &paths, &take);
        // Opened before it has its name: nothing may fail once it has.
        let made = made.and_then(|()| Snapshot::open(self.home(), &parent, &draft));
        let named = made.and_then(|made| named(disk, &parent, &draft, name).map(|()| made));
        // One that a power loss may give its name again must be whole then.
        if named.as_ref().is_err_and(|error| !matches!(error, Error::Undecided { .. })) {
            if let Err(error) = remove_tree(disk, &parent, OsStr::new(&draft)) {
                tracing::warn!(%error, "a failed snapshot is left to the next opening");
            }
        }
        named.map(|made| Snapshot { name: name.to_owned(), lies: shown(name), ..made })
    }

    fn fill_snapshot(&self, parent: &Dir, draft: &str, paths: &[RelPath], options: &TakeOptions) -> Result<()> {
        let disk = &**self.disk();
        let io = |source| Error::from_os("fill snapshot", shown(draft), source);
        let into = disk.open_dir(parent, &RelPath::root().join(draft)).map_err(io)?;
        let report = treewal_snapshot::take(disk, self.root(), paths, &into, options).map_err(Error::Snapshot)?;
        if report.hard_linked > 0 {
            // A file of the view would be one of the tree.
            return Ok(());
        }
        let manifest = Manifest::load(disk, &into).map_err(Error::Snapshot)?;
        let stored = Stored::open(disk, &into, &manifest).map_err(Error::Snapshot)?;
        view::make(disk, &into, &stored)?;
        disk.sync_all(&into).map_err(io)
    }
}

/// Gives a snapshot its name, durably. Where that cannot be made sure, the name is taken back, and it is undecided: a sync after
/// one that failed proves nothing, so a power loss may bring the name back, with all that is in it.
fn named(disk: &dyn Disk, parent: &Dir, draft: &str, name: &str) -> Result<()> {
    let failed = |source| Error::from_os("create snapshot", shown(name), source);
    let rename = |from: &str, to: &str| disk.rename(parent, from.as_ref(), parent, to.as_ref(), Rename::NoReplace);
    rename(draft, name).map_err(failed)?;
    let Err(error) = disk.sync_dir(parent) else { return Ok(()) };
    if let Err(error) = rename(name, draft) {
        tracing::warn!(%error, "a snapshot that failed keeps its name");
    }
    Err(Error::Undecided { source: Box::new(failed(error)) })
}

fn draft() -> String {
    format!(".{:016x}", random())
}
