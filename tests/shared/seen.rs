//! What a tree holds, as far as it matters to anybody: to compare one with another.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use treewal_vfs::{Dir, Disk, ITSELF, Kind, Open, RelPath, read_all};

/// A tree without treewal's own directory, the tree itself among its paths.
pub(crate) type Seen = BTreeMap<RelPath, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// 0 for a symlink, whose bits mean nothing.
    pub(crate) mode: u32,
    pub(crate) contents: Vec<u8>,
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) owner: (u32, u32),
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
    /// The seconds of the time of modification, where it was set to one long gone.
    pub(crate) set: Option<i64>,
}

/// What tests set lies before this, in seconds; what a clock says does not.
pub(crate) const LONG_GONE: i64 = 1_000_000;

/// Looks at every entry beneath `at`, which is outside of any transaction.
pub(crate) fn look(disk: &dyn Disk, at: impl AsRef<Path>) -> Seen {
    let root = disk.open_root(at.as_ref()).unwrap();
    let mut seen = Seen::from([(RelPath::root(), look_at(disk, &root, OsStr::new(ITSELF)))]);
    let mut dirs = vec![RelPath::root()];
    while let Some(path) = dirs.pop() {
        let dir = disk.open_dir(&root, &path).unwrap();
        for entry in disk.list(&dir).unwrap() {
            let path = path.join(&entry.name);
            if path == RelPath::new(".treewal").unwrap() {
                continue;
            }
            let found = look_at(disk, &dir, &entry.name);
            if found.kind == Kind::Dir {
                dirs.push(path.clone());
            }
            seen.insert(path, found);
        }
    }
    seen
}

fn look_at(disk: &dyn Disk, dir: &Dir, name: &OsStr) -> Entry {
    let meta = disk.stat(dir, name).unwrap();
    let mut entry = Entry {
        kind: meta.kind,
        mode: meta.mode,
        contents: Vec::new(),
        target: None,
        owner: (meta.uid, meta.gid),
        xattrs: disk.xattrs(dir, name).unwrap(),
        set: Some(meta.modified.secs).filter(|secs| *secs < LONG_GONE),
    };
    match meta.kind {
        Kind::File => {
            let file = disk.open(dir, name, Open::Read).unwrap();
            entry.contents = read_all(disk, &file, u64::MAX).unwrap();
        }
        Kind::Symlink => {
            entry.mode = 0;
            entry.target = Some(disk.read_link(dir, name).unwrap().into_encoded_bytes());
        }
        _ => {}
    }
    entry
}

/// Where two trees differ, a line for each path; empty where they do not.
pub(crate) fn differences(found: &Seen, wanted: &Seen) -> String {
    let short = |entry: Option<&Entry>| match entry {
        None => "absent".to_owned(),
        Some(Entry { kind, mode, contents, target, owner, xattrs, set }) => {
            let head = String::from_utf8_lossy(&contents[..contents.len().min(16)]).into_owned();
            format!("{kind:?} {mode:04o} {} bytes {head:?} {target:?} {owner:?} {xattrs:?} {set:?}", contents.len())
        }
    };
    let paths: std::collections::BTreeSet<&RelPath> = found.keys().chain(wanted.keys()).collect();
    let differ = paths.into_iter().filter(|path| found.get(*path) != wanted.get(*path));
    differ.map(|path| format!("{path}: {}, not {}\n", short(found.get(path)), short(wanted.get(path)))).collect()
}

/// What of treewal's own does not always stand in a tree: nothing, once the tree is closed.
pub(crate) fn leftovers(disk: &dyn Disk, at: impl AsRef<Path>) -> Vec<String> {
    let root = disk.open_root(at.as_ref()).unwrap();
    let mut found = Vec::new();
    for sub in ["stage", "guards", "quarantine"] {
        let dir = disk.open_dir(&root, &RelPath::new(format!(".treewal/{sub}")).unwrap()).unwrap();
        found.extend(disk.list(&dir).unwrap().iter().map(|entry| format!("{sub}/{}", entry.name.to_string_lossy())));
    }
    found
}
