//! The lock that makes one process at a time the writer of a tree.
//!
//! It is a kernel lock on a file that treewal never removes: it ends with its holder, whatever ended the holder, so there
//! are no stale locks to break. Where somebody else removes it, the handles that have it open notice and stop.
//!
//! The file says who took the lock last, for people (`Locked` errors) and for one decision: how much whoever takes it next
//! has to read.
//!
//! * Its own number, and nothing more: nobody else had the lock. It goes on with what it has in memory.
//! * Another's, with word of how that one [`Left`]: it gave the lock back in order. What it appended is to be read.
//! * Anything else: the journal is to be read anew, and recovered.
//!
//! **Why that word can be believed**, though nothing syncs it. It is written after the last act of a holder, and the next
//! holder takes it back before its own first act. A process that is *killed* at any moment leaves either its bare number,
//! and so recovery to the next, or a word that is true: what the kernel was told stays, in the order in which it was told,
//! for as long as the kernel runs. When that stops, by a *power loss* or otherwise, the file may say anything. But then
//! all handles are gone, and a new one recovers when it opens, whatever the file says.
//!
//! A handle that gives the lock up and wants it again at once would always be faster than one that waits, which looks only
//! from time to time. So whoever wants the lock stands in a *queue* first, another lock, of which there is one place at the
//! head: it is kept until the lock is had. Who comes back finds the place taken while somebody waits there. Readers, who
//! [share](super::ReadLock) the lock, stand in the same queue: none joins those who read while somebody waits to write.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use treewal_vfs::{File, Identity, Lock, Open, Time, read_all, write_all};

use super::Home;
use super::shared::{Place, ReadLock};
use super::sign::{BYTES, Holder, Left, Sign};
use crate::{Error, Result};

pub(super) const NAME: &str = "lock";
pub(super) const QUEUE: &str = "queue";
/// A block, of every file system that needs it.
const ROOM_BYTES: usize = 4096;
const FIRST_PAUSE: Duration = Duration::from_micros(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// The same at the head of the queue, where one looks at a time, and nobody else can go on.
pub(super) const LONGEST_PAUSE_AT_HEAD: Duration = Duration::from_millis(1);

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
    /// Somebody else had it, and left the tree in order.
    Handed(Left),
    /// Somebody else had it, and may have left anything: the journal must be read anew.
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
        let found = home.disk.stat_file(&file).map_err(Error::io("look at", ".treewal/lock"))?;
        if found.size == 0 {
            keep_room(home, &file).map_err(Error::io("write", ".treewal/lock"))?;
        }
        let mine = found.identity();
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
        if !try_until(home, &self.queue, Lock::Exclusive, begun, wait, LONGEST_PAUSE)? {
            return Err(in_the_way(home, &self.file)?);
        }
        let locked = try_until(home, &self.file, Lock::Exclusive, begun, wait, LONGEST_PAUSE_AT_HEAD);
        let left = home.disk.unlock(&self.queue).map_err(Error::io("unlock", ".treewal/queue"));
        if !locked? {
            return Err(in_the_way(home, &self.file)?);
        }
        let taken = left.and_then(|()| self.sign(home));
        if taken.is_err() {
            // Whoever does not know that it holds the lock will never give it back.
            self.release(home, None)?;
        }
        taken
    }

    /// Reads who had the lock last, and writes who has it now: from here on, that nothing was left in order.
    fn sign(&self, home: &Home) -> Result<Taken> {
        self.prove_named(home)?;
        let now = Time::now();
        let held = Sign { holder: self.me, left: None }.encode(now);
        let said = said(home, &self.file)?;
        if said == held {
            return Ok(Taken::Undisturbed);
        }
        write_all(&*home.disk, &self.file, &held, 0).map_err(Error::io("write", ".treewal/lock"))?;
        Ok(match Sign::decode(&said, now) {
            Sign { holder, left: Some(_) } if holder.token == self.me.token => Taken::Undisturbed,
            Sign { left: Some(left), .. } => Taken::Handed(left),
            Sign { left: None, .. } => Taken::Changed,
        })
    }

    fn prove_named(&self, home: &Home) -> Result<()> {
        prove_named(home, &self.mine)
    }

    /// Takes the lock to read; see [`ReadLock`].
    ///
    /// # Errors
    /// As [`ReadLock::take`], and [`Error::Store`] where the file is another one than this handle has open.
    pub fn share(&self, home: &Home, wait: Duration, place: Place) -> Result<ReadLock> {
        let shared = ReadLock::take(home, wait, place)?;
        self.prove_named(home)?;
        Ok(shared)
    }

    /// The number of the lock file's inode: it tells this tree from a copy of it.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.mine.ino
    }

    /// Gives the lock up; with word of how the tree is left, where that is in order.
    ///
    /// # Errors
    /// Any error of the disk. Where only the word could not be written, there is none: the next holder looks for itself.
    pub fn release(&self, home: &Home, left: Option<Left>) -> Result<()> {
        if left.is_some() {
            let sign = Sign { holder: self.me, left }.encode(Time::now());
            if let Err(error) = write_all(&*home.disk, &self.file, &sign, 0) {
                tracing::debug!(%error, "the next holder is not told that the tree is in order");
            }
        }
        home.disk.unlock(&self.file).map_err(Error::io("unlock", ".treewal/lock"))
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
        Ok(Some(Sign::decode(said_in(&bytes), Time::now()).holder))
    }

    /// The processes that read the tree under the lock right now, as far as the system tells. For people.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn readers(home: &Home) -> Result<Vec<u32>> {
        match home.disk.open(&home.dot, OsStr::new(NAME), Open::Read) {
            Ok(file) => Ok(home.disk.lockers(&file).unwrap_or_default().iter().map(|locker| locker.pid).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("open", ".treewal/lock")(error)),
        }
    }

    /// Who this handle is.
    #[must_use]
    pub fn me(&self) -> Holder {
        self.me
    }
}

