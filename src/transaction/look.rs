//! Looking: a transaction sees the tree as it will be once committed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use treewal_vfs::{Kind, Meta, RelPath, Time, read_all};

use super::overlay::{Attributes, Found, NewBody, NewNode, NodeId, Origin};
use super::times::to_system_time;
use super::{Base, Content, Transaction};
use crate::{Error, Result};

/// The largest file that [`Transaction::read`] brings into memory, in bytes: 4 GiB.
pub(crate) const READ_BYTES_MAX: u64 = 4 << 30;

/// What a transaction says of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    kind: Kind,
    len: u64,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    accessed: Option<Time>,
    modified: Option<Time>,
}

impl Metadata {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Whether it is a symlink; links are not followed.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.kind == Kind::Symlink
    }

    /// Length in bytes; 0 for a new directory.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the name of `std::fs::Metadata`, where emptiness is not asked")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Permission bits; `None` for a new entry that gets the umask mode.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        self.mode
    }

    /// User that owns it; `None` for a new entry that gets this process's own.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// Group that owns it; `None` as for [`uid`](Self::uid).
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.gid
    }

    /// Time of last access; `None` for a new entry, unless it was set.
    #[must_use]
    pub fn accessed(&self) -> Option<SystemTime> {
        self.accessed.and_then(to_system_time)
    }

    /// Time of last modification; `None` for a new entry, unless it was set.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified.and_then(to_system_time)
    }

    /// The time of last modification as the disk has it.
    pub(super) fn modified_at(&self) -> Option<Time> {
        self.modified
    }
}

/// One entry of a directory, as [`Transaction::read_dir`] lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    name: OsString,
    kind: Kind,
}

impl DirEntry {
    /// The name.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Base {
    /// The entries of a directory as they stand there, without treewal's own.
    pub(crate) fn entries(&self, verb: &'static str, path: &RelPath) -> Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in self.list(verb, path)? {
            if path.is_root() && entry.name == treewal_recovery::home::DIR_NAME {
                continue;
            }
            let kind = match entry.kind {
                Some(kind) => kind,
                // Gone since it was listed: then it is not listed.
                None => match self.stat(verb, &path.join(&entry.name))? {
                    Some(meta) => meta.kind,
                    None => continue,
                },
            };
            entries.push(DirEntry { name: entry.name, kind });
        }
        Ok(entries)
    }
}

