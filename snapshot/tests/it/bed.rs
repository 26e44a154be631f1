//! A tree on any disk, dumped through the disk itself, and a snapshot directory beside it.
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use treewal_snapshot::{Check, Entry, Manifest, Report, Restored, Result, Sharing, TakeOptions, restore, take};
use treewal_vfs::{Dir, Disk, Kind, Meta, Open, RelPath, Time, read_all, write_all};

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

/// What a reader can tell of an entry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) rdev: u64,
    pub(crate) modified: Time,
    pub(crate) contents: Vec<u8>,
    pub(crate) target: Option<OsString>,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
    /// The first path of the same inode, where it has several in the dump.
    pub(crate) same_as: Option<RelPath>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {:o} {:?} {}.{:09}",
            self.kind, self.mode, self.owner, self.modified.secs, self.modified.nanos
        )?;
        let head: Vec<u8> = self.contents.iter().copied().take(12).collect();
        write!(f, " {}:{:?}", self.contents.len(), String::from_utf8_lossy(&head))?;
        write!(f, " {:?} {:?} {:?}", self.target, self.xattrs, self.same_as)
    }
}

pub(crate) type Dump = BTreeMap<RelPath, Node>;

/// Everything beneath `tree` that is `wanted`, the tree itself not among it, without what lies under [`PRIVATE`].
pub(crate) fn dump(disk: &dyn Disk, tree: &Dir, wanted: &dyn Fn(&RelPath, &Meta) -> bool) -> Dump {
    let mut out = Dump::new();
    let mut dirs = vec![RelPath::root()];
    let mut inodes: BTreeMap<RelPath, Meta> = BTreeMap::new();
    while let Some(path) = dirs.pop() {
        let dir = disk.open_dir(tree, &path).unwrap();
        for entry in disk.list(&dir).unwrap() {
            let child = path.join(&entry.name);
            if child == rel(PRIVATE) {
                continue;
            }
            let meta = disk.stat(&dir, &entry.name).unwrap();
            if meta.kind == Kind::Dir {
                dirs.push(child.clone());
            }
            if wanted(&child, &meta) {
                out.insert(child.clone(), node(disk, &dir, &entry.name, &meta));
                inodes.insert(child, meta);
            }
        }
    }
    let mut first: BTreeMap<u64, RelPath> = BTreeMap::new();
    for (path, meta) in inodes.iter().filter(|(_, meta)| meta.kind != Kind::Dir) {
        match first.get(&meta.ino) {
            Some(other) => out.get_mut(path).unwrap().same_as = Some(other.clone()),
            None => drop(first.insert(meta.ino, path.clone())),
        }
    }
    out
}

fn node(disk: &dyn Disk, dir: &Dir, name: &OsStr, meta: &Meta) -> Node {
    let contents = match meta.kind {
        Kind::File => read_all(disk, &disk.open(dir, name, Open::Read).unwrap(), 1 << 30).unwrap(),
        _ => Vec::new(),
    };
    Node {
        kind: meta.kind,
        mode: if meta.kind == Kind::Symlink { 0 } else { meta.mode },
        owner: (meta.uid, meta.gid),
        rdev: meta.rdev,
        modified: meta.modified,
        contents,
        target: (meta.kind == Kind::Symlink).then(|| disk.read_link(dir, name).unwrap()),
        xattrs: disk.xattrs(dir, name).unwrap(),
        same_as: None,
    }
}

/// Says what differs, not all of both.
pub(crate) fn assert_same(before: &Dump, after: &Dump, what: &str) {
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differs: Vec<String> = paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| format!("{path:?}\n   was {:?}\n    is {:?}", before.get(path), after.get(path)))
        .collect();
    assert!(differs.is_empty(), "{what}:\n{}", differs.join("\n"));
}

/// Where snapshots lie in the tree of a test.
pub(crate) const PRIVATE: &str = ".private";

/// A tree with a snapshot directory in it, on any disk, and short ways to do things by path.
pub(crate) struct Bed<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) tree: Dir,
    pub(crate) private: Dir,
    pub(crate) home: PathBuf,
}

impl<'a> Bed<'a> {
    /// Makes the snapshot directory where it does not exist.
    pub(crate) fn new(disk: &'a dyn Disk, root: &Path) -> Self {
        let tree = disk.open_root(root).unwrap();
        if disk.stat(&tree, OsStr::new(PRIVATE)).is_err() {
            disk.create_dir(&tree, OsStr::new(PRIVATE), 0o700).unwrap();
        }
        let private = disk.open_dir(&tree, &rel(PRIVATE)).unwrap();
        Self { disk, tree, private, home: root.to_path_buf() }
    }

