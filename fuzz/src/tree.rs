//! Trees on a disk in memory, and the same tree as a value.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Transaction, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Kind, Open, RelPath, write_all};

/// What is allowed of a tree: small things are large for it.
#[must_use]
pub fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(64).lock_wait(Duration::ZERO)
}

/// Opens the tree of a disk.
///
/// # Errors
/// As [`Options::open_on`].
pub fn open(disk: Arc<dyn Disk>) -> treewal::Result<Tree> {
    options().open_on(disk, "/")
}

/// A disk with a few files and directories, all of it durable.
#[must_use]
pub fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root(Path::new("/")).unwrap();
    for name in ["a", "b"] {
        disk.create_dir(&root, OsStr::new(name), 0o755).unwrap();
    }
    for (dir, name, bytes) in [("a", "a", 5), ("a", "b", 70), ("b", "c", 600), ("", "c", 1)] {
        let dir = disk.open_dir(&root, &RelPath::new(dir).unwrap()).unwrap();
        let file = disk.open(&dir, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(&disk, &file, &vec![b'0'; bytes], 0).unwrap();
    }
    drop(open(Arc::new(disk.clone())).unwrap());
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// A tree as a value: a file has contents, a directory has none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Model(pub BTreeMap<PathBuf, Option<Vec<u8>>>);

/// Each path with its first byte and its length, so that a message can be read.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |contents: &Option<Vec<u8>>| contents.as_ref().map(|bytes| (bytes.first().copied(), bytes.len()));
        f.debug_map().entries(self.0.iter().map(|(path, contents)| (path, short(contents)))).finish()
    }
}

/// What is left in `.treewal` that should not be.
#[must_use]
pub fn leftovers(disk: &SimDisk) -> Vec<String> {
    let own = ["stage", "guards", "quarantine"].map(|sub| format!(".treewal/{sub}/"));
    let paths = disk.dump().into_keys().map(|path| path.to_string());
    paths.filter(|path| own.iter().any(|own| path.starts_with(own.as_str()))).collect()
}

/// One operation. Each is refused where it would be by the calls of the system.
#[derive(Clone)]
pub enum Op {
    /// A whole file.
    Write(PathBuf, Vec<u8>),
    /// Bytes at the end of a file.
    Append(PathBuf, Vec<u8>),
    /// A directory.
    CreateDir(PathBuf),
    /// An entry goes elsewhere; a file may take the place of a file.
    Rename(PathBuf, PathBuf),
    /// Two entries change places.
    Exchange(PathBuf, PathBuf),
    /// A file goes.
    RemoveFile(PathBuf),
    /// An empty directory goes.
    RemoveDir(PathBuf),
    /// A directory goes with all that is in it.
    RemoveDirAll(PathBuf),
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, bytes) => write!(f, "write {path:?} {:?}x{}", bytes.first(), bytes.len()),
            Self::Append(path, bytes) => write!(f, "append {path:?} {:?}x{}", bytes.first(), bytes.len()),
            Self::CreateDir(path) => write!(f, "create_dir {path:?}"),
            Self::Rename(from, to) => write!(f, "rename {from:?} {to:?}"),
            Self::Exchange(a, b) => write!(f, "exchange {a:?} {b:?}"),
            Self::RemoveFile(path) => write!(f, "remove_file {path:?}"),
            Self::RemoveDir(path) => write!(f, "remove_dir {path:?}"),
            Self::RemoveDirAll(path) => write!(f, "remove_dir_all {path:?}"),
        }
    }
}

impl Op {
    /// Stages the operation.
    ///
    /// # Errors
    /// As the method of the transaction.
    pub fn stage(&self, tx: &mut Transaction) -> treewal::Result<()> {
        match self {
            Self::Write(path, bytes) => tx.write(path, bytes),
            Self::Append(path, bytes) => tx.append(path, bytes),
            Self::CreateDir(path) => tx.create_dir(path),
            Self::Rename(from, to) => tx.rename(from, to),
            Self::Exchange(a, b) => tx.exchange(a, b),
            Self::RemoveFile(path) => tx.remove_file(path),
            Self::RemoveDir(path) => tx.remove_dir(path),
            Self::RemoveDirAll(path) => tx.remove_dir_all(path),
        }
    }
}

