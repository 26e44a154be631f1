//! How the records of a manifest fit together. Pure: values in, a reason out.
//!
//! A frame with the right checksum is what was written; it is still not trusted, because whoever can write the file
//! can compute a checksum. What passes here cannot name a path outside of the guarded ones.

use std::collections::HashSet;

use treewal_vfs::{Kind, NAME_BYTES_MAX, PATH_BYTES_MAX, RelPath};

use super::entry::{Guarded, Mode, Role};
use super::layout::{END_BYTES, End};
use super::order::{compare_paths, is_within, parent};
use super::record::{EntryRecord, Record};

type Check<T = ()> = Result<T, String>;

const NANOS_BELOW: u32 = 1_000_000_000;
const MODE_BITS: u32 = 0o7777;

/// Takes the records one by one. What it remembers does not grow with the entries, but for a number for each backup.
#[derive(Debug, Default, Clone)]
pub(super) struct Checker {
    pub(super) guarded: Vec<Guarded>,
    pub(super) excluded: Vec<RelPath>,
    /// The guarded paths as bytes, and which of them had their entry.
    roots: Vec<(Vec<u8>, bool)>,
    barred: Vec<Vec<u8>>,
    /// The directories above guarded paths, and the last of them.
    ancestors: HashSet<Vec<u8>>,
    last_ancestor: Vec<u8>,
    /// The directories that the last entry is in, and itself where it is one.
    open: Vec<Vec<u8>>,
    last: Option<Vec<u8>>,
    backups: HashSet<u64>,
    entries: u64,
    pub(super) end: Option<End>,
}

impl Checker {
    /// Takes the next record, and gives it back where it is an entry.
    pub(super) fn push(&mut self, record: Record) -> Check<Option<Box<EntryRecord>>> {
        if self.end.is_some() {
            return Err("a record after the end".into());
        }
        match record {
            Record::Guarded { path, present } => self.guarded(path, present)?,
            Record::Excluded { path } => self.excluded(path)?,
            Record::Entry(entry) => {
                self.entry(&entry)?;
                return Ok(Some(entry));
            }
            Record::End { bytes } => self.end(&bytes)?,
        }
        Ok(None)
    }

    fn guarded(&mut self, bytes: Vec<u8>, present: bool) -> Check {
        let path = parse(&bytes)?;
        if !self.excluded.is_empty() || self.entries > 0 {
            return Err(format!("guarded path {path:?} after other records"));
        }
        // Sorted and none inside another: then the one that covers a path is found by its place.
        if self.guarded.last().is_some_and(|last| path <= last.path || path.starts_with(&last.path)) {
            return Err(format!("guarded path {path:?} out of order"));
        }
        self.guarded.push(Guarded { path, present });
        self.roots.push((bytes, false));
        Ok(())
    }

    fn excluded(&mut self, bytes: Vec<u8>) -> Check {
        let path = parse(&bytes)?;
        if self.entries > 0 || self.excluded.last().is_some_and(|last| path <= *last) {
            return Err(format!("excluded path {path:?} out of order"));
        }
        self.excluded.push(path);
        self.barred.push(bytes);
        Ok(())
    }

    fn entry(&mut self, entry: &EntryRecord) -> Check {
        let path = entry.path.as_slice();
        let wrong = |what: &str| Err(format!("\"{}\" {what}", path.escape_ascii()));
        if !is_normal(path) {
            return wrong("is no normal path");
        }
        if self.barred.iter().any(|excluded| is_within(path, excluded)) {
            return wrong("is excluded");
        }
        let is_dir = entry.meta.kind == Kind::Dir;
        let placed = match entry.role {
            Role::Ancestor => is_dir && self.ancestor(path),
            Role::Guarded => (is_dir || !path.is_empty()) && self.inside(path, is_dir),
        };
        if !placed {
            return wrong("does not stand where it may");
        }
        attributes(entry)?;
        self.contents(entry)?;
        self.entries += 1;
        Ok(())
    }

