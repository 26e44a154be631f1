//! One entry of quarantine, looked at.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::SystemTime;

use treewal_recovery::home::Home;
use treewal_recovery::quarantine::{CaseReport, Goal, JSON, REPORT, read_report};
use treewal_snapshot::{Manifest, Stored};
use treewal_vfs::{Dir, Kind, Meta, Open, RelPath, errno};

use super::{QuarantineDetails, QuarantineItem, Quarantined, shown};
use crate::transaction::to_system_time;
use crate::{Error, Result};

/// How much of the report for people is shown, in bytes.
const SHOWN_BYTES: usize = 64 << 10;
/// How deep an entry is looked through.
const DEPTH_MAX: usize = 1000;

/// An entry, opened.
pub(super) struct Case<'a> {
    pub(super) home: &'a Home,
    pub(super) name: OsString,
    pub(super) meta: Meta,
    /// `None` where it is no directory.
    pub(super) dir: Option<Dir>,
    pub(super) report: Option<CaseReport>,
}

impl<'a> Case<'a> {
    /// Opens an entry; `None` where it is gone.
    pub(super) fn open(home: &'a Home, name: &OsStr) -> Result<Option<Self>> {
        let disk = &*home.disk;
        let io = |source| Error::from_os("look at", shown(name), source);
        let meta = match disk.stat(&home.quarantine, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            meta => meta.map_err(io)?,
        };
        let dir = match disk.open_dir(&home.quarantine, &RelPath::root().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if matches!(error.raw_os_error(), Some(errno::ENOTDIR | errno::ELOOP | errno::EXDEV)) => None,
            dir => Some(dir.map_err(io)?),
        };
        let report = match &dir {
            Some(dir) => read_report(disk, dir).map_err(io)?,
            None => None,
        };
        Ok(Some(Self { home, name: name.to_owned(), meta, dir, report }))
    }

    pub(super) fn summary(&self) -> Result<Quarantined> {
        let report = self.report.clone().unwrap_or_default();
        let id = self.name.to_string_lossy().into_owned();
        let since = if self.report.is_some() { report.quarantined.into() } else { self.meta.modified };
        Ok(Quarantined {
            kind: self.kind(&id),
            transaction: report.transaction.or_else(|| id.strip_prefix("txn-")?.parse().ok()),
            since: to_system_time(since).unwrap_or(SystemTime::UNIX_EPOCH),
            bytes: bytes(self.home, &self.name)?,
            has_report: self.report.is_some(),
            paths: report.guarded.iter().chain(report.items.iter().map(|item| &item.path)).map(shown_path).collect(),
            label: report.label,
            reason: report.reason,
            id,
        })
    }

