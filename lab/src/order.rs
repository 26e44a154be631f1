//! What is said between the laboratory and its hands: the processes that touch what is mounted.
//!
//! The laboratory itself never does, so that it can always answer for the disk, and end a hand that hangs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::filesystem::Fs;
use crate::walk::Walk;

/// What a hand is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) fs: Fs,
    /// How to mount it, besides what it takes anyway.
    pub(crate) options: String,
    /// The loop device.
    pub(crate) device: PathBuf,
    /// Other devices with the same disk behind them.
    pub(crate) aliases: Vec<PathBuf>,
    /// Where to mount it.
    pub(crate) at: PathBuf,
    /// The file that takes marks.
    pub(crate) mark: PathBuf,
    /// Where to write what was seen.
    pub(crate) facts: PathBuf,
    /// The program.
    pub(crate) treewal: PathBuf,
    pub(crate) task: Task,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Make the tree that every workload starts from.
    Prepare,
    /// Run a workload to its end.
    Work { workload: String, kernel: Kernel, dropped: Option<Sync> },
    /// Recover the tree of a workload on a disk that lost its power, twice, and look at it. The first time by the program
    /// where the kernel does what it likes, and in the hand itself where it is to write back after each call.
    Recover { workload: String, kernel: Kernel },
}

/// A sync that does nothing and says that it did: a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sync {
    Data,
    File,
    Dir,
    All,
}

/// What the kernel, and the disk, do while a workload runs, or a recovery that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kernel {
    /// What they like.
    Plain,
    /// Everything is written back after each call that changes something.
    Eager,
    /// After some of the calls everything begins to be written back, and nobody waits for it; and a part of the writes is
    /// answered only when the next flush was, so that flushes overtake them.
    Slow,
}

/// What a hand has seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Facts {
    /// The file system refused to be mounted.
    Refused(String),
    Prepared,
    /// The tree before the first step and after each; the device number it had.
    Worked {
        states: Vec<Walk>,
        dev: u64,
    },
    Recovered(Box<Recovered>),
}

/// A recovery, from the mount to the next commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Recovered {
    /// The device number of the tree.
    pub(crate) dev: u64,
    /// The tree before anything was done to it, or why it could not be looked at.
    pub(crate) before: Result<Walk, String>,
    pub(crate) recover: Ran,
    pub(crate) tree: Result<Walk, String>,
    pub(crate) leftovers: Vec<String>,
    pub(crate) verify: Ran,
    pub(crate) again: Ran,
    pub(crate) tree_again: Result<Walk, String>,
    pub(crate) commit: Ran,
    pub(crate) tree_after_commit: Result<Walk, String>,
}

/// A run of the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The file that the commit after a recovery makes, and what it holds.
pub(crate) const AFTERWARDS: (&str, &str) = ("after the crash", "still alive");
