//! Quarantine: what recovery could not place is kept here, with a report, and never deleted by itself.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;

use treewal_vfs::{Dir, Open, RelPath, Rename, write_all};

use crate::home::Home;
use crate::plan::{Area, Place};
use crate::redo::{Contents, Superseded};
use crate::{Error, Result};

/// A directory in quarantine that is being filled. Its report is written last, and names all that is in it.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its name below `quarantine`.
    pub(crate) name: String,
    dir: Dir,
    report: String,
    files: u32,
}

impl Case {
    /// Opens the case of a transaction, making it where it is missing: recovery that is interrupted goes on with it.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn open(home: &Home, txn: u64) -> Result<Self> {
        let name = format!("txn-{txn}");
        let io = |verb| Error::io(verb, format!(".treewal/quarantine/{name}"));
        match home.disk.create_dir(&home.quarantine, OsStr::new(&name), 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io("make")(error)),
            _ => {}
        }
        let dir = home.disk.open_dir(&home.quarantine, &RelPath::root().join(&name)).map_err(io("open"))?;
        Ok(Self { name, dir, report: String::new(), files: 0 })
    }

    /// Adds a line to the report.
    pub(crate) fn say(&mut self, line: &str) {
        self.report.push_str(line);
        self.report.push('\n');
    }

    /// Keeps what could not be placed, and says so.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn keep(&mut self, home: &Home, lost: &Superseded) -> Result<()> {
        let io = |verb| Error::io(verb, format!(".treewal/quarantine/{}", self.name));
        let mut line = format!("{:?}: {}", lost.path, lost.reason);
        if let Some(contents) = &lost.contents {
            self.files += 1;
            let name = OsString::from(format!("{:04}", self.files));
            match contents {
                Contents::Bytes(bytes) => {
                    self.clear(home, &name).map_err(io("clear"))?;
                    let file =
                        home.disk.open(&self.dir, &name, Open::CreateNew { mode: 0o600 }).map_err(io("write to"))?;
                    write_all(&*home.disk, &file, bytes, 0).map_err(io("write to"))?;
                }
                Contents::Staged(place) => self.take_over(home, place, &name).map_err(io("move into"))?,
            }
            // Writing to a string cannot fail.
            write!(line, "; its contents are in {:?}", name)
                .map_err(|_| io("report to")(io::ErrorKind::Other.into()))?;
        }
        self.say(&line);
        Ok(())
    }

    /// Moves a directory of treewal's own, such as the snapshot of a guard, into the case.
    ///
    /// # Errors
    /// Any error of the disk; that it was moved before is none.
    pub(crate) fn take_dir(&mut self, home: &Home, from: &Dir, name: &OsStr, as_name: &str) -> Result<()> {
        match home.disk.rename(from, name, &self.dir, OsStr::new(as_name), Rename::NoReplace) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound) => {
                Err(Error::io("move into", format!(".treewal/quarantine/{}", self.name))(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes the report. The caller syncs the file system before it records that the transaction is given up.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn close(self, home: &Home) -> Result<String> {
        let io = |verb| Error::io(verb, format!(".treewal/quarantine/{}/report.txt", self.name));
        let name = OsStr::new("report.txt");
        self.clear(home, name).map_err(io("clear"))?;
        let file = home.disk.open(&self.dir, name, Open::CreateNew { mode: 0o600 }).map_err(io("make"))?;
        write_all(&*home.disk, &file, self.report.as_bytes(), 0).map_err(io("write"))?;
        Ok(self.name)
    }

    /// Removes what an interrupted try left under a name that is about to be written again from the same source.
    fn clear(&self, home: &Home, name: &OsStr) -> io::Result<()> {
        match home.disk.remove_file(&self.dir, name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn take_over(&self, home: &Home, place: &Place, name: &OsStr) -> io::Result<()> {
        let Area::Stage(stage) = &place.area else { return Err(io::ErrorKind::InvalidInput.into()) };
        let (parent, inner) = place.path.split().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = home.disk.open_dir(&home.stage, &RelPath::root().join(stage).join_path(&parent))?;
        match home.disk.rename(&dir, inner, &self.dir, name, Rename::NoReplace) {
            // An interrupted try has moved it already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
