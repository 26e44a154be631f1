//! The disk behind its lock: what processes see, what is certain to survive, and what stands between the two.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustix::io::Errno;

use super::file_log::{Change, FileLog};
use super::image::{Body, Edit, Entries, Id, Image, Inode, ROOT};
use super::inodes::{FIRST_INO, cost};
use super::locks::Locks;
use super::meta_log::{Field, MetaChange, MetaLog};
use super::names_log::NamesLog;
use super::settings::{Reuse, Settings};
use crate::{Kind, Time};

const ROOT_INO: u64 = 2;

#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) id: Id,
    pub(super) process: u64,
    pub(super) writable: bool,
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
    pub(super) next_id: u64,
    pub(super) next_ino: u64,
    /// Inode numbers that may be given out again, with the change of names that freed them where that is not durable.
    pub(super) free_inos: BTreeMap<u64, Option<u64>>,
}

impl State {
    pub(super) fn new() -> Self {
        let now_us = 1_000_000_000_000_000;
        let root = Inode {
            ino: ROOT_INO,
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
            body: Body::Dir(Entries { by_name: BTreeMap::new(), parent: ROOT, subdirs: 0 }),
        };
        let used = cost(&root);
        let image = Image { inodes: BTreeMap::from([(ROOT, Arc::new(root))]) };
        Self {
            seen: image.clone(),
            durable: image,
            names: NamesLog::default(),
            metas: BTreeMap::new(),
            files: BTreeMap::new(),
            journalled: 0,
            settings: Settings::default(),
            used,
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
            next_ino: FIRST_INO,
            free_inos: BTreeMap::new(),
        }
    }

    /// The same disk after a crash or a remount that left exactly `image`.
    pub(super) fn reborn(&self, mut image: Image, same_boot: bool) -> Self {
        image.inodes.retain(|_, inode| inode.names > 0);
        let used = image.inodes.values().map(|inode| cost(inode)).sum();
        let free_inos = if self.settings.reuse == Reuse::Never { BTreeMap::new() } else { self.free_after(&image) };
        Self {
            seen: image.clone(),
            durable: image,
            used,
            boot: if same_boot { self.boot } else { self.boot + 1 },
            mount: self.mount + 1,
            seq: self.seq,
            // A whole second: what is recovered a call later is then the same to the byte, if it was the same before.
            now_us: (self.now_us / 1_000_000 + 2) * 1_000_000,
            settings: self.settings,
            next_id: self.next_id,
            next_ino: self.next_ino,
            free_inos,
            ..Self::new()
        }
    }

    /// What programs are told: finer than the times of entries.
    pub(super) fn clock(&self) -> Time {
        time(self.now_us)
    }

    /// What entries get that change now.
    pub(super) fn now(&self) -> Time {
        time(self.now_us / self.settings.tick_us * self.settings.tick_us)
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Carries out one change of names, which `needs` another beside those that follow from itself.
    pub(super) fn change_names(&mut self, edits: &[Edit], needs: Option<u64>) {
        let seq = self.next_seq();
        let at = self.now();
        let touched: Vec<Id> = edits.iter().filter_map(|edit| edit.old).collect();
        let before = &self.seen;
        self.names.push(seq, at, edits, before, needs);
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
}

pub(super) fn time(us: u64) -> Time {
    let secs = i64::try_from(us / 1_000_000).unwrap_or(i64::MAX);
    let nanos = u32::try_from(us % 1_000_000 * 1000).unwrap_or(0);
    Time { secs, nanos }
}
