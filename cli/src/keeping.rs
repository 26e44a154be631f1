//! How the files of a snapshot are kept: what the command line says of it, and what is told.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use treewal::{GuardOptions, Progress, Sharing, SnapshotMode, SnapshotOptions, SnapshotReport};

/// Options of every command that takes a snapshot.
#[derive(Debug, Args)]
pub(crate) struct Keeping {
    /// How to keep the contents of files: auto shares their extents where the file system can, and else copies them
    #[arg(long, value_name = "HOW", value_enum, default_value_t = How::Auto)]
    sharing: How,
    /// Files beneath this path are only ever replaced, never written to in place: where auto can share no extents, it keeps
    /// second names of them and copies no bytes. May be given more than once
    #[arg(long, value_name = "PATH")]
    managed: Vec<PathBuf>,
    /// Record a checksum of every file, which costs reading it
    #[arg(long)]
    digest: bool,
    /// Take the snapshot with so many threads, eight at most
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// Share extents where that can be, else copy
    Auto,
    /// Share extents, or fail
    Reflink,
    /// Keep second names of the files; for trees in which no program writes to files in place
    HardLink,
    /// Copy
    Copy,
}

impl From<How> for Sharing {
    fn from(how: How) -> Self {
        match how {
            How::Auto => Self::Auto,
            How::Reflink => Self::Reflink,
            How::HardLink => Self::HardLink,
            How::Copy => Self::Copy,
        }
    }
}

impl Keeping {
    pub(crate) fn guard(&self, progress: &Progress) -> GuardOptions {
        let options = GuardOptions::new().sharing(self.sharing.into()).digest(self.digest).progress(progress);
        let options = self.managed.iter().fold(options, GuardOptions::managed);
        self.threads.into_iter().fold(options, GuardOptions::threads)
    }

    pub(crate) fn snapshot(&self, progress: &Progress) -> SnapshotOptions {
        let options = SnapshotOptions::new().sharing(self.sharing.into()).digest(self.digest).progress(progress);
        let options = self.managed.iter().fold(options, SnapshotOptions::managed);
        self.threads.into_iter().fold(options, SnapshotOptions::threads)
    }
}

/// What a snapshot took, in numbers.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    entries: u64,
    files: u64,
    reflinked: u64,
    hard_linked: u64,
    copied: u64,
    bytes_copied: u64,
}

impl From<&SnapshotReport> for Cost {
    fn from(report: &SnapshotReport) -> Self {
        let SnapshotReport { entries, files, reflinked, hard_linked, copied, bytes_copied } = *report;
        Self { entries, files, reflinked, hard_linked, copied, bytes_copied }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entries, files, reflinked, hard_linked, copied, bytes_copied } = self;
        write!(f, "{entries} entries; of {files} files {reflinked} reflinked, {hard_linked} hard-linked, ")?;
        write!(f, "{copied} copied ({bytes_copied} bytes)")
    }
}

/// How contents are kept, in a word; `None` for what has no contents.
pub(crate) fn word(mode: SnapshotMode) -> Option<&'static str> {
    match mode {
        SnapshotMode::Reflink => Some("reflink"),
        SnapshotMode::HardLink => Some("hard-link"),
        SnapshotMode::Copy => Some("copy"),
        SnapshotMode::None => None,
    }
}
