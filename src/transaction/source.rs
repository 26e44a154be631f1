//! What a merge reads: entries of the tree as the transaction sees them, or of a directory anywhere on the machine.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use treewal_vfs::{Dir, Disk, File, Kind, Open, RelPath, Time};

use super::overlay::{NewBody, NewNode, NodeId, Origin};
use super::{Content, Transaction};
use crate::{Error, Result};

const VERB: &str = "publish";
const BLOCK_BYTES: usize = 128 << 10;

/// A directory to read from. It is open only while it is listed, as there may be many.
#[derive(Clone)]
pub(super) enum Source {
    /// A path of the tree.
    Inside(RelPath),
    /// A path beneath a directory elsewhere.
    Outside { top: Dir, shown: PathBuf, path: RelPath },
}

/// The same, open.
pub(super) enum Reader {
    Inside(RelPath),
    Outside { dir: Dir, shown: PathBuf },
}

/// What an entry looks like. What is `None` is as the system makes new entries.
pub(super) struct Looks {
    pub(super) kind: Kind,
    pub(super) len: u64,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) modified: Option<Time>,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
    /// What a device node stands for; an entry that the transaction made is none.
    pub(super) rdev: u64,
    /// Device and inode of an entry elsewhere.
    pub(super) inode: Option<(u64, u64)>,
}

/// Contents to read.
pub(crate) enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Source {
    pub(super) fn join(&self, name: &OsStr) -> Self {
        match self {
            Self::Inside(path) => Self::Inside(path.join(name)),
            Self::Outside { top, shown, path } => {
                Self::Outside { top: top.clone(), shown: shown.clone(), path: path.join(name) }
            }
        }
    }

    pub(super) fn open(&self, disk: &dyn Disk) -> Result<Reader> {
        match self {
            Self::Inside(path) => Ok(Reader::Inside(path.clone())),
            Self::Outside { top, shown, path } => {
                let shown = if path.is_root() { shown.clone() } else { shown.join(path.to_path()) };
                let dir = disk.open_dir(top, path).map_err(|error| Error::from_os(VERB, shown.clone(), error))?;
                Ok(Reader::Outside { dir, shown })
            }
        }
    }
}

impl Reader {
    /// The names in it.
    pub(super) fn list(&self, tx: &Transaction) -> Result<Vec<OsString>> {
        let mut names: Vec<OsString> = match self {
            Self::Inside(path) => {
                tx.read_dir(path.to_path())?.into_iter().map(|entry| entry.file_name().to_os_string()).collect()
            }
            Self::Outside { dir, shown } => {
                let list = tx.base.disk().list(dir).map_err(|error| Error::from_os(VERB, shown.clone(), error))?;
                list.into_iter().map(|entry| entry.name).collect()
            }
        };
        names.sort_unstable();
        Ok(names)
    }

    /// What one of its entries looks like.
    pub(super) fn look(&self, tx: &Transaction, name: &OsStr) -> Result<Looks> {
        match self {
            Self::Inside(path) => tx.looks_inside(&path.join(name)),
            Self::Outside { dir, .. } => {
                let disk = tx.base.disk();
                let look = disk.stat(dir, name).and_then(|meta| Ok((meta, disk.xattrs(dir, name)?)));
                let (meta, xattrs) = look.map_err(self.error(name))?;
                Ok(Looks {
                    kind: meta.kind,
                    len: meta.size,
                    mode: Some(meta.mode),
                    owner: Some((meta.uid, meta.gid)),
                    modified: Some(meta.modified),
                    xattrs,
                    rdev: meta.rdev,
                    inode: Some((meta.dev, meta.ino)),
                })
            }
        }
    }

    /// The contents of a file.
    pub(super) fn bytes(&self, tx: &mut Transaction, name: &OsStr) -> Result<Bytes> {
        match self {
            Self::Inside(path) => {
                let path = path.join(name);
                let (node, _, _) = tx.existing(VERB, &path)?;
                tx.node_bytes(node, &path)
            }
            Self::Outside { dir, .. } => {
                tx.base.disk().open(dir, name, Open::Read).map(Bytes::File).map_err(self.error(name))
            }
        }
    }

