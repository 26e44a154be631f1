//! What operations answer and do to the tree in memory, as `std::fs` would.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use treewal_vfs::{Kind, RelPath};

use crate::memory::{Memory, No, rel};
use crate::ops::{Op, TARGET, XATTR};
use crate::seen::Entry;

type Done<T = ()> = Result<T, No>;

impl Memory {
    /// What stands at a path whose parents are directories.
    pub(crate) fn look(&self, path: &RelPath) -> Done<Option<&Entry>> {
        let mut above: Vec<RelPath> = std::iter::successors(path.parent(), RelPath::parent).collect();
        above.reverse();
        for dir in above {
            match self.at(&dir) {
                None => return Err(ErrorKind::NotFound.into()),
                Some(found) if found.kind != Kind::Dir => return Err(ErrorKind::NotADirectory.into()),
                Some(_) => {}
            }
        }
        Ok(self.at(path))
    }

    pub(crate) fn there(&self, path: &RelPath) -> Done<&Entry> {
        self.look(path)?.ok_or(No::Because(ErrorKind::NotFound))
    }

    fn absent(&self, path: &RelPath) -> Done {
        self.look(path)?.map_or(Ok(()), |_| Err(ErrorKind::AlreadyExists.into()))
    }

    /// Does it, or says why not.
    pub(crate) fn take(&mut self, op: &Op) -> Done {
        if self.is_refused(op) {
            return Err(No::Refused);
        }
        match op {
            Op::Write(path, bytes) => self.write(&rel(path), bytes.clone()),
            Op::Append(path, bytes) => {
                let path = rel(path);
                let mut whole = self.look(&path)?.map_or_else(Vec::new, |old| old.contents.clone());
                whole.extend_from_slice(bytes);
                self.write(&path, whole)
            }
            Op::Stream(path, pieces, len) => {
                let mut bytes = Vec::new();
                pieces.iter().for_each(|(offset, piece)| over(&mut bytes, *offset, piece));
                len.iter().for_each(|len| bytes.resize(usize::try_from(*len).unwrap(), 0));
                self.write(&rel(path), bytes)
            }
            Op::Update(path, offset, piece) => {
                let mut bytes = self.file(&rel(path))?.contents.clone();
                over(&mut bytes, *offset, piece);
                self.write(&rel(path), bytes)
            }
            Op::Copy(from, to) => self.copy(&rel(from), &rel(to)),
            Op::CreateDir(path) => {
                self.absent(&rel(path))?;
                self.put(&rel(path), self.new_entry(Kind::Dir, 0o755));
                Ok(())
            }
            Op::CreateDirAll(path) => self.create_dir_all(&rel(path)),
            Op::Symlink(path) => {
                self.absent(&rel(path))?;
                let target = Some(TARGET.as_bytes().to_vec());
                self.put(&rel(path), Entry { target, ..self.new_entry(Kind::Symlink, 0) });
                Ok(())
            }
            Op::HardLink(original, link) => self.hard_link(&rel(original), &rel(link)),
            Op::Rename(from, to) => self.rename(&rel(from), &rel(to)),
            Op::Exchange(a, b) => self.exchange(&rel(a), &rel(b)),
            Op::Publish(from, to, keep) => self.publish(&rel(from), &rel(to), *keep),
            Op::RemoveFile(path) => self.remove_file(&rel(path)),
            Op::RemoveDir(path) => self.remove_dir(&rel(path)),
            Op::RemoveDirAll(path) => self.remove_dir_all(&rel(path)),
            Op::Chmod(path, mode) => {
                self.change(path, |entry| entry.mode = *mode)?;
                self.unset.remove(&self.names[&rel(path)]);
                Ok(())
            }
            Op::SetTime(path, secs) => self.change(path, |entry| entry.set = Some(i64::try_from(*secs).unwrap())),
            Op::Chown(path, id) => self.change(path, |entry| entry.owner = (*id, *id + 1)),
            Op::Lchown(path, id) => self.change(path, |entry| entry.owner.0 = *id),
            Op::Xattr(path, value) => self.xattr(path, *value),
        }
    }

