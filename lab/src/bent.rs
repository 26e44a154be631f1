//! A real disk with a kernel that writes back when it pleases, or with a sync that does nothing.

use std::fmt;
use std::io;

use treewal_vfs::{Dir, Disk, File, Layer, RealDisk, Verb};

use crate::order::Sync;

/// The real disk, and what else happens around each call.
pub(crate) struct Bent<F> {
    /// Called after each call, with what it was.
    pub(crate) after: F,
    /// A control: this one does nothing and says that it did.
    pub(crate) dropped: Option<Sync>,
}

impl<F> fmt::Debug for Bent<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bent").finish_non_exhaustive()
    }
}

impl<F: Fn(Verb) + Send + std::marker::Sync> Layer for Bent<F> {
    fn inner(&self) -> &dyn Disk {
        &RealDisk
    }

    fn after(&self, verb: Verb) {
        (self.after)(verb);
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if self.dropped == Some(Sync::Data) { Ok(()) } else { RealDisk.sync_data(file) }
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        if self.dropped == Some(Sync::File) { Ok(()) } else { RealDisk.sync_file(file) }
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        if self.dropped == Some(Sync::Dir) { Ok(()) } else { RealDisk.sync_dir(dir) }
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        if self.dropped == Some(Sync::All) { Ok(()) } else { RealDisk.sync_all(dir) }
    }
}