impl Transaction {
    /// The contents of a file.
    ///
    /// # Errors
    /// As `std::fs::read`; a symlink is not followed ([`Error::ThroughSymlink`]). `FileTooLarge` beyond 4 GiB.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = Self::path(path)?;
        let found = self.overlay.find(&self.base, "read", &path)?;
        match found.ok_or_else(|| Error::kinded("read", &path, io::ErrorKind::NotFound))? {
            Found::Disk { base, meta } => self.read_disk(&base, &meta),
            Found::Node(id) => match &self.overlay.node(id).origin {
                Origin::Disk { base, meta } => self.read_disk(base, meta),
                Origin::New(NewNode { body: NewBody::File(content), .. }) => match content {
                    Content::Memory(bytes) => Ok(bytes.clone()),
                    Content::Staged(staged) => {
                        let file = staged.reopen();
                        let read = file.and_then(|file| read_all(self.base.disk(), &file, READ_BYTES_MAX));
                        read.map_err(Error::io("read", &path))
                    }
                },
                Origin::New(NewNode { body: NewBody::Dir, .. }) => {
                    Err(Error::kinded("read", &path, io::ErrorKind::IsADirectory))
                }
                Origin::New(NewNode { body: NewBody::Symlink(_), .. }) => {
                    Err(Error::ThroughSymlink { path: path.to_path() })
                }
            },
        }
    }

    fn read_disk(&self, base: &treewal_vfs::RelPath, meta: &Meta) -> Result<Vec<u8>> {
        match meta.kind {
            Kind::File => {}
            Kind::Dir => return Err(Error::kinded("read", base, io::ErrorKind::IsADirectory)),
            Kind::Symlink => return Err(Error::ThroughSymlink { path: base.to_path() }),
            _ => return Err(Error::kinded("read", base, io::ErrorKind::InvalidInput)),
        }
        let file = self.base.open("read", base)?;
        read_all(self.base.disk(), &file, READ_BYTES_MAX).map_err(Error::io("read", base))
    }

    /// The contents of a file as text.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `InvalidData` where the bytes are not UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> Result<String> {
        as_text(path.as_ref(), self.read(path.as_ref())?)
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// As `std::fs::read_link`.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = Self::path(path)?;
        let found = self.overlay.find(&self.base, "read link", &path)?;
        let invalid = || Error::kinded("read link", &path, io::ErrorKind::InvalidInput);
        let base = match found.ok_or_else(|| Error::kinded("read link", &path, io::ErrorKind::NotFound))? {
            Found::Disk { base, .. } => base,
            Found::Node(id) => match &self.overlay.node(id).origin {
                Origin::Disk { base, .. } => base.clone(),
                Origin::New(NewNode { body: NewBody::Symlink(target), .. }) => return Ok(target.into()),
                Origin::New(_) => return Err(invalid()),
            },
        };
        self.base.read_link("read link", &base).map(PathBuf::from)
    }

    /// What stands at a path; a symlink is described itself.
    ///
    /// # Errors
    /// As `std::fs::symlink_metadata`.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        let path = Self::path(path)?;
        let found = self.overlay.find(&self.base, "look at", &path)?;
        match found.ok_or_else(|| Error::kinded("look at", &path, io::ErrorKind::NotFound))? {
            Found::Disk { meta, .. } => Ok(of_disk(&meta)),
            Found::Node(id) if self.overlay.is_stale(id) => {
                let now = self.base.stat("look at", &path)?;
                now.map(|meta| of_disk(&meta)).ok_or_else(|| Error::kinded("look at", &path, io::ErrorKind::NotFound))
            }
            Found::Node(id) => Ok(self.node_metadata(id)),
        }
    }

    pub(super) fn node_metadata(&self, id: NodeId) -> Metadata {
        let node = self.overlay.node(id);
        match &node.origin {
            Origin::Disk { meta, .. } => of_disk(&node.touched.over(meta)),
            Origin::New(new) => {
                let len = match &new.body {
                    NewBody::Dir => 0,
                    NewBody::File(content) => content.len(),
                    NewBody::Symlink(target) => target.len() as u64,
                };
                let Attributes { mode, owner, given, accessed, modified, .. } = &new.attributes;
                let (mode, accessed, modified) = (*mode, *accessed, *modified);
                let (uid, gid) = owner.unzip();
                let (uid, gid) = (given.0.or(uid), given.1.or(gid));
                Metadata { kind: new.kind(), len, mode, uid, gid, accessed, modified }
            }
        }
    }

    /// Whether something stands at a path; a dangling symlink counts.
    ///
    /// # Errors
    /// As `std::fs::exists`: whatever keeps from looking, but not that a directory on the way is missing.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = Self::path(path)?;
        match self.overlay.find(&self.base, "look at", &path) {
            Ok(found) => Ok(found.is_some()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The entries of a directory, sorted by name; treewal's own directory is not among them.
    ///
    /// # Errors
    /// As `std::fs::read_dir`.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<DirEntry>> {
        let path = Self::path(path)?;
        let found = self.overlay.find(&self.base, "list", &path)?;
        let found = found.ok_or_else(|| Error::kinded("list", &path, io::ErrorKind::NotFound))?;
        if self.overlay.kind_of(&found) != Kind::Dir {
            return Err(Error::kinded("list", &path, io::ErrorKind::NotADirectory));
        }
        let mut entries = Vec::new();
        let (base, changed) = match &found {
            Found::Disk { base, .. } => (Some(base), None),
            Found::Node(id) => (self.overlay.base(*id), Some(&self.overlay.node(*id).children)),
        };
        if let Some(base) = base {
            entries = self.base.entries("list", base)?;
            entries.retain(|entry| changed.is_none_or(|changed| !changed.contains_key(&entry.name)));
        }
        for (name, slot) in changed.into_iter().flatten() {
            if let Some(node) = slot.now {
                entries.push(DirEntry { name: name.clone(), kind: self.overlay.kind(node) });
            }
        }
        entries.sort();
        Ok(entries)
    }
}

/// Contents as text.
pub(crate) fn as_text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| Error::Io {
        verb: "read",
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()),
    })
}

pub(crate) fn of_disk(meta: &Meta) -> Metadata {
    Metadata {
        kind: meta.kind,
        len: meta.size,
        mode: Some(meta.mode),
        uid: Some(meta.uid),
        gid: Some(meta.gid),
        accessed: Some(meta.accessed),
        modified: Some(meta.modified),
    }
}
