//! Quarantine: what recovery could not place is kept here, with a report, and never deleted by itself.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Dir, Kind, Open, RelPath, Rename, copy_contents, read_all, write_all};

use crate::home::Home;
use crate::look::legible;
use crate::plan::{Area, Ground, Place};
use crate::redo::{Contents, Superseded};
use crate::{Error, Result};

/// A directory in quarantine that is being filled. Its report names all that is in it.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its name below `quarantine`.
    pub(crate) name: String,
    dir: Dir,
    report: String,
    files: u32,
    /// What is to come in, and under which names.
    kept: Vec<(OsString, Contents)>,
}

const REPORT: &str = "report.txt";
/// A report has a line for each path of a transaction, and is read again where recovery was interrupted.
const REPORT_BYTES_MAX: u64 = 1 << 30;

impl Case {
    /// Opens the case of a transaction, making it where it is missing. Where an earlier try was interrupted, its report
    /// and its files stay, and more comes to them.
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
        let report = match home.disk.open(&dir, OsStr::new(REPORT), Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            file => file.and_then(|file| read_all(&*home.disk, &file, REPORT_BYTES_MAX)).map_err(io("read"))?,
        };
        Ok(Self { name, dir, report: String::from_utf8_lossy(&report).into_owned(), files: 0, kept: Vec::new() })
    }

    /// Adds a line to the report, unless an interrupted try has.
    pub(crate) fn say(&mut self, line: &str) {
        if !self.report.lines().any(|said| said == line) {
            self.report.push_str(line);
            self.report.push('\n');
        }
    }

    /// Keeps what could not be placed, once the case is closed.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn keep(&mut self, home: &Home, lost: &Superseded) -> Result<()> {
        let at = format!(".treewal/quarantine/{}", self.name);
        let io = |verb| Error::io(verb, at);
        let mut line = format!("{:?}: {}", lost.path, lost.reason);
        if let Some(contents) = &lost.contents {
            let (name, is_there) = self.free_name(home, contents).map_err(io("look through"))?;
            if !is_there {
                self.kept.push((name.clone(), contents.clone()));
            }
            line = format!("{line}; its contents are in {name:?}");
        }
        self.say(&line);
        Ok(())
    }

    /// A name that nothing in the case has; or the name under which an interrupted try has kept these very bytes.
    fn free_name(&mut self, home: &Home, contents: &Contents) -> io::Result<(OsString, bool)> {
        loop {
            self.files += 1;
            let name = OsString::from(format!("{:04}", self.files));
            let size = match home.disk.stat(&self.dir, &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((name, false)),
                meta => meta?.size,
            };
            if let Contents::Bytes(bytes) = contents {
                if size == bytes.len() as u64 {
                    let file = home.disk.open(&self.dir, &name, Open::Read)?;
                    if read_all(&*home.disk, &file, size)? == *bytes {
                        return Ok((name, true));
                    }
                }
            }
        }
    }

    /// Moves a directory of treewal's own, such as the snapshot of a guard, into the case.
    ///
    /// # Errors
    /// Any error of the disk; that it was moved before is none.
    pub(crate) fn take_dir(&mut self, home: &Home, from: &Dir, name: &OsStr, as_name: &str) -> Result<()> {
        let mut to = as_name.to_owned();
        for n in 2.. {
            match home.disk.rename(from, name, &self.dir, OsStr::new(&to), Rename::NoReplace) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                // An interrupted try has moved one, and there is another since.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => to = format!("{as_name}-{n}"),
                Err(error) => return Err(Error::io("move into", format!(".treewal/quarantine/{}", self.name))(error)),
            }
        }
        Ok(())
    }

    /// Writes the report, and then brings in what it names: so nothing is ever in the case that no report tells of. The
    /// caller syncs the file system before it records that the transaction is given up.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn close(self, home: &Home) -> Result<String> {
        let io = |verb| Error::io(verb, format!(".treewal/quarantine/{}", self.name));
        let (name, draft) = (OsStr::new(REPORT), OsStr::new("report.new"));
        self.clear(home, draft).map_err(io("clear"))?;
        let file = home.disk.open(&self.dir, draft, Open::CreateNew { mode: 0o600 }).map_err(io("write to"))?;
        write_all(&*home.disk, &file, self.report.as_bytes(), 0).map_err(io("write to"))?;
        home.disk.rename(&self.dir, draft, &self.dir, name, Rename::Replace).map_err(io("write to"))?;
        for (name, contents) in &self.kept {
            match contents {
                Contents::Bytes(bytes) => {
                    let file =
                        home.disk.open(&self.dir, name, Open::CreateNew { mode: 0o600 }).map_err(io("write to"))?;
                    write_all(&*home.disk, &file, bytes, 0).map_err(io("write to"))?;
                }
                Contents::Copied(place) => copy(home, place, &self.dir, name).map_err(io("copy into"))?,
                Contents::Staged(place) => self.take_over(home, place, name).map_err(io("move into"))?,
            }
        }
        Ok(self.name)
    }

    /// Removes what an interrupted try left of a report.
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

/// Copies a file of the tree, or what a symlink points to.
fn copy(home: &Home, place: &Place, to: &Dir, name: &OsStr) -> io::Result<()> {
    let disk = &*home.disk;
    let (dir, from) = Ground::new(disk, home.root.clone()).split(place)?;
    let copied = disk.open(to, name, Open::CreateNew { mode: 0o600 })?;
    if disk.stat(&dir, from)?.kind == Kind::Symlink {
        return write_all(disk, &copied, disk.read_link(&dir, from)?.as_encoded_bytes(), 0);
    }
    let file = legible(disk, &dir, from, None, || disk.open(&dir, from, Open::Read))?;
    copy_contents(disk, &file, &copied).map(drop)
}