    /// The target of a symlink.
    pub(super) fn link(&self, tx: &Transaction, name: &OsStr) -> Result<OsString> {
        match self {
            Self::Inside(path) => tx.read_link(path.join(name).to_path()).map(PathBuf::into_os_string),
            Self::Outside { dir, .. } => tx.base.disk().read_link(dir, name).map_err(self.error(name)),
        }
    }

    /// The path of an entry, for people.
    pub(super) fn shown(&self, name: &OsStr) -> PathBuf {
        match self {
            Self::Inside(path) => path.join(name).to_path(),
            Self::Outside { shown, .. } => shown.join(name),
        }
    }

    fn error(&self, name: &OsStr) -> impl FnOnce(io::Error) -> Error {
        let shown = self.shown(name);
        move |error| Error::from_os(VERB, shown, error)
    }
}

impl Transaction {
    fn looks_inside(&self, path: &RelPath) -> Result<Looks> {
        let meta = self.metadata(path.to_path())?;
        Ok(Looks {
            kind: meta.kind(),
            len: meta.len(),
            mode: meta.mode(),
            owner: meta.uid().zip(meta.gid()),
            modified: meta.modified_at(),
            xattrs: self.xattrs(path.to_path())?,
            rdev: 0,
            inode: None,
        })
    }

    /// The contents of a file, on the disk or new.
    pub(super) fn node_bytes(&self, node: NodeId, path: &RelPath) -> Result<Bytes> {
        match &self.overlay.node(node).origin {
            Origin::Disk { base, .. } => self.base.open("read", base).map(Bytes::File),
            Origin::New(NewNode { body: NewBody::File(Content::Memory(bytes)), .. }) => {
                Ok(Bytes::Memory(bytes.clone()))
            }
            Origin::New(NewNode { body: NewBody::File(Content::Staged(staged)), .. }) => {
                staged.reopen().map(Bytes::File).map_err(Error::io("read", path))
            }
            Origin::New(_) => Err(Error::kinded("read", path, io::ErrorKind::InvalidInput)),
        }
    }
}

impl Bytes {
    /// Whether both are the same bytes; their lengths are known to be the same.
    pub(super) fn same(&self, disk: &dyn Disk, other: &Self) -> io::Result<bool> {
        if let (Self::Memory(a), Self::Memory(b)) = (self, other) {
            return Ok(a == b);
        }
        let (mut a, mut b) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
        let mut offset = 0;
        loop {
            let (read_a, read_b) = (self.fill(disk, &mut a, offset)?, other.fill(disk, &mut b, offset)?);
            if a[..read_a] != b[..read_b] {
                return Ok(false);
            }
            if read_a == 0 {
                return Ok(true);
            }
            offset += read_a as u64;
        }
    }

    /// Whether they are these.
    pub(super) fn is(&self, disk: &dyn Disk, bytes: &[u8]) -> io::Result<bool> {
        let mut block = vec![0; BLOCK_BYTES.min(bytes.len() + 1)];
        let mut offset = 0;
        for part in bytes.chunks(BLOCK_BYTES) {
            let read = self.fill(disk, &mut block[..part.len()], offset)?;
            if block[..read] != *part {
                return Ok(false);
            }
            offset += read as u64;
        }
        Ok(self.fill(disk, &mut block[..1], offset)? == 0)
    }

    /// Fills a buffer as far as there is anything.
    fn fill(&self, disk: &dyn Disk, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
            Self::File(file) => {
                let mut len = 0;
                while len < buf.len() {
                    match disk.read_at(file, &mut buf[len..], offset + len as u64)? {
                        0 => break,
                        read => len += read,
                    }
                }
                Ok(len)
            }
        }
    }
}
