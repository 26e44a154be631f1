//! What the attributes of an entry say about what it was. Pure.

use treewal_vfs::{Kind, Meta, Time};

use crate::manifest::{Backup, Entry, Mode};

/// What stands where a file was, by its attributes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The file itself: inode, size and all times are those of then.
    Same,
    /// The file itself, with size and modification time of then, and something else about it changed since.
    Touched,
    /// The file itself, written to since.
    Written,
    /// Its backup, put there by an earlier restore.
    Backup,
    /// Its backup, put there by an earlier restore and written to since.
    BackupWritten,
    /// Another inode with size and modification time of then: the whole tree may have been copied.
    Alike,
    /// Something else.
    Other,
}

/// Judges what is at the path of a file now; `backup` is that of its first name.
pub(crate) fn judge(entry: &Entry, backup: Option<&Backup>, live: &Meta) -> Verdict {
    let then = &entry.meta;
    if live.kind != then.kind {
        return Verdict::Other;
    }
    let untorn = live.size == then.size && live.modified == then.modified;
    if live.ino == then.ino && live.born == then.born {
        return match (untorn, live.changed == then.changed) {
            (true, true) => Verdict::Same,
            (true, false) => Verdict::Touched,
            (false, _) => Verdict::Written,
        };
    }
    match backup.filter(|backup| is_backup(backup, live)) {
        None if untorn => Verdict::Alike,
        None => Verdict::Other,
        Some(backup) if is_whole(backup, then, live) => Verdict::Backup,
        Some(_) => Verdict::BackupWritten,
    }
}

/// Whether this is the inode of the backup, wherever it is and whatever was written to it.
pub(crate) fn is_backup(backup: &Backup, live: &Meta) -> bool {
    live.kind == Kind::File && live.ino == backup.ino && live.born == backup.born
}

/// Whether nobody wrote to the backup. A restore gives it the time of the entry before it goes back, and a power loss
/// may take that again: so either time will do.
pub(crate) fn is_whole(backup: &Backup, then: &Meta, live: &Meta) -> bool {
    let copied = backup.mode != Mode::HardLink && live.modified == backup.modified;
    live.size == then.size && (live.modified == then.modified || copied)
}

/// Whether this may be a copy of the backup, made together with the whole tree, so that no inode is the one of then.
pub(crate) fn may_be_copy(backup: &Backup, then: &Meta, live: &Meta) -> bool {
    let untouched = live.modified == backup.modified || backup.checksum.is_some();
    live.kind == Kind::File && live.size == then.size && untouched
}

/// Whether everything that `stat` says and a restore brings back is as it was.
pub(crate) fn has_attributes(entry: &Entry, live: &Meta) -> bool {
    let then = &entry.meta;
    (live.mode, live.uid, live.gid, live.modified) == (then.mode, then.uid, then.gid, then.modified)
}

/// Whether nothing about the entry can have changed, extended attributes among it.
pub(crate) fn is_settled(entry: &Entry, live: &Meta) -> bool {
    let then = &entry.meta;
    let same = (live.kind, live.ino, live.born, live.changed) == (then.kind, then.ino, then.born, then.changed);
    same && has_attributes(entry, live)
}

/// Whether the times of an entry cannot prove that it was not changed after the snapshot, which was finished at `taken`:
/// they lie within the same tick of the clock.
pub(crate) fn is_doubtful(taken: Time, entry: &Entry) -> bool {
    entry.meta.changed >= taken
}
