//! Attributes that committed transactions set, composed, and compared with what a crash has left.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use treewal_journal::record::{Body, Change, LookChange, New, Owner, Times};
use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::{Redo, Wish};
use crate::look::{Attributes, legible};
use crate::make::{legible_bits, open_bits};
use crate::plan::{Place, shown};
use crate::{Error, Result};

/// A value that shall be, and all that it may be found as: what it was before the first change, and what each set. A power
/// loss may take it back to any of these, as none of the changes was synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aim<T> {
    to: T,
    known: Vec<T>,
}

impl<T: Copy> From<Change<T>> for Aim<T> {
    fn from(change: Change<T>) -> Self {
        Self { to: change.to, known: vec![change.prior, change.to] }
    }
}

impl<T> Aim<T> {
    fn follow(earlier: Option<Self>, later: Option<Self>) -> Option<Self> {
        match (earlier, later) {
            (Some(earlier), Some(later)) => {
                let known = earlier.known.into_iter().chain(later.known).collect();
                Some(Self { to: later.to, known })
            }
            (earlier, later) => later.or(earlier),
        }
    }
}

/// The attributes that an entry of the tree shall have in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    mode: Option<Aim<u32>>,
    owner: Option<Aim<Owner>>,
    times: Option<Aim<Times>>,
    xattrs: BTreeMap<Vec<u8>, Aim<Option<Vec<u8>>>>,
}

impl Looks {
    pub(super) fn of(change: Option<&LookChange>) -> Self {
        let Some(change) = change else { return Self::default() };
        let xattrs = change.xattrs.iter().map(|xattr| {
            (xattr.name.clone(), Aim { to: xattr.to.clone(), known: vec![xattr.prior.clone(), xattr.to.clone()] })
        });
        Self {
            mode: change.mode.map(Aim::from),
            owner: change.owner.map(Aim::from),
            times: change.times.map(Aim::from),
            xattrs: xattrs.collect(),
        }
    }

    /// These attributes, and those that a later transaction set after them.
    pub(super) fn follow(mut self, later: Self) -> Self {
        for (name, aim) in later.xattrs {
            let both = Aim::follow(self.xattrs.remove(&name), Some(aim));
            self.xattrs.extend(both.map(|aim| (name, aim)));
        }
        Self {
            mode: Aim::follow(self.mode, later.mode),
            owner: Aim::follow(self.owner, later.owner),
            times: Aim::follow(self.times, later.times),
            xattrs: self.xattrs,
        }
    }

    pub(super) fn forget_times(&mut self) {
        self.times = None;
    }

    /// Gives these attributes to an entry that an earlier transaction made. What is left says what it may be found with, and
    /// what it shall not have.
    pub(super) fn settle(self, new: &mut New) -> Self {
        new.mode = self.mode.as_ref().map_or(new.mode, |mode| mode.to);
        if let Some(Aim { to, .. }) = self.owner {
            (new.uid, new.gid) = (to.uid, to.gid);
        }
        if let Some(Aim { to, known }) = self.times {
            let newest = known.iter().map(|times| times.modified).chain([newest(new)]).max();
            let modified = newest.unwrap_or(to.modified);
            new.times = Some(Change { to, prior: Times { accessed: to.accessed, modified } });
        }
        for (name, aim) in &self.xattrs {
            new.xattrs.retain(|(other, _)| other != name);
            new.xattrs.extend(aim.to.clone().map(|value| (name.clone(), value)));
        }
        Self { times: None, ..self }
    }

    /// Whether a power loss may have left these bits of an entry that we made: it was made with some of those that it has
    /// in the end, and had others where a later transaction changed them.
    fn may_be_mode(&self, new: &New, found: u32) -> bool {
        let is_dir = matches!(new.body, Body::Dir);
        let whole = if is_dir { open_bits(new.mode) } else { new.mode };
        // So a recovery leaves it that is killed while it looks.
        let opened = legible_bits(if is_dir { Kind::Dir } else { Kind::File }, new.mode);
        // An access control list is where the bits of the group are.
        let has_list = new.xattrs.iter().any(|(name, _)| is_list(name));
        has_list
            || found & !whole == 0
            || found == opened
            || self.mode.as_ref().is_some_and(|mode| mode.known.contains(&found))
    }