    fn kind(&self, id: &str) -> &'static str {
        match self.report.as_ref().map(|report| report.kind.as_str()) {
            Some("staged") => "staged",
            Some("guarded") => "guarded",
            _ if id.starts_with("txn-") && self.dir.is_some() => {
                if self.has_snapshot() {
                    "guarded"
                } else {
                    "staged"
                }
            }
            _ if id.starts_with("publish-") => "publish",
            _ if id.contains(".wal") => "journal",
            _ if id.starts_with("lost-") => "lost",
            _ => "other",
        }
    }

    /// The name of the directory that holds the snapshot of a guard, where there is one.
    pub(super) fn snapshot_name(&self) -> Option<OsString> {
        let named = self.report.as_ref().map(|report| report.snapshot.as_deref());
        let name = OsString::from(named.unwrap_or(Some("snapshot"))?);
        let one = RelPath::new(&name).is_ok_and(|path| path.depth() == 1);
        let there = one.then_some(()).and_then(|()| self.stat(&name));
        there.filter(|meta| meta.kind == Kind::Dir).map(|_| name)
    }

    fn has_snapshot(&self) -> bool {
        self.snapshot_name().is_some()
    }

    fn stat(&self, name: &OsStr) -> Option<Meta> {
        self.home.disk.stat(self.dir.as_ref()?, name).ok()
    }

    /// The snapshot of a guard; `None` where there is none.
    pub(super) fn snapshot(&self) -> Result<Option<(Dir, Manifest)>> {
        let (Some(dir), Some(name)) = (&self.dir, self.snapshot_name()) else { return Ok(None) };
        let disk = &*self.home.disk;
        let opened = disk.open_dir(dir, &RelPath::root().join(&name));
        let from = opened.map_err(|source| Error::from_os("open", shown(&self.name).join(&name), source))?;
        let manifest = Manifest::load(disk, &from).map_err(Error::Snapshot)?;
        if !treewal_recovery::undo::is_confined(&manifest) {
            let reason = "its manifest reaches into .treewal, so it is not one that treewal wrote".to_owned();
            return Err(Error::Store { path: shown(&self.name).join(name), reason });
        }
        Ok(Some((from, manifest)))
    }

    /// Where the contents of an item are: the directory and the name in it, what it is, and its path beneath the case.
    /// `None` where the report names none, one that is not beneath the case, or one that is not there.
    pub(super) fn contents(&self, file: Option<&str>) -> Option<(Dir, OsString, Meta, RelPath)> {
        let path = RelPath::new(file?).ok()?;
        let (parent, name) = path.split()?;
        let dir = self.home.disk.open_dir(self.dir.as_ref()?, &parent).ok()?;
        let meta = self.home.disk.stat(&dir, name).ok()?;
        let name = name.to_owned();
        Some((dir, name, meta, path))
    }

    pub(super) fn details(&self) -> Result<QuarantineDetails> {
        let report = self.report.clone().unwrap_or_default();
        let mut items: Vec<QuarantineItem> = report
            .items
            .iter()
            .map(|item| QuarantineItem {
                path: shown_path(&item.path),
                goal: goal(item.goal),
                reason: item.reason.clone(),
                file: self.contents(item.file.as_deref()).map(|(.., path)| shown(&self.name).join(path.to_path())),
            })
            .collect();
        if let Ok(Some((from, manifest))) = self.snapshot() {
            let stored = Stored::open(&*self.home.disk, &from, &manifest).map_err(Error::Snapshot)?;
            items.extend(stored.entries().iter().map(|entry| QuarantineItem {
                path: entry.path.to_path(),
                goal: kind(entry.meta.kind),
                reason: String::new(),
                file: None,
            }));
        }
        Ok(QuarantineDetails { entry: self.summary()?, tries: report.tries, items, report: self.said() })
    }

    /// What is missing of what the report names.
    pub(super) fn incomplete(&self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        let Some(report) = &self.report else {
            if self.stat(OsStr::new(JSON)).is_some() {
                missing.push("its report.json cannot be read".to_owned());
            }
            return Ok(missing);
        };
        for item in report.items.iter().filter(|item| item.file.is_some()) {
            if self.contents(item.file.as_deref()).is_none() {
                missing.push(format!("the contents of {:?} are not there", shown_path(&item.path)));
            }
        }
        match self.snapshot() {
            Ok(Some((from, manifest))) => {
                let disk = &*self.home.disk;
                match Stored::open(disk, &from, &manifest).and_then(|stored| stored.unusable()) {
                    Ok(lost) => missing.extend(lost.iter().map(|path| format!("the contents of {path:?} are lost"))),
                    Err(error) => missing.push(format!("its snapshot cannot be read: {error}")),
                }
            }
            Ok(None) if report.snapshot.is_some() => missing.push("its snapshot is not there".to_owned()),
            Ok(None) => {}
            Err(error @ (Error::Snapshot(_) | Error::Store { .. })) => {
                missing.push(format!("its snapshot cannot be read: {error}"));
            }
            Err(error) => return Err(error),
        }
        Ok(missing)
    }

    /// The beginning of the report for people.
    fn said(&self) -> String {
        let name = OsStr::new(REPORT);
        let is_file = self.stat(name).is_some_and(|meta| meta.kind == Kind::File);
        let Some(dir) = self.dir.as_ref().filter(|_| is_file) else { return String::new() };
        let disk = &*self.home.disk;
        let mut bytes = vec![0; SHOWN_BYTES];
        let read = disk.open(dir, name, Open::Read).and_then(|file| disk.read_at(&file, &mut bytes, 0));
        bytes.truncate(read.unwrap_or_default());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn shown_path(path: &treewal_recovery::quarantine::Text) -> PathBuf {
    OsString::from_vec(path.bytes().unwrap_or_default()).into()
}

fn goal(goal: Goal) -> &'static str {
    match goal {
        Goal::File => "file",
        Goal::Dir => "dir",
        Goal::Symlink => "symlink",
        Goal::Link => "link",
        Goal::Moved => "moved",
        Goal::Absent => "absent",
        Goal::Attributes => "attributes",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "dir",
        Kind::Symlink => "symlink",
        _ => "special",
    }
}

/// Bytes of disk that an entry takes. What goes while it is looked through, or may not be looked at, takes none.
pub(super) fn bytes(home: &Home, name: &OsStr) -> Result<u64> {
    let disk = &*home.disk;
    let mut sum = match disk.stat(&home.quarantine, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        meta => meta.map_err(|source| Error::from_os("look at", shown(name), source))?.allocated,
    };
    let mut open = vec![RelPath::root().join(name)];
    while let Some(path) = open.pop() {
        let Ok(dir) = disk.open_dir(&home.quarantine, &path) else { continue };
        for entry in disk.list(&dir).unwrap_or_default() {
            let Ok(meta) = disk.stat(&dir, &entry.name) else { continue };
            sum = sum.saturating_add(meta.allocated);
            let inner = path.join(&entry.name);
            if meta.kind == Kind::Dir && inner.depth() < DEPTH_MAX && inner.fits() {
                open.push(inner);
            }
        }
    }
    Ok(sum)
}
