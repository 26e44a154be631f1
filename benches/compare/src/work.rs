//! The work: which files a commit replaces, and with what.

use std::path::PathBuf;

use treewal_compare::Dice;

/// Directories of the tree.
pub(crate) const DIRS: usize = 100;
/// Files in each of them.
pub(crate) const FILES: usize = 100;
/// Bytes of each file, before and after.
pub(crate) const FILE_BYTES: usize = 4096;

/// One file of a change set.
pub(crate) struct Write {
    /// Number of the directory.
    pub(crate) dir: usize,
    /// Name in the directory.
    pub(crate) name: String,
    /// Path in the tree.
    pub(crate) path: PathBuf,
    pub(crate) contents: Vec<u8>,
}

pub(crate) fn dir_name(dir: usize) -> String {
    format!("d{dir:02}")
}

pub(crate) fn file_name(file: usize) -> String {
    format!("f{file:02}")
}

/// Change set number `number`: `files` files over as many directories as there are, up to [`DIRS`]. Each number takes
/// other files, so that no contestant writes one file over and over.
pub(crate) fn change_set(files: usize, number: usize) -> Vec<Write> {
    change_set_among(DIRS * FILES, files, number)
}

/// The same among the first `span` files alone, of each directory as many.
pub(crate) fn change_set_among(span: usize, files: usize, number: usize) -> Vec<Write> {
    let mut dice = Dice::new((number * 10_000 + files) as u64);
    let start = usize::try_from(dice.roll() % span as u64).unwrap_or(0);
    (0..files)
        .map(|index| {
            let file = (start + index) % span;
            let (dir, name) = (file % DIRS, file_name(file / DIRS));
            let path = PathBuf::from(dir_name(dir)).join(&name);
            Write { dir, name, path, contents: dice.bytes(FILE_BYTES) }
        })
        .collect()
}