    fn is_refused(&self, op: &Op) -> bool {
        let link = |path: &Path| self.is(&rel(path), Kind::Symlink);
        let (paths, follows) = match op {
            Op::Write(path, _)
            | Op::Append(path, _)
            | Op::Stream(path, ..)
            | Op::CreateDirAll(path)
            | Op::Update(path, ..) => (vec![path], true),
            Op::Chmod(path, _) | Op::SetTime(path, _) | Op::Chown(path, _) | Op::Xattr(path, _) => {
                (vec![path], link(path))
            }
            Op::Copy(from, to) => (vec![from, to], true),
            Op::Rename(a, b) | Op::Exchange(a, b) | Op::HardLink(a, b) | Op::Publish(a, b, _) => (vec![a, b], false),
            Op::CreateDir(path)
            | Op::Symlink(path)
            | Op::RemoveFile(path)
            | Op::RemoveDir(path)
            | Op::RemoveDirAll(path)
            | Op::Lchown(path, _) => (vec![path], false),
        };
        let special = |path: &Path| follows && (link(path) || self.is(&rel(path), Kind::Fifo));
        paths.into_iter().any(|path| special(path) || path.ancestors().skip(1).any(link))
    }

    /// A file that can be read.
    fn file(&self, path: &RelPath) -> Done<&Entry> {
        match self.there(path)? {
            found if found.kind == Kind::Dir => Err(ErrorKind::IsADirectory.into()),
            found => Ok(found),
        }
    }

