//! The identity of a tree: a random number that its journal repeats, so that a journal of another tree, put there by
//! accident or malice, is recognised. Beside it stands which directory it was written into: a tree that was copied, with all
//! that treewal keeps in it, says that of another one, and then nothing in it is what its journal knows by inode.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;

use treewal_journal::TreeId;
use treewal_vfs::{Meta, Open, Rename, read_all, write_all};

use super::Home;
use crate::{Error, Result};

const NAME: &str = "tree";
const DRAFT: &str = "tree.new";
const FIRST_LINE: &str = "treewal format 1";
/// Before the inode number and the time of birth of the directory that the file was written into.
const IN: &str = "in ";
/// Before the same of the tree itself. Older versions do not write it.
const OF: &str = "of ";
const BYTES_MAX: u64 = 256;
/// Read by git, and by many tools that walk trees as it does.
const IGNORE: &str = ".gitignore";

/// The identity that the tree's directory states; `None` where there is none, or none that can be read.
///
/// # Errors
/// [`Error::Store`] where a newer treewal wrote it; any error of the disk.
pub fn read_identity(home: &Home) -> Result<Option<TreeId>> {
    let file = match home.disk.open(&home.dot, OsStr::new(NAME), Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", ".treewal/tree")(error)),
    };
    let bytes = match read_all(&*home.disk, &file, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::IsADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Error::io("read", ".treewal/tree")(error)),
    };
    parse(&bytes)
}

/// Whether the tree's directory is a copy of the one that its identity was written into, or was moved into another tree. `false` where that is not known: it was
/// written by a version that did not say it, or the file is gone.
///
/// # Errors
/// Any error of the disk.
pub fn is_copied(home: &Home) -> Result<bool> {
    let file = match home.disk.open(&home.dot, OsStr::new(NAME), Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("open", ".treewal/tree")(error)),
    };
    let Ok(bytes) = read_all(&*home.disk, &file, BYTES_MAX) else { return Ok(false) };
    let text = String::from_utf8_lossy(&bytes);
    let said = |nth: usize, prefix: &str| text.lines().nth(nth).filter(|line| line.starts_with(prefix));
    let differs = |said: Option<&str>, now: &str| said.is_some_and(|line| line != now);
    Ok(differs(said(2, IN), &written_in(home)?) || differs(said(3, OF), &written_of(home)?))
}

/// The line that says which directory it is.
fn written_in(home: &Home) -> Result<String> {
    let meta = home.disk.stat_dir(&home.dot).map_err(Error::io("look at", super::DIR_NAME))?;
    Ok(line(IN, &meta))
}

/// The line that says which tree it is in: a tree may be made anew around it.
fn written_of(home: &Home) -> Result<String> {
    let meta = home.disk.stat_dir(&home.root).map_err(Error::io("look at", "."))?;
    Ok(line(OF, &meta))
}

fn line(what: &str, meta: &Meta) -> String {
    format!("{what}{} born {}.{:09}", meta.ino, meta.born.secs, meta.born.nanos)
}

fn parse(bytes: &[u8]) -> Result<Option<TreeId>> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first != FIRST_LINE {
        return match first.strip_prefix("treewal format ") {
            Some(version) if version.parse::<u32>().is_ok() => Err(Error::Store {
                path: ".treewal/tree".into(),
                reason: format!(
                    "its format is version {version}, and this treewal reads version 1: use a newer treewal"
                ),
            }),
            _ => Ok(None),
        };
    }
    let id = lines.next().and_then(|line| line.strip_prefix("id ")).and_then(from_hex);
    Ok(id.map(TreeId))
}

/// Writes the identity: the file appears complete or not at all, and is durable when this returns.
///
/// # Errors
/// Any error of the disk.
pub fn write_identity(home: &Home, id: TreeId) -> Result<()> {
    let path = ".treewal/tree";
    let mut text = format!("{FIRST_LINE}\nid ");
    for byte in id.0 {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").map_err(|_| Error::io("write", path)(io::ErrorKind::Other.into()))?;
    }
    text.push('\n');
    for line in [written_in(home)?, written_of(home)?] {
        text.push_str(&line);
        text.push('\n');
    }
    let disk = &*home.disk;
    keep_out_of_repositories(home)?;
    match disk.remove_file(&home.dot, OsStr::new(DRAFT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", path)(error)),
        _ => {}
    }
    let file =
        disk.open(&home.dot, OsStr::new(DRAFT), Open::CreateNew { mode: 0o600 }).map_err(Error::io("make", path))?;
    write_all(disk, &file, text.as_bytes(), 0).map_err(Error::io("write", path))?;
    disk.sync_file(&file).map_err(Error::io("sync", path))?;
    disk.rename(&home.dot, OsStr::new(DRAFT), &home.dot, OsStr::new(NAME), Rename::Replace)
        .map_err(Error::io("name", path))?;
    disk.sync_dir(&home.dot).map_err(Error::io("sync", super::DIR_NAME))
}

/// Says that nothing in the directory belongs into a repository: `git add .` would take snapshots and journal along, and
/// `git clean -d` would remove them. Made once; whoever wants it otherwise may remove it.
fn keep_out_of_repositories(home: &Home) -> Result<()> {
    let path = ".treewal/.gitignore";
    match home.disk.open(&home.dot, OsStr::new(IGNORE), Open::CreateNew { mode: 0o600 }) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io("make", path)(error)),
        Ok(file) => {
            write_all(&*home.disk, &file, b"*\n", 0).map_err(Error::io("write", path))?;
            home.disk.sync_file(&file).map_err(Error::io("sync", path))
        }
    }
}

fn from_hex(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = b"treewal format 1\nid 000102030405060708090a0b0c0d0e0f\n";
        assert_eq!(parse(text).unwrap(), Some(TreeId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])));
        assert_eq!(parse(b"treewal format 1\nid 0001").unwrap(), None);
        assert_eq!(parse(b"").unwrap(), None);
        assert_eq!(parse(b"\xff\xfe").unwrap(), None);
        assert!(matches!(parse(b"treewal format 2\nid 00"), Err(Error::Store { .. })));
    }
}
