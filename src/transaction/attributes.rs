//! Attributes: mode, owner, times and extended attributes, of what is there as of what is new.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::overlay::{NodeId, Origin};
use super::times::to_time;
use super::{Transaction, acl};
use crate::{Error, Result};

/// The bits that a change of owner takes from a file that is not a directory.
const SET_ID: u32 = 0o6000;
const CAPABILITY: &str = "security.capability";
/// The kernel's limits (`XATTR_NAME_MAX`, `XATTR_SIZE_MAX`), in bytes.
const XATTR_NAME_BYTES_MAX: usize = 255;
const XATTR_BYTES_MAX: usize = 64 << 10;

/// Times to set with [`Transaction::set_times`], as `std::fs::FileTimes`: what is not set stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileTimes {
    pub(crate) accessed: Option<SystemTime>,
    pub(crate) modified: Option<SystemTime>,
}

impl FileTimes {
    /// No times.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time of last access.
    #[must_use]
    pub fn set_accessed(mut self, time: SystemTime) -> Self {
        self.accessed = Some(time);
        self
    }

    /// Sets the time of last modification.
    #[must_use]
    pub fn set_modified(mut self, time: SystemTime) -> Self {
        self.modified = Some(time);
        self
    }
}

/// Attributes that a transaction set on an entry of the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) accessed: Option<Time>,
    pub(crate) modified: Option<Time>,
    pub(crate) xattrs: BTreeMap<OsString, TouchedXattr>,
}

#[derive(Debug, Clone)]
pub(crate) struct TouchedXattr {
    pub(crate) prior: Option<Vec<u8>>,
    pub(crate) to: Option<Vec<u8>>,
}

impl Transaction {
    /// Sets the permission bits of a file or directory; here and wherever attributes are set, `.` is the tree itself.
    ///
    /// # Errors
    /// As `std::fs::set_permissions`, but a symlink is not followed.
    #[expect(clippy::needless_pass_by_value, reason = "the signature of `std::fs::set_permissions`")]
    pub fn set_permissions(&mut self, path: impl AsRef<Path>, permissions: std::fs::Permissions) -> Result<()> {
        let path = Self::path(path)?;
        self.set_mode(&path, permissions.mode() & 0o7777)
    }

    pub(crate) fn set_mode(&mut self, path: &RelPath, mode: u32) -> Result<()> {
        let node = self.touched("set mode of", path)?;
        self.put_mode(node, mode);
        Ok(())
    }

    /// Sets the times of a file or directory, to the nanosecond where the file system stores it.
    ///
    /// Set them last: writing to the file afterwards, or changing names in the directory, sets them anew.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("site")?;
    /// use std::time::{Duration, UNIX_EPOCH};
    /// tree.transaction(|tx| {
    ///     tx.write("release.tar", "..")?;
    ///     tx.set_times("release.tar", treewal::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(1)))
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As `std::fs::File::set_times`; a symlink is not followed.
    pub fn set_times(&mut self, path: impl AsRef<Path>, times: FileTimes) -> Result<()> {
        let path = Self::path(path)?;
        let invalid = || Error::kinded("set times of", &path, io::ErrorKind::InvalidInput);
        let time = |time: Option<SystemTime>| time.map(|time| to_time(time).ok_or_else(invalid)).transpose();
        let (accessed, modified) = (time(times.accessed)?, time(times.modified)?);
        let node = self.touched("set times of", &path)?;
        match &mut self.overlay.node_mut(node).origin {
            Origin::New(new) => {
                new.attributes.accessed = accessed.or(new.attributes.accessed);
                new.attributes.modified = modified.or(new.attributes.modified);
            }
            Origin::Disk { .. } => {
                let touched = &mut self.overlay.node_mut(node).touched;
                touched.accessed = accessed.or(touched.accessed);
                touched.modified = modified.or(touched.modified);
            }
        }
        Ok(())
    }

    /// Sets owner and group of a file or directory; what is `None` stays. As with the system's own call, a file loses its
    /// set-id bits.
    ///
    /// # Errors
    /// As `std::os::unix::fs::chown`, but a symlink is not followed: [`lchown`](Self::lchown) is for it. Whether this
    /// process may give away the group is known at the commit only.
    pub fn chown(&mut self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let path = Self::path(path)?;
        let node = self.touched("set owner of", &path)?;
        self.give(&path, node, uid, gid)
    }

    /// Sets owner and group of an entry, of a symlink itself.
    ///
    /// # Errors
    /// As `std::os::unix::fs::lchown`.
    pub fn lchown(&mut self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let path = Self::path(path)?;
        let node = self.existing_or_root("set owner of", &path)?;
        self.may_change("set owner of", &path, node)?;
        self.give(&path, node, uid, gid)
    }

