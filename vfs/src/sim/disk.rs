//! The simulated disk as a test holds it: what it is set to, and how it crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::dump::Node;
use super::image::Image;
use super::outcome::{Outcome, Outcomes, Profile};
use super::settings::{Lose, Reuse};
use super::state::State;
use crate::RelPath;

/// A simulated disk, as one process sees it. Clones are the same disk and the same process.
///
/// Every call that changes something or makes it durable counts ([`mutations`](Self::mutations)) and moves the clock by
/// one microsecond, so that two runs of one workload are the same to the byte. The umask is 022.
#[derive(Clone)]
pub struct SimDisk {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) process: u64,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("SimDisk")
            .field("boot", &state.boot)
            .field("process", &self.process)
            .field("mutations", &state.mutations)
            .field("is_off", &state.off)
            .finish_non_exhaustive()
    }
}

impl SimDisk {
    /// A disk with an empty root directory.
    #[must_use]
    pub fn new() -> Self {
        Self::holding(State::new())
    }

    fn holding(state: State) -> Self {
        Self { process: state.last_process, state: Arc::new(Mutex::new(state)) }
    }

    // --- settings --------------------------------------------------------------------------------------------------

    /// Leaves `bytes` free from here on: then writes and new entries fail with `ENOSPC`. A block of data takes 4096
    /// bytes, an inode 512, a directory both; what a name takes is not counted.
    pub fn set_space(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.settings.capacity = state.used.saturating_add(bytes);
    }

    /// Refuses every change with `EROFS`, or no longer does. Syncing goes on.
    pub fn set_read_only(&self, read_only: bool) {
        self.state.lock().settings.read_only = read_only;
    }

    /// When the number of an inode that is gone is given to a new one; [`Reuse::AfterCrash`] at first.
    pub fn set_reuse(&self, reuse: Reuse) {
        self.state.lock().settings.reuse = reuse;
    }

    /// Makes all times whole multiples of `us` microseconds, at least 1, which they are at first. A kernel's times move
    /// by milliseconds, so that inodes made in a row have the same time of birth, and files written in a row the same
    /// time of change: `set_tick_us(4000)` makes that so for most of a test.
    pub fn set_tick_us(&self, us: u64) {
        self.state.lock().settings.tick_us = us.max(1);
    }

    /// Whether [`reflink`](crate::Disk::reflink) is possible; on at first. `EOPNOTSUPP` otherwise.
    pub fn set_reflink(&self, can: bool) {
        self.state.lock().settings.reflink = can;
    }

    /// Whether [`Rename::Exchange`](crate::Rename::Exchange) is possible; on at first. `EINVAL` otherwise.
    pub fn set_exchange(&self, can: bool) {
        self.state.lock().settings.exchange = can;
    }

    /// Sets the clock, in seconds since 1970: forwards or back. Times that are there already stay.
    pub fn set_clock(&self, secs: u64) {
        self.state.lock().now_us = secs.saturating_mul(1_000_000);
    }

    /// Which network file system this one says it is; none at first.
    pub fn set_network(&self, name: Option<&'static str>) {
        self.state.lock().settings.network = name;
    }

    /// What a sync that fails takes with it; [`Lose::All`] at first.
    pub fn set_failed_syncs(&self, lose: Lose) {
        self.state.lock().settings.lose = lose;
    }

    // --- crashing --------------------------------------------------------------------------------------------------

    /// How many calls so far changed something, made it durable or tried to.
    #[must_use]
    pub fn mutations(&self) -> u64 {
        self.state.lock().mutations
    }

    /// How many syncs of any kind there were so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Lets the power go just before the `n`th changing call from now on, 1 being the next; `None` takes that back.
    /// That call and every later one of any kind fails with `EIO`.
    pub fn cut_at(&self, n: Option<u64>) {
        let mut state = self.state.lock();
        state.cut_at = n.map(|n| state.mutations.saturating_add(n));
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state.lock().off
    }

