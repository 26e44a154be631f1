//! The report of a case for programs: which file belongs to which path, and what stood there.
//!
//! It is written by recovery and read from a directory that anybody who may write there could have changed. So nothing in
//! it is trusted: a path is checked by whoever uses it, and so is the name of a file.

use std::ffi::{OsStr, OsString};
use std::io;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use treewal_journal::record::{Change, New, Times};
use treewal_vfs::{Dir, Disk, Identity, Kind, Meta, Open, Time, errno, read_all};

/// The report for people.
pub const REPORT: &str = "report.txt";
/// The report for programs.
pub const JSON: &str = "report.json";
/// The version of the report that is written. It grows when a field goes away or changes its meaning.
pub const FORMAT: u32 = 1;
/// What is no text is written in this alphabet.
pub const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;
/// A report has an item for each path of a transaction.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// What is known of a directory in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CaseReport {
    /// [`FORMAT`] of who wrote it.
    pub format: u32,
    /// `staged`, `guarded` or `publish`.
    pub kind: String,
    /// The transaction.
    pub transaction: Option<u64>,
    /// The row of the decision table; see `docs/recovery.md`.
    pub label: String,
    /// Why, for people.
    pub reason: String,
    /// How many tries to finish or undo it were made.
    pub tries: u32,
    /// When it was put here.
    pub quarantined: Stamp,
    /// When it was committed; none for what was not.
    pub committed: Option<Stamp>,
    /// The directory with the snapshot of a guard.
    pub snapshot: Option<String>,
    /// What the guard was about; an empty path is the whole tree.
    pub guarded: Vec<Text>,
    /// The paths of a staged transaction that are not as it was to leave them; of a guard that was undone in a copy, what stood there.
    pub items: Vec<Item>,
}

/// One path of a staged transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Where, relative to the tree.
    pub path: Text,
    /// Why it is here.
    pub reason: String,
    /// What was to stand there.
    pub goal: Goal,
    /// What holds the contents, relative to the case; none where there are none, or they are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where it stood before, or the file that it was to be another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Text>,
    /// What it was to look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
    /// What stood at the path when this was written; none where nobody could look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// Whether that is the large file itself that was to stand there: its contents are nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands: bool,
}

/// What was to stand at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symlink, whose target is the contents.
    Symlink,
    /// Another name of a file.
    Link,
    /// Something that stood elsewhere.
    Moved,
    /// Nothing.
    Absent,
    /// What stands there, with other attributes.
    Attributes,
}

/// What stood at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// Nothing.
    Nothing,
    /// This.
    Entry(Entry),
}

impl Found {
    /// What a look has found; `None` where that could not be.
    pub(super) fn of(there: &io::Result<Meta>) -> Option<Self> {
        match there {
            Ok(meta) => Some(Self::Entry(Entry::from(meta))),
            Err(error) => (error.raw_os_error() == Some(errno::ENOENT)).then_some(Self::Nothing),
        }
    }
}

/// What makes an entry the same as before; see [`Identity`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whether it is a directory: of one, size and time say nothing.
    pub dir: bool,
    /// The number of its inode.
    pub ino: u64,
    /// When that was made.
    pub born: Stamp,
    /// Length in bytes.
    pub size: u64,
    /// When its contents were last changed.
    pub modified: Stamp,
}

/// What an entry was to look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The time of the last change of the contents.
    pub modified: Stamp,
    /// Extended attributes: names, and values in base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(Text, String)>,
}

/// A point in time, by the clock of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Seconds since 1970.
    pub secs: i64,
    /// Nanoseconds below a second.
    pub nanos: u32,
}

/// Bytes that are mostly text: a string where they are, else an object with them in base64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Text.
    Plain(String),
    /// Bytes.
    Bytes {
        /// The bytes.
        base64: String,
    },
}

impl Text {
    /// Bytes as text.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text.to_owned()),
            Err(_) => Self::Bytes { base64: BASE64.encode(bytes) },
        }
    }

    /// The bytes; `None` where they are not what they should be.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(text) => Some(text.as_bytes().to_vec()),
            Self::Bytes { base64 } => BASE64.decode(base64).ok(),
        }
    }
}

impl From<Time> for Stamp {
    fn from(Time { secs, nanos }: Time) -> Self {
        Self { secs, nanos }
    }
}

impl From<Stamp> for Time {
    fn from(Stamp { secs, nanos }: Stamp) -> Self {
        Self { secs, nanos: nanos.min(999_999_999) }
    }
}

impl From<&Meta> for Entry {
    fn from(meta: &Meta) -> Self {
        let Identity { kind, ino, born, size, modified } = meta.identity();
        Self { dir: kind == Kind::Dir, ino, born: born.into(), size, modified: modified.into() }
    }
}

impl From<&New> for Attributes {
    fn from(new: &New) -> Self {
        let set = new.times.map(|Change { to: Times { modified, .. }, .. }| modified);
        Self {
            mode: new.mode,
            uid: new.uid,
            gid: new.gid,
            modified: set.unwrap_or(new.identity.modified).into(),
            xattrs: new.xattrs.iter().map(|(name, value)| (Text::of(name), BASE64.encode(value))).collect(),
        }
    }
}

impl Attributes {
    /// Those of something that stands in the tree.
    pub(super) fn of(meta: &Meta, xattrs: &[(OsString, Vec<u8>)]) -> Self {
        let xattr = |(name, value): &(OsString, Vec<u8>)| (Text::of(name.as_encoded_bytes()), BASE64.encode(value));
        Self {
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            modified: meta.modified.into(),
            xattrs: xattrs.iter().map(xattr).collect(),
        }
    }
}

/// The report in a directory of quarantine; `None` where there is none that can be read, or one of a later version.
///
/// # Errors
/// Any error of the disk. What stands in the place of a report and is no file is no report.
pub fn read_report(disk: &dyn Disk, case: &Dir) -> io::Result<Option<CaseReport>> {
    let is_file = |meta: &Meta| meta.kind == Kind::File && meta.size <= JSON_BYTES_MAX;
    match disk.stat(case, OsStr::new(JSON)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => {
            if !is_file(&found?) {
                return Ok(None);
            }
        }
    }
    let bytes = match disk
        .open(case, OsStr::new(JSON), Open::Read)
        .and_then(|file| read_all(disk, &file, JSON_BYTES_MAX))
    {
        // Somebody put something else there since.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => return Ok(None),
        read => read?,
    };
    Ok(serde_json::from_slice(&bytes).ok().filter(|report: &CaseReport| report.format == FORMAT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back() {
        for bytes in [&b"plain"[..], b"\xff\0a", b""] {
            let text = Text::of(bytes);
            let read: Text = serde_json::from_str(&serde_json::to_string(&text).unwrap()).unwrap();
            assert_eq!((read.bytes().unwrap(), &read), (bytes.to_vec(), &text));
        }
        assert_eq!(Text::Bytes { base64: "*".into() }.bytes(), None);
    }

    #[test]
    fn a_report_of_another_format_is_none() {
        let disk = treewal_vfs::sim::SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        let file = disk.open(&root, OsStr::new(JSON), Open::Create { mode: 0o600 }).unwrap();
        for (text, is_one) in [("{\"format\": 1}", true), ("{\"format\": 2}", false), ("{}", false), ("[", false)] {
            disk.set_len(&file, 0).unwrap();
            treewal_vfs::write_all(&disk, &file, text.as_bytes(), 0).unwrap();
            assert_eq!(read_report(&disk, &root).unwrap().is_some(), is_one, "{text}");
        }
    }
}
