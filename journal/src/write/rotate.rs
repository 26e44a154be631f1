//! From one segment to the next, and the one after made ready meanwhile.
//!
//! A segment is begun when everything in the one before is durable, so that its header proves that nothing is missing
//! before it. The next one stands ready on the disk, [reserved](make::reserve): all that a committer pays for a
//! full segment is one more sync, which its own records wait for in any case.

use super::group::Turn;
use super::make;
use super::sync::Ordering;
use super::tail::Tail;
use super::writer::{Reserved, Sealed, Writer};
use crate::Lsn;
use crate::error::{Error, Failure};
use crate::layout::frame_bytes;

impl Writer {
    /// Begins the next segment, unless frames of `bytes` fit in this one.
    ///
    /// A failure to make the next segment is met before anything has changed.
    pub(crate) fn make_room(&self, bytes: usize) -> Result<(), Error> {
        let turn = self.group.take_turn(true)?;
        let fits = self.tail.lock().takes(bytes);
        let begun = if fits { Ok(()) } else { self.begin_next(&turn) };
        self.tail.lock().sealed = false;
        turn.end();
        begun
    }

    /// Appends a batch that no segment holds. Nobody else appends until all of it is there.
    pub(crate) fn append_across<P: AsRef<[u8]>>(&self, records: &[(u8, P)]) -> Result<Lsn, Error> {
        let turn = self.group.take_turn(true)?;
        let filled = self.fill(&turn, records);
        self.tail.lock().sealed = false;
        turn.end();
        filled
    }

    fn fill<P: AsRef<[u8]>>(&self, turn: &Turn<'_>, records: &[(u8, P)]) -> Result<Lsn, Error> {
        let mut tail = self.tail.lock();
        Self::check_numbers(&tail, records.len())?;
        tail.sealed = true;
        let start = tail.last;
        drop(tail);
        let mut rest = records;
        loop {
            let mut tail = self.tail.lock();
            let mut room = tail.room();
            let fits = rest.iter().take_while(|(_, payload)| {
                let bytes = frame_bytes(payload.as_ref().len());
                let fits = bytes <= room;
                room = room.saturating_sub(bytes);
                fits
            });
            let (now, later) = rest.split_at(fits.count());
            let last = self.push(&mut tail, now)?;
            drop(tail);
            if later.is_empty() {
                return Ok(last);
            }
            rest = later;
            self.begin_next(turn).map_err(|error| self.cut_short(error, start, last))?;
        }
    }

    /// Leaves the segment behind. Nobody appends meanwhile, since it is sealed from here until the caller opens it.
    fn begin_next(&self, turn: &Turn<'_>) -> Result<(), Error> {
        let next = self.next()?;
        let last = {
            let mut tail = self.tail.lock();
            tail.sealed = true;
            tail.last
        };
        if self.group.durable() < last {
            turn.sync(self).inspect_err(|error| self.note(error))?;
        }
        let mut files = self.files.lock();
        let mut tail = self.tail.lock();
        let header = make::header(self.boot, &self.options, next.seq, tail.last, tail.chain);
        files.sealed.push_back(Sealed { seq: tail.seq, last: tail.last, bytes: tail.end() as u64 });
        tail.begin(next.file, &header);
        Ok(())
    }

    /// The next segment: the one that is ready, or one made now.
    fn next(&self) -> Result<Reserved, Error> {
        if let Some(next) = self.files.lock().next.take() {
            return Ok(next);
        }
        // Somebody may just be making it.
        let chores = self.chores.lock();
        if let Some(next) = self.files.lock().next.take() {
            return Ok(next);
        }
        let next = self.reserve();
        drop(chores);
        next.map_err(|failure| self.raise(failure))
    }

    /// See [`Log::prepare`](crate::Log::prepare).
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        self.group.check()?;
        let chores = self.chores.lock();
        if self.files.lock().next.is_none() {
            let next = self.reserve().map_err(|failure| self.raise(failure))?;
            self.files.lock().next = Some(next);
        }
        drop(chores);
        Ok(())
    }

    /// Reserves another segment, with the number after all that there are. The chores are the caller's.
    fn reserve(&self) -> Result<Reserved, Failure> {
        let (seq, mut spare) = {
            let mut files = self.files.lock();
            (files.highest.saturating_add(1), files.spare.take())
        };
        let reserved = make::reserve(&*self.disk, &self.dir, &mut spare, &self.options, seq);
        let mut files = self.files.lock();
        files.spare = spare;
        if reserved.is_ok() {
            files.highest = seq;
        }
        reserved
    }

    /// Remembers that the segment is half full, for whoever makes the next one ready.
    pub(crate) fn look_ahead(&self, tail: &mut Tail) {
        if tail.asks_for_next() {
            self.wants_next.store(true, Ordering::Release);
        }
    }

    /// A batch of which some records are written and the rest cannot be closes the log: what follows would look like
    /// the rest of it.
    fn cut_short(&self, error: Error, start: Lsn, last: Lsn) -> Error {
        match error {
            Error::Io { verb, name, source } if last > start => self.raise(Failure { verb, name, source, fatal: true }),
            other => other,
        }
    }
}
