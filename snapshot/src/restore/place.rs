//! Moving something that is whole into its place in the tree, so that a reader finds the old or the new.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Rename, errno};

/// How often a name that comes and goes meanwhile is tried.
const ATTEMPTS_MAX: u32 = 4;

/// A private directory that hands out names nobody has.
pub(super) struct Bench<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: Dir,
    next: u64,
}

impl<'a> Bench<'a> {
    /// Takes over what is in `dir`, from restores that did not come to their end among it: it stays there.
    pub(super) fn new(disk: &'a dyn Disk, dir: Dir) -> io::Result<Self> {
        let next = disk.list(&dir)?.len() as u64;
        Ok(Self { disk, dir, next })
    }

    /// Does `make` with a name until it does not say that the name is taken.
    pub(super) fn make(&mut self, make: impl Fn(&Dir, &OsStr) -> io::Result<()>) -> io::Result<OsString> {
        loop {
            let name = OsString::from(self.next.to_string());
            self.next += 1;
            match make(&self.dir, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| name),
            }
        }
    }

    /// Renames `name` in `from`, a `kind`, to `to_name` in `to`. What stands there (`over`, as far as is known) lands
    /// under the old name of the new.
    ///
    /// Without an exchange of names, a file that replaces a file is the only one left, and a file that replaces a
    /// directory, or the other way round, leaves a moment in which nothing is there.
    pub(super) fn put(&mut self, what: &Item<'_>, to: &Dir, to_name: &OsStr, over: Option<Kind>) -> io::Result<()> {
        let mut over = over;
        let mut tried = 0;
        loop {
            tried += 1;
            let how = if over.is_some() { Rename::Exchange } else { Rename::NoReplace };
            let renamed = self.disk.rename(what.dir, what.name, to, to_name, how);
            match renamed.as_ref().map_err(io::Error::raw_os_error) {
                Err(Some(errno::EINVAL)) => return self.put_plainly(what, to, to_name, over),
                // Somebody came first, or took it away: look again.
                Err(Some(errno::EEXIST | errno::ENOENT)) if tried < ATTEMPTS_MAX => {
                    let there = match self.disk.stat(to, to_name) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                        meta => Some(meta?.kind),
                    };
                    if there == Some(Kind::Dir) && over.is_some_and(|over| over != Kind::Dir) {
                        return Err(io::Error::from_raw_os_error(errno::EBUSY));
                    }
                    over = there;
                }
                Ok(()) if over.is_some_and(|over| over != Kind::Dir) => return self.keep_dir(what, to, to_name),
                _ => return renamed,
            }
        }
    }

    /// A directory that came to the place of something else right before it was exchanged: all that is in it would go with
    /// what is displaced. It goes back, and the restore can be tried again.
    ///
    /// Crash argument: between the two exchanges it is in the private directory, under no name in the tree. A kill or a loss
    /// of power there leaves it to the next restore, which takes it for what was displaced, and it goes with the snapshot. Somebody
    /// must exchange names, and the process must end, within the same two system calls.
    fn keep_dir(&self, what: &Item<'_>, to: &Dir, to_name: &OsStr) -> io::Result<()> {
        if self.disk.stat(what.dir, what.name)?.kind != Kind::Dir {
            return Ok(());
        }
        self.disk.rename(what.dir, what.name, to, to_name, Rename::Exchange)?;
        Err(io::Error::from_raw_os_error(errno::EBUSY))
    }

    /// Takes what is at `name` in `from` out of the tree; it stays in the private directory.
    pub(super) fn take_away(&mut self, from: &Dir, name: &OsStr) -> io::Result<()> {
        let disk = self.disk;
        match self.make(|dir, aside| disk.rename(from, name, dir, aside, Rename::NoReplace)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.raw_os_error() == Some(errno::EINVAL) => {
                // A file system that knows only the old rename: nobody else has a name here.
                self.next += 1;
                disk.rename(from, name, &self.dir, OsStr::new(&self.next.to_string()), Rename::Replace)
            }
            made => made.map(drop),
        }
    }

    /// For file systems that know only the old rename.
    fn put_plainly(&mut self, what: &Item<'_>, to: &Dir, to_name: &OsStr, over: Option<Kind>) -> io::Result<()> {
        let is_dir = what.kind == Kind::Dir;
        if over.is_some_and(|over| is_dir || over == Kind::Dir) {
            let disk = self.disk;
            // An empty place holder, so that the name is ours before something is renamed over it.
            let over_dir = over == Some(Kind::Dir);
            let aside =
                self.make(
                    |dir, name| if over_dir { disk.create_dir(dir, name, 0o700) } else { reserve(disk, dir, name) },
                )?;
            disk.rename(to, to_name, &self.dir, &aside, Rename::Replace)?;
        }
        self.disk.rename(what.dir, what.name, to, to_name, Rename::Replace)
    }
}

fn reserve(disk: &dyn Disk, dir: &Dir, name: &OsStr) -> io::Result<()> {
    disk.open(dir, name, treewal_vfs::Open::CreateNew { mode: 0o600 }).map(drop)
}

/// Something whole in a private directory.
pub(super) struct Item<'a> {
    pub(super) dir: &'a Dir,
    pub(super) name: &'a OsStr,
    pub(super) kind: Kind,
}
