//! What a staged transaction was to bring, staged anew.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

use treewal_recovery::quarantine::{Entry, Found, Goal, Item};
use treewal_vfs::{Dir, Disk, File, Kind, Meta, Open, RelPath, read_all};

use super::case::Case;
use super::export::look;
use super::leave::Look;
use super::path_of;
use super::retry::{Retried, Retry, SINCE};
use crate::transaction::Base;
use crate::{Error, Result, Transaction};

/// A target of a symlink is not longer.
const TARGET_BYTES_MAX: u64 = 4096;
/// What is compared at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// Stages all items that are not in place: what is to stand from the top down, what is to go from the bottom up.
pub(super) fn stage(
    case: &Case<'_>,
    items: &[Item],
    tx: &mut Transaction,
    how: Retry,
    done: &mut Retried,
) -> Result<()> {
    let mut sorted: Vec<(RelPath, &Item)> = Vec::with_capacity(items.len());
    for item in items {
        let bytes = item.path.bytes().unwrap_or_default();
        match path_of(&bytes) {
            Some(path) => sorted.push((path, item)),
            None => done.conflict(OsString::from_vec(bytes), "it is no path of the tree"),
        }
    }
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let (gone, wanted): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|(_, item)| item.goal == Goal::Absent);
    let disk = &*case.home.disk;
    let mut retry = Staged { case, disk, tx, how, done, looked: Vec::new() };
    for (path, item) in gone.iter().rev().chain(&wanted) {
        match retry.one(path, item) {
            Err(error) if is_local(&error) => retry.done.conflict(path.to_path(), said(&error)),
            staged => staged?,
        }
    }
    let looked = std::mem::take(&mut retry.looked);
    for (path, before) in looked {
        // What the transaction has seen is checked at its commit; what was here before it looked is checked now.
        if retry.live(&path)?.as_ref().map(Entry::from) != before {
            retry.done.conflict(path.to_path(), SINCE);
        }
    }
    Ok(())
}

struct Staged<'a> {
    case: &'a Case<'a>,
    disk: &'a dyn Disk,
    tx: &'a mut Transaction,
    how: Retry,
    done: &'a mut Retried,
    /// What stood at the paths that were staged.
    looked: Vec<(RelPath, Option<Entry>)>,
}

