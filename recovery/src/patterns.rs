//! Patterns of a guard: names that it protects, also those that nobody has made yet.
//!
//! A database makes files beside its own when it needs them, and a list of paths cannot name them all. So a guard may have
//! patterns beside its paths: a directory, and a name in it with `*` for any run of characters. What matches when the guard
//! is taken is guarded like any path; what matches when it is restored, and was not there, goes away. For that the patterns
//! lie in a file beside the manifest.

use std::ffi::OsStr;
use std::io;

use treewal_snapshot::Manifest;
use treewal_vfs::{Dir, Disk, Open, RelPath, codec, read_all, write_all};

use crate::{Error, Result};

const NAME: &str = "patterns";
const SHOWN: &str = ".treewal/guards/patterns";
const BYTES_MAX: u64 = 1 << 20;

/// Whether a name is one that the pattern describes.
#[must_use]
pub fn matches(pattern: &OsStr, name: &OsStr) -> bool {
    let (pattern, name) = (pattern.as_encoded_bytes(), name.as_encoded_bytes());
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&[u8]> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    // The first place that fits leaves the most for what follows.
    for part in parts {
        let Some(at) = (0..=rest.len()).find(|at| rest[*at..].starts_with(part)) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What matches now, in order of names.
///
/// # Errors
/// Any error of the disk; a directory that is not there holds nothing.
pub fn found(disk: &dyn Disk, tree: &Dir, pattern: &RelPath) -> Result<Vec<RelPath>> {
    let Some((parent, name)) = pattern.split() else { return Ok(Vec::new()) };
    let io = |verb| Error::io(verb, parent.to_path());
    let dir = match disk.open_dir(tree, &parent) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        opened => opened.map_err(io("open"))?,
    };
    let mut names: Vec<_> = disk.list(&dir).map_err(io("list"))?.into_iter().map(|entry| entry.name).collect();
    names.retain(|other| matches(name, other));
    names.sort_unstable();
    Ok(names.iter().map(|name| parent.join(name)).collect())
}

/// Writes the patterns beside a manifest, durably; nothing where there are none.
///
/// # Errors
/// Any error of the disk.
pub fn write(disk: &dyn Disk, into: &Dir, patterns: &[RelPath]) -> Result<()> {
    if patterns.is_empty() {
        return Ok(());
    }
    let list: Vec<Vec<u8>> = patterns.iter().map(RelPath::to_bytes).collect();
    let bytes = codec::encode(&list).map_err(|error| damaged(&error))?;
    let file = disk.open(into, OsStr::new(NAME), Open::CreateNew { mode: 0o600 }).map_err(Error::io("make", SHOWN))?;
    write_all(disk, &file, &bytes, 0).map_err(Error::io("write", SHOWN))?;
    disk.sync_file(&file).and_then(|()| disk.sync_dir(into)).map_err(Error::io("sync", SHOWN))
}

/// A manifest with everything guarded that matches the patterns beside it now, and was not there.
///
/// # Errors
/// [`Error::Store`] where the patterns are not what was written; any error of the disk.
pub fn with_matches(disk: &dyn Disk, tree: &Dir, from: &Dir, mut manifest: Manifest) -> Result<Manifest> {
    for pattern in read(disk, from)? {
        for path in found(disk, tree, &pattern)? {
            manifest.guard_absent(&path);
        }
    }
    Ok(manifest)
}

fn read(disk: &dyn Disk, from: &Dir) -> Result<Vec<RelPath>> {
    let file = match disk.open(from, OsStr::new(NAME), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(Error::io("open", SHOWN))?,
    };
    let bytes = read_all(disk, &file, BYTES_MAX).map_err(Error::io("read", SHOWN))?;
    let list: Vec<Vec<u8>> = codec::decode(&bytes).map_err(|error| damaged(&error))?;
    list.iter().map(|path| RelPath::from_bytes(path).map_err(|error| damaged(&error))).collect()
}

fn damaged(error: &dyn std::error::Error) -> Error {
    Error::Store { path: SHOWN.into(), reason: format!("it is not what was written: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        let is = |pattern: &str, name: &str| matches(pattern.as_ref(), name.as_ref());
        for (pattern, name) in [
            ("index.db*", "index.db"),
            ("index.db*", "index.db-wal"),
            ("*.db", "x.db"),
            ("*", ""),
            ("*", "anything"),
            ("a*b*c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "ac"),
            ("*aa", "aaa"),
            ("plain", "plain"),
        ] {
            assert!(is(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("index.db*", "index.d"), ("*.db", "x.db-wal"), ("a*b*c", "acb"), ("plain", "plainer"), ("ab*ba", "aba")]
        {
            assert!(!is(pattern, name), "{pattern} {name}");
        }
    }
}