impl Model {
    /// The tree of a disk, without what treewal keeps there.
    #[must_use]
    pub fn of(disk: &SimDisk) -> Self {
        let nodes = disk.dump().into_iter().map(|(path, node)| {
            let contents = (node.kind != Kind::Dir).then_some(node.contents);
            (PathBuf::from(path.to_string()), contents)
        });
        let is_theirs = |path: &Path| !path.starts_with(".treewal") && path != Path::new(".") && path != Path::new("");
        Self(nodes.filter(|(path, _)| is_theirs(path)).collect())
    }

    fn is_dir(&self, path: &Path) -> bool {
        path == Path::new("") || matches!(self.0.get(path), Some(None))
    }

    fn is_file(&self, path: &Path) -> bool {
        matches!(self.0.get(path), Some(Some(_)))
    }

    fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.is_dir(parent))
    }

    fn is_empty(&self, path: &Path) -> bool {
        !self.0.keys().any(|other| other.parent() == Some(path))
    }

    fn take(&mut self, root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let paths: Vec<PathBuf> = self.0.keys().filter(|path| path.starts_with(root)).cloned().collect();
        let inside = |path: &PathBuf| path.strip_prefix(root).unwrap().to_owned();
        paths.into_iter().map(|path| (inside(&path), self.0.remove(&path).unwrap())).collect()
    }

    fn put(&mut self, root: &Path, entries: Vec<(PathBuf, Option<Vec<u8>>)>) {
        let place = |inside: PathBuf| if inside == Path::new("") { root.to_owned() } else { root.join(inside) };
        self.0.extend(entries.into_iter().map(|(inside, entry)| (place(inside), entry)));
    }

    /// Does the operation, as the calls of the system would; `false`, and nothing done, where they would refuse it.
    pub fn take_op(&mut self, op: &Op) -> bool {
        match op {
            Op::Write(path, bytes) => {
                let may = self.has_parent(path) && !self.is_dir(path);
                may.then(|| self.0.insert(path.clone(), Some(bytes.clone()))).is_some()
            }
            Op::Append(path, bytes) => {
                let may = self.has_parent(path) && !self.is_dir(path);
                may.then(|| {
                    let file = self.0.entry(path.clone()).or_insert_with(|| Some(Vec::new()));
                    file.get_or_insert_with(Vec::new).extend(bytes);
                })
                .is_some()
            }
            Op::CreateDir(path) => {
                let may = self.has_parent(path) && !self.0.contains_key(path);
                may.then(|| self.0.insert(path.clone(), None)).is_some()
            }
            Op::Rename(from, to) => self.rename(from, to),
            Op::Exchange(a, b) => {
                let may = self.0.contains_key(a) && self.0.contains_key(b);
                if !may || (a != b && (a.starts_with(b) || b.starts_with(a))) {
                    return false;
                }
                if a != b {
                    let (at_a, at_b) = (self.take(a), self.take(b));
                    self.put(b, at_a);
                    self.put(a, at_b);
                }
                true
            }
            Op::RemoveFile(path) => self.is_file(path) && self.0.remove(path).is_some(),
            Op::RemoveDir(path) => self.is_dir(path) && self.is_empty(path) && self.0.remove(path).is_some(),
            Op::RemoveDirAll(path) => self.is_dir(path) && !self.take(path).is_empty(),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> bool {
        if !self.0.contains_key(from) || !self.has_parent(to) || (from != to && to.starts_with(from)) {
            return false;
        }
        let replaces = match (self.is_dir(from), self.0.contains_key(to)) {
            (_, false) => true,
            (true, true) => self.is_dir(to) && (from == to || self.is_empty(to)),
            (false, true) => !self.is_dir(to),
        };
        if !replaces {
            return false;
        }
        if from != to {
            let moving = self.take(from);
            self.0.remove(to);
            self.put(to, moving);
        }
        true
    }
}
