//! The disk behind its lock: what processes see, what is certain to survive, and what stands between the two.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustix::io::Errno;

use super::content::{BLOCK_BYTES, Content};
use super::file_log::{Change, FileLog};
use super::image::{Body, Edit, Entries, Id, Image, Inode, ROOT};
use super::locks::Locks;
use super::meta_log::{Field, MetaChange, MetaLog};
use super::names_log::NamesLog;
use crate::{Kind, Time};

/// What an inode takes of the space, besides its blocks.
const INODE_BYTES: u64 = 512;
const BLOCK: u64 = BLOCK_BYTES as u64;
const UMASK: u32 = 0o022;
const SET_GROUP_ID: u32 = 0o2000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) id: Id,
    pub(super) process: u64,
    pub(super) writable: bool,
}

/// What a test may set, and a crash leaves as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) capacity: u64,
    pub(super) read_only: bool,
    pub(super) reuse_numbers: bool,
    pub(super) reflink: bool,
    pub(super) exchange: bool,
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) seen: Image,
    pub(super) durable: Image,
    pub(super) names: NamesLog,
    pub(super) metas: BTreeMap<Id, MetaLog>,
    pub(super) files: BTreeMap<Id, FileLog>,
    /// The last change when a file or directory was synced: a journalled file system keeps all up to it.
    pub(super) journalled: u64,
    pub(super) settings: Settings,
    pub(super) used: u64,
    pub(super) boot: u64,
    pub(super) mount: u64,
    pub(super) seq: u64,
    pub(super) now_us: u64,
    pub(super) mutations: u64,
    pub(super) cut_at: Option<u64>,
    pub(super) off: bool,
    pub(super) syncs: u64,
    pub(super) fail_sync_at: Option<u64>,
    pub(super) processes: BTreeSet<u64>,
    pub(super) last_process: u64,
    pub(super) opened: BTreeMap<u64, Opened>,
    pub(super) last_handle: u64,
    pub(super) opens_of: HashMap<Id, u64>,
    pub(super) locks: Locks,
    next_id: u64,
    next_ino: u64,
    /// Inode numbers that a crash gave back, the lowest last.
    free_inos: Vec<u64>,
}

impl State {
    pub(super) fn new() -> Self {
        let now_us = 1_000_000_000_000_000;
        let mut root = Inode {
            ino: 2,
            kind: Kind::Dir,
            mode: 0o755,
            uid: 0,
            gid: 0,
            rdev: 0,
            born: time(now_us),
            accessed: time(now_us),
            modified: time(now_us),
            changed: time(now_us),
            timed_by: 0,
            xattrs: Arc::default(),
            names: 1,
            body: Body::Node,
        };
        root.body = Body::Dir(Entries { by_name: BTreeMap::new(), parent: ROOT, subdirs: 0 });
        let image = Image { inodes: BTreeMap::from([(ROOT, Arc::new(root))]) };
        Self {
            seen: image.clone(),
            durable: image,
            names: NamesLog::default(),
            metas: BTreeMap::new(),
            files: BTreeMap::new(),
            journalled: 0,
            settings: Settings {
                capacity: 1 << 40,
                read_only: false,
                reuse_numbers: true,
                reflink: true,
                exchange: true,
            },
            used: INODE_BYTES + BLOCK,
            boot: 1,
            mount: 1,
            seq: 0,
            now_us,
            mutations: 0,
            cut_at: None,
            off: false,
            syncs: 0,
            fail_sync_at: None,
            processes: BTreeSet::from([1]),
            last_process: 1,
            opened: BTreeMap::new(),
            last_handle: 0,
            opens_of: HashMap::new(),
            locks: Locks::default(),
            next_id: 1,
            next_ino: 11,
            free_inos: Vec::new(),
        }
    }

    /// The same disk after a crash or a remount that left exactly `image`.
    pub(super) fn reborn(&self, mut image: Image, same_boot: bool) -> Self {
        image.inodes.retain(|_, inode| inode.names > 0);
        let used = image.inodes.values().map(|inode| cost(inode)).sum();
        let taken: BTreeSet<u64> = image.inodes.values().map(|inode| inode.ino).collect();
        let reuse = self.settings.reuse_numbers;
        let free_inos =
            if reuse { (11..self.next_ino).rev().filter(|ino| !taken.contains(ino)).collect() } else { vec![] };
        Self {
            seen: image.clone(),
            durable: image,
            used,
            boot: if same_boot { self.boot } else { self.boot + 1 },
            mount: self.mount + 1,
            seq: self.seq,
            now_us: self.now_us + 1_000_000,
            settings: self.settings,
            next_id: self.next_id,
            next_ino: self.next_ino,
            free_inos,
            ..Self::new()
        }
    }

