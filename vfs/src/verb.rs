//! The verbs of [`Disk`](crate::Disk) as values, for the disks that count them.

use crate::Open;

/// A verb of [`Disk`](crate::Disk); [`Disk::open`](crate::Disk::open) is two, as it may make a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// `open_root`.
    OpenRoot,
    /// `open_dir`.
    OpenDir,
    /// `open` of an existing file, to read or to write.
    Open,
    /// `open` with [`Open::CreateNew`] or [`Open::Create`].
    Create,
    /// `stat`.
    Stat,
    /// `stat_dir`.
    StatDir,
    /// `stat_file`.
    StatFile,
    /// `list`.
    List,
    /// `read_link`.
    ReadLink,
    /// `read_at`.
    ReadAt,
    /// `map`.
    Map,
    /// `next_data`.
    NextData,
    /// `xattrs`.
    Xattrs,
    /// `space`.
    Space,
    /// `boot_id`.
    BootId,
    /// `user`.
    User,
    /// `create_dir`.
    CreateDir,
    /// `remove_dir`.
    RemoveDir,
    /// `remove_file`.
    RemoveFile,
    /// `symlink`.
    Symlink,
    /// `hard_link`.
    HardLink,
    /// `make_node`.
    MakeNode,
    /// `rename`, of every kind.
    Rename,
    /// `write_at`.
    WriteAt,
    /// `set_len`.
    SetLen,
    /// `reflink`.
    Reflink,
    /// `set_mode`.
    SetMode,
    /// `set_owner`.
    SetOwner,
    /// `set_times`, `stamp`.
    SetTimes,
    /// `set_xattr`.
    SetXattr,
    /// `remove_xattr`.
    RemoveXattr,
    /// `sync_data`.
    SyncData,
    /// `sync_file`.
    SyncFile,
    /// `sync_dir`.
    SyncDir,
    /// `sync_all`.
    SyncAll,
    /// `try_lock`.
    TryLock,
    /// `unlock`.
    Unlock,
}

impl Verb {
    /// What an open of this kind counts as.
    pub(crate) fn of_open(how: Open) -> Self {
        match how {
            Open::Read | Open::ReadWrite => Self::Open,
            Open::CreateNew { .. } | Open::Create { .. } => Self::Create,
        }
    }

    /// Whether it changes names, contents or metadata. A sync changes none of them and a lock is not on the disk.
    #[must_use]
    pub fn is_mutating(self) -> bool {
        match self {
            Self::Create
            | Self::CreateDir
            | Self::RemoveDir
            | Self::RemoveFile
            | Self::Symlink
            | Self::HardLink
            | Self::MakeNode
            | Self::Rename
            | Self::WriteAt
            | Self::SetLen
            | Self::Reflink
            | Self::SetMode
            | Self::SetOwner
            | Self::SetTimes
            | Self::SetXattr
            | Self::RemoveXattr => true,
            Self::OpenRoot
            | Self::OpenDir
            | Self::Open
            | Self::Stat
            | Self::StatDir
            | Self::StatFile
            | Self::List
            | Self::ReadLink
            | Self::ReadAt
            | Self::Map
            | Self::NextData
            | Self::Xattrs
            | Self::Space
            | Self::BootId
            | Self::User
            | Self::SyncData
            | Self::SyncFile
            | Self::SyncDir
            | Self::SyncAll
            | Self::TryLock
            | Self::Unlock => false,
        }
    }

    /// Whether it makes something durable.
    #[must_use]
    pub fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncFile | Self::SyncDir | Self::SyncAll)
    }
}
