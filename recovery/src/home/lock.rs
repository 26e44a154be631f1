//! The lock that makes one process at a time the writer of a tree.
//!
//! It is a kernel lock on a file that treewal never removes: it ends with its holder, whatever ended the holder, so there
//! are no stale locks to break. Where somebody else removes it, the handles that have it open notice and stop. The file
//! says who took the lock last, for people (`Locked` errors) and for one decision: whoever finds another holder's token in
//! it knows that somebody else may have written the journal meanwhile, and reads it anew. A writer that was killed leaves
//! its token, so the next one always looks.
//!
//! A handle that gives the lock up and wants it again at once would always be faster than one that waits, which looks only
//! from time to time. So whoever wants the lock stands in a *queue* first, another lock, of which there is one place at the
//! head: it is kept until the lock is had. Who comes back finds the place taken while somebody waits there.

use std::ffi::OsStr;
use std::fmt;
use std::time::{Duration, Instant};

use treewal_vfs::{File, Identity, Lock, Open, read_all, write_all};

use super::Home;
use crate::{Error, Result};

const NAME: &str = "lock";
const QUEUE: &str = "queue";
/// The length of what the file says: fixed, so that one write replaces all of it.
const BYTES: usize = 80;
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// The same at the head of the queue, where one looks at a time, and nobody else can go on.
const LONGEST_PAUSE_AT_HEAD: Duration = Duration::from_millis(1);

/// Who holds the lock, as the lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holder {
    /// Process id; 0 where the file does not say.
    pub pid: u32,
    /// When the holder opened the tree, as seconds since 1970 by its clock.
    pub since: u64,
    /// The random number of the holder's handle.
    pub token: u128,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

/// The lock file of a tree, opened by one handle.
#[derive(Debug)]
pub struct TreeLock {
    file: File,
    queue: File,
    /// Which file it is: asked once, as an open file stays what it is.
    mine: Identity,
    me: Holder,
}

/// What taking the lock found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nobody else had the lock since this handle gave it up.
    Undisturbed,
    /// Somebody else had it: the journal must be read anew.
    Changed,
}

