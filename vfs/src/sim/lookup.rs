//! From paths to inodes, and what may be opened.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path};

use rustix::io::Errno;

use super::image::{Body, Id, ROOT};
use super::state::State;
use crate::{Entry, Kind, Open};

/// How many symlinks Linux follows on one path.
const SYMLINKS_MAX: usize = 40;

impl State {
    /// The directory at `path`, from the root of the disk, through symlinks.
    pub(super) fn follow(&self, path: &Path) -> Result<Id, Errno> {
        let mut here = ROOT;
        let mut left: VecDeque<OsString> = parts(path);
        let mut symlinks = 0;
        while let Some(part) = left.pop_front() {
            match Path::new(&part).components().next() {
                Some(Component::RootDir) => here = ROOT,
                Some(Component::ParentDir) => here = self.seen.inode(here)?.entries()?.parent,
                Some(Component::Normal(name)) => {
                    let next = self.existing(here, name)?;
                    if let Body::Symlink(target) = &self.seen.inode(next)?.body {
                        symlinks += 1;
                        if symlinks > SYMLINKS_MAX {
                            return Err(Errno::LOOP);
                        }
                        let mut ahead = parts(Path::new(target));
                        ahead.append(&mut left);
                        left = ahead;
                    } else {
                        here = next;
                        self.seen.inode(here)?.entries()?;
                    }
                }
                Some(Component::CurDir | Component::Prefix(_)) | None => {}
            }
        }
        Ok(here)
    }

    pub(super) fn list(&self, dir: Id) -> Result<Vec<Entry>, Errno> {
        let mut out = Vec::new();
        for (name, id) in &self.seen.inode(dir)?.entries()?.by_name {
            let inode = self.seen.inode(*id)?;
            out.push(Entry { name: name.to_os_string(), kind: Some(inode.kind), ino: inode.ino });
        }
        Ok(out)
    }

    /// `id`, where it may be opened in this way.
    pub(super) fn openable(&self, id: Id, how: Open) -> Result<Id, Errno> {
        let writes = how != Open::Read;
        match self.seen.inode(id)?.kind {
            Kind::Symlink => Err(Errno::LOOP),
            Kind::Dir if writes => Err(Errno::ISDIR),
            Kind::Socket | Kind::CharDevice | Kind::BlockDevice => Err(Errno::NXIO),
            Kind::File if writes && self.settings.read_only => Err(Errno::ROFS),
            Kind::Dir | Kind::File | Kind::Fifo => Ok(id),
        }
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components().map(|part| part.as_os_str().to_os_string()).collect()
}
