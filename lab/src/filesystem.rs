//! The file systems: how each is made and mounted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::image::Image;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Fs {
    Ext4,
    Xfs,
    Btrfs,
}

impl Fs {
    pub(crate) const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fs| fs.name() == name)
    }

    /// The least that the tools make without complaint, or a little more.
    fn bytes(self) -> u64 {
        match self {
            Self::Ext4 => 48 << 20,
            Self::Xfs => 300 << 20,
            Self::Btrfs => 128 << 20,
        }
    }

    /// Runs in the foreground, without work that is put off until after the mount.
    fn mkfs(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 => (
                "mkfs.ext4",
                &["-q", "-F", "-b", "4096", "-J", "size=8", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
            ),
            Self::Xfs => ("mkfs.xfs", &["-q", "-f", "-K"]),
            Self::Btrfs => ("mkfs.btrfs", &["-q", "-f", "-K"]),
        }
    }

    /// The options to mount it with, where none are asked for.
    pub(crate) fn options(self) -> &'static str {
        match self {
            Self::Ext4 | Self::Xfs => "",
            Self::Btrfs => "nodiscard",
        }
    }

    /// See [`Rules::whole`](crate::cuts::Rules::whole): the superblocks, which have one checksum over several sectors.
    pub(crate) fn whole(self) -> &'static [(u64, u64)] {
        match self {
            Self::Ext4 => &[(1024, 1024)],
            // One sector.
            Self::Xfs => &[],
            Self::Btrfs => &[(64 << 10, 4096), (64 << 20, 4096)],
        }
    }

    /// Whether a block of its own that was written in place, and is there in part, may make it refuse the disk.
    pub(crate) fn may_refuse_torn_blocks(self) -> bool {
        self == Self::Xfs
    }

    /// Makes an empty file system.
    pub(crate) fn make(self, dir: &Path) -> Image {
        let path = dir.join(format!("{}.img", self.name()));
        File::create(&path).unwrap().set_len(self.bytes()).unwrap();
        let (tool, options) = self.mkfs();
        let made = Command::new(tool).args(options).arg(&path).output().unwrap();
        assert!(made.status.success(), "{tool}: {}", String::from_utf8_lossy(&made.stderr));
        let image = read_sparse(&path, self.bytes());
        std::fs::remove_file(path).unwrap();
        image.freeze()
    }

    /// What this machine lacks to make and mount it.
    pub(crate) fn missing(self) -> Option<String> {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let tool = self.mkfs().0;
        if !known.split_whitespace().any(|name| name == self.name()) {
            Some(format!("this kernel has no {}", self.name()))
        } else if Command::new(tool).arg("-V").output().is_err() {
            Some(format!("{tool} is not installed"))
        } else {
            None
        }
    }
}

/// Reads a file; pages of zeros take no room.
fn read_sparse(path: &Path, bytes: u64) -> Image {
    const PIECE: usize = 1 << 20;
    let mut image = Image::new(bytes);
    let file = File::open(path).unwrap();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < bytes {
        let read = file.read_at(&mut piece, at).unwrap();
        assert!(read > 0, "a file system is as large as it was made");
        image.write(at, &piece[..read]);
        at += read as u64;
    }
    image
}