    /// A new file takes the place of the old one, and its bits.
    pub(crate) fn write(&mut self, path: &RelPath, contents: Vec<u8>) -> Done {
        let fresh = self.new_entry(Kind::File, 0o644);
        let base = match self.look(path)? {
            Some(found) if found.kind == Kind::Dir => return Err(ErrorKind::IsADirectory.into()),
            Some(found) => found.clone(),
            None => fresh,
        };
        let entry = Entry { contents, set: None, ..base };
        if self.mounted.as_ref() == Some(path) {
            self.nodes.insert(self.names[path], entry);
        } else {
            let unset = self.names.get(path).is_none_or(|old| self.unset.contains(old));
            self.put(path, entry);
            if unset {
                self.unset.insert(self.next);
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: &RelPath, to: &RelPath) -> Done {
        let found = self.there(from)?.clone();
        if found.kind != Kind::File {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.write(to, found.contents)?;
        let id = self.names[to];
        self.nodes.get_mut(&id).unwrap().mode = found.mode;
        self.unset.remove(&id);
        Ok(())
    }

    fn create_dir_all(&mut self, path: &RelPath) -> Done {
        let mut all: Vec<RelPath> = std::iter::successors(Some(path.clone()), RelPath::parent).collect();
        all.reverse();
        for dir in &all {
            match self.at(dir) {
                Some(found) if found.kind == Kind::Dir => {}
                Some(_) if dir == path => return Err(ErrorKind::AlreadyExists.into()),
                Some(_) => return Err(ErrorKind::NotADirectory.into()),
                None => self.put(dir, self.new_entry(Kind::Dir, 0o755)),
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, original: &RelPath, link: &RelPath) -> Done {
        let is_dir = self.there(original)?.kind == Kind::Dir;
        self.absent(link)?;
        if is_dir {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.names.insert(link.clone(), self.names[original]);
        Ok(())
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Done {
        let moving = self.look(from).and_then(|found| self.look(to).map(|_| found))?;
        let is_dir = moving.ok_or(ErrorKind::NotFound)?.kind == Kind::Dir;
        if from != to && to.starts_with(from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if from != to && from.starts_with(to) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        if self.names.get(from) == self.names.get(to) {
            return Ok(());
        }
        match (is_dir, self.at(to).map(|there| there.kind == Kind::Dir)) {
            (true, Some(false)) => return Err(ErrorKind::NotADirectory.into()),
            (false, Some(true)) => return Err(ErrorKind::IsADirectory.into()),
            (true, Some(true)) if self.beneath(to).len() > 1 => return Err(ErrorKind::DirectoryNotEmpty.into()),
            _ => {}
        }
        self.cut(to);
        let moved = self.cut(from);
        self.paste(to, moved);
        Ok(())
    }

    fn exchange(&mut self, a: &RelPath, b: &RelPath) -> Done {
        self.look(a).and_then(|found| self.look(b).map(|_| found))?.ok_or(ErrorKind::NotFound)?;
        self.there(b)?;
        if a == b {
            return Ok(());
        }
        if a.starts_with(b) || b.starts_with(a) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let (first, second) = (self.cut(a), self.cut(b));
        self.paste(b, first);
        self.paste(a, second);
        Ok(())
    }

    fn publish(&mut self, from: &RelPath, to: &RelPath, keep: bool) -> Done {
        let moving = self.there(from)?.clone();
        let there = self.look(to)?.cloned();
        let unset = self.names.get(to).is_some_and(|id| self.unset.contains(id));
        if from == to {
            return Ok(());
        }
        if to.starts_with(from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        match there.as_ref().map(|there| there.kind == Kind::Dir) {
            Some(false) if moving.kind == Kind::Dir => return Err(ErrorKind::NotADirectory.into()),
            Some(true) if moving.kind != Kind::Dir => return Err(ErrorKind::IsADirectory.into()),
            _ => {}
        }
        let mut moved: BTreeMap<RelPath, u64> = self.cut(from).into_iter().collect();
        let old = self.cut(to);
        if keep && moving.kind == Kind::Dir {
            let above_is_dir = |moved: &BTreeMap<RelPath, u64>, tail: &RelPath| {
                let dir = |id: Option<&u64>| id.is_some_and(|id| self.nodes[id].kind == Kind::Dir);
                tail.parent().is_some_and(|parent| dir(moved.get(&parent)))
            };
            for (tail, id) in old {
                if !moved.contains_key(&tail) && above_is_dir(&moved, &tail) {
                    moved.insert(tail, id);
                }
            }
        }
        if let Some(there) = there.filter(|there| there.kind == Kind::File && moving.kind == Kind::File) {
            let id = moved[&RelPath::root()];
            let mode = if unset { moving.mode } else { there.mode };
            self.unset.retain(|other| unset || *other != id);
            let entry = Entry { mode, owner: there.owner, xattrs: there.xattrs, ..moving };
            self.nodes.insert(id, entry);
        }
        self.paste(to, moved.into_iter().collect());
        Ok(())
    }

    fn remove_file(&mut self, path: &RelPath) -> Done {
        self.file(path)?;
        self.names.remove(path);
        Ok(())
    }

    fn remove_dir(&mut self, path: &RelPath) -> Done {
        if self.there(path)?.kind != Kind::Dir {
            return Err(ErrorKind::NotADirectory.into());
        }
        if self.beneath(path).len() > 1 {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.names.remove(path);
        Ok(())
    }

    fn remove_dir_all(&mut self, path: &RelPath) -> Done {
        if !matches!(self.there(path)?.kind, Kind::Dir | Kind::Symlink) {
            return Err(ErrorKind::NotADirectory.into());
        }
        self.cut(path);
        Ok(())
    }

    fn change(&mut self, path: &Path, how: impl FnOnce(&mut Entry)) -> Done {
        let path = rel(path);
        self.there(&path)?;
        how(self.nodes.get_mut(&self.names[&path]).unwrap());
        Ok(())
    }

    fn xattr(&mut self, path: &Path, value: Option<u8>) -> Done {
        let found = self.there(&rel(path))?;
        if !matches!(found.kind, Kind::File | Kind::Dir) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let had = !found.xattrs.is_empty();
        let xattrs = value.map(|value| (XATTR.into(), vec![value])).into_iter().collect();
        if value.is_none() && !had {
            return Err(ErrorKind::NotFound.into());
        }
        self.change(path, |entry| entry.xattrs = xattrs)
    }
}

/// Writes a piece over what there is.
fn over(bytes: &mut Vec<u8>, offset: u64, piece: &[u8]) {
    if piece.is_empty() {
        return;
    }
    let start = usize::try_from(offset).unwrap();
    bytes.resize(bytes.len().max(start + piece.len()), 0);
    bytes[start..start + piece.len()].copy_from_slice(piece);
}
