//! The stage of a handle, and its numbered slots.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use treewal_recovery::home::{Home, OwnStage};
use treewal_vfs::{Dir, Disk, File, Open, random, remove_tree};

use super::shown_slot;
use crate::{Error, Result};

/// The stage directory of one open tree: one for each handle, shared by its transactions.
pub(crate) struct Stage {
    disk: Arc<dyn Disk>,
    own: OwnStage,
    parent: Dir,
    next: AtomicU64,
    keeps_times: bool,
}

impl Stage {
    pub(super) fn create(home: &Home) -> Result<Self> {
        let own = OwnStage::create(home, &mut random).map_err(Error::from_recovery)?;
        let keeps_times = own.keeps_times(home);
        let disk = Arc::clone(&home.disk);
        Ok(Self { disk, own, parent: home.stage.clone(), next: AtomicU64::new(1), keeps_times })
    }

    /// Whether the file system stores a time as it is set.
    pub(crate) fn keeps_times(&self) -> bool {
        self.keeps_times
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn name(&self) -> &str {
        &self.own.name
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.own.dir
    }

    /// A number that no slot has had.
    pub(crate) fn slot(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A new, empty file in a slot of its own.
    pub(crate) fn create_file(&self) -> Result<(u64, File)> {
        let slot = self.slot();
        let how = Open::CreateNew { mode: 0o666 };
        let file = self.disk.open(self.dir(), &slot_name(slot), how);
        Ok((slot, file.map_err(|source| Error::from_os("stage", self.path_of(slot), source))?))
    }

    pub(crate) fn path_of(&self, slot: u64) -> PathBuf {
        shown_slot(self.name(), slot)
    }

    /// Removes what a slot holds. What fails to go is swept once the handle is gone.
    pub(crate) fn discard(&self, slot: u64) {
        if let Err(error) = remove_tree(self.disk(), self.dir(), &slot_name(slot)) {
            tracing::debug!(slot, %error, "a slot of the stage could not be removed");
        }
    }

    pub(super) fn remove(self, home: &Home) -> Result<()> {
        self.own.remove(home).map_err(Error::from_recovery)
    }
}

pub(crate) fn slot_name(slot: u64) -> OsString {
    slot.to_string().into()
}

impl Stage {
    /// Makes the names of the slots durable, and that of the stage itself.
    pub(crate) fn sync_names(&self) -> std::io::Result<()> {
        self.disk.sync_dir(self.dir())?;
        self.disk.sync_dir(&self.parent)
    }
}
