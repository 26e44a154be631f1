//! The tree as anybody sees it who looks at its files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use treewal_vfs::{Disk as _, Open, RealDisk, read_all, write_all};

/// The files of a tree, and what is in them.
pub(super) type Picture = BTreeMap<String, String>;

/// Looks at the tree, without treewal.
pub(super) fn look(dir: &Path) -> io::Result<Picture> {
    let tree = RealDisk.open_root(dir)?;
    let mut picture = Picture::new();
    for entry in RealDisk.list(&tree)? {
        if entry.name != ".treewal" {
            let file = RealDisk.open(&tree, &entry.name, Open::Read)?;
            let text = String::from_utf8_lossy(&read_all(&RealDisk, &file, 1 << 20)?).into_owned();
            picture.insert(entry.name.to_string_lossy().into_owned(), text);
        }
    }
    Ok(picture)
}

/// Makes the files of an empty tree, without treewal.
pub(super) fn draw(dir: &Path, picture: &Picture) -> io::Result<()> {
    let tree = RealDisk.open_root(dir)?;
    for (name, text) in picture {
        let file = RealDisk.open(&tree, OsStr::new(name), Open::CreateNew { mode: 0o644 })?;
        write_all(&RealDisk, &file, text.as_bytes(), 0)?;
    }
    Ok(())
}
