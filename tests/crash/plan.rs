//! How far an exploration goes, and on what kind of disk.

use std::sync::Arc;
use std::time::Duration;

use treewal::{CheckpointSync, Durability, MountedFiles, Options, Tree};
use treewal_vfs::sim::{Reuse, SimDisk};
use treewal_vfs::{Fault, FaultDisk};

use crate::count::hash;

/// From this depth on a run is a long one.
const DEEP: usize = 2;
/// Of how many states a long run has another one crashed inside recovery.
const DRAWN_INSIDE: u64 = 499;

/// How far an exploration goes.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) durability: Durability,
    /// All outcomes of a crash where there are at most this many ..
    pub(crate) exhaustive_max: usize,
    /// .. and this many random ones, beside the named ones, where there are more ..
    pub(crate) samples: usize,
    /// .. and at most this many of those that differ from nothing or from everything in one thing.
    pub(crate) singles_max: usize,
    pub(crate) inside: Inside,
    pub(crate) renames: Renames,
    /// A clock that moves by milliseconds, as a kernel's does, and numbers of inodes that are given away again at once.
    is_coarse: bool,
    /// Whether a rename may leave both names, where the disk is one of POSIX and no more.
    pub(crate) splits: bool,
    /// Whether the tree itself has a time of long ago at first, like what is in it.
    pub(crate) is_root_aged: bool,
    sync: CheckpointSync,
    /// What makes a checkpoint due: so many bytes of the journal.
    checkpoint_bytes: Option<u64>,
    /// Or that there has been none for so long.
    checkpoint_age: Option<Duration>,
    max_attempts: Option<u32>,
}

/// The crashes inside recovery.
#[derive(Clone, Copy)]
pub(crate) struct Inside {
    /// Whether there are any: then each cut has the first state that recovery finds work in recovered with a crash at every call.
    pub(crate) is_on: bool,
    /// And so has the first that it finds a transaction in, where that is another ..
    pub(crate) of_transactions: bool,
    /// .. and one in so many of all states.
    pub(crate) every: Option<u64>,
    /// Random outcomes of each such crash, and at most so many that differ in one thing from nothing or from everything.
    pub(crate) samples: usize,
    pub(crate) singles_max: usize,
    /// Every profile, and not one after another.
    pub(crate) every_profile: bool,
    /// How many crashes follow each other at most, but for the last.
    pub(crate) crashes_max: u64,
}

impl Inside {
    fn new(depth: usize) -> Self {
        let is_deep = depth >= DEEP;
        Self {
            is_on: true,
            of_transactions: is_deep,
            every: is_deep.then_some(DRAWN_INSIDE),
            samples: if is_deep { depth } else { 0 },
            singles_max: if is_deep { 2 * depth } else { 0 },
            every_profile: is_deep,
            crashes_max: if is_deep { 2 } else { 1 },
        }
    }
}

/// What the disk can do with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Renames {
    /// All that there is.
    All,
    /// It cannot exchange two names in one step.
    NoExchange,
    /// Neither that, nor give a file a second name.
    Plain,
    /// Something is mounted at the file `a`: it can be rewritten in place, and not be renamed.
    Mounted,
}

impl Plan {
    /// A slice that is fit for every run; the environment variable `TREEWAL_CRASH_DEPTH` multiplies it.
    pub(crate) fn new(durability: Durability) -> Self {
        let depth = depth();
        Self {
            durability,
            exhaustive_max: 24 * depth,
            samples: 10 * depth,
            singles_max: if depth >= DEEP { usize::MAX } else { 4 * depth },
            inside: Inside::new(depth),
            renames: Renames::All,
            is_coarse: false,
            splits: variable("TREEWAL_CRASH_SPLIT").is_some(),
            is_root_aged: true,
            sync: CheckpointSync::Entries,
            checkpoint_bytes: None,
            checkpoint_age: None,
            max_attempts: None,
        }
    }

    /// On a disk that can do less.
    pub(crate) fn on(self, renames: Renames) -> Self {
        Self { renames, ..self }
    }

    /// For explorations that are many: fewer outcomes of each crash.
    pub(crate) fn shallow(self) -> Self {
        let (exhaustive_max, samples) = (self.exhaustive_max / 4, self.samples / 4);
        let singles_max = if self.singles_max == usize::MAX { usize::MAX } else { self.singles_max / 4 };
        Self { exhaustive_max, samples, singles_max, ..self }
    }

    /// All outcomes of nearly every crash, in a long run.
    pub(crate) fn thorough(self) -> Self {
        if depth() < DEEP { self } else { Self { exhaustive_max: 4096, ..self } }
    }

