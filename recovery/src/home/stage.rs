//! Stage directories: one for each open handle, owned through a lock, reclaimed when the owner is gone.
//!
//! The lock file is made and locked before the directory is, and removed after it: so a directory without a lock file
//! never has an owner, and one whose lock is free has lost its owner, to whatever killed it. A sweeper and an owner that
//! starts may meet over a lock file that is made but not yet locked; the owner notices that the file it locked is no
//! longer the one of that name, and starts over with another.

use std::ffi::{OsStr, OsString};
use std::io;

use treewal_vfs::{Dir, Disk, File, Kind, Lock, Open, RelPath, Rename, Time, errno, remove_tree};

use super::Home;
use crate::{Error, Result};

const LOCK_SUFFIX: &str = ".lock";
/// No slot has such a name: it is not removed with its stage.
pub(crate) const ADOPTED_PREFIX: &str = "in-";

/// The stage directory of this handle.
#[derive(Debug)]
pub struct OwnStage {
    /// Its name below `stage`.
    pub name: String,
    /// The directory.
    pub dir: Dir,
    lock: File,
}

impl OwnStage {
    /// Makes a stage directory and owns it. `random` gives a fresh number each time.
    ///
    /// Nothing of it is synced: what a power loss leaves of it is swept, or was synced by whoever needs it.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn create(home: &Home, random: &mut dyn FnMut() -> u64) -> Result<Self> {
        let disk = &*home.disk;
        loop {
            let name = format!("{:016x}", random());
            let lock_name = OsString::from(format!("{name}{LOCK_SUFFIX}"));
            let lock = match disk.open(&home.stage, &lock_name, Open::CreateNew { mode: 0o600 }) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(Error::io("make", ".treewal/stage")(error)),
            };
            let io = |verb| Error::io(verb, format!(".treewal/stage/{name}"));
            if !disk.try_lock(&lock, Lock::Exclusive).map_err(io("lock"))?
                || !is_named(disk, &home.stage, &lock_name, &lock)?
            {
                continue;
            }
            disk.create_dir(&home.stage, OsStr::new(&name), 0o700).map_err(io("make"))?;
            let dir = disk.open_dir(&home.stage, &RelPath::root().join(&name)).map_err(io("open"))?;
            return Ok(Self { name, dir, lock });
        }
    }

    /// Whether the file system stores a time to the nanosecond, tried out on the lock of the stage. One that does not even
    /// try need not: times are asked for then.
    #[must_use]
    pub fn keeps_times(&self, home: &Home) -> bool {
        let odd = Time { secs: home.disk.now().secs, nanos: 123_456_789 };
        let stamped = home.disk.stamp(&self.lock, odd).and_then(|stamped| {
            let found = home.disk.stat_file(&self.lock)?;
            Ok(found.modified == stamped.modified)
        });
        stamped.unwrap_or(false)
    }

    /// Removes the directory with all that is in it, and the lock after it.
    ///
    /// # Errors
    /// Any error of the disk; what is left is swept by the next recovery.
    pub fn remove(self, home: &Home) -> Result<()> {
        reclaim(home, &self.name)?;
        drop(self.lock);
        Ok(())
    }
}

fn is_named(disk: &dyn Disk, at: &Dir, name: &OsStr, file: &File) -> Result<bool> {
    let io = |verb| Error::io(verb, ".treewal/stage");
    match disk.stat(at, name) {
        Ok(named) => Ok(disk.stat_file(file).map_err(io("look at"))?.ino == named.ino),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io("look at")(error)),
    }
}

