//! Changes of mode, owner, times and extended attributes that a power loss may still undo, each for itself.

use std::ffi::OsString;
use std::mem::discriminant;
use std::sync::Arc;

use super::image::Inode;
use crate::Time;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Mode(u32),
    Owner(u32, u32),
    Times(Time, Time),
    Xattr(OsString, Option<Arc<[u8]>>),
}

impl Field {
    fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Xattr(mine, _), Self::Xattr(theirs, _)) => mine == theirs,
            _ => discriminant(self) == discriminant(other),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct MetaChange {
    pub(super) seq: u64,
    pub(super) at: Time,
    pub(super) field: Field,
    /// Made by a write rather than asked for: the file system may carry it out much later than the rest.
    pub(super) implied: bool,
    /// A sync that should have covered it failed: no later one does.
    pub(super) dropped: bool,
}

impl MetaChange {
    pub(super) fn apply(&self, inode: &mut Inode) {
        inode.changed = inode.changed.max(self.at);
        match &self.field {
            Field::Mode(mode) => inode.mode = *mode,
            Field::Owner(uid, gid) => (inode.uid, inode.gid) = (*uid, *gid),
            Field::Times(accessed, modified) if self.seq > inode.timed_by => {
                (inode.accessed, inode.modified, inode.timed_by) = (*accessed, *modified, self.seq);
            }
            Field::Times(..) => {}
            Field::Xattr(key, Some(value)) => {
                Arc::make_mut(&mut inode.xattrs).insert(key.clone(), Arc::clone(value));
            }
            Field::Xattr(key, None) => {
                Arc::make_mut(&mut inode.xattrs).remove(key);
            }
        }
    }
}

/// The pending changes of one inode, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct MetaLog(pub(super) Vec<MetaChange>);

impl MetaLog {
    pub(super) fn push(&mut self, change: MetaChange) {
        if change.implied {
            // Only the latest modification time counts: one a write is many a file.
            let last = self.0.iter().rposition(|earlier| earlier.field.same_place(&change.field));
            if let Some(place) = last.filter(|place| self.0[*place].implied && !self.0[*place].dropped) {
                self.0.remove(place);
            }
        }
        self.0.push(change);
    }

    /// Makes `durable` hold all that no failed sync holds back.
    pub(super) fn settle(&mut self, durable: &mut Inode) {
        let mut held: Vec<MetaChange> = Vec::new();
        for change in self.0.drain(..) {
            if change.dropped {
                held.push(change);
            } else {
                change.apply(durable);
                held.retain(|earlier| !earlier.field.same_place(&change.field));
            }
        }
        self.0 = held;
    }

    /// The asked-for changes, those of one field together, each group oldest first.
    pub(super) fn by_field(&self) -> Vec<Vec<u64>> {
        let mut groups: Vec<(&Field, Vec<u64>)> = Vec::new();
        for change in self.0.iter().filter(|change| !change.implied) {
            match groups.iter_mut().find(|(field, _)| field.same_place(&change.field)) {
                Some((_, seqs)) => seqs.push(change.seq),
                None => groups.push((&change.field, vec![change.seq])),
            }
        }
        groups.into_iter().map(|(_, seqs)| seqs).collect()
    }

    /// What a write did to the modification time, where that is pending.
    pub(super) fn implied(&self) -> Option<u64> {
        self.0.iter().rfind(|change| change.implied).map(|change| change.seq)
    }
}
