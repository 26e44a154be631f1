//! A transaction as a value: for agents, for the command line, for other languages.

mod stage;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Changes that happen together or not at all, and what they rely on.
///
/// As JSON, with every operation that there is:
///
/// ```json
#[doc = include_str!("example.json")]
/// ```
///
/// * Contents (`write`, `append`, `patch`, the value of `set_xattr`) are given as `text`, as `base64`, or, but for a value,
///   as a `source`: a file outside of the tree, relative to the working directory.
/// * `parents` makes missing directories above the path that comes to be; for `mkdir` an existing directory is no error then.
/// * `publish` takes `from` a path of the tree where it is relative, and any path where it is absolute.
/// * A time is a number of seconds since 1970, or has `secs` and `nanos`.
/// * Permission bits are octal, as text. In attributes `.` is the tree itself.
///
/// Names that other tools have for an operation are understood, too: `cp`, `mv`, `move`, `rm`, `delete`, `unlink`, `rmdir`,
/// `create_dir`, `swap`, `link`, `hardlink`, `update`, `touch`, `set_permissions`, `setxattr`, `removexattr`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeSet {
    /// The changes, in order: each sees those before it.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What must hold before the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
}

/// One change. Parents must exist unless `parents` makes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Change {
    /// Writes a whole file.
    Write {
        /// Where.
        path: PathBuf,
        /// Contents as text; or one of the other two.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Contents as base64 (RFC 4648, padded).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        /// A file whose contents they are; relative to the working directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<PathBuf>,
        /// Whether missing directories above it are made.
        #[serde(default)]
        parents: bool,
        /// Whether a file that has these very contents stays as it is.
        #[serde(default, skip_serializing_if = "is_false")]
        if_changed: bool,
    },
    /// Appends to a file, which is made where it does not exist.
    Append {
        /// Where.
        path: PathBuf,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<PathBuf>,
        /// As for `write`.
        #[serde(default)]
        parents: bool,
    },
    /// Writes over a part of a file, which grows where the part ends beyond it.
    #[serde(alias = "update")]
    Patch {
        /// Which.
        path: PathBuf,
        /// Where the part begins, in bytes.
        offset: u64,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<PathBuf>,
    },
    /// Cuts a file, or extends it with zeros.
    Truncate {
        /// Which.
        path: PathBuf,
        /// How long it is then, in bytes.
        len: u64,
    },
    /// Copies a file.
    #[serde(alias = "cp")]
    Copy {
        /// From here ..
        from: PathBuf,
        /// .. to here.
        to: PathBuf,
        /// As for `write`.
        #[serde(default)]
        parents: bool,
    },
    /// Makes a directory.
    #[serde(alias = "create_dir")]
    Mkdir {
        /// Where.
        path: PathBuf,
        /// Whether missing directories above it are made, and an existing one is no error.
        #[serde(default)]
        parents: bool,
    },
    /// Renames an entry; a file that stands at `to` is replaced.
    #[serde(alias = "mv", alias = "move")]
    Rename {
        /// From here ..
        from: PathBuf,
        /// .. to here.
        to: PathBuf,
        /// As for `write`.
        #[serde(default)]
        parents: bool,
    },
    /// Exchanges two entries.
    #[serde(alias = "swap")]
    Exchange {
        /// One.
        a: PathBuf,
        /// The other.
        b: PathBuf,
    },
    /// Removes an entry.
    #[serde(alias = "rm", alias = "delete", alias = "unlink", alias = "rmdir")]
    Remove {
        /// Which.
        path: PathBuf,
        /// Whether a directory goes with all that is in it; without it, a directory must be empty.
        #[serde(default)]
        recursive: bool,
    },
    /// Makes a symlink.
    Symlink {
        /// What it points to: any path.
        target: PathBuf,
        /// Where it stands.
        path: PathBuf,
        /// As for `write`.
        #[serde(default)]
        parents: bool,
    },
    /// Gives a file another name.
    #[serde(alias = "link", alias = "hardlink")]
    HardLink {
        /// The name that it has ..
        #[serde(alias = "original")]
        from: PathBuf,
        /// .. and the other one.
        #[serde(alias = "link", alias = "path")]
        to: PathBuf,
        /// As for `write`.
        #[serde(default)]
        parents: bool,
    },
    /// Puts something prepared in the place of what is there, or merges it into that.
    Publish {
        /// A path of the tree where it is relative, anywhere where it is absolute.
        #[serde(alias = "source")]
        from: PathBuf,
        /// Where it comes to stand.
        #[serde(alias = "dest")]
        to: PathBuf,
        /// Whether a directory that is there stays, and gets what differs; see [`Publish::merge`](crate::Publish::merge).
        #[serde(default, skip_serializing_if = "is_false")]
        merge: bool,
        /// Whether what the prepared directory does not have stays.
        #[serde(default, skip_serializing_if = "is_false")]
        keep_unmanaged: bool,
        /// As for `write`.
        #[serde(default)]
        parents: bool,
    },
    /// Sets permission bits.
    #[serde(alias = "set_permissions")]
    Chmod {
        /// Of what.
        path: PathBuf,
        /// In octal, such as `"0644"`.
        mode: String,
    },
    /// Sets owner and group, of a symlink itself.
    Chown {
        /// Of what.
        path: PathBuf,
        /// The user, by number; the same as before where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// The group, by number; the same as before where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gid: Option<u32>,
    },
    /// Sets times; what is missing stays.
    #[serde(alias = "touch")]
    SetTimes {
        /// Of what.
        path: PathBuf,
        /// Of last access.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accessed: Option<Timestamp>,
        /// Of last modification.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modified: Option<Timestamp>,
    },
    /// Sets an extended attribute.
    #[serde(alias = "setxattr")]
    SetXattr {
        /// Of what.
        path: PathBuf,
        /// Its name, such as `user.origin`.
        name: String,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// As for `write`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    /// Removes an extended attribute.
    #[serde(alias = "removexattr")]
    RemoveXattr {
        /// Of what.
        path: PathBuf,
        /// Its name.
        name: String,
    },
}

/// A point in time: as JSON a number of seconds, or an object with `secs` and `nanos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC, negative before.
    pub secs: i64,
    /// Nanoseconds after that, below 1 000 000 000.
    pub nanos: u32,
}

/// A time as it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "a number of seconds, or an object with `secs` and `nanos`")]
enum Written {
    Whole(i64),
    Parts {
        secs: i64,
        #[serde(default)]
        nanos: u32,
    },
}

impl From<Written> for Timestamp {
    fn from(written: Written) -> Self {
        match written {
            Written::Whole(secs) => Self { secs, nanos: 0 },
            Written::Parts { secs, nanos } => Self { secs, nanos },
        }
    }
}

impl From<Timestamp> for Written {
    fn from(Timestamp { secs, nanos }: Timestamp) -> Self {
        if nanos == 0 { Self::Whole(secs) } else { Self::Parts { secs, nanos } }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What must hold before a change set is applied: exactly one of `absent`, `sha256` and `unchanged`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Where.
    pub path: PathBuf,
    /// Whether nothing may stand there; `false` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
    /// The SHA-256 of the file that must stand there, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether what stands there when the change set is looked at must still stand there at the commit; `false` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<bool>,
}
