//! With which options a handle opens the tree.

use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use treewal::{CheckpointSync, Finding, MountedFiles, OnDamage, Options};

use crate::ops::INLINE_MAX;
use crate::step::Level;

/// What is not asked for is as the tests of one handle have it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Drawn {
    pub(crate) level: Option<Level>,
    inline_max: Option<u64>,
    segment_bytes: Option<u64>,
    checkpoint_bytes: Option<u64>,
    /// A checkpoint after each commit.
    at_once: bool,
    sync: Sync,
    /// Damage is refused, and not put into quarantine.
    refuse: bool,
    /// The file that is mounted is not rewritten.
    pub(crate) refuse_mounted: bool,
    /// Quarantine is full with anything in it.
    limit: bool,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
enum Sync {
    #[default]
    Auto,
    Entries,
    FileSystem,
}

impl Drawn {
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new().lock_wait(Duration::ZERO);
        options = options.segment_bytes(self.segment_bytes.unwrap_or(64 << 10));
        options = options.inline_max(self.inline_max.unwrap_or(INLINE_MAX as u64));
        options = options.checkpoint_bytes(self.checkpoint_bytes.unwrap_or(6 << 10));
        if let Some(level) = self.level {
            options = options.durability(level.durability());
        }
        if self.at_once {
            options = options.checkpoint_age(Duration::ZERO);
        }
        if self.refuse {
            options = options.on_damage(OnDamage::Refuse);
        }
        if self.limit {
            options = options.quarantine_limit(0);
        }
        options = options.checkpoint_sync(match self.sync {
            Sync::Auto => CheckpointSync::Auto,
            Sync::Entries => CheckpointSync::Entries,
            Sync::FileSystem => CheckpointSync::FileSystem,
        });
        let rewritten = MountedFiles::RewriteInPlace;
        options.mounted_files(if self.refuse_mounted { MountedFiles::Refuse } else { rewritten })
    }

    /// What its handle does not find wrong with anything.
    pub(crate) fn expects(&self, finding: &Finding) -> bool {
        self.limit && finding.code == "quarantine-full"
    }

    /// The words for them in what is counted.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let sync = match self.sync {
            Sync::Auto => "opened to sync what is cheaper",
            Sync::Entries => "opened to sync entries",
            Sync::FileSystem => "opened to sync the file system",
        };
        let asked = [
            (self.level.is_some(), "opened with a level"),
            (self.inline_max.is_some(), "opened with a limit for contents"),
            (self.segment_bytes.is_some(), "opened with other segments"),
            (self.checkpoint_bytes.is_some(), "opened with more checkpoints or less"),
            (self.at_once, "opened with checkpoints at once"),
            (self.refuse, "opened to refuse damage"),
            (self.limit, "opened with a full quarantine"),
        ];
        asked.into_iter().filter(|(asked, _)| *asked).map(|(_, word)| word).chain([sync]).collect()
    }
}

pub(crate) fn drawn() -> BoxedStrategy<Drawn> {
    let level = prop::option::of(prop::sample::select(vec![Level::Journal, Level::Tree, Level::Deferred]));
    let inline_max = prop::option::of(prop::sample::select(vec![0, 5, 600, 64 << 10]));
    let segment_bytes = prop::option::of(prop::sample::select(vec![68 << 10, 128 << 10]));
    let checkpoint_bytes = prop::option::of(prop::sample::select(vec![1, 1 << 10, 1 << 20]));
    let sync = prop::sample::select(vec![Sync::Auto, Sync::Entries, Sync::FileSystem]);
    let often = || prop::bool::weighted(0.3);
    let flags = (prop::bool::weighted(0.15), often(), prop::bool::weighted(0.2), often());
    (level, inline_max, segment_bytes, checkpoint_bytes, sync, flags)
        .prop_map(|(level, inline_max, segment_bytes, checkpoint_bytes, sync, flags)| {
            let (at_once, refuse, refuse_mounted, limit) = flags;
            Drawn { level, inline_max, segment_bytes, checkpoint_bytes, at_once, sync, refuse, refuse_mounted, limit }
        })
        .boxed()
}
