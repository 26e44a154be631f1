//! What a tree holds, looked at from outside.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use treewal_vfs::{Dir, Disk, Kind, Open, RealDisk, RelPath, read_all};

/// A tree without treewal's own directory: what stands at each path, relative to the root.
pub(crate) type Walk = BTreeMap<String, Seen>;

/// An entry, as far as it matters to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    /// How many names it has in the tree: others may stand in treewal's own directory for a while.
    names: usize,
    /// Seconds and nanoseconds.
    modified: (i64, u32),
    xattrs: Vec<(String, Vec<u8>)>,
    /// Of a file, its length and checksum.
    contents: (u64, u32),
    /// The first bytes, or the target of a symlink.
    head: String,
}

/// Times before this were set on purpose and must come back; later ones are those of the run.
const SET_ON_PURPOSE_BEFORE_SECS: i64 = 1_500_000_000;

impl Seen {
    /// Whether this is what was wanted.
    pub(crate) fn is(&self, wanted: &Self) -> bool {
        let any_time = wanted.modified.0 >= SET_ON_PURPOSE_BEFORE_SECS;
        Self { modified: if any_time { wanted.modified } else { self.modified }, ..self.clone() } == *wanted
    }

    /// Whether both are files with the same bytes, or neither is a file and they are of one kind.
    pub(crate) fn same_contents(&self, other: &Self) -> bool {
        (&self.kind, self.contents) == (&other.kind, other.contents)
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, mode, owner, names, modified, xattrs, contents: (bytes, sum), head } = self;
        write!(f, "{kind} {mode:04o} {owner:?} x{names} {modified:?} {xattrs:?} {bytes} bytes {sum:08x} {head:?}")
    }
}

/// Whether a tree is as wanted.
pub(crate) fn is(found: &Walk, wanted: &Walk) -> bool {
    found.len() == wanted.len()
        && found.iter().zip(wanted).all(|((path, seen), (name, wanted))| path == name && seen.is(wanted))
}

/// Where two trees differ, a line for each path.
pub(crate) fn differences(found: &Walk, wanted: &Walk) -> String {
    let paths: std::collections::BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    let show = |seen: Option<&Seen>| seen.map_or_else(|| "absent".to_owned(), ToString::to_string);
    let differ = |path: &&String| match (found.get(*path), wanted.get(*path)) {
        (Some(found), Some(wanted)) => !found.is(wanted),
        _ => true,
    };
    let line = |path: &String| format!("    {path}: {}, wanted {}\n", show(found.get(path)), show(wanted.get(path)));
    paths.into_iter().filter(differ).map(line).collect()
}

/// Looks at everything beneath `tree`.
pub(crate) fn walk(tree: &Path) -> io::Result<Walk> {
    let root = RealDisk.open_root(tree)?;
    let mut seen = Walk::new();
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut dirs = vec![RelPath::root()];
    while let Some(path) = dirs.pop() {
        let dir = RealDisk.open_dir(&root, &path)?;
        for entry in RealDisk.list(&dir)? {
            let path = path.join(&entry.name);
            if path.to_string() == ".treewal" {
                continue;
            }
            let (ino, found) = look(&dir, &entry.name)?;
            if found.kind == "Dir" {
                dirs.push(path.clone());
            }
            names.entry(ino).or_default().push(path.to_string());
            seen.insert(path.to_string(), found);
        }
    }
    for group in names.values() {
        for path in group {
            seen.entry(path.clone()).and_modify(|entry| entry.names = group.len());
        }
    }
    Ok(seen)
}

fn look(dir: &Dir, name: &std::ffi::OsStr) -> io::Result<(u64, Seen)> {
    let meta = RealDisk.stat(dir, name)?;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let xattrs = RealDisk.xattrs(dir, name)?;
    let mut seen = Seen {
        kind: format!("{:?}", meta.kind),
        mode: meta.mode,
        owner: (meta.uid, meta.gid),
        names: 1,
        modified: (meta.modified.secs, meta.modified.nanos),
        xattrs: xattrs.into_iter().map(|(key, value)| (key.to_string_lossy().into_owned(), value)).collect(),
        contents: (0, 0),
        head: String::new(),
    };
    match meta.kind {
        Kind::File => {
            let bytes = read_all(&RealDisk, &RealDisk.open(dir, name, Open::Read)?, u64::MAX)?;
            seen.contents = (bytes.len() as u64, crc32fast::hash(&bytes));
            seen.head = lossy(&bytes[..bytes.len().min(12)]);
        }
        Kind::Symlink => seen.head = lossy(RealDisk.read_link(dir, name)?.as_encoded_bytes()),
        _ => {}
    }
    Ok((meta.ino, seen))
}

/// What of treewal's own lies where nothing may lie once a tree is closed.
pub(crate) fn leftovers(tree: &Path) -> io::Result<Vec<String>> {
    const SEGMENTS_MAX: usize = 2;
    let root = RealDisk.open_root(tree)?;
    let list = |path: &str| {
        let dir = RealDisk.open_dir(&root, &RelPath::new(path).map_err(io::Error::other)?)?;
        let names = RealDisk.list(&dir)?.into_iter().map(|entry| entry.name.to_string_lossy().into_owned());
        Ok::<Vec<String>, io::Error>(names.collect())
    };
    let known =
        ["tree", ".gitignore", "lock", "queue", "journal", "stage", "guards", "quarantine", "last-recovery.json"];
    let mut left: Vec<String> = list(".treewal")?.into_iter().filter(|name| !known.contains(&name.as_str())).collect();
    for sub in ["stage", "guards", "quarantine"] {
        left.extend(list(&format!(".treewal/{sub}"))?.into_iter().map(|name| format!("{sub}/{name}")));
    }
    let segments = list(".treewal/journal")?;
    if segments.len() > SEGMENTS_MAX {
        left.extend(segments);
    }
    Ok(left)
}