    pub(super) fn now(&self) -> Time {
        time(self.now_us)
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    // --- space -----------------------------------------------------------------------------------------------------

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

    // --- inodes ----------------------------------------------------------------------------------------------------

    /// A new inode without a name, in both layers: what is in it before any sync is what it was made with. As in Linux,
    /// it gets the group of a directory that has the set-group-id bit, and a directory gets that bit too.
    pub(super) fn make(&mut self, dir: Id, kind: Kind, mode: u32, rdev: u64, body: Body) -> Result<Id, Errno> {
        let above = self.seen.inode(dir)?;
        let gid = if above.mode & SET_GROUP_ID == 0 { 0 } else { above.gid };
        let inherited = if kind == Kind::Dir { above.mode & SET_GROUP_ID } else { 0 };
        let blocks = if kind == Kind::Dir { BLOCK } else { 0 };
        self.charge(INODE_BYTES + blocks)?;
        let ino = self.free_inos.pop().unwrap_or(self.next_ino);
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
        Ok(id)
    }

    /// Drops what has no name and is not open.
    pub(super) fn reap(&mut self, id: Id) {
        let gone = self.seen.find(id).is_some_and(|inode| inode.names == 0) && !self.opens_of.contains_key(&id);
        if gone {
            if let Some(inode) = self.seen.inodes.remove(&id) {
                self.used = self.used.saturating_sub(cost(&inode));
            }
        }
        let certain = self.durable.find(id).is_none_or(|inode| inode.names == 0);
        if certain && !self.seen.inodes.contains_key(&id) && !self.names.concerns(id) {
            self.durable.inodes.remove(&id);
            self.metas.remove(&id);
            self.files.remove(&id);
        }
    }

    // --- changes ---------------------------------------------------------------------------------------------------

    /// Carries out one change of names.
    pub(super) fn rename_entries(&mut self, edits: &[Edit]) {
        let seq = self.next_seq();
        let at = self.now();
        let touched: Vec<Id> = edits.iter().filter_map(|edit| edit.old).collect();
        let before = &self.seen;
        self.names.push(seq, at, edits, before);
        self.seen.apply(seq, at, edits);
        for id in touched {
            self.reap(id);
        }
    }

    /// Carries out one change of metadata.
    pub(super) fn change_field(&mut self, id: Id, field: Field, implied: bool) -> Result<(), Errno> {
        let change = MetaChange { seq: self.next_seq(), at: self.now(), field, implied, dropped: false };
        change.apply(self.seen.inode_mut(id)?);
        self.metas.entry(id).or_default().push(change);
        Ok(())
    }

    /// Carries out one change of contents; the modification time moves with it.
    pub(super) fn change_content(&mut self, id: Id, change: Change) -> Result<(), Errno> {
        let now = self.now();
        let seq = self.next_seq();
        let inode = self.seen.inode_mut(id)?;
        let accessed = inode.accessed;
        let Body::File(content) = &mut inode.body else { return Err(Errno::INVAL) };
        let before = content.allocated();
        let content = Arc::make_mut(content);
        match &change {
            Change::Data { offset, bytes } => content.write(bytes, *offset),
            Change::Len(len) => content.set_len(*len),
        }
        self.used = (self.used + content.allocated()).saturating_sub(before);
        self.files.entry(id).or_default().push(seq, change);
        self.change_field(id, Field::Times(accessed, now), true)
    }

    /// How much of a write fits on the disk.
    pub(super) fn fitting(&self, content: &Content, want: usize, offset: u64) -> usize {
        content.fitting(want, offset, self.free() / BLOCK)
    }
}

fn cost(inode: &Inode) -> u64 {
    INODE_BYTES + inode.allocated()
}

pub(super) fn time(us: u64) -> Time {
    let secs = i64::try_from(us / 1_000_000).unwrap_or(i64::MAX);
    let nanos = u32::try_from(us % 1_000_000 * 1000).unwrap_or(0);
    Time { secs, nanos }
}
