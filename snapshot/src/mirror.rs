//! A second tree of a snapshot: the guarded paths as they are, with all attributes, ready to be put into place whole.
//!
//! Its files are further names of the backups, so it costs names and no contents. The mirror of a guarded path is named by
//! the path's number, and beside it stands an empty file that is named by that number and the inode of the mirror: whoever
//! looks knows whether the mirror is still there, or in its place in the tree.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use treewal_vfs::{Dir, Disk, Kind, Meta, Open, RelPath, Time};

use crate::ladder::backup_place;
use crate::manifest::{Entry, Guarded, is_within};
use crate::restore::set_back;
use crate::{Error, Result};

/// The directory of the mirrors in the directory of their snapshot.
pub(crate) const MIRROR: &str = "mirror";
const PRIVATE_DIR: u32 = 0o700;

/// What a mark says of the mirror of a guarded path: which inode it is, and the time that it had.
///
/// The time, because a directory that moves has another one on some file systems (XFS writes its `..` anew).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    guarded: usize,
    ino: u64,
    born: Time,
    pub(crate) modified: Time,
}

impl Mark {
    pub(crate) fn is(&self, guarded: usize, meta: &Meta) -> bool {
        (self.guarded, self.ino, self.born) == (guarded, meta.ino, meta.born)
    }

    fn name(&self) -> OsString {
        let Self { guarded, ino, born, modified } = self;
        format!("{guarded}.{ino}.{}.{}.{}.{}", born.secs, born.nanos, modified.secs, modified.nanos).into()
    }

    /// `None` where the name is not that of a mark.
    fn parse(name: &OsStr) -> Option<Self> {
        let mut parts = name.to_str()?.split('.');
        let (guarded, ino) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let mut time = || Some(Time { secs: parts.next()?.parse().ok()?, nanos: parts.next()?.parse().ok()? });
        let (born, modified) = (time()?, time()?);
        parts.next().is_none().then_some(Self { guarded, ino, born, modified })
    }
}

/// The name of the mirror of a guarded path.
pub(crate) fn top(guarded: usize) -> OsString {
    guarded.to_string().into()
}

/// Makes mirrors while a snapshot is taken.
pub(crate) struct Mirror<'a> {
    disk: &'a dyn Disk,
    into: &'a Dir,
    home: Dir,
    /// The guarded paths that are there.
    roots: Vec<Vec<u8>>,
    /// The directories that are being filled, from the top: path, handle, and what they shall be in the end.
    open: Vec<(Vec<u8>, Dir, Entry)>,
}

