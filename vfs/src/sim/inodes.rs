//! Inodes as they come and go: their space, their numbers, and when the last of them is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::content::{BLOCK_BYTES, Content};
use super::image::{Body, Id, Image, Inode};
use super::settings::Reuse;
use super::state::State;
use crate::Kind;

/// What an inode takes of the space, besides its blocks.
const INODE_BYTES: u64 = 512;
const BLOCK: u64 = BLOCK_BYTES as u64;
const UMASK: u32 = 0o022;
const SET_GROUP_ID: u32 = 0o2000;
/// The first number that is given out; those below are the file system's own, as in ext4.
pub(super) const FIRST_INO: u64 = 11;

impl State {
    pub(super) fn free(&self) -> u64 {
        self.settings.capacity.saturating_sub(self.used)
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Errno> {
        if self.free() < bytes {
            return Err(Errno::NOSPC);
        }
        self.used += bytes;
        Ok(())
    }

    pub(super) fn writable(&self) -> Result<(), Errno> {
        if self.settings.read_only { Err(Errno::ROFS) } else { Ok(()) }
    }

    /// A new inode without a name, in both layers: what is in it before any sync is what it was made with. As in Linux,
    /// it gets the group of a directory that has the set-group-id bit, and a directory gets that bit too. With it comes
    /// the change of names without which it cannot survive, because that made its number free.
    pub(super) fn make(
        &mut self,
        dir: Id,
        kind: Kind,
        mode: u32,
        rdev: u64,
        body: Body,
    ) -> Result<(Id, Option<u64>), Errno> {
        let above = self.seen.inode(dir)?;
        let gid = if above.mode & SET_GROUP_ID == 0 { 0 } else { above.gid };
        let inherited = if kind == Kind::Dir { above.mode & SET_GROUP_ID } else { 0 };
        let blocks = if kind == Kind::Dir { BLOCK } else { 0 };
        self.charge(INODE_BYTES + blocks)?;
        let (ino, freed_by) = self.free_inos.pop_first().unwrap_or((self.next_ino, None));
        self.next_ino = self.next_ino.max(ino + 1);
        let id = Id(self.next_id);
        self.next_id += 1;
        let now = self.now();
        let mode = if kind == Kind::Symlink { 0o777 } else { mode & !UMASK | inherited };
        let inode = Arc::new(Inode {
            ino,
            kind,
            mode,
            uid: 0,
            gid,
            rdev,
            born: now,
            accessed: now,
            modified: now,
            changed: now,
            timed_by: 0,
            xattrs: Arc::default(),
            names: 0,
            body,
        });
        self.seen.inodes.insert(id, Arc::clone(&inode));
        self.durable.inodes.insert(id, inode);
        Ok((id, freed_by))
    }

    /// Drops what has no name and is not open.
    pub(super) fn reap(&mut self, id: Id) {
        let gone = self.seen.find(id).is_some_and(|inode| inode.names == 0) && !self.opens_of.contains_key(&id);
        if gone {
            if let Some(inode) = self.seen.inodes.remove(&id) {
                self.used = self.used.saturating_sub(cost(&inode));
                if self.settings.reuse == Reuse::AtOnce {
                    self.free_inos.insert(inode.ino, self.names.last_of(id));
                }
            }
        }
        let certain = self.durable.find(id).is_none_or(|inode| inode.names == 0);
        if certain && !self.seen.inodes.contains_key(&id) && self.names.last_of(id).is_none() {
            self.durable.inodes.remove(&id);
            self.metas.remove(&id);
            self.files.remove(&id);
        }
    }

    /// The inode numbers that `image` leaves free.
    pub(super) fn free_after(&self, image: &Image) -> BTreeMap<u64, Option<u64>> {
        let mut taken: Vec<u64> = image.inodes.values().map(|inode| inode.ino).collect();
        taken.sort_unstable();
        let mut free = BTreeMap::new();
        let mut next = FIRST_INO;
        for ino in taken.into_iter().chain([self.next_ino]) {
            free.extend((next..ino).map(|ino| (ino, None)));
            next = next.max(ino + 1);
        }
        free
    }

    /// How much of a write fits on the disk.
    pub(super) fn fitting(&self, content: &Content, want: usize, offset: u64) -> usize {
        content.fitting(want, offset, self.free() / BLOCK)
    }
}

/// What an inode takes of the space.
pub(super) fn cost(inode: &Inode) -> u64 {
    INODE_BYTES + inode.allocated()
}
