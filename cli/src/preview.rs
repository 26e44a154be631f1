//! A tree opened for looking only: what treewal would keep in it goes to a temporary directory instead.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use treewal::{Options, Tree};
use treewal_vfs::{Dir, Disk, File, Layer, Meta, RealDisk, RelPath, Rename, errno};

use crate::exit::Exit;
use crate::failure::Failure;

/// The name of the directory that treewal keeps in a tree.
const OWN: &str = ".treewal";

/// Forwards to the real disk, except that the directory `.treewal` of one tree lies elsewhere, and that nothing is
/// synced.
///
/// Nothing is moved from one directory to another either: what is to be published is copied to the stage, and stays.
///
/// A transaction that is never committed only looks at the tree, and all it writes goes to its stage, which lies in
/// `.treewal`: so staging on this disk leaves the tree alone, and works on a tree that may only be read.
#[derive(Debug)]
pub(crate) struct PreviewDisk {
    root: Dir,
    elsewhere: Dir,
    // Removed with the disk.
    _temporary: TempDir,
}

/// Opens the tree at `path` for looking.
pub(crate) fn open(path: &Path, options: Options) -> Result<Tree, Failure> {
    let scratch = |error: io::Error| Failure::new(Exit::IO, "cannot make a temporary directory").because(&error);
    let root = RealDisk.open_root(path).map_err(|source| treewal::Error::Io {
        verb: "open",
        path: path.to_owned(),
        source,
    })?;
    let temporary = tempfile::tempdir().map_err(scratch)?;
    let elsewhere = RealDisk.open_root(temporary.path()).map_err(scratch)?;
    let disk = PreviewDisk { root, elsewhere, _temporary: temporary };
    Ok(options.segment_bytes(64 << 10).open_on(Arc::new(disk), path)?)
}

impl PreviewDisk {
    /// Whether a name is that of treewal's own directory, at the root of the tree and not in a tree within it.
    fn is_own(&self, at: &Dir, name: &OsStr) -> io::Result<bool> {
        if name != OWN {
            return Ok(false);
        }
        let (at, root) = (RealDisk.stat_dir(at)?, RealDisk.stat_dir(&self.root)?);
        Ok((at.dev, at.ino) == (root.dev, root.ino))
    }

    /// What is left of a path once it has entered treewal's own directory; `None` where it does not.
    fn beyond(&self, at: &Dir, path: &RelPath) -> io::Result<Option<RelPath>> {
        match path.components().next() {
            Some(first) if self.is_own(at, first)? => Ok(path.strip_prefix(&RelPath::root().join(OWN))),
            _ => Ok(None),
        }
    }
}

impl Layer for PreviewDisk {
    fn inner(&self) -> &dyn Disk {
        &RealDisk
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        match self.beyond(at, path)? {
            Some(path) => RealDisk.open_dir(&self.elsewhere, &path),
            None => RealDisk.open_dir(at, path),
        }
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        if self.is_own(at, name)? {
            return RealDisk.stat_dir(&self.elsewhere);
        }
        RealDisk.stat(at, name)
    }

    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        if self.is_own(at, name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        RealDisk.create_dir(at, name, mode)
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        // What is to be published is taken from where it is prepared: here it is copied, and stays there.
        let (source, target) = (RealDisk.stat_dir(from)?, RealDisk.stat_dir(to)?);
        if (source.dev, source.ino) != (target.dev, target.ino) {
            return Err(io::Error::from_raw_os_error(errno::EXDEV));
        }
        RealDisk.rename(from, name, to, to_name, how)
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        if self.is_own(at, name)? {
            return Ok(());
        }
        RealDisk.set_mode(at, name, mode)
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_file(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Dir) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self, _: &Dir) -> io::Result<()> {
        Ok(())
    }
}
