//! What a test may ask of a simulated disk.

/// When the number of an inode that is gone is given to a new one. The time of birth differs, unless
/// [`SimDisk::set_tick_us`](super::SimDisk::set_tick_us) says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// Never: what has the same number is the same inode.
    Never,
    /// After the next crash or remount, the lowest first.
    AfterCrash,
    /// At once, the lowest first, as ext4 does. A new inode then survives only if the end of the old one does.
    AtOnce,
}

/// What a sync that fails takes with it for good; see [`SimDisk::fail_sync_at`](super::SimDisk::fail_sync_at).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lose {
    /// Contents, names and metadata.
    All,
    /// Contents, and nothing else: as where names and metadata are in the journal of a file system, which stops for good
    /// once it cannot write that. Only the pages of files can be given up by one that goes on.
    Contents,
}

/// What a test may set, and a crash leaves as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) capacity: u64,
    pub(super) read_only: bool,
    pub(super) reuse: Reuse,
    pub(super) tick_us: u64,
    pub(super) reflink: bool,
    pub(super) exchange: bool,
    pub(super) network: Option<&'static str>,
    pub(super) lose: Lose,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1 << 40,
            read_only: false,
            reuse: Reuse::AfterCrash,
            tick_us: 1,
            reflink: true,
            exchange: true,
            network: None,
            lose: Lose::All,
        }
    }
}