impl Staged<'_> {
    /// What stands at a path now, whatever the transaction is about to do.
    fn live(&self, path: &RelPath) -> Result<Option<Meta>> {
        match Base::new(self.case.home.disk.clone(), self.case.home.root.clone()).stat("look at", path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(None),
            live => live,
        }
    }

    fn one(&mut self, path: &RelPath, item: &Item) -> Result<()> {
        let live = self.live(path)?;
        let contents = self.case.contents(item.file.as_deref());
        if self.is_in_place(path, item, live.as_ref(), contents.as_ref())? {
            return Ok(());
        }
        let found = match &item.found {
            None => false,
            Some(Found::Nothing) => live.is_none(),
            Some(Found::Entry(entry)) => live.as_ref().map(Entry::from).as_ref() == Some(entry),
        };
        if !found && !self.how.force {
            self.done
                .conflict(path.to_path(), if item.found.is_some() { SINCE } else { "nobody saw what stood there" });
            return Ok(());
        }
        let what = self.bring(path, item, live.as_ref(), contents)?;
        if let Some(what) = what {
            self.done.step(path, what);
            self.looked.push((path.clone(), live.as_ref().map(Entry::from)));
        }
        Ok(())
    }

    /// Whether a path is as the transaction was to leave it.
    fn is_in_place(
        &self,
        path: &RelPath,
        item: &Item,
        live: Option<&Meta>,
        contents: Option<&(Dir, OsString, Meta, RelPath)>,
    ) -> Result<bool> {
        let io = |source| Error::io("compare", path)(source);
        Ok(match (item.goal, live, contents) {
            (Goal::Absent, None, _) => true,
            (Goal::Dir, Some(live), None) => live.kind == Kind::Dir,
            // It came to its place before the rest was given up; that nobody has written to it since, its identity says.
            (Goal::File, Some(live), None) => item.stands && item.found == Some(Found::Entry(Entry::from(live))),
            (Goal::Symlink, Some(live), Some((at, name, ..))) if live.kind == Kind::Symlink => {
                let target = self.bytes(at, name).map_err(io)?;
                self.tx.read_link(path.to_path())?.into_os_string().into_vec() == target
            }
            (Goal::File, Some(live), Some((at, name, kept, _)))
                if (live.kind, kept.kind) == (Kind::File, Kind::File) =>
            {
                if live.size != kept.size {
                    return Ok(false);
                }
                let (parent, live_name) = crate::transaction::split("compare", path)?;
                let dir = self.disk.open_dir(&self.case.home.root, &parent).map_err(io)?;
                let theirs = self.disk.open(&dir, &live_name, Open::Read).map_err(io)?;
                let ours = self.disk.open(at, name, Open::Read).map_err(io)?;
                same(self.disk, &theirs, &ours).map_err(io)?
            }
            _ => false,
        })
    }

    fn bytes(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<u8>> {
        read_all(self.disk, &self.disk.open(at, name, Open::Read)?, TARGET_BYTES_MAX)
    }

    /// Stages one item; says what that is, or that it cannot be.
    fn bring(
        &mut self,
        path: &RelPath,
        item: &Item,
        live: Option<&Meta>,
        contents: Option<(Dir, OsString, Meta, RelPath)>,
    ) -> Result<Option<&'static str>> {
        let why = match (item.goal, contents) {
            (Goal::Absent, _) => {
                match live.map(|live| live.kind) {
                    Some(Kind::Dir) => self.tx.remove_dir(path.to_path())?,
                    _ => self.tx.remove_file(path.to_path())?,
                }
                return Ok(Some("remove"));
            }
            (Goal::Dir, None) => {
                self.clear(path, live)?;
                self.tx.create_dir(path.to_path())?;
                self.look_like(path, item.attributes.as_ref().map(look))?;
                return Ok(Some("make"));
            }
            (Goal::Symlink, Some((at, name, meta, _))) if meta.kind == Kind::File => {
                let target = self.bytes(&at, &name).map_err(Error::io("read what is kept for", path))?;
                self.clear(path, live)?;
                self.tx.symlink(OsString::from_vec(target), path.to_path())?;
                return Ok(Some("make"));
            }
            (Goal::File | Goal::Dir | Goal::Moved, Some((at, name, ..))) => {
                self.clear(path, live)?;
                self.whole(path, (&at, &name), item.attributes.as_ref().map(look))?;
                return Ok(Some("write"));
            }
            (Goal::Link, None) => {
                let from = item.from.as_ref().and_then(|from| path_of(&from.bytes()?));
                match from {
                    Some(from) if self.tx.exists(from.to_path())? => {
                        self.clear(path, live)?;
                        self.tx.hard_link(from.to_path(), path.to_path())?;
                        return Ok(Some("link"));
                    }
                    _ => "the file that it was to be another name of is gone",
                }
            }
            (Goal::Attributes, _) => "attributes that were to be set are not brought back: set them by hand",
            (Goal::Moved, None) => "what was to move here is not in quarantine",
            _ => "its contents are not in quarantine",
        };
        self.done.conflict(path.to_path(), why);
        Ok(None)
    }

    /// Makes the directories above a path, and removes what stands there.
    fn clear(&mut self, path: &RelPath, live: Option<&Meta>) -> Result<()> {
        if let Some(parent) = path.parent().filter(|parent| !parent.is_root()) {
            self.tx.create_dir_all(parent.to_path())?;
        }
        match live.map(|live| live.kind) {
            None => Ok(()),
            Some(Kind::Dir) => self.tx.remove_dir(path.to_path()),
            Some(_) => self.tx.remove_file(path.to_path()),
        }
    }

    /// A file or symlink, or a directory with all that is in it. What is nothing of that is a conflict.
    fn whole(&mut self, path: &RelPath, (at, name): (&Dir, &OsStr), told: Option<Look>) -> Result<()> {
        let mut todo = vec![(at.clone(), name.to_owned(), path.clone())];
        let mut looks = Vec::new();
        while let Some((at, name, path)) = todo.pop() {
            let io = |source| Error::io("read what is kept for", &path)(source);
            let own = Look::of(self.disk, &at, &name).map_err(io)?;
            match self.disk.stat(&at, &name).map_err(io)?.kind {
                Kind::File => {
                    let source = self.disk.open(&at, &name, Open::Read).map_err(io)?;
                    self.tx.put_back(&path, self.disk, &source)?;
                }
                Kind::Symlink => {
                    self.tx.symlink(self.disk.read_link(&at, &name).map_err(io)?, path.to_path())?;
                    continue;
                }
                Kind::Dir => {
                    self.tx.create_dir(path.to_path())?;
                    let inner = self.disk.open_dir(&at, &RelPath::root().join(&name)).map_err(io)?;
                    for entry in self.disk.list(&inner).map_err(io)? {
                        todo.push((inner.clone(), entry.name.clone(), path.join(&entry.name)));
                    }
                }
                _ => {
                    self.done.conflict(path.to_path(), "what is kept for it is neither file, directory nor symlink");
                    continue;
                }
            }
            looks.push((path, own));
        }
        let mut told = told;
        for (at, own) in looks.into_iter().rev() {
            let look = if at == *path { told.take().unwrap_or(own) } else { own };
            self.look_like(&at, Some(look))?;
        }
        Ok(())
    }

    fn look_like(&mut self, path: &RelPath, look: Option<Look>) -> Result<()> {
        let Some(look) = look else { return Ok(()) };
        let live = self.tx.metadata(path.to_path())?;
        let mut mode = look.mode;
        if (live.uid(), live.gid()) != (Some(look.owner.0), Some(look.owner.1)) {
            match self.tx.lchown(path.to_path(), Some(look.owner.0), Some(look.owner.1)) {
                // Nobody gets another's rights by running it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => mode &= 0o1777,
                owned => owned?,
            }
        }
        for (name, value) in &look.xattrs {
            self.tx.set_xattr(path.to_path(), name, value)?;
        }
        self.tx.set_mode(path, mode)?;
        match look.modified.and_then(crate::transaction::to_system_time) {
            Some(time) => self.tx.set_times(path.to_path(), crate::FileTimes::new().set_modified(time)),
            None => Ok(()),
        }
    }
}

/// Whether two files of one size hold the same.
fn same(disk: &dyn Disk, a: &File, b: &File) -> io::Result<bool> {
    let (mut of_a, mut of_b) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut at = 0;
    loop {
        let read = disk.read_at(a, &mut of_a, at)?;
        let mut there = 0;
        while there < read {
            match disk.read_at(b, &mut of_b[there..read], at + there as u64)? {
                0 => return Ok(false),
                more => there += more,
            }
        }
        if of_a[..read] != of_b[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at += read as u64;
    }
}

/// What one path meets, and no other.
fn is_local(error: &Error) -> bool {
    use io::ErrorKind::{
        AlreadyExists, DirectoryNotEmpty, FileTooLarge, InvalidInput, IsADirectory, NotADirectory, NotFound,
        PermissionDenied, Unsupported,
    };
    matches!(error, Error::ThroughSymlink { .. } | Error::OtherFileSystem { .. } | Error::Conflict { .. })
        || matches!(
            error.kind(),
            AlreadyExists
                | DirectoryNotEmpty
                | FileTooLarge
                | InvalidInput
                | IsADirectory
                | NotADirectory
                | NotFound
                | PermissionDenied
                | Unsupported
        )
}

fn said(error: &Error) -> String {
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{cause}")
}