    /// Sets an extended attribute of a file or directory.
    ///
    /// # Errors
    /// `Unsupported` for a name outside of the namespaces of the system (`user.`, `trusted.`, `security.`, `system.`),
    /// `InvalidInput` for a name or a value that is too long. A symlink is not followed.
    pub fn set_xattr(
        &mut self,
        path: impl AsRef<Path>,
        name: impl AsRef<OsStr>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        let path = Self::path(path)?;
        let (name, value) = (name.as_ref(), value.as_ref());
        if value.len() > XATTR_BYTES_MAX {
            return Err(Error::kinded("set attribute of", &path, io::ErrorKind::InvalidInput));
        }
        self.put_xattr("set attribute of", &path, name, Some(value))
    }

    /// Removes an extended attribute of a file or directory.
    ///
    /// # Errors
    /// `NotFound` where it has none of that name; else as [`set_xattr`](Self::set_xattr).
    pub fn remove_xattr(&mut self, path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Result<()> {
        let path = Self::path(path)?;
        self.put_xattr("remove attribute of", &path, name.as_ref(), None)
    }

    /// The extended attributes of an entry, sorted by name.
    ///
    /// # Errors
    /// `NotFound`; any error of the disk.
    pub fn xattrs(&self, path: impl AsRef<Path>) -> Result<Vec<(OsString, Vec<u8>)>> {
        use super::overlay::Found;
        let path = Self::path(path)?;
        let verb = "look at";
        let found = self.overlay.find(&self.base, verb, &path)?;
        match found.ok_or_else(|| Error::kinded(verb, &path, io::ErrorKind::NotFound))? {
            Found::Disk { base, .. } => self.base.xattrs(verb, &base),
            Found::Node(node) => self.node_xattrs(verb, node),
        }
    }

    pub(super) fn node_xattrs(&self, verb: &'static str, node: NodeId) -> Result<Vec<(OsString, Vec<u8>)>> {
        let node = self.overlay.node(node);
        let base = match &node.origin {
            Origin::New(new) => return Ok(new.attributes.xattrs.clone()),
            Origin::Disk { base, .. } => base,
        };
        let mut xattrs: BTreeMap<OsString, Vec<u8>> = self.base.xattrs(verb, base)?.into_iter().collect();
        for (name, touched) in &node.touched.xattrs {
            match &touched.to {
                Some(value) => drop(xattrs.insert(name.clone(), value.clone())),
                None => drop(xattrs.remove(name)),
            }
        }
        Ok(xattrs.into_iter().collect())
    }

    /// Gives a file that takes the place of another what a written one would have: mode, owner and extended attributes.
    pub(super) fn inherit(&mut self, old: NodeId, new: NodeId, path: &RelPath) -> Result<()> {
        let verb = "publish";
        let (was, is) = (self.node_metadata(old), self.node_metadata(new));
        let xattrs = self.node_xattrs(verb, old)?;
        // An access list of its own would open what the old mode closes.
        let own = self.node_xattrs(verb, new)?.into_iter().map(|(name, _)| name);
        let own: Vec<_> = own.filter(|own| is_given(own) && !xattrs.iter().any(|(name, _)| name == own)).collect();
        if self.base.disk().user() == 0 && (was.uid(), was.gid()) != (is.uid(), is.gid()) {
            self.give(path, new, was.uid(), was.gid())?;
        }
        for name in own {
            self.note_xattr(verb, new, &name, None)?;
        }
        for (name, value) in xattrs {
            self.note_xattr(verb, new, &name, Some(&value))?;
        }
        if let Some(mode) = was.mode() {
            self.put_mode(new, mode);
        }
        Ok(())
    }

    // --- the parts ------------------------------------------------------------------------------------------------

    /// The node of an entry whose attributes may be set: not a symlink, and not somebody else's.
    fn touched(&mut self, verb: &'static str, path: &RelPath) -> Result<NodeId> {
        let node = self.existing_or_root(verb, path)?;
        if self.overlay.kind(node) == Kind::Symlink {
            return Err(Error::ThroughSymlink { path: path.to_path() });
        }
        self.may_change(verb, path, node)?;
        Ok(node)
    }

    fn existing_or_root(&mut self, verb: &'static str, path: &RelPath) -> Result<NodeId> {
        if path.is_root() {
            return self.overlay.root_node(&self.base, verb);
        }
        self.existing(verb, path).map(|(node, _, _)| node)
    }

    pub(super) fn may_change(&self, verb: &'static str, path: &RelPath, node: NodeId) -> Result<()> {
        let user = self.base.disk().user();
        match &self.overlay.node(node).origin {
            Origin::Disk { meta, .. } if user != 0 && meta.uid != user => {
                Err(Error::kinded(verb, path, io::ErrorKind::PermissionDenied))
            }
            _ if self.overlay.is_set_by_another_name(node) => {
                Err(Error::kinded(verb, path, io::ErrorKind::Unsupported))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn put_mode(&mut self, node: NodeId, mode: u32) {
        match &mut self.overlay.node_mut(node).origin {
            Origin::New(new) => new.attributes.mode = Some(mode),
            Origin::Disk { .. } => self.overlay.node_mut(node).touched.mode = Some(mode),
        }
    }

    pub(super) fn give(&mut self, path: &RelPath, node: NodeId, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let verb = "set owner of";
        let user = self.base.disk().user();
        if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
            return Err(Error::kinded(verb, path, io::ErrorKind::InvalidInput));
        }
        if user != 0 && uid.is_some_and(|uid| uid != user) {
            return Err(Error::kinded(verb, path, io::ErrorKind::PermissionDenied));
        }
        let kind = self.overlay.kind(node);
        let mode = self.node_metadata(node).mode();
        let capable = self.node_xattrs(verb, node)?.iter().any(|(name, _)| name == CAPABILITY);
        match &mut self.overlay.node_mut(node).origin {
            Origin::New(new) => {
                let given = &mut new.attributes.given;
                *given = (uid.or(given.0), gid.or(given.1));
            }
            Origin::Disk { meta, .. } => {
                let (old_uid, old_gid) = (meta.uid, meta.gid);
                let touched = &mut self.overlay.node_mut(node).touched;
                let (now_uid, now_gid) = touched.owner.unwrap_or((old_uid, old_gid));
                touched.owner = Some((uid.unwrap_or(now_uid), gid.unwrap_or(now_gid)));
            }
        }
        if !matches!(kind, Kind::Dir | Kind::Symlink) {
            // Without the bit of the group's execution, set-group-id is something else, and stays.
            let lost = |mode: u32| if mode & 0o010 == 0 { SET_ID & 0o4000 } else { SET_ID };
            if let Some(mode) = mode.filter(|mode| mode & lost(*mode) != 0) {
                self.put_mode(node, mode & !lost(mode));
            }
            if capable {
                self.note_xattr(verb, node, OsStr::new(CAPABILITY), None)?;
            }
        }
        Ok(())
    }

    fn put_xattr(&mut self, verb: &'static str, path: &RelPath, name: &OsStr, value: Option<&[u8]>) -> Result<()> {
        let node = self.touched(verb, path)?;
        let refused = |kind| Err(Error::kinded(verb, path, kind));
        let bytes = name.as_bytes();
        let has = |space: &str| bytes.len() > space.len() && bytes.starts_with(space.as_bytes());
        if bytes.len() > XATTR_NAME_BYTES_MAX || bytes.contains(&0) {
            return refused(io::ErrorKind::InvalidInput);
        }
        if !["user.", "trusted.", "security.", "system."].into_iter().any(has) {
            return refused(io::ErrorKind::Unsupported);
        }
        if has("user.") && !matches!(self.overlay.kind(node), Kind::File | Kind::Dir) {
            return refused(io::ErrorKind::PermissionDenied);
        }
        if value.is_none() && !self.node_xattrs(verb, node)?.iter().any(|(other, _)| other == name) {
            return refused(io::ErrorKind::NotFound);
        }
        self.note_xattr(verb, node, name, value)?;
        if name == acl::ACCESS {
            if let Some(mode) = value.and_then(acl::mode) {
                let rest = self.node_metadata(node).mode().unwrap_or_default() & !0o777;
                self.put_mode(node, rest | mode);
            }
        }
        Ok(())
    }

    pub(super) fn note_xattr(
        &mut self,
        verb: &'static str,
        node: NodeId,
        name: &OsStr,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let to = value.map(<[u8]>::to_vec);
        let prior = match &self.overlay.node(node).origin {
            Origin::New(_) => None,
            Origin::Disk { base, .. } => {
                let there = self.base.xattrs(verb, base)?;
                there.into_iter().find(|(other, _)| other == name).map(|(_, value)| value)
            }
        };
        match &mut self.overlay.node_mut(node).origin {
            Origin::New(new) => {
                let xattrs = &mut new.attributes.xattrs;
                xattrs.retain(|(other, _)| other != name);
                xattrs.extend(to.map(|value| (name.to_os_string(), value)));
                xattrs.sort_unstable();
            }
            Origin::Disk { .. } => {
                let touched = &mut self.overlay.node_mut(node).touched.xattrs;
                touched.entry(name.to_os_string()).or_insert(TouchedXattr { prior, to: None }).to = to;
            }
        }
        Ok(())
    }
}

/// Whether a program gave an entry this attribute. Labels of the system's own it gives each new entry by itself.
fn is_given(name: &OsStr) -> bool {
    name == CAPABILITY || !name.as_bytes().starts_with(b"security.")
}

impl Touched {
    /// Mode, owner and times of an entry of the tree as the transaction leaves them.
    pub(super) fn over(&self, meta: &Meta) -> Meta {
        let (uid, gid) = self.owner.unwrap_or((meta.uid, meta.gid));
        Meta {
            mode: self.mode.unwrap_or(meta.mode),
            uid,
            gid,
            accessed: self.accessed.unwrap_or(meta.accessed),
            modified: self.modified.unwrap_or(meta.modified),
            ..*meta
        }
    }
}