/// Removes every stage directory whose owner is gone and that is not `needed`, and gives their number. Call it under the
/// tree's lock and only after recovery: a dead owner's stage may hold what recovery needs.
///
/// # Errors
/// Any error of the disk.
pub fn sweep(home: &Home, needed: &dyn Fn(&str) -> bool) -> Result<u64> {
    let disk = &*home.disk;
    let io = |verb| Error::io(verb, ".treewal/stage");
    let mut swept = 0;
    for entry in disk.list(&home.stage).map_err(io("list"))? {
        let Some(name) = entry.name.to_str() else { continue };
        let owner = name.strip_suffix(LOCK_SUFFIX).unwrap_or(name);
        if needed(owner) {
            continue;
        }
        // Held until the name is gone, so that nobody becomes the owner of what is being removed.
        let Some(_claim) = claim(home, owner)? else { continue };
        swept += u64::from(reclaim(home, owner)?);
    }
    Ok(swept)
}

/// Whether a living handle owns a stage directory.
pub(crate) fn is_owned(home: &Home, name: &str) -> Result<bool> {
    Ok(claim(home, name)?.is_none())
}

/// The lock of a stage directory without an owner, or that there is no lock file; `None` where a living handle owns it.
fn claim(home: &Home, name: &str) -> Result<Option<Option<File>>> {
    let io = |verb| Error::io(verb, ".treewal/stage");
    let lock = OsString::from(format!("{name}{LOCK_SUFFIX}"));
    // What is no file is nobody's lock, and a fifo or a directory is not to be opened as one.
    if home.disk.stat(&home.stage, &lock).is_ok_and(|meta| meta.kind != Kind::File) {
        return Ok(Some(None));
    }
    match home.disk.open(&home.stage, &lock, Open::ReadWrite) {
        Ok(lock) => Ok(home.disk.try_lock(&lock, Lock::Exclusive).map_err(io("lock"))?.then_some(Some(lock))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(None)),
        Err(error) => Err(io("open")(error)),
    }
}

/// The name in a stage of what was taken over from elsewhere, as it is and not as a copy.
#[must_use]
pub fn adopted_name(slot: u64) -> OsString {
    format!("{ADOPTED_PREFIX}{slot}").into()
}

/// Puts into quarantine what a stage took over from elsewhere, and no transaction has brought into the tree: it is
/// somebody's work, and may be the only copy.
fn rescue(home: &Home, name: &str) -> Result<()> {
    let disk = &*home.disk;
    let io = |verb| Error::io(verb, format!(".treewal/stage/{name}"));
    let stage = match disk.open_dir(&home.stage, &RelPath::root().join(name)) {
        Err(error) if matches!(error.raw_os_error(), Some(errno::ENOENT | errno::ENOTDIR | errno::ELOOP)) => {
            return Ok(());
        }
        opened => opened.map_err(io("open"))?,
    };
    for entry in disk.list(&stage).map_err(io("list"))? {
        let Some(slot) = entry.name.to_str().and_then(|name| name.strip_prefix(ADOPTED_PREFIX)) else { continue };
        let case = format!("publish-{name}-{slot}");
        tracing::warn!(case, "what was to be published is kept in quarantine: its transaction was not committed");
        let kept = match disk.create_dir(&home.quarantine, OsStr::new(&case), 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => disk.open_dir(&home.quarantine, &RelPath::root().join(&case)),
        };
        let kept = kept.map_err(io("keep what is in"))?;
        let moved = disk.rename(&stage, &entry.name, &kept, OsStr::new("entry"), Rename::NoReplace);
        let synced = moved.and_then(|()| disk.sync_dir(&kept)).and_then(|()| disk.sync_dir(&home.quarantine));
        synced.map_err(io("keep what is in"))?;
    }
    Ok(())
}

fn reclaim(home: &Home, name: &str) -> Result<bool> {
    let io = |verb| Error::io(verb, format!(".treewal/stage/{name}"));
    rescue(home, name)?;
    let removed = remove_tree(&*home.disk, &home.stage, OsStr::new(name)).map_err(io("remove"))?;
    let unlocked = remove_tree(&*home.disk, &home.stage, OsStr::new(&format!("{name}{LOCK_SUFFIX}")));
    Ok(unlocked.map_err(io("unlock"))? + removed > 0)
}
