//! The report for people: lines, each said once, whatever number of tries says it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Open, Rename, read_all, write_all};

use super::report::{JSON, REPORT};
use crate::home::Home;
use crate::{Error, Result};

/// A report has a line for each path of a transaction, and is read again where recovery was interrupted.
const REPORT_BYTES_MAX: u64 = 1 << 30;

#[derive(Debug, Default)]
pub(super) struct Said {
    text: String,
    lines: HashSet<String>,
}

impl Said {
    /// What an interrupted try has said.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn read(disk: &dyn Disk, case: &Dir) -> io::Result<Self> {
        let bytes = match disk.open(case, OsStr::new(REPORT), Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            file => read_all(disk, &file?, REPORT_BYTES_MAX)?,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().map(str::to_owned).collect();
        Ok(Self { text, lines })
    }

    /// Adds a line, unless it is there.
    pub(super) fn say(&mut self, line: &str) {
        if self.lines.insert(line.to_owned()) {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Puts a file in the place of another, or of none: it is there wholly or not at all once the directory is synced.
///
/// # Errors
/// Any error of the disk.
pub(super) fn put(disk: &dyn Disk, dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = format!("{name}.new");
    let draft = OsStr::new(&draft);
    // What an interrupted try has left.
    match disk.remove_file(dir, draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(dir, draft, Open::CreateNew { mode: 0o600 })?;
    write_all(disk, &file, bytes, 0)?;
    disk.sync_file(&file)?;
    disk.rename(dir, draft, dir, OsStr::new(name), Rename::Replace)
}

/// Moves what stands in the place of a report, and is no file, out of the way.
///
/// # Errors
/// Any error of the disk.
pub(super) fn make_way(disk: &dyn Disk, case: &Dir) -> io::Result<()> {
    for name in [REPORT, JSON].into_iter().flat_map(|name| [name.to_owned(), format!("{name}.new")]) {
        let kind = match disk.stat(case, OsStr::new(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?.kind,
        };
        if kind != Kind::File {
            set_aside(disk, (case, OsStr::new(&name)), case, &format!("lost-{name}"))?;
        }
    }
    Ok(())
}

/// Moves an entry to a name that is free: this one, or one with a number behind it. Gives the name.
///
/// # Errors
/// Any error of the disk.
pub(crate) fn set_aside(disk: &dyn Disk, (from, name): (&Dir, &OsStr), to: &Dir, to_name: &str) -> io::Result<String> {
    let mut free = to_name.to_owned();
    for number in 2_u32.. {
        match disk.rename(from, name, to, OsStr::new(&free), Rename::NoReplace) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => free = format!("{to_name}-{number}"),
            moved => return moved.map(|()| free),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Moves all that is in a directory of `.treewal` to quarantine, and tells. Durable when it returns.
///
/// # Errors
/// Any error of the disk.
pub(crate) fn set_aside_all(home: &Home, from: &Dir, shown: &str) -> Result<Option<String>> {
    let io = |verb| Error::io(verb, format!(".treewal/{shown}"));
    let disk = &*home.disk;
    let mut kept = Vec::new();
    for entry in disk.list(from).map_err(io("list"))? {
        let name = entry.name.to_string_lossy();
        kept.push(set_aside(disk, (from, &entry.name), &home.quarantine, &name).map_err(io("set aside"))?);
    }
    disk.sync_dir(&home.quarantine).map_err(io("sync"))?;
    disk.sync_dir(from).map_err(io("sync"))?;
    kept.sort();
    let told =
        |kept: String| format!("nothing in .treewal/{shown} can be read; it is kept in .treewal/quarantine: {kept}");
    Ok(Some(kept.join(", ")).filter(|kept| !kept.is_empty()).map(told))
}