    /// Whether the directory at `path` is above a guarded one, and all such came before everything else, in order.
    fn ancestor(&mut self, path: &[u8]) -> bool {
        let leads = self.roots.iter().any(|(root, _)| is_within(root, path) && root.as_slice() != path);
        let after = compare_paths(&self.last_ancestor, path).is_lt() && self.last.is_none();
        self.last_ancestor = path.to_vec();
        leads && after && self.is_under_ancestor(path) && self.ancestors.insert(path.to_vec())
    }

    fn is_under_ancestor(&self, path: &[u8]) -> bool {
        parent(path).is_none_or(|parent| parent.is_empty() || self.ancestors.contains(parent))
    }

    /// Whether the entry comes after the last one, and either is guarded itself or lies in a directory that is.
    fn inside(&mut self, path: &[u8], is_dir: bool) -> bool {
        if self.last.as_ref().is_some_and(|last| compare_paths(last, path).is_ge()) {
            return false;
        }
        while self.open.last().is_some_and(|dir| !is_within(path, dir)) {
            self.open.pop();
        }
        let placed = match self.open.last() {
            Some(dir) => parent(path) == Some(dir),
            None => self.is_root(path) && self.is_under_ancestor(path),
        };
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(path);
        if is_dir {
            self.open.push(path.to_vec());
        }
        placed
    }

    fn is_root(&mut self, path: &[u8]) -> bool {
        let at = self.roots.binary_search_by(|(root, _)| compare_paths(root, path));
        let Ok(at) = at else { return false };
        self.roots[at].1 = true;
        self.guarded[at].present
    }

    /// Links point back, and each backup serves one file.
    fn contents(&mut self, entry: &EntryRecord) -> Check {
        let path = entry.path.escape_ascii();
        if let Some(first) = entry.same_as {
            if first >= self.entries || entry.backup.is_some() || entry.meta.kind == Kind::Dir {
                return Err(format!("\"{path}\" is a link to what it cannot be"));
            }
        } else if (entry.meta.kind == Kind::File) != entry.backup.is_some() {
            return Err(format!("\"{path}\" has contents and no backup, or the other way round"));
        }
        if let Some(backup) = &entry.backup {
            if backup.mode == Mode::None || backup.modified.nanos >= NANOS_BELOW || !self.backups.insert(backup.number)
            {
                return Err(format!("the backup of \"{path}\" is impossible"));
            }
        }
        Ok(())
    }

    fn end(&mut self, bytes: &[u8; END_BYTES]) -> Check {
        let end = End::from_bytes(bytes).ok_or("the end has an impossible time")?;
        if self.entries != end.entries {
            return Err(format!("{} entries, and the end says {}", self.entries, end.entries));
        }
        for (guarded, (_, seen)) in self.guarded.iter().zip(&self.roots) {
            let excluded = self.excluded.iter().any(|excluded| guarded.path.starts_with(excluded));
            if guarded.present != *seen || excluded {
                return Err(format!("guarded path {:?} and its entry disagree", guarded.path));
            }
        }
        self.end = Some(end);
        Ok(())
    }
}

fn parse(path: &[u8]) -> Check<RelPath> {
    let parsed = RelPath::from_bytes(path).map_err(|why| why.to_string())?;
    if is_normal(path) { Ok(parsed) } else { Err(format!("{parsed:?} is not written as a normal path")) }
}

/// Whether this is what [`RelPath::to_bytes`] gives for some path.
fn is_normal(path: &[u8]) -> bool {
    let mut names = path.split(|&byte| byte == b'/');
    let named = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_BYTES_MAX && !name.contains(&0);
    path.is_empty() || (path.len() <= PATH_BYTES_MAX && names.all(named))
}

fn attributes(entry: &EntryRecord) -> Check {
    let meta = &entry.meta;
    let times = [meta.born, meta.accessed, meta.modified, meta.changed];
    let possible = meta.mode & !MODE_BITS == 0
        && times.iter().all(|time| time.nanos < NANOS_BELOW)
        && (meta.kind == Kind::Symlink) == entry.target.is_some()
        && entry.xattrs.iter().all(|(name, _)| !name.is_empty());
    if possible { Ok(()) } else { Err(format!("the attributes of \"{}\" are impossible", entry.path.escape_ascii())) }
}