impl<'a> Mirror<'a> {
    /// # Errors
    /// [`Error::NotExchangeable`] where the whole tree is guarded, which holds the snapshot itself, or something in it is
    /// excluded, which would have to go with it.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        into: &'a Dir,
        (guarded, present): (&[RelPath], &[&RelPath]),
        excluded: &[RelPath],
    ) -> Result<Self> {
        let holds = |path: &RelPath| excluded.iter().any(|excluded| excluded.starts_with(path));
        if let Some(path) = guarded.iter().find(|path| !path.is_root() && holds(path)) {
            return Err(Error::NotExchangeable { path: path.clone(), what: "something in it is excluded" });
        }
        if let Some(path) = guarded.iter().find(|path| path.is_root()) {
            return Err(Error::NotExchangeable { path: path.clone(), what: "it is the tree itself" });
        }
        disk.create_dir(into, OsStr::new(MIRROR), PRIVATE_DIR).map_err(Error::own("create", MIRROR))?;
        let home = disk.open_dir(into, &RelPath::root().join(MIRROR)).map_err(Error::own("open", MIRROR))?;
        let roots = present.iter().map(|path| path.to_bytes()).collect();
        Ok(Self { disk, into, home, roots, open: Vec::new() })
    }

    /// Adds the next entry, in the order of a manifest; `backup` is the number of the backup of a file, under whichever
    /// name that was kept.
    pub(crate) fn add(&mut self, path: &[u8], entry: &Entry, backup: Option<u64>) -> Result<()> {
        self.leave(Some(path))?;
        let failed = |verb| Error::io_at(verb, path);
        let (dir, name) = self.locate(path);
        let name = name.as_os_str();
        match (entry.meta.kind, &entry.target, backup) {
            (Kind::Dir, ..) => self.disk.create_dir(&dir, name, PRIVATE_DIR).map_err(failed("mirror"))?,
            (Kind::File, _, Some(number)) => {
                let (home, own) = backup_place(number);
                let home = self.disk.open_dir(self.into, &home).map_err(failed("mirror"))?;
                self.disk.hard_link(&home, &own, &dir, name).map_err(failed("mirror"))?;
            }
            (_, Some(target), _) => self.disk.symlink(target, &dir, name).map_err(failed("mirror"))?,
            _ => self.disk.make_node(&dir, name, &entry.meta).map_err(failed("mirror"))?,
        }
        if self.open.is_empty() {
            let meta = self.disk.stat(&dir, name).map_err(failed("mirror"))?;
            let how = Open::CreateNew { mode: 0o600 };
            let (guarded, modified) = (self.number(path), entry.meta.modified);
            let mark = Mark { guarded, ino: meta.ino, born: meta.born, modified };
            self.disk.open(&dir, &mark.name(), how).map_err(failed("mirror"))?;
        }
        if entry.is_dir() {
            let own = self.disk.open_dir(&dir, &RelPath::root().join(name)).map_err(failed("mirror"))?;
            self.open.push((path.to_vec(), own, entry.clone()));
        } else {
            set_back(self.disk, &dir, name, entry).map_err(failed("mirror"))?;
        }
        Ok(())
    }

    /// Where in the mirror a path is, the directories above it being those that are open.
    fn locate(&self, path: &[u8]) -> (Dir, OsString) {
        match self.open.last() {
            Some((above, dir, _)) => {
                let name = path.get(above.len() + 1..).unwrap_or_default();
                (dir.clone(), OsStr::from_bytes(name).to_os_string())
            }
            None => (self.home.clone(), top(self.number(path))),
        }
    }

    fn number(&self, path: &[u8]) -> usize {
        self.roots.iter().position(|root| root == path).unwrap_or(self.roots.len())
    }

    /// Ends the directories that `path` is not in: nothing more comes into them, so that their times may be set.
    fn leave(&mut self, path: Option<&[u8]>) -> Result<()> {
        while self.open.last().is_some_and(|(above, ..)| path.is_none_or(|path| !is_within(path, above))) {
            let Some((above, _, entry)) = self.open.pop() else { break };
            let (dir, name) = self.locate(&above);
            set_back(self.disk, &dir, &name, &entry).map_err(Error::io_at("mirror", &above))?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.leave(None)
    }
}

/// The mirrors of a snapshot: the directory that they are in, and the marks there.
pub(crate) fn mirrors(disk: &dyn Disk, from: &Dir, guarded: &[Guarded]) -> Result<(Dir, Vec<Mark>)> {
    let home = match disk.open_dir(from, &RelPath::root().join(MIRROR)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let path = guarded.first().map(|guarded| guarded.path.clone()).unwrap_or_default();
            return Err(Error::NotExchangeable { path, what: "the snapshot was taken without a mirror" });
        }
        home => home.map_err(Error::own("open", MIRROR))?,
    };
    let listed = disk.list(&home).map_err(Error::own("list", MIRROR))?;
    let marks = listed.iter().filter_map(|entry| Mark::parse(&entry.name)).collect();
    Ok((home, marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_its_name() {
        let (born, modified) = (Time { secs: -5, nanos: 7 }, Time { secs: 9, nanos: 999_999_999 });
        let mark = Mark { guarded: 3, ino: u64::MAX, born, modified };
        assert_eq!(Mark::parse(&mark.name()), Some(mark));
        for name in ["", "3", "3.1.2.3.4", "3.1.2.3.4.5.6", "3.1.2.3.4.x", "x.1.2.3.4.5"] {
            assert_eq!(Mark::parse(OsStr::new(name)), None, "{name}");
        }
    }
}