    /// The same through another disk.
    pub(crate) fn through<'b>(&self, disk: &'b dyn Disk) -> Bed<'b> {
        Bed { disk, tree: self.tree.clone(), private: self.private.clone(), home: self.home.clone() }
    }

    pub(crate) fn options(sharing: Sharing) -> TakeOptions {
        TakeOptions { sharing, exclude: vec![rel(PRIVATE)], ..TakeOptions::default() }
    }

    pub(crate) fn take(&self, paths: &[&str], sharing: Sharing) -> Result<Report> {
        let paths: Vec<RelPath> = paths.iter().map(|path| rel(path)).collect();
        take(self.disk, &self.tree, &paths, &self.private, &Self::options(sharing))
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::load(self.disk, &self.private).unwrap()
    }

    /// The entry at `path` in the snapshot.
    pub(crate) fn entry(&self, path: &str) -> Option<Entry> {
        let manifest = self.manifest();
        manifest.entries(self.disk).map(Result::unwrap).find(|entry| entry.path == rel(path))
    }

    pub(crate) fn entry_of(&self, manifest: &Manifest, path: &str) -> Entry {
        manifest.entries(self.disk).map(Result::unwrap).find(|entry| entry.path == rel(path)).unwrap()
    }

    /// Where the backup of a file is.
    pub(crate) fn backup(&self, path: &str) -> String {
        let number = self.entry(path).unwrap().backup.unwrap().number;
        format!("{PRIVATE}/contents/{}/{number}", number / 1024)
    }

    pub(crate) fn restore(&self, check: Check) -> Result<Restored> {
        restore(self.disk, &self.tree, &self.private, &self.manifest(), check)
    }

    pub(crate) fn dump(&self) -> Dump {
        self.dump_of(&|_, _| true)
    }

    pub(crate) fn dump_of(&self, wanted: &dyn Fn(&RelPath, &Meta) -> bool) -> Dump {
        dump(self.disk, &self.tree, wanted)
    }

    pub(crate) fn at<'p>(&self, path: &'p RelPath) -> (Dir, &'p OsStr) {
        let (parent, name) = path.split().unwrap();
        (self.disk.open_dir(&self.tree, &parent).unwrap(), name)
    }

    pub(crate) fn meta(&self, path: &str) -> Meta {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        self.disk.stat(&dir, name).unwrap()
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        self.write_at(path, bytes, 0);
    }

    /// In place, where there is a file.
    pub(crate) fn write_at(&self, path: &str, bytes: &[u8], offset: u64) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        let file = self.disk.open(&dir, name, Open::Create { mode: 0o644 }).unwrap();
        write_all(self.disk, &file, bytes, offset).unwrap();
    }

    pub(crate) fn dir(&self, path: &str) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        self.disk.create_dir(&dir, name, 0o755).unwrap();
    }

    pub(crate) fn symlink(&self, target: &str, path: &str) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        self.disk.symlink(OsStr::new(target), &dir, name).unwrap();
    }

    pub(crate) fn fifo(&self, path: &str) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        let meta = Meta { kind: Kind::Fifo, mode: 0o640, ..self.disk.stat_dir(&self.tree).unwrap() };
        self.disk.make_node(&dir, name, &meta).unwrap();
    }

    pub(crate) fn link(&self, from: &str, to: &str) {
        let (from, to) = (rel(from), rel(to));
        let ((from_dir, from), (to_dir, to)) = (self.at(&from), self.at(&to));
        self.disk.hard_link(&from_dir, from, &to_dir, to).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        let (from, to) = (rel(from), rel(to));
        let ((from_dir, from), (to_dir, to)) = (self.at(&from), self.at(&to));
        self.disk.rename(&from_dir, from, &to_dir, to, treewal_vfs::Rename::Replace).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        treewal_vfs::remove_tree(self.disk, &dir, name).unwrap();
    }

    /// As a careful writer does: a new file, renamed over the old.
    pub(crate) fn replace(&self, path: &str, bytes: &[u8]) {
        let temp = format!("{path}.new");
        self.write(&temp, bytes);
        self.rename(&temp, path);
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        self.disk.set_mode(&dir, name, mode).unwrap();
    }

    pub(crate) fn times(&self, path: &str, secs: i64, nanos: u32) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        let time = Time { secs, nanos };
        self.disk.set_times(&dir, name, time, time).unwrap();
    }

    pub(crate) fn xattr(&self, path: &str, key: &str, value: &str) {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        self.disk.set_xattr(&dir, name, OsStr::new(key), value.as_bytes()).unwrap();
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        let path = rel(path);
        let (dir, name) = self.at(&path);
        self.disk.stat(&dir, name).is_ok()
    }
}
