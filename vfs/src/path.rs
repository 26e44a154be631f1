//! Relative paths that cannot leave the directory they start from, as far as a path by itself can promise that.

use std::borrow::Borrow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};
use std::sync::Arc;

/// The longest component of a path, in bytes (`NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;
/// The longest path, in bytes (`PATH_MAX` less its terminator).
pub const PATH_BYTES_MAX: usize = 4095;

/// Between components: the one byte that no name has, and that sorts before every other.
const SEPARATOR: u8 = 0;

/// A normalised path relative to some directory: no `..`, no `.`, no root, no empty component, no NUL byte.
///
/// The empty path is the directory itself. Bytes are kept as they are: a name need not be UTF-8. Ordering puts a
/// directory before what is in it, and that before whatever sorts behind the directory: `a`, `a/b`, `a-b`. A clone copies
/// nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath {
    // The components behind one another: the order of the bytes is that of the components, and a path is one allocation.
    bytes: Arc<[u8]>,
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
        let given = path.as_os_str().as_bytes();
        if given.contains(&0) {
            return Err(BadPath::Nul);
        }
        if given.len() > PATH_BYTES_MAX {
            return Err(BadPath::TooLong);
        }
        let mut bytes = Vec::with_capacity(given.len());
        for part in path.components() {
            match part {
                Component::Normal(name) if name.len() > NAME_BYTES_MAX => return Err(BadPath::TooLong),
                Component::Normal(name) => {
                    if !bytes.is_empty() {
                        bytes.push(SEPARATOR);
                    }
                    bytes.extend_from_slice(name.as_bytes());
                }
                Component::CurDir => {}
                Component::ParentDir => return Err(BadPath::Parent),
                Component::RootDir | Component::Prefix(_) => return Err(BadPath::Absolute),
            }
        }
        Ok(Self { bytes: bytes.into() })
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
        self.bytes.iter().map(|&byte| if byte == SEPARATOR { b'/' } else { byte }).collect()
    }

    /// The path as the operating system takes it; `.` for the root.
    #[must_use]
    pub fn to_path(&self) -> std::path::PathBuf {
        if self.is_root() { ".".into() } else { OsString::from_vec(self.to_bytes()).into() }
    }

    /// Whether this is the directory itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it is no longer than the system takes: what is joined may be, and [`RelPath::new`] does not read it back.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.bytes.len() <= PATH_BYTES_MAX
    }

    /// How many components the path has.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The components, first to last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &OsStr> + Clone {
        // No component is empty; only the root would give one.
        let parts = self.bytes.split(|&byte| byte == SEPARATOR).filter(|part| !part.is_empty());
        parts.map(OsStr::from_bytes)
    }

    /// The last component; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        self.split_bytes().map(|(_, name)| name)
    }

    /// The path without its last component; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.split().map(|(parent, _)| parent)
    }

    /// The parent and the last component together; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &OsStr)> {
        let (parent, name) = self.split_bytes()?;
        Some((Self { bytes: parent.into() }, name))
    }

    /// The same without a copy of the parent, whose bytes are no path for the system: a map with paths for keys can be
    /// asked for them.
    #[must_use]
    pub fn split_bytes(&self) -> Option<(&[u8], &OsStr)> {
        if self.is_root() {
            return None;
        }
        let last = self.bytes.iter().rposition(|&byte| byte == SEPARATOR);
        let (parent, name) = last.map_or((&[][..], &self.bytes[..]), |at| (&self.bytes[..at], &self.bytes[at + 1..]));
        Some((parent, OsStr::from_bytes(name)))
    }

    /// This path with one more component, as read from a directory.
    ///
    /// `name` must be a single component; anything else gives a path that no disk will open.
    #[must_use]
    pub fn join(&self, name: impl AsRef<OsStr>) -> Self {
        let name = name.as_ref().as_bytes();
        let separator: &[u8] = if self.is_root() { &[] } else { &[SEPARATOR] };
        // What would pass for no component, or for several, becomes one that holds a `/`.
        let name = if name.is_empty() { b"/" } else { name };
        let name = name.iter().map(|&byte| if byte == SEPARATOR { b'/' } else { byte });
        Self { bytes: self.bytes.iter().chain(separator).copied().chain(name).collect() }
    }

    /// This path followed by all of `tail`.
    #[must_use]
    pub fn join_path(&self, tail: &Self) -> Self {
        match (self.is_root(), tail.is_root()) {
            (true, _) => tail.clone(),
            (_, true) => self.clone(),
            _ => Self { bytes: [&self.bytes[..], &[SEPARATOR], &tail.bytes[..]].concat().into() },
        }
    }

    /// Whether `self` is `other` or lies beneath it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.after(other).is_some()
    }

    /// What is left of `self` after `prefix`; `None` where it does not start with it.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Self) -> Option<Self> {
        self.after(prefix).map(|rest| Self { bytes: rest.into() })
    }

    fn after(&self, prefix: &Self) -> Option<&[u8]> {
        let rest = self.bytes.strip_prefix(&prefix.bytes[..])?;
        if prefix.is_root() || rest.is_empty() { Some(rest) } else { rest.strip_prefix(&[SEPARATOR]) }
    }

    /// Every path above this one, the root first, itself not among them.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        let ends = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR).map(|(at, _)| at);
        let above = std::iter::once(0).chain(ends).take(if self.is_root() { 0 } else { usize::MAX });
        above.map(|end| Self { bytes: self.bytes[..end].into() })
    }
}

