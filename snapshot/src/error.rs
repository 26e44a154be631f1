//! What can go wrong, one type for the whole crate.

use std::io;

use treewal_vfs::RelPath;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a snapshot could not be taken, read or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// What was tried, as a verb: "open", "copy".
        verb: &'static str,
        /// The entry of the tree it was tried for, or `manifest` for a file of the snapshot itself.
        path: RelPath,
        /// What the disk said.
        source: io::Error,
    },
    /// Somebody changed the entry while it was looked at or copied, each time it was tried.
    #[error("{path:?} keeps changing")]
    Changed {
        /// The entry.
        path: RelPath,
    },
    /// A snapshot covers one file system, and this entry lies on another.
    #[error("{path:?} is on another file system than the tree")]
    OtherFileSystem {
        /// The mount point.
        path: RelPath,
    },
    /// A path to guard leads through something that is not a directory: a symlink is never followed.
    #[error("{path:?} is on the way to a guarded path and is not a directory")]
    NotADirectory {
        /// The entry in the way.
        path: RelPath,
    },
    /// The path is excluded, and taking or restoring this would touch it. Nothing was changed.
    #[error("{path:?} is excluded and cannot be guarded or replaced")]
    Excluded {
        /// The guarded path, or the entry that would have to make room.
        path: RelPath,
    },
    /// The attributes of the entry do not fit into the manifest.
    #[error("the attributes of {path:?} are too large to record")]
    TooLarge {
        /// The entry.
        path: RelPath,
    },
    /// The path cannot be put back in one exchange; a restore by comparison can do it. Nothing was changed.
    #[error("{path:?} cannot be exchanged: {what}")]
    NotExchangeable {
        /// The guarded path.
        path: RelPath,
        /// Why.
        what: &'static str,
    },
    /// The directory to take the snapshot into already holds something.
    #[error("the directory for the snapshot is not empty")]
    NotEmpty,
    /// The snapshot was never finished: it has no manifest, or one without its end. It may be thrown away: nobody was
    /// told that it exists.
    #[error("the snapshot is incomplete: {what}")]
    Incomplete {
        /// What is missing.
        what: &'static str,
    },
    /// The manifest is not what was written.
    #[error("the manifest is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the damaged frame begins.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The manifest was written by a newer treewal.
    #[error("the manifest has version {found}, and this treewal reads up to {newest}")]
    Version {
        /// The version it carries.
        found: u32,
        /// The newest version known here.
        newest: u32,
    },
    /// Everything was restored except these: somebody wrote into the only bytes their backup had. They are as they
    /// were found.
    #[error("written in place, so that their backups do not hold what was taken: {paths:?}")]
    InPlace {
        /// The paths, in order.
        paths: Vec<RelPath>,
    },
    /// Everything was restored except these: their backups are gone or damaged. They are as they were found.
    #[error("backups gone or damaged: {paths:?}; written in place: {in_place:?}")]
    Lost {
        /// The paths whose backups are gone or damaged, in order.
        paths: Vec<RelPath>,
        /// The paths that [`Error::InPlace`] would name, in order.
        in_place: Vec<RelPath>,
    },
}

impl Error {
    /// For `map_err`: the disk refused to do `verb` with `path`.
    pub(crate) fn io<'a>(verb: &'static str, path: &'a RelPath) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { verb, path: path.clone(), source }
    }

    /// The same for a path that is bytes.
    pub(crate) fn io_at<'a>(verb: &'static str, path: &'a [u8]) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { verb, path: crate::manifest::rel(path), source }
    }

    /// The same for a file of the snapshot itself.
    pub(crate) fn own(verb: &'static str, name: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, path: RelPath::root().join(name), source }
    }
}
