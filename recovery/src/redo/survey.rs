//! The survey: what stands at each path that a redo is about. Reads only.

use treewal_journal::record::{Body, Goal, New};
use treewal_vfs::{Identity, Kind, Meta, Open, read_all};

use super::compose::Wish;
use super::looks::newest;
use crate::look::legible;
use crate::plan::{Area, Ground, Place};
use crate::{Error, Result};

/// What stands at a path, in the light of what may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Nothing,
    /// What shall stand there, complete.
    Wanted(Meta),
    /// Our own new file, without some of its contents: the power went before they were written back. Or it may lose them yet:
    /// a sync has failed.
    Torn(Meta),
    /// Something that stood there legally before the last of the transactions.
    Known(Meta),
    /// Something that somebody else put there, or changed.
    Foreign(Meta),
}

/// Looks at one place in the tree. `siblings` are states of other paths, where entries move: one may stand here for a moment.
///
/// # Errors
/// Any error of the disk but that nothing is there.
pub(super) fn look(ground: &mut Ground<'_>, place: &Place, wish: &Wish, siblings: &[Identity]) -> Result<Seen> {
    let io = |verb| Error::io(verb, crate::plan::shown(place));
    let Some(meta) = ground.stat(place).map_err(io("look at"))? else { return Ok(Seen::Nothing) };
    let found = meta.identity();
    let known = || wish.known.iter().chain(siblings);
    let wanted = match &wish.goal {
        Goal::Absent | Goal::Emptied | Goal::Rewritten { .. } => None,
        Goal::New(new) => judge_new(ground, place, &meta, new)?.filter(|_| !is_prior(known(), new, &meta)),
        Goal::Moved { identity, .. } => identity.same_inode(&found).then_some(Seen::Wanted(meta)),
        Goal::Kept => wish.known.iter().any(|known| known.same_inode(&found)).then_some(Seen::Wanted(meta)),
    };
    Ok(wanted.unwrap_or_else(|| {
        if known().any(|known| is_untouched(known, &found)) { Seen::Known(meta) } else { Seen::Foreign(meta) }
    }))
}

/// Whether what stands at a path is what stood there before. With the same contents it could pass for what is wanted, and its
/// attributes are those that it had, with the times that a loss of power left it. What has another name as well gives that all
/// that it is given, also where somebody has written to it since.
fn is_prior<'a>(mut known: impl Iterator<Item = &'a Identity>, new: &New, meta: &Meta) -> bool {
    let found = meta.identity();
    let is_it = |known: &Identity| if meta.links > 1 { known.same_inode(&found) } else { is_untouched(known, &found) };
    !new.identity.same_inode(&found) && known.any(is_it)
}

/// Whether the entry is one that we know, and nobody wrote to it since: a power loss may have set an inode of ours back,
/// never forward.
pub(super) fn is_untouched(known: &Identity, found: &Identity) -> bool {
    known.same_inode(found) && found.modified <= known.modified
}

/// Whether an entry is the new one: whole, or torn; `None` where it is neither.
pub(super) fn judge_new(ground: &mut Ground<'_>, place: &Place, meta: &Meta, new: &New) -> Result<Option<Seen>> {
    let found = meta.identity();
    let ours = new.identity.same_inode(&found);
    match &new.body {
        // Any directory will do: what shall be in it is looked at by itself.
        Body::Dir => Ok((meta.kind == Kind::Dir && ours).then_some(Seen::Wanted(*meta))),
        Body::Symlink(target) => {
            if meta.kind != Kind::Symlink {
                return Ok(None);
            }
            let there = ground.split(place).and_then(|(dir, name)| ground.disk().read_link(&dir, name));
            let there = there.map_err(Error::io("read", crate::plan::shown(place)))?;
            Ok((there.as_encoded_bytes() == target).then_some(Seen::Wanted(*meta)))
        }
        Body::Staged => {
            let is_it = is_large(new, &found) || is_copied(new, meta);
            Ok(is_it.then_some(Seen::Wanted(*meta)))
        }
        // Another name of an entry: whoever writes to it writes to both.
        Body::Link { .. } => Ok(ours.then_some(Seen::Wanted(*meta))),
        Body::Inline(bytes) => {
            if meta.kind != Kind::File || meta.size > bytes.len() as u64 {
                return Ok(None);
            }
            // What is closed to us is opened where it may well be ours.
            let may_be = meta.mode == new.mode && meta.size == bytes.len() as u64;
            let opens = ours || may_be || place.area != Area::Tree;
            let Some(there) = contents(ground, place, bytes.len() as u64, opens)? else { return Ok(None) };
            if there == *bytes {
                let may_be_lost = ground.doubts && !bytes.is_empty();
                return Ok(Some(if may_be_lost { Seen::Torn(*meta) } else { Seen::Wanted(*meta) }));
            }
            let torn = ours && found.modified <= newest(new) && is_torn_form(&there, bytes);
            Ok(torn.then_some(Seen::Torn(*meta)))
        }
    }
}

/// Whether a file is a large one of a commit, as it was synced before it was promised: the inode is the contents. Whoever has
/// written to it since may have set its time back, as programs do that copy with times.
pub(crate) fn is_large(new: &New, found: &Identity) -> bool {
    let is_it = matches!(new.body, Body::Staged) && new.identity.same_inode(found);
    is_it && found.size == new.identity.size && found.modified <= newest(new)
}

/// Whether a file is a copy of a large one, times and all, as it stands in a tree that was copied. Only for leaving it where
/// it is, or for finding it in its own slot.
pub(super) fn is_copied(new: &New, found: &Meta) -> bool {
    found.kind == Kind::File && found.size == new.identity.size && found.modified == newest(new)
}

/// Whether the entry at a place is one that a recovery began to make, and was cut short.
pub(super) fn is_begun(ground: &mut Ground<'_>, place: &Place, new: &New) -> Result<bool> {
    let Body::Inline(bytes) = &new.body else { return Ok(false) };
    let meta = ground.stat(place).map_err(Error::io("look at", crate::plan::shown(place)))?;
    if meta.is_none_or(|meta| meta.kind != Kind::File || meta.size > bytes.len() as u64) {
        return Ok(false);
    }
    let there = contents(ground, place, bytes.len() as u64, true)?;
    Ok(there.is_some_and(|there| is_torn_form(&there, bytes)))
}

/// What a file holds; `None` where this process may not read it.
fn contents(ground: &mut Ground<'_>, place: &Place, bytes_max: u64, opens: bool) -> Result<Option<Vec<u8>>> {
    let disk = ground.disk();
    let (dir, name) = ground.split(place).map_err(Error::io("open the directory of", crate::plan::shown(place)))?;
    let open = || disk.open(&dir, name, Open::Read);
    let file = if opens { legible(disk, &dir, name, None, open) } else { open() };
    match file.and_then(|file| read_all(disk, &file, bytes_max)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
        read => read.map(Some).map_err(Error::io("read", crate::plan::shown(place))),
    }
}

/// Whether `found` is what a power loss can leave of `whole`: cut short, with zeros where bytes were not written back.
#[must_use]
pub fn is_torn_form(found: &[u8], whole: &[u8]) -> bool {
    found.len() <= whole.len() && found.iter().zip(whole).all(|(found, whole)| found == whole || *found == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_form_is_cut_or_zeroed_and_nothing_else() {
        assert!(is_torn_form(b"", b"whole"));
        assert!(is_torn_form(b"who", b"whole"));
        assert!(is_torn_form(b"wh\0\0e", b"whole"));
        assert!(!is_torn_form(b"whale", b"whole"));
        assert!(!is_torn_form(b"wholesome", b"whole"));
    }
}