    /// The same of its owner: it was made by `maker`.
    fn may_be_owner(&self, maker: u32, found: Owner) -> bool {
        found.uid == maker
            || self.owner.as_ref().is_some_and(|owner| owner.known.iter().any(|known| known.uid == found.uid))
    }

    /// The same of an extended attribute, where it was found at all.
    fn may_be_xattr(&self, name: &[u8], found: &[u8]) -> bool {
        let known = self.xattrs.get(name).is_some_and(|aim| aim.known.iter().flatten().any(|known| known == found));
        is_list(name) || known
    }
}

/// Whether an extended attribute is an access control list, which changes with the permission bits.
fn is_list(name: &[u8]) -> bool {
    name.starts_with(b"system.posix_acl_")
}

/// The last time of modification that a new entry can have had while it was ours alone.
pub(super) fn newest(new: &New) -> Time {
    let set = new.times.iter().flat_map(|times| [times.to.modified, times.prior.modified]);
    set.fold(new.identity.modified, Time::max)
}

/// A time that was set, as the file system may have rounded it.
fn is_time(found: Time, set: Time) -> bool {
    found == set || (found.secs == set.secs && found.nanos == 0)
}

impl Redo<'_> {
    /// A new entry that stands in its place, or in the stage, may have lost attributes that were never synced.
    pub(super) fn compare_looks(&mut self, wish: &Wish, new: &New, spot: &Place, meta: &Meta) -> Result<()> {
        if matches!(new.body, Body::Link { .. }) {
            // What another name got has the attributes of its inode.
            return Ok(());
        }
        if !new.identity.same_inode(&meta.identity()) {
            self.compare_made(wish, new, meta);
            return Ok(());
        }
        let look = &wish.look;
        let mut wanted = Attributes::default();
        // What nothing of ours explains was set by somebody else.
        let mode = if look.may_be_mode(new, meta.mode) { new.mode } else { meta.mode };
        if meta.kind != Kind::Symlink && meta.mode != mode {
            wanted.mode = Some(mode);
        }
        let owner = Owner { uid: new.uid, gid: new.gid };
        let found = owner_of(meta);
        if owner != found && (owner.uid == found.uid || look.may_be_owner(self.ground.disk().user(), found)) {
            // A new owner clears the set-id bits.
            (wanted.owner, wanted.mode) = (Some(owner), Some(mode));
        }
        if let Some(Change { to, .. }) = new.times {
            // A directory's time moves with every entry, also with those that are yet to be placed; a file's stays, unless
            // somebody writes to it.
            let lost = meta.modified <= newest(new) && !is_time(meta.modified, to.modified);
            wanted.times = Some(to).filter(|_| meta.kind == Kind::Dir || lost);
        }
        let gone = look.xattrs.iter().filter(|(_, aim)| aim.to.is_none());
        if !new.xattrs.is_empty() || gone.clone().next().is_some() {
            let there = self.xattrs(spot)?;
            let missing = new.xattrs.iter().filter(|(name, value)| match there.get(name) {
                Some(found) => found != value && look.may_be_xattr(name, found),
                None => true,
            });
            wanted.xattrs.extend(missing.map(|(name, value)| (OsString::from_vec(name.clone()), Some(value.clone()))));
            let left = gone.filter(|(name, _)| there.get(*name).is_some_and(|found| look.may_be_xattr(name, found)));
            wanted.xattrs.extend(left.map(|(name, _)| (OsString::from_vec(name.clone()), None)));
            if !wanted.xattrs.is_empty() && meta.kind != Kind::Symlink {
                wanted.mode = Some(mode);
            }
        }
        self.relook(&wish.path, wanted);
        Ok(())
    }

    /// An entry that is not the one that the commit made, and holds what was committed: somebody else's, a copy, or one that
    /// a recovery made, which has its attributes from the beginning. Only a directory gets some of them once it is full, and
    /// what is closed to its owner is opened to be looked at.
    fn compare_made(&mut self, wish: &Wish, new: &New, meta: &Meta) {
        // It is made with its bits less the mask of the process, and without those that only a change of mode can set: a power
        // loss inside a recovery may leave it so.
        let whole = legible_bits(meta.kind, new.mode);
        let (is_dir, is_file) = (matches!(new.body, Body::Dir), meta.kind == Kind::File);
        let is_as_made = is_dir && (meta.mode == whole & 0o777 || meta.mode == whole & 0o777 & !0o022);
        if (is_dir || is_file) && meta.mode == whole || is_as_made {
            let mode = Some(new.mode).filter(|mode| *mode != meta.mode);
            let times = new.times.map(|times| times.to).filter(|_| meta.kind == Kind::Dir);
            self.relook(&wish.path, Attributes { mode, times, ..Attributes::default() });
        }
    }

    /// An entry of the tree whose attributes were to be set. What somebody else has set since stays; `false` tells of
    /// it.
    pub(super) fn compare_set(&mut self, wish: &Wish, spot: &Place, meta: &Meta) -> Result<bool> {
        let Looks { mode, owner, times, xattrs } = &wish.look;
        let mut wanted = Attributes::default();
        let mut all_ours = true;
        let mut judge = |is_there: bool, is_known: bool| {
            all_ours &= is_there || is_known;
            !is_there && is_known
        };
        let is_mode = |mode: &u32| *mode == meta.mode || legible_bits(meta.kind, *mode) == meta.mode;
        if let Some(aim) = mode.as_ref().filter(|aim| judge(meta.mode == aim.to, aim.known.iter().any(is_mode))) {
            wanted.mode = Some(aim.to);
        }
        let found = owner_of(meta);
        if let Some(aim) = owner.as_ref().filter(|aim| judge(found == aim.to, aim.known.contains(&found))) {
            (wanted.owner, wanted.mode) = (Some(aim.to), Some(mode.as_ref().map_or(meta.mode, |mode| mode.to)));
        }
        if let Some(aim) = times {
            let known = aim.known.iter().any(|known| is_time(meta.modified, known.modified));
            // A directory's time moves with every entry, also with those that are yet to be placed: it says nothing of
            // who moved it.
            if meta.kind == Kind::Dir || judge(is_time(meta.modified, aim.to.modified), known) {
                wanted.times = Some(aim.to);
            }
        }
        if !xattrs.is_empty() {
            let there = self.xattrs(spot)?;
            for (name, aim) in xattrs {
                let found = there.get(name).cloned();
                if judge(found == aim.to, aim.known.contains(&found)) {
                    wanted.xattrs.push((OsString::from_vec(name.clone()), aim.to.clone()));
                }
            }
        }
        self.relook(&wish.path, wanted);
        Ok(all_ours)
    }

    pub(super) fn relook(&mut self, path: &RelPath, wanted: Attributes) {
        if !wanted.is_empty() {
            self.looks.push((path.clone(), wanted));
        }
    }

    fn xattrs(&mut self, spot: &Place) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let (dir, name) = self.ground.split(spot).map_err(Error::io("open the directory of", shown(spot)))?;
        let disk = self.ground.disk();
        let there = legible(disk, &dir, name, None, || disk.xattrs(&dir, name));
        let there = there.map_err(Error::io("look at", shown(spot)))?;
        Ok(there.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect())
    }
}

fn owner_of(meta: &Meta) -> Owner {
    Owner { uid: meta.uid, gid: meta.gid }
}
