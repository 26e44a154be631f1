//! A disk whose listings cannot be believed.

use std::io;

use treewal_vfs::{Dir, Disk, Entry, Layer, RealDisk};

/// The disk of the machine, whose listings tell numbers of inodes that nothing has.
#[derive(Debug)]
pub(crate) struct Lying;

impl Layer for Lying {
    fn inner(&self) -> &dyn Disk {
        &RealDisk
    }

    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        let listed = RealDisk.list(dir)?;
        Ok(listed.into_iter().map(|entry| Entry { ino: treewal_vfs::random(), ..entry }).collect())
    }
}