/// A path equals, orders and hashes as its bytes do: all three are derived from them alone.
impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.bytes
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
        assert_eq!(rel("a/b").strip_prefix(&rel("a/b")), Some(RelPath::root()));
        assert_eq!(rel("a-b").strip_prefix(&rel("a")), None);
        let (parent, name) = (rel("a/b"), std::ffi::OsStr::new("c"));
        let path = rel("a/b/c");
        let (bytes, last) = path.split_bytes().unwrap();
        assert_eq!((bytes, last), (parent.borrow(), name));
        assert!(std::collections::HashSet::from([parent.clone()]).contains(bytes));
        assert!(std::collections::BTreeSet::from([rel("a-b"), parent.clone()]).contains(bytes));
        assert_eq!(path.split(), Some((parent, name)));
        assert_eq!((rel("a").split_bytes(), RelPath::root().split_bytes()), (Some((&[][..], "a".as_ref())), None));
        assert_eq!(rel("a/b").ancestors().collect::<Vec<_>>(), [RelPath::root(), rel("a")]);
        assert_eq!(RelPath::root().ancestors().count(), 0);
    }

    #[test]
    fn what_is_joined_stays_one_component() {
        for bad in ["", "/", "a/b", "a\0b", "\0", "..", "."] {
            let path = rel("x").join(bad);
            assert_eq!((path.depth(), path.parent()), (2, Some(rel("x"))), "{bad:?}");
            assert_eq!(RelPath::root().join(bad).depth(), 1, "{bad:?}");
        }
        assert_eq!(RelPath::root().join("a").join("b"), rel("a/b"));
        assert_eq!(rel("a").join_path(&rel("b/c")), rel("a/b/c"));
        assert_eq!(RelPath::root().join_path(&rel("b")).join_path(&RelPath::root()), rel("b"));
        assert_eq!(rel("a/b").components().rev().collect::<Vec<_>>(), ["b", "a"]);
    }

    proptest::proptest! {
        #[test]
        fn paths_order_as_their_components(a in "[a-c\\-.]{1,2}(/[a-c\\-.]{1,2}){0,2}", b in "[a-c\\-.]{1,2}(/[a-c\\-.]{1,2}){0,2}") {
            if let (Ok(a), Ok(b)) = (RelPath::new(&a), RelPath::new(&b)) {
                let parts = |path: &RelPath| path.components().map(OsStr::to_os_string).collect::<Vec<_>>();
                proptest::prop_assert_eq!(a.cmp(&b), parts(&a).cmp(&parts(&b)));
                proptest::prop_assert_eq!(a.starts_with(&b), parts(&a).starts_with(&parts(&b)));
                proptest::prop_assert_eq!(RelPath::from_bytes(&a.to_bytes()).unwrap(), a);
            }
        }
    }
}
