//! A tree in doubt: a sync of anything failed, and the kernel may have given up what it could not write. It still shows it, and
//! calls the next sync a success. So nobody may take what is seen for what is on the disk.
//!
//! | where | what follows |
//! |---|---|
//! | in the handle whose sync failed | it works no more: a checkpoint would let the journal forget what only the journal has |
//! | in another handle that is open | no checkpoint either: it works no more once it was to make one |
//! | in a recovery whose sync failed | no checkpoint: it fails, and the next one begins anew |
//! | in `.treewal` | the word `doubt`, an empty file, for whoever recovers next on this boot: they make small contents again, from the journal, and do not go by what they read |
//!
//! Where the sync was one of everything, the log is in doubt as well: what was written to it and not synced was covered. It has its own
//! word, `journal/doubt`, after which its last segment is written anew.
//!
//! The word is not synced. It is in the same cache as what it warns of: a power loss that takes it leaves nothing to warn of.
//! Large contents are no part of this: they were synced before they were promised.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use treewal_vfs::{Dir, Disk, File, Layer, Open, errno};

use super::{DIR_NAME, Home};
use crate::{Error, Result};

const NAME: &str = "doubt";

/// The disk beneath, and whether one of its syncs has failed.
#[derive(Debug)]
pub(super) struct Wary {
    disk: Arc<dyn Disk>,
    dot: Dir,
    journal: Dir,
    failed: AtomicBool,
    /// The word was there when this handle recovered the tree, and stays for what is owed.
    known: AtomicBool,
}

impl Wary {
    pub(super) fn new(disk: Arc<dyn Disk>, dot: Dir, journal: Dir) -> Self {
        Self { disk, dot, journal, failed: AtomicBool::new(false), known: AtomicBool::new(false) }
    }

    /// `also` is what else is to have the word.
    fn heed(&self, synced: io::Result<()>, also: Option<&Dir>) -> io::Result<()> {
        // What is of no kind to be synced loses nothing.
        if synced.as_ref().is_err_and(|error| error.raw_os_error() != Some(errno::EINVAL)) {
            self.failed.store(true, Ordering::SeqCst);
            for dir in [Some(&self.dot), also].into_iter().flatten() {
                if let Err(error) = self.disk.open(dir, OsStr::new(NAME), Open::Create { mode: 0o600 }) {
                    tracing::warn!(%error, "cannot leave word that a sync failed");
                }
            }
        }
        synced
    }
}

impl Layer for Wary {
    fn inner(&self) -> &dyn Disk {
        &*self.disk
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.heed(self.disk.sync_data(file), None)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.heed(self.disk.sync_file(file), None)
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        self.heed(self.disk.sync_dir(dir), None)
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        self.heed(self.disk.sync_all(dir), Some(&self.journal))
    }
}

impl Home {
    /// Whether a sync has failed that was asked for by this handle, since its last recovery.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.wary.failed.load(Ordering::SeqCst)
    }

    /// Whether a sync has failed since then, of this handle or another. The pages that the kernel gave up for one may be those
    /// that another had written.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        let is_new = || !self.wary.known.load(Ordering::SeqCst) && self.is_in_doubt().unwrap_or(true);
        self.has_failed() || is_new()
    }

    /// # Errors
    /// Where a sync has failed: what was synced since proves nothing.
    pub(crate) fn prove_synced(&self) -> Result<()> {
        let failed = || Error::io("sync", ".")(io::Error::other("a sync failed before"));
        if self.has_failed() { Err(failed()) } else { Ok(()) }
    }

    /// Whether a sync has failed on this boot, of this handle or another, and nobody has recovered the tree since.
    pub(crate) fn is_in_doubt(&self) -> Result<bool> {
        match self.disk.stat(&self.dot, OsStr::new(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found.map(|_| true).map_err(Error::io("look at", format!("{DIR_NAME}/{NAME}"))),
        }
    }

    /// After a recovery: there is nothing in the journal that the tree does not hold durably, but for what is `owed`. The word
    /// goes where nothing is; where it cannot go, the next recovery makes more again than it must.
    pub(crate) fn end_doubt(&self, owed: bool) {
        let removed = self.is_in_doubt().and_then(|doubt| {
            let remove = || self.disk.remove_file(&self.dot, OsStr::new(NAME));
            if owed || !doubt {
                return Ok(!doubt);
            }
            remove().map(|()| true).map_err(Error::io("remove", format!("{DIR_NAME}/{NAME}")))
        });
        if let Err(error) = &removed {
            tracing::warn!(%error, "the word that a sync failed stays");
        }
        self.wary.known.store(!removed.unwrap_or(false), Ordering::SeqCst);
        self.wary.failed.store(false, Ordering::SeqCst);
    }
}
