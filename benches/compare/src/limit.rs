//! The limit: the system calls that any redo log over a tree of files has to make, and nothing else.
//!
//! A commit of N files is, in this order: one write of a record, as long as what treewal appends, to a log
//! that was filled with zeros and so keeps its length and its blocks; one `fdatasync` of the log; then, for each file,
//!
//! 1. *stage*: create a file in the directory of the old one, write its 4 KiB, close it;
//! 2. *rename*: exchange it with the old one (`RENAME_EXCHANGE`), so that the name is never missing;
//! 3. *remove*: unlink the old one.
//!
//! None of the three is synced. The record is put together before the clock runs, and the directories are open: no
//! checks, no locks, no checksum, no recovery. What is timed is one of
//!
//! * `limit`: log, stage, rename, remove;
//! * `limit, identities logged`: stage, one `statx` for each new file, log, rename, remove. A log that says which inodes
//!   it puts where has to ask for them first;
//! * `limit, old files kept`: log, stage, rename. The old files are removed after the clock has stopped, as treewal's
//!   are at its checkpoint;
//! * `limit, renames alone`: log, rename. The new files were staged before the clock ran.

use std::ffi::OsString;

use treewal_vfs::{Disk, File, Open, RealDisk, Rename, write_all};

use crate::Result;
use crate::contestant::Contestant;
use crate::tree::Tree;
use crate::work::Write;

/// Bytes that treewal appends for a commit beside the contents, as a trace shows them: its beginning and its end ..
const RECORD_BYTES: usize = 136;
/// .. and for each file a frame, a path, identities and modes.
const ENTRY_BYTES: usize = 128;
const LOG_BYTES: u64 = 32 << 20;
/// Larger writes leave large pieces in the page cache, and each small sync afterwards is slower for it.
const FILL_BYTES: usize = 16 << 10;
const LOG_NAME: &str = "log";

/// What of a commit is timed beside the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    StageRenameRemove,
    /// The staging comes before the log here, and looks at what it made.
    LookRenameRemove,
    StageRename,
    Rename,
}

pub(crate) struct Limit {
    tree: Tree,
    part: Part,
    log: File,
    offset: u64,
    record: Vec<u8>,
    /// Old files that were exchanged and not removed yet: directory and name.
    kept: Vec<(usize, OsString)>,
    /// Number of the next staged file: a name is not used twice.
    next: u64,
    /// After so many bytes of log it settles by itself; what it has written since it did.
    settles_at: u64,
    unsettled: u64,
    /// Names of the staged files of the commit at hand, in the order of its change set.
    staged: Vec<OsString>,
}

impl Limit {
    pub(crate) fn new(tree: Tree, part: Part) -> Result<Self> {
        let log = RealDisk.open(&tree.root, LOG_NAME.as_ref(), Open::CreateNew { mode: 0o600 })?;
        let zeros = vec![0; FILL_BYTES];
        for offset in (0..LOG_BYTES).step_by(FILL_BYTES) {
            write_all(&RealDisk, &log, &zeros, offset)?;
        }
        RealDisk.sync_file(&log)?;
        RealDisk.sync_dir(&tree.root)?;
        Ok(Self {
            tree,
            part,
            log,
            offset: 0,
            record: Vec::new(),
            kept: Vec::new(),
            next: 0,
            settles_at: u64::MAX,
            unsettled: 0,
            staged: Vec::new(),
        })
    }

    /// The same with a `syncfs` whenever so much of its log has been written, after which the log may be used again.
    pub(crate) fn settling(self, bytes: u64) -> Self {
        Self { settles_at: bytes, ..self }
    }

    fn stage(&mut self, write: &Write) -> Result<OsString> {
        self.next += 1;
        let name = OsString::from(format!(".{}", self.next));
        let file = RealDisk.open(&self.tree.dirs[write.dir], &name, Open::CreateNew { mode: 0o644 })?;
        write_all(&RealDisk, &file, &write.contents, 0)?;
        if self.part == Part::LookRenameRemove {
            RealDisk.stat_file(&file)?;
        }
        Ok(name)
    }

    fn stage_all(&mut self, set: &[Write]) -> Result {
        self.staged = set.iter().map(|write| self.stage(write)).collect::<Result<_>>()?;
        Ok(())
    }

    fn log(&mut self) -> Result {
        let bytes = self.record.len() as u64;
        if self.offset + bytes > LOG_BYTES {
            self.offset = 0;
        }
        write_all(&RealDisk, &self.log, &self.record, self.offset)?;
        self.offset += bytes;
        self.unsettled += bytes;
        Ok(RealDisk.sync_data(&self.log)?)
    }
}

impl Contestant for Limit {
    fn ready(&mut self, set: &[Write]) -> Result {
        self.record.clear();
        self.record.resize(RECORD_BYTES, 1);
        for write in set {
            self.record.resize(self.record.len() + ENTRY_BYTES, 1);
            self.record.extend_from_slice(&write.contents);
        }
        if self.part == Part::Rename { self.stage_all(set) } else { Ok(()) }
    }

    fn commit(&mut self, set: &[Write]) -> Result {
        if self.part == Part::LookRenameRemove {
            self.stage_all(set)?;
        }
        self.log()?;
        for (index, write) in set.iter().enumerate() {
            let staged = match self.part {
                Part::Rename | Part::LookRenameRemove => std::mem::take(&mut self.staged[index]),
                Part::StageRenameRemove | Part::StageRename => self.stage(write)?,
            };
            let dir = &self.tree.dirs[write.dir];
            RealDisk.rename(dir, &staged, dir, write.name.as_ref(), Rename::Exchange)?;
            match self.part {
                Part::StageRenameRemove | Part::LookRenameRemove => RealDisk.remove_file(dir, &staged)?,
                Part::StageRename | Part::Rename => self.kept.push((write.dir, staged)),
            }
        }
        if self.unsettled >= self.settles_at {
            self.settle()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result {
        self.unsettled = 0;
        for (dir, name) in self.kept.drain(..) {
            RealDisk.remove_file(&self.tree.dirs[dir], &name)?;
        }
        self.tree.flush()
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn end(self: Box<Self>) -> Tree {
        self.tree
    }
}
