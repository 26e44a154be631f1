//! Relative paths that cannot leave the directory they start from, as far as a path by itself can promise that.

use std::borrow::Borrow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

/// The longest component of a path, in bytes (`NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;
/// The longest path, in bytes (`PATH_MAX` less its terminator).
pub const PATH_BYTES_MAX: usize = 4095;

/// A normalised path relative to some directory: no `..`, no `.`, no root, no empty component, no NUL byte.
///
/// The empty path is the directory itself. Bytes are kept as they are: a name need not be UTF-8. Ordering puts a
/// directory before what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath {
    // Components, not a string with separators, so that `a/b` sorts before `a-b` and a prefix is a prefix of names.
    parts: Vec<OsString>,
}

/// Why a path cannot be a [`RelPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadPath {
    /// It starts at the root of the file system.
    Absolute,
    /// It has a `..` component.
    Parent,
    /// It has a NUL byte.
    Nul,
    /// A component is longer than [`NAME_BYTES_MAX`], or the whole longer than [`PATH_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absolute => "path is absolute; paths are relative to the tree",
            Self::Parent => "path has a `..` component",
            Self::Nul => "path has a NUL byte",
            Self::TooLong => "path is longer than the system allows",
        })
    }
}

impl std::error::Error for BadPath {}

impl RelPath {
    /// The directory itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises `path`: `a//b/.` becomes `a/b`, and `.` or the empty path the root.
    ///
    /// # Errors
    /// [`BadPath`] where the path is absolute, climbs with `..`, has a NUL byte or is too long.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, BadPath> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        if bytes.contains(&0) {
            return Err(BadPath::Nul);
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(BadPath::TooLong);
        }
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) if name.len() > NAME_BYTES_MAX => return Err(BadPath::TooLong),
                Component::Normal(name) => parts.push(name.to_os_string()),
                Component::CurDir => {}
                Component::ParentDir => return Err(BadPath::Parent),
                Component::RootDir | Component::Prefix(_) => return Err(BadPath::Absolute),
            }
        }
        Ok(Self { parts })
    }

    /// The same as [`RelPath::new`] for bytes that come from a disk, where a path is stored as its bytes.
    ///
    /// # Errors
    /// As [`RelPath::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadPath> {
        Self::new(Path::new(OsStr::from_bytes(bytes)))
    }

    /// The bytes of the path, components joined by `/`; empty for the root.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_os_string().into_vec()
    }

    /// The path as the operating system takes it; `.` for the root.
    #[must_use]
    pub fn to_path(&self) -> std::path::PathBuf {
        if self.is_root() { ".".into() } else { self.to_os_string().into() }
    }

    fn to_os_string(&self) -> OsString {
        self.parts.join(OsStr::new("/"))
    }

    /// Whether this is the directory itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many components the path has.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    /// The components, first to last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &OsStr> + ExactSizeIterator {
        self.parts.iter().map(OsString::as_os_str)
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        self.parts.last().map(OsString::as_os_str)
    }

    /// The path without its last component; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, head) = self.parts.split_last()?;
        Some(Self { parts: head.to_vec() })
    }

    /// The parent and the last component together; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &OsStr)> {
        let (last, head) = self.parts.split_last()?;
        Some((Self { parts: head.to_vec() }, last))
    }

    /// The components of the parent and the last component, without a copy of either; `None` for the root. A map with
    /// paths for keys can be asked for the parent.
    #[must_use]
    pub fn split_parts(&self) -> Option<(&[OsString], &OsStr)> {
        let (last, head) = self.parts.split_last()?;
        Some((head, last))
    }

    /// This path with one more component, as read from a directory.
    ///
    /// `name` must be a single component; anything else gives a path that no disk will open.
    #[must_use]
    pub fn join(&self, name: impl AsRef<OsStr>) -> Self {
        let mut parts = self.parts.clone();
        parts.push(name.as_ref().to_os_string());
        Self { parts }
    }

    /// This path followed by all of `tail`.
    #[must_use]
    pub fn join_path(&self, tail: &Self) -> Self {
        let mut parts = self.parts.clone();
        parts.extend(tail.parts.iter().cloned());
        Self { parts }
    }

    /// Whether `self` is `other` or lies beneath it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.parts.starts_with(&other.parts)
    }

    /// What is left of `self` after `prefix`; `None` where it does not start with it.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Self) -> Option<Self> {
        let rest = self.parts.strip_prefix(prefix.parts.as_slice())?;
        Some(Self { parts: rest.to_vec() })
    }

    /// Every path above this one, the root first, itself not among them.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.parts.len()).map(|n| Self { parts: self.parts[..n].to_vec() })
    }
}

/// A path equals, orders and hashes as its components do: all three are derived from them alone.
impl Borrow<[OsString]> for RelPath {
    fn borrow(&self) -> &[OsString] {
        &self.parts
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_path().display())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    #[test]
    fn normalises_and_keeps_bytes() {
        assert_eq!(rel("a//b/./c/"), rel("a/b/c"));
        assert!(rel(".").is_root() && rel("").is_root());
        let odd = RelPath::from_bytes(b"a/\xff\xfe").unwrap();
        assert_eq!(odd.to_bytes(), b"a/\xff\xfe");
    }

    #[test]
    fn refuses_what_leaves_the_tree() {
        assert_eq!(RelPath::new("/etc/passwd"), Err(BadPath::Absolute));
        assert_eq!(RelPath::new("a/../../b"), Err(BadPath::Parent));
        assert_eq!(RelPath::new("a\0b"), Err(BadPath::Nul));
        assert_eq!(RelPath::new("x".repeat(256)), Err(BadPath::TooLong));
        assert_eq!(RelPath::new("x/".repeat(2048)), Err(BadPath::TooLong));
    }

    #[test]
    fn a_directory_sorts_before_its_children_and_prefixes_are_whole_names() {
        assert!(rel("a") < rel("a/b"));
        assert!(rel("a/b") < rel("a-b"));
        assert!(!rel("ab").starts_with(&rel("a")));
        assert_eq!(rel("a/b/c").strip_prefix(&rel("a")), Some(rel("b/c")));
        let (parent, name) = (rel("a/b"), std::ffi::OsStr::new("c"));
        assert_eq!(rel("a/b/c").split_parts(), Some((parent.parts.as_slice(), name)));
        assert!(std::collections::HashSet::from([parent.clone()]).contains(parent.parts.as_slice()));
        assert_eq!(rel("a/b").ancestors().collect::<Vec<_>>(), [RelPath::root(), rel("a")]);
    }
}