    /// For explorations whose recoveries others explore.
    pub(crate) fn without_crashes_inside(self) -> Self {
        Self { inside: Inside { is_on: false, ..self.inside }, ..self }
    }

    /// The same where only a long run has the time for crashes inside recovery.
    pub(crate) fn without_crashes_inside_a_short_run(self) -> Self {
        if depth() < DEEP { self.without_crashes_inside() } else { self }
    }

    /// With every state crashed inside recovery.
    pub(crate) fn with_crashes_inside_of_each(self) -> Self {
        Self { inside: Inside { every: Some(1), ..self.inside }, ..self }
    }

    /// The same at all levels of durability but one: recovery does not ask for them.
    pub(crate) fn crashed_inside_at_one_level(self) -> Self {
        if self.durability == Durability::Journal { self } else { self.without_crashes_inside_a_short_run() }
    }

    /// On a disk whose clock and whose inodes are as coarse as those of ext4.
    pub(crate) fn coarse(self) -> Self {
        Self { is_coarse: true, ..self }
    }

    /// On a disk whose renames are not atomic.
    pub(crate) fn split(self) -> Self {
        Self { splits: true, ..self }
    }

    /// Where what is undone, or done before, moves the time of the tree itself.
    pub(crate) fn with_a_young_root(self) -> Self {
        Self { is_root_aged: false, ..self }
    }

    /// Where checkpoints sync the file system as a whole.
    pub(crate) fn synced_whole(self) -> Self {
        Self { sync: CheckpointSync::FileSystem, ..self }
    }

    /// With a checkpoint after so many bytes of the journal.
    pub(crate) fn due_after_bytes(self, bytes: u64) -> Self {
        Self { checkpoint_bytes: Some(bytes), ..self }
    }

    /// With a checkpoint once the last is so old.
    pub(crate) fn due_after(self, age: Duration) -> Self {
        Self { checkpoint_age: Some(age), ..self }
    }

    /// Where what fails so often is given up. A recovery that is killed has failed: so many crashes do not follow each other.
    pub(crate) fn giving_up_after(self, attempts: u32) -> Self {
        let crashes_max = self.inside.crashes_max.min(u64::from(attempts) - 1);
        Self { max_attempts: Some(attempts), inside: Inside { crashes_max, ..self.inside }, ..self }
    }

    pub(crate) fn options(self) -> Options {
        let mut options = Options::new()
            .durability(self.durability)
            .segment_bytes(64 << 10)
            .inline_max(4 << 10)
            .lock_wait(Duration::ZERO)
            .checkpoint_sync(self.sync)
            .mounted_files(MountedFiles::RewriteInPlace);
        if let Some(bytes) = self.checkpoint_bytes {
            options = options.checkpoint_bytes(bytes);
        }
        if let Some(age) = self.checkpoint_age {
            options = options.checkpoint_age(age);
        }
        if let Some(attempts) = self.max_attempts {
            options = options.max_attempts(attempts);
        }
        options
    }

    pub(crate) fn open(self, disk: &SimDisk) -> treewal::Result<Tree> {
        let disk = Arc::new(disk.clone());
        let less = || FaultDisk::new(disk.clone(), Fault::None).without_exchange();
        match self.renames {
            Renames::All => self.options().open_on(disk, "/"),
            Renames::NoExchange => self.options().open_on(Arc::new(less()), "/"),
            Renames::Mounted => {
                let mounted = FaultDisk::new(disk, Fault::None).with_busy("a");
                self.options().open_on(Arc::new(mounted), "/")
            }
            Renames::Plain => self.options().open_on(Arc::new(less().without_links()), "/"),
        }
    }

    /// A new disk of this kind. A crash leaves it one.
    pub(crate) fn disk(self) -> SimDisk {
        let disk = SimDisk::new();
        if self.is_coarse {
            disk.set_tick_us(4000);
            disk.set_reuse(Reuse::AtOnce);
        }
        disk
    }

    /// What of it decides how a disk is recovered.
    pub(crate) fn measure(self) -> u64 {
        let Self { durability, renames, is_coarse, sync, checkpoint_bytes, checkpoint_age, max_attempts, .. } = self;
        hash(&(format!("{durability:?} {sync:?}"), renames, is_coarse, checkpoint_bytes, checkpoint_age, max_attempts))
    }

    /// What of it a line of the output says.
    pub(crate) fn said(self) -> String {
        let coarse = if self.is_coarse { ", a coarse clock and inodes given away at once" } else { "" };
        let splits = if self.splits { ", renames that may leave both names" } else { "" };
        format!("{:?}, {:?}{coarse}{splits}", self.durability, self.renames)
    }
}

fn depth() -> usize {
    variable("TREEWAL_CRASH_DEPTH").unwrap_or(1)
}

pub(crate) fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}