/// Where the file system would take new blocks to write over old ones, the file gets blocks of its own for good: a full disk
/// must not keep anybody from signing. Small files have none there, so it is as long as one.
fn keep_room(home: &Home, file: &File) -> std::io::Result<()> {
    match home.disk.overwrite_in_place(file) {
        Ok(true) => write_all(&*home.disk, file, &[0; ROOM_BYTES], 0),
        Ok(false) => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "the lock file may need room to be written to");
            Ok(())
        }
    }
}

/// What the file says, without the room behind it.
fn said_in(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

/// What the file says. One read: what is cut short is no word of anybody.
pub(super) fn said(home: &Home, file: &File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; BYTES + 1];
    loop {
        match home.disk.read_at(file, &mut bytes, 0) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => {
                bytes.truncate(read.map_err(Error::io("read", ".treewal/lock"))?);
                return Ok(said_in(&bytes).to_vec());
            }
        }
    }
}

/// A lock file that was removed, or replaced, while somebody had it open is no lock: others make another and hold that.
pub(super) fn prove_named(home: &Home, open: &Identity) -> Result<()> {
    let io = |verb| Error::io(verb, ".treewal/lock");
    match home.disk.stat(&home.dot, OsStr::new(NAME)) {
        Ok(named) if named.identity().same_inode(open) => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("look at")(error)),
        _ => Err(Error::Store {
            path: ".treewal/lock".into(),
            reason: "somebody removed it while the tree was open; open the tree again".to_owned(),
        }),
    }
}

/// Who keeps the lock file, which the caller has open and holds no lock of: who signed it or, where readers share it, one of
/// those whom the system names.
pub(super) fn in_the_way(home: &Home, file: &File) -> Result<Error> {
    let io = |verb| Error::io(verb, ".treewal/lock");
    if !home.disk.try_lock(file, Lock::Shared).map_err(io("lock"))? {
        let bytes = read_all(&*home.disk, file, 4096).map_err(io("read"))?;
        return Ok(Error::Locked { holder: Sign::decode(said_in(&bytes), Time::now()).holder, reads: false });
    }
    home.disk.unlock(file).map_err(io("unlock"))?;
    // For people: where the system does not tell, there is a reader without a name.
    let found = home.disk.lockers(file).unwrap_or_default();
    let holder = found.first().map_or_else(Holder::default, |locker| Holder {
        pid: locker.pid,
        since: locker.began.unwrap_or_default(),
        token: 0,
    });
    Ok(Error::Locked { holder, reads: true })
}

/// Tries to lock a file, at least once and until `wait` is over; says whether it did.
pub(super) fn try_until(
    home: &Home,
    file: &File,
    lock: Lock,
    begun: Instant,
    wait: Duration,
    longest: Duration,
) -> Result<bool> {
    let mut pause = FIRST_PAUSE;
    while !home.disk.try_lock(file, lock).map_err(Error::io("lock", ".treewal/lock"))? {
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(longest);
    }
    Ok(true)
}