impl TreeLock {
    /// Opens the lock file, making it where it is missing. Takes no lock yet.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn open(home: &Home, me: Holder) -> Result<Self> {
        let how = Open::Create { mode: 0o600 };
        let file = home.disk.open(&home.dot, OsStr::new(NAME), how).map_err(Error::io("open", ".treewal/lock"))?;
        let mine = home.disk.stat_file(&file).map_err(Error::io("look at", ".treewal/lock"))?.identity();
        let queue = home.disk.open(&home.dot, OsStr::new(QUEUE), how).map_err(Error::io("open", ".treewal/queue"))?;
        Ok(Self { file, queue, mine, me })
    }

    /// Takes the lock, waiting at most `wait` for others.
    ///
    /// # Errors
    /// [`Error::Locked`] where it is not free in time, [`Error::Store`] where somebody removed the file; any error of the
    /// disk.
    pub fn take(&self, home: &Home, wait: Duration) -> Result<Taken> {
        let begun = Instant::now();
        if !try_until(home, &self.queue, begun, wait, LONGEST_PAUSE)? {
            return Err(Error::Locked { holder: self.holder(home)? });
        }
        let locked = try_until(home, &self.file, begun, wait, LONGEST_PAUSE_AT_HEAD);
        let left = home.disk.unlock(&self.queue).map_err(Error::io("unlock", ".treewal/queue"));
        if !locked? {
            return Err(Error::Locked { holder: self.holder(home)? });
        }
        let taken = left.and_then(|()| self.sign(home));
        if taken.is_err() {
            // Whoever does not know that it holds the lock will never give it back.
            self.release(home)?;
        }
        taken
    }

    /// Reads who had the lock last, and writes who has it now.
    fn sign(&self, home: &Home) -> Result<Taken> {
        self.prove_named(home)?;
        if self.says(home, self.me)? {
            return Ok(Taken::Undisturbed);
        }
        write_all(&*home.disk, &self.file, &encode(self.me), 0).map_err(Error::io("write", ".treewal/lock"))?;
        Ok(Taken::Changed)
    }

    /// Whether the file says `holder`, to the byte. One read: what is cut short says somebody else.
    fn says(&self, home: &Home, holder: Holder) -> Result<bool> {
        let mut bytes = [0; BYTES + 1];
        loop {
            match home.disk.read_at(&self.file, &mut bytes, 0) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return Ok(bytes[..read.map_err(Error::io("read", ".treewal/lock"))?] == encode(holder)),
            }
        }
    }

    /// A lock file that was removed, or replaced, while this handle had it open is no lock: others make another and hold
    /// that.
    fn prove_named(&self, home: &Home) -> Result<()> {
        let io = |verb| Error::io(verb, ".treewal/lock");
        match home.disk.stat(&home.dot, OsStr::new(NAME)) {
            Ok(named) if named.identity().same_inode(&self.mine) => Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("look at")(error)),
            _ => Err(Error::Store {
                path: ".treewal/lock".into(),
                reason: "somebody removed it while the tree was open; open the tree again".to_owned(),
            }),
        }
    }

    /// Gives the lock up.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn release(&self, home: &Home) -> Result<()> {
        home.disk.unlock(&self.file).map_err(Error::io("unlock", ".treewal/lock"))
    }

    /// Makes the next holder, this handle included, read the journal anew.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn forget(&self, home: &Home) -> Result<()> {
        write_all(&*home.disk, &self.file, &encode(Holder::default()), 0).map_err(Error::io("write", ".treewal/lock"))
    }

    /// Who took the lock last.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn holder(&self, home: &Home) -> Result<Holder> {
        let bytes = read_all(&*home.disk, &self.file, 4096).map_err(Error::io("read", ".treewal/lock"))?;
        Ok(decode(&bytes))
    }

    /// Who holds the lock right now; `None` where nobody does. Takes it for a moment to find out, and changes nothing.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn held_by(home: &Home) -> Result<Option<Holder>> {
        let io = |verb| Error::io(verb, ".treewal/lock");
        let file = match home.disk.open(&home.dot, OsStr::new(NAME), Open::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io("open"))?,
        };
        if home.disk.try_lock(&file, Lock::Shared).map_err(io("lock"))? {
            return Ok(None);
        }
        let bytes = read_all(&*home.disk, &file, 4096).map_err(io("read"))?;
        Ok(Some(decode(&bytes)))
    }

    /// Who this handle is.
    #[must_use]
    pub fn me(&self) -> Holder {
        self.me
    }
}

/// Tries to lock a file, at least once and until `wait` is over; says whether it did.
fn try_until(home: &Home, file: &File, begun: Instant, wait: Duration, longest: Duration) -> Result<bool> {
    let mut pause = FIRST_PAUSE;
    while !home.disk.try_lock(file, Lock::Exclusive).map_err(Error::io("lock", ".treewal/lock"))? {
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(longest);
    }
    Ok(true)
}

fn encode(holder: Holder) -> Vec<u8> {
    let text = format!("pid {} since {} token {:032x}", holder.pid, holder.since, holder.token);
    let mut bytes = text.into_bytes();
    bytes.resize(BYTES - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// What cannot be read names nobody, and so never passes for this handle.
fn decode(bytes: &[u8]) -> Holder {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["pid", pid, "since", since, "token", token] => Holder {
            pid: pid.parse().unwrap_or_default(),
            since: since.parse().unwrap_or_default(),
            token: u128::from_str_radix(token, 16).unwrap_or_default(),
        },
        _ => Holder::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_survives_the_file() {
        let holder = Holder { pid: u32::MAX, since: 9_999_999_999, token: u128::MAX };
        assert_eq!(encode(holder).len(), BYTES);
        assert_eq!(decode(&encode(holder)), holder);
        assert_eq!(decode(b""), Holder::default());
        assert_eq!(decode(b"pid x since"), Holder::default());
    }
}
