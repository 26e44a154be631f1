//! Taking an entry of quarantine out: a copy, under its own paths, in a directory of its own.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use serde::Serialize;
use treewal_recovery::home::Home;
use treewal_recovery::quarantine::{Attributes, BASE64, Goal};
use treewal_snapshot::{Entry, Stored};
use treewal_vfs::{Dir, Disk, Kind, Open, RelPath, Time};

use super::case::Case;
use super::leave::{Look, dirs, file, whole};
use super::{find, path_of};
use crate::{Error, Result};

/// What has no path of its own lies beneath this name.
const REST: &str = ".quarantine";
/// A target of a symlink is not longer.
const TARGET_BYTES_MAX: u64 = 4096;

/// What an export has written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Exported {
    /// How many entries stand under their own paths.
    pub placed: u64,
    /// What lies beneath `.quarantine`, as it is in quarantine: the reports, and what no report has a path for.
    pub rest: u64,
    /// What could not be written, and why.
    pub left: Vec<String>,
}

/// Copies an entry to `dest`, a directory that is empty or not there yet.
pub(crate) fn export(home: &Home, id: &str, dest: &Path) -> Result<Exported> {
    let case = find(home, id)?;
    let failed = |source| Error::from_os("export to", dest.to_owned(), source);
    let root = target(&*home.disk, dest).map_err(failed)?;
    let mut export = Export {
        disk: &*home.disk,
        case: &case,
        root,
        done: Exported::default(),
        used: HashSet::new(),
        dirs: BTreeMap::new(),
    };
    export.run().map_err(|error| match error {
        Failed::Io(source) => failed(source),
        Failed::Ours(error) => error,
    })?;
    Ok(export.done)
}