    /// Makes the `n`th sync from now on fail with `EIO`, 1 being the next; `None` takes that back.
    ///
    /// What it should have covered is still seen, but no later sync makes it durable: the kernel has dropped the pages
    /// and holds them for clean. Writing the same bytes anew and syncing does.
    pub fn fail_sync_at(&self, n: Option<u64>) {
        let mut state = self.state.lock();
        state.fail_sync_at = n.map(|n| state.syncs.saturating_add(n));
    }

    /// The disk as another process sees it: its handles and locks live on when this process is killed.
    #[must_use]
    pub fn another_process(&self) -> Self {
        let mut state = self.state.lock();
        state.last_process += 1;
        let process = state.last_process;
        state.processes.insert(process);
        Self { state: Arc::clone(&self.state), process }
    }

    /// Kills the process: nothing is lost, its handles fail with `EIO` from here on, and its locks are free. Gives the
    /// disk as the next process sees it.
    #[must_use]
    pub fn kill(&self) -> Self {
        let next = self.another_process();
        let mut state = self.state.lock();
        state.processes.remove(&self.process);
        let dead: BTreeSet<u64> = state
            .opened
            .iter()
            .filter(|(_, opened)| opened.process == self.process)
            .map(|(number, _)| *number)
            .collect();
        for number in dead {
            state.close(number);
        }
        drop(state);
        next
    }

    /// All that a power loss at this moment may leave.
    #[must_use]
    pub fn outcomes(&self, profile: Profile) -> Outcomes {
        Outcomes::new(&self.state.lock(), profile)
    }

    /// A new disk that holds exactly what `outcome` says, all of it durable, after a boot: nothing is open or locked,
    /// and the number of the device is another. This disk stays as it is, so that many outcomes of one crash can be
    /// looked at.
    ///
    /// `outcome` must come from [`outcomes`](Self::outcomes) of this disk, with no change in between.
    #[must_use]
    pub fn after(&self, outcome: &Outcome) -> Self {
        let state = self.state.lock();
        Self::holding(state.reborn(state.image_after(outcome), false))
    }

    /// The same without a boot: the disk was pulled out and put back in, and what was on its way to it is lost as after a power
    /// loss, while the machine went on.
    #[must_use]
    pub fn after_reattaching(&self, outcome: &Outcome) -> Self {
        let state = self.state.lock();
        Self::holding(state.reborn(state.image_after(outcome), true))
    }

    /// A new disk that holds everything that this one does, as after an unmount and a mount: the number of the device
    /// is another, the boot the same. This disk stays as it is.
    #[must_use]
    pub fn remount(&self) -> Self {
        let state = self.state.lock();
        let mut image = Image { inodes: state.seen.inodes.clone() };
        image.inodes.retain(|_, inode| inode.names > 0);
        Self::holding(state.reborn(image, true))
    }

    // --- looking at it ---------------------------------------------------------------------------------------------

    /// The whole tree as processes see it, the root directory among it.
    #[must_use]
    pub fn dump(&self) -> BTreeMap<RelPath, Node> {
        self.state.lock().seen.dump(None)
    }

    /// The same without one path and what is below it.
    #[must_use]
    pub fn dump_without(&self, path: &RelPath) -> BTreeMap<RelPath, Node> {
        self.state.lock().seen.dump(Some(path))
    }

    /// What `outcome` of this disk keeps and loses, a line for each change of names or metadata and each file.
    #[must_use]
    pub fn describe(&self, outcome: &Outcome) -> String {
        self.state.lock().describe(outcome)
    }

    /// Whether no more than is seen can be lost: nothing stands between the two layers.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.names.pending.is_empty() && state.metas.is_empty() && state.files.is_empty()
    }

    /// A hash of what is seen, what is durable and what is between: two disks with the same digest have the same
    /// outcomes. The clock, the boot and the open handles do not count.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.state.lock().digest()
    }
}
