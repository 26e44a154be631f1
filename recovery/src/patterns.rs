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

/// What the file begins with: a byte that begins nothing in the encoding of a list, so that a file of the first version, which
/// was nothing but the list, is known.
const MAGIC: [u8; 4] = *b"\xfftwp";
/// Of the file as it is written here.
const VERSION: u32 = 2;
/// Magic, version, checksum.
const HEADER_BYTES: usize = 12;
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

/// Whether a path is one that a pattern describes, or lies above or beneath one.
#[must_use]
pub fn touches(pattern: &RelPath, path: &RelPath) -> bool {
    let Some((parent, name)) = pattern.split() else { return false };
    match path.components().nth(parent.depth()) {
        Some(component) => path.starts_with(&parent) && matches(name, component),
        None => parent.starts_with(path),
    }
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
    let bytes = encode(patterns)?;
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

pub(crate) fn read(disk: &dyn Disk, from: &Dir) -> Result<Vec<RelPath>> {
    let file = match disk.open(from, OsStr::new(NAME), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(Error::io("open", SHOWN))?,
    };
    let bytes = read_all(disk, &file, BYTES_MAX).map_err(Error::io("read", SHOWN))?;
    decode(&bytes)
}

/// The bytes of the file: magic, version, the checksum of all but itself, and the list.
fn encode(patterns: &[RelPath]) -> Result<Vec<u8>> {
    let list: Vec<Vec<u8>> = patterns.iter().map(RelPath::to_bytes).collect();
    let list = codec::encode(&list).map_err(|error| damaged(&error.to_string()))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(checksum(&bytes, &list).to_le_bytes());
    bytes.extend(list);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Vec<RelPath>> {
    let list = match bytes.first() {
        Some(first) if *first == MAGIC[0] => checked(bytes)?,
        _ => bytes,
    };
    let list: Vec<Vec<u8>> = codec::decode(list).map_err(|error| damaged(&error.to_string()))?;
    list.iter().map(|path| RelPath::from_bytes(path).map_err(|error| damaged(&error.to_string()))).collect()
}

/// The list behind the header.
fn checked(bytes: &[u8]) -> Result<&[u8]> {
    let Some((header, list)) = bytes.split_at_checked(HEADER_BYTES) else { return Err(damaged("it is cut short")) };
    let (head, sum) = header.split_at(8);
    let (magic, version) = head.split_at(4);
    if magic != MAGIC {
        return Err(damaged("it does not begin as it should"));
    }
    let version = version.try_into().map_or(0, u32::from_le_bytes);
    if version > VERSION {
        let reason = format!("it has version {version}, and this treewal reads up to {VERSION}");
        return Err(Error::Store { path: SHOWN.into(), reason });
    }
    if version < VERSION || sum != checksum(head, list).to_le_bytes() {
        return Err(damaged("its checksum does not match"));
    }
    Ok(list)
}

fn checksum(head: &[u8], list: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(list);
    crc.finalize()
}

fn damaged(error: &str) -> Error {
    Error::Store { path: SHOWN.into(), reason: format!("it is not what was written: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<RelPath> {
        ["d/index.db*", "*"].iter().map(|text| RelPath::new(text).unwrap()).collect()
    }

    #[test]
    fn the_file_is_as_it_is_told() {
        let bytes = encode(&list()).unwrap();
        assert_eq!(bytes[..8], *b"\xfftwp\x02\x00\x00\x00");
        assert_eq!(bytes[12..], *b"\x02\x0bd/index.db*\x01*");
        assert_eq!(bytes[8..12], crc32fast::hash(&[&bytes[..8], &bytes[12..]].concat()).to_le_bytes());
        assert_eq!(decode(&bytes).unwrap(), list());
        // The first version.
        assert_eq!(decode(&bytes[12..]).unwrap(), list());
    }

    #[test]
    fn damage_is_no_pattern() {
        let bytes = encode(&list()).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(decode(&flipped).is_err(), "bit {bit} of byte {at}");
            }
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(decode(&[&bytes[..], b"x"].concat()).is_err());
        let mut newer = bytes.clone();
        newer[4] = 3;
        assert!(decode(&newer).unwrap_err().to_string().contains("version 3"));
    }

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