/// The directory to write to.
fn target(disk: &dyn Disk, dest: &Path) -> io::Result<Dir> {
    let not_empty = || io::Error::new(io::ErrorKind::AlreadyExists, "something is there already");
    // Beneath treewal's own directory nothing of anybody else's is kept.
    let own = |path: &Path| path.components().any(|part| part.as_os_str() == treewal_recovery::home::DIR_NAME);
    if own(dest) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is in .treewal"));
    }
    if let (Some(parent), Some(name)) = (dest.parent(), dest.file_name()) {
        let parent = if parent == Path::new("") { Path::new(".") } else { parent };
        match disk.create_dir(&disk.open_root(parent)?, name, 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let root = disk.open_root(dest)?;
    if disk.list(&root)?.is_empty() { Ok(root) } else { Err(not_empty()) }
}

enum Failed {
    Io(io::Error),
    Ours(Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Export<'a> {
    disk: &'a dyn Disk,
    case: &'a Case<'a>,
    root: Dir,
    done: Exported,
    /// What of the case stands under its own path.
    used: HashSet<OsString>,
    /// The looks of directories, which are set last.
    dirs: BTreeMap<RelPath, Look>,
}

impl Export<'_> {
    fn run(&mut self) -> Result<(), Failed> {
        self.items()?;
        match self.case.snapshot() {
            Ok(Some((from, manifest))) => match Stored::open(self.disk, &from, &manifest).map_err(Error::Snapshot) {
                Ok(stored) => self.snapshot(&stored)?,
                Err(error) => self.leave("the snapshot", &error),
            },
            Ok(None) => {}
            Err(error @ (Error::Snapshot(_) | Error::Store { .. })) => self.leave("the snapshot", &error),
            Err(error) => return Err(Failed::Ours(error)),
        }
        for (path, look) in std::mem::take(&mut self.dirs).into_iter().rev() {
            if let Some((parent, name)) = path.split() {
                look.set(self.disk, &self.disk.open_dir(&self.root, &parent)?, name)?;
            }
        }
        self.rest()?;
        self.disk.sync_all(&self.root)?;
        Ok(())
    }

    fn leave(&mut self, what: &str, why: &dyn std::error::Error) {
        let cause = why.source().map_or_else(String::new, |cause| format!(": {cause}"));
        self.done.left.push(format!("{what}: {why}{cause}"));
    }

    /// What the report has a path for, directories before what is in them.
    fn items(&mut self) -> io::Result<()> {
        let mut items: Vec<_> = self.case.report.iter().flat_map(|report| &report.items).collect();
        items.sort_by_key(|item| item.path.bytes());
        for item in items {
            let bytes = item.path.bytes().unwrap_or_default();
            let shown = format!("{:?}", OsString::from_vec(bytes.clone()));
            let Some(path) = path_of(&bytes) else {
                self.done.left.push(format!("{shown}: no path of the tree; see {REST}"));
                continue;
            };
            let look = item.attributes.as_ref().map(look);
            match self.item(&path, item.goal, item.file.as_deref(), look) {
                Ok(placed) => self.done.placed += u64::from(placed),
                Err(error) if is_local(&error) => self.leave(&shown, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One item; says whether there is anything to place.
    fn item(&mut self, path: &RelPath, goal: Goal, kept: Option<&str>, look: Option<Look>) -> io::Result<bool> {
        let Some((parent, name)) = path.split() else { return Ok(false) };
        let found = self.case.contents(kept);
        let disk = self.disk;
        match (goal, found) {
            (Goal::Dir, None) => {
                dirs(disk, &self.root, path)?;
                self.dirs.extend(look.map(|look| (path.clone(), look)));
            }
            (Goal::Symlink, Some((at, file, meta, kept))) if meta.kind == Kind::File => {
                let bytes = treewal_vfs::read_all(disk, &disk.open(&at, &file, Open::Read)?, TARGET_BYTES_MAX)?;
                disk.symlink(&OsString::from_vec(bytes), &dirs(disk, &self.root, &parent)?, name)?;
                self.use_up(&kept);
            }
            (_, Some((at, file, _, kept))) => {
                let to = dirs(disk, &self.root, &parent)?;
                let mut left = Vec::new();
                whole(disk, (&at, &file), (&to, name), &mut left)?;
                if let Some(look) = look.filter(|_| left.is_empty()) {
                    look.set(disk, &to, name)?;
                }
                self.done.left.extend(left.iter().map(|path| format!("{:?}: not a file", path.to_path())));
                self.use_up(&kept);
            }
            (_, None) => return Ok(false),
        }
        Ok(true)
    }

    fn use_up(&mut self, kept: &RelPath) {
        if kept.depth() == 1 {
            self.used.extend(kept.name().map(OsStr::to_owned));
        }
    }

    /// What a guard's snapshot holds.
    fn snapshot(&mut self, stored: &Stored<'_>) -> Result<(), Failed> {
        for entry in stored.entries() {
            match self.entry(stored, entry) {
                Ok(()) => {}
                Err(Failed::Io(error)) if is_local(&error) => self.leave(&entry.path.to_string(), &error),
                Err(Failed::Ours(error @ Error::Snapshot(_))) => self.leave(&entry.path.to_string(), &error),
                Err(error) => return Err(error),
            }
        }
        self.used.extend(self.case.snapshot_name().filter(|_| self.done.left.is_empty()));
        Ok(())
    }

    fn entry(&mut self, stored: &Stored<'_>, entry: &Entry) -> Result<(), Failed> {
        let Some((parent, name)) = entry.path.split() else { return Ok(()) };
        let disk = self.disk;
        let first = stored.first(entry);
        let meta = &first.meta;
        let look = Look {
            mode: meta.mode,
            owner: (meta.uid, meta.gid),
            modified: Some(meta.modified),
            xattrs: first.xattrs.clone(),
        };
        match (entry.meta.kind, &entry.target) {
            (Kind::Dir, _) => {
                dirs(disk, &self.root, &entry.path)?;
                self.dirs.insert(entry.path.clone(), look);
            }
            (Kind::Symlink, Some(target)) => disk.symlink(target, &dirs(disk, &self.root, &parent)?, name)?,
            (Kind::File, _) => {
                let to = dirs(disk, &self.root, &parent)?;
                let linked = match first.path.split() {
                    Some((above, twin)) if first.path != entry.path => {
                        disk.open_dir(&self.root, &above).and_then(|at| disk.hard_link(&at, twin, &to, name)).is_ok()
                    }
                    _ => false,
                };
                if !linked {
                    let contents = stored.contents(entry).map_err(|error| Failed::Ours(Error::Snapshot(error)))?;
                    file(disk, &contents, &to, name)?;
                    look.set(disk, &to, name)?;
                }
            }
            _ => {
                self.done.left.push(format!("{}: neither file, directory nor symlink", entry.path));
                return Ok(());
            }
        }
        self.done.placed += 1;
        Ok(())
    }

    /// What no report has a path for, as it is.
    fn rest(&mut self) -> io::Result<()> {
        let disk = self.disk;
        let mut left = Vec::new();
        let Some(dir) = &self.case.dir else {
            whole(disk, (&self.case.home.quarantine, &self.case.name), (&self.root, &self.case.name), &mut left)?;
            self.done.placed += u64::from(left.is_empty());
            self.done.left.extend(left.iter().map(|path| format!("{path}: neither file, directory nor symlink")));
            return Ok(());
        };
        let names: Vec<OsString> = disk.list(dir)?.into_iter().map(|entry| entry.name).collect();
        let names: Vec<OsString> = names.into_iter().filter(|name| !self.used.contains(name)).collect();
        if !names.is_empty() {
            let to = dirs(disk, &self.root, &RelPath::root().join(REST))?;
            for name in &names {
                whole(disk, (dir, name), (&to, name), &mut left)?;
                self.done.rest += 1;
            }
        }
        self.done.left.extend(left.iter().map(|path| format!("{path}: neither file, directory nor symlink")));
        Ok(())
    }
}

/// What one path meets, and no other.
fn is_local(error: &io::Error) -> bool {
    use treewal_vfs::errno::{EINVAL, ELOOP, ENAMETOOLONG, ENOTDIR};
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput)
        || matches!(error.raw_os_error(), Some(ENOTDIR | ELOOP | EINVAL | ENAMETOOLONG))
}

/// What a report says that an entry was to look like.
pub(super) fn look(attributes: &Attributes) -> Look {
    use base64::Engine as _;
    let xattr = |(name, value): &(treewal_recovery::quarantine::Text, String)| {
        Some((OsString::from_vec(name.bytes()?), BASE64.decode(value).ok()?))
    };
    Look {
        mode: attributes.mode & 0o7777,
        owner: (attributes.uid, attributes.gid),
        // The journal knows no time of a directory that nobody has set one of: see `Meta::identity`.
        modified: Some(Time::from(attributes.modified)).filter(|time| *time != Time::default()),
        xattrs: attributes.xattrs.iter().filter_map(xattr).collect(),
    }
}
