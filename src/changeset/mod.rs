//! A transaction as a value: for agents, for the command line, for other languages.

mod stage;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Changes that happen together or not at all, and what they rely on.
///
/// As JSON:
///
/// ```json
/// {
///   "changes": [
///     { "op": "write", "path": "notes/a.md", "text": "hello" },
///     { "op": "rename", "from": "draft.md", "to": "notes/b.md" }
///   ],
///   "expect": [ { "path": "notes/b.md", "absent": true } ]
/// }
/// ```
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
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
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
    /// Copies a file.
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
    Mkdir {
        /// Where.
        path: PathBuf,
        /// Whether missing directories above it are made, and an existing one is no error.
        #[serde(default)]
        parents: bool,
    },
    /// Renames an entry; a file that stands at `to` is replaced.
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
    Exchange {
        /// One.
        a: PathBuf,
        /// The other.
        b: PathBuf,
    },
    /// Removes an entry.
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
    /// Sets permission bits.
    Chmod {
        /// Of what.
        path: PathBuf,
        /// In octal, such as `"0644"`.
        mode: String,
    },
}

/// What must hold before a change set is applied: exactly one of `absent` and `sha256`.
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
}
