//! Appending: frames into one buffer, the buffer into the segment with one write, a new segment when one is full.

use treewal_vfs::{Rename, write_all};

use crate::error::{Attempt, Error, Failure};
use crate::frame::{Label, encode};
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, frame_bytes};
use crate::log::{Active, Log, Sealed};
use crate::lsn::LSN_MAX;
use crate::{Lsn, make, name};

/// A larger buffer is given back after the append that needed it.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

impl Log {
    /// Appends records, each a kind and a payload, with numbers one after another and nothing between; gives the
    /// number of the last one. They survive a kill when it returns, a power loss only after [`Log::sync_to`].
    ///
    /// The whole batch is one write where it fits in the segment. Where it does not but would in an empty one, the next
    /// segment is begun; only a batch larger than a segment is cut in two. A crash may leave a part of the batch: the
    /// first records of it, none but the first ones.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`], [`Error::KindZero`], and [`Error::Io`] where no new segment could be made (a full
    /// disk): nothing was appended, and the log goes on. [`Error::Poisoned`] where a part may have been.
    pub fn append<P: AsRef<[u8]>>(&self, records: &[(u8, P)]) -> Result<Lsn, Error> {
        let mut active = self.active.lock();
        self.group.check()?;
        self.append_to(&mut active, records)
    }

    /// The same for records that must know their own numbers: `build` is given the number of the first.
    ///
    /// Nobody else appends meanwhile: build what can be built before.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_with<P: AsRef<[u8]>>(&self, build: impl FnOnce(Lsn) -> Vec<(u8, P)>) -> Result<Lsn, Error> {
        let mut active = self.active.lock();
        self.group.check()?;
        let records = build(active.last.next());
        self.append_to(&mut active, &records)
    }

    /// Makes the next segment ready, so that the append that needs it does not have to: with a spare file at hand a
    /// new segment costs two syncs and no zeroing. [`Log::truncate`] leaves one, too.
    ///
    /// # Errors
    /// [`Error::Io`]; the log goes on.
    pub fn prepare(&self) -> Result<(), Error> {
        self.group.check()?;
        let mut files = self.files.lock();
        if files.spare.is_none() {
            let made = make::spare(&*self.disk, &self.dir, self.options.segment_bytes);
            files.spare = Some(made.map_err(|failure| self.raise(failure))?);
        }
        Ok(())
    }

    fn append_to<P: AsRef<[u8]>>(&self, active: &mut Active, records: &[(u8, P)]) -> Result<Lsn, Error> {
        let bytes = self.check(active, records)?;
        if bytes > active.room() && bytes <= self.options.capacity() {
            self.rotate(active)?;
        }
        let start = active.last;
        let mut rest = records;
        while !rest.is_empty() {
            let taken = self.write_some(active, rest)?;
            rest = &rest[taken..];
            if rest.is_empty() {
                break;
            }
            self.rotate(active).map_err(|error| self.cut_short(error, start, active))?;
        }
        Ok(active.last)
    }

    /// The bytes that the frames of a batch take, once it is clear that all of it can be written.
    fn check<P: AsRef<[u8]>>(&self, active: &Active, records: &[(u8, P)]) -> Result<usize, Error> {
        let bytes_max = self.options.record_bytes_max();
        let mut total = 0usize;
        for (kind, payload) in records {
            let bytes = payload.as_ref().len();
            if *kind == 0 {
                return Err(Error::KindZero);
            }
            if bytes > bytes_max {
                return Err(Error::RecordTooLarge { bytes, bytes_max });
            }
            total = total.saturating_add(frame_bytes(bytes));
        }
        let last = active.last.0.saturating_add(records.len() as u64);
        if last >= LSN_MAX.0 { Err(Error::Exhausted) } else { Ok(total) }
    }

    /// Writes the records that fit in the segment, with one call; gives how many.
    fn write_some<P: AsRef<[u8]>>(&self, active: &mut Active, records: &[(u8, P)]) -> Result<usize, Error> {
        let durable = self.group.check()?;
        let mut buffer = std::mem::take(&mut active.buffer);
        let (mut last, mut chain, mut taken) = (active.last, active.chain, 0);
        for (kind, payload) in records {
            let payload = payload.as_ref();
            if buffer.len() + frame_bytes(payload.len()) > active.room() {
                break;
            }
            last = last.next();
            chain = encode(&mut buffer, active.seed, chain, Label { kind: *kind, lsn: last, durable }, payload);
            taken += 1;
        }
        if taken > 0 {
            let bytes = buffer.len();
            if active.room() - bytes >= FRAME_HEADER_BYTES {
                buffer.resize(bytes + FRAME_HEADER_BYTES, 0);
            }
            self.write(active, &buffer)?;
            active.offset += bytes;
            active.last = last;
            active.chain = chain;
            self.group.wrote(last)?;
        }
        buffer.clear();
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            active.buffer = buffer;
        }
        Ok(taken)
    }

    /// A write that fails may have left a part: nothing is ever written behind it.
    fn write(&self, active: &Active, bytes: &[u8]) -> Result<(), Error> {
        let armed = self.group.arm("write", active.seq);
        let written = write_all(&*self.disk, &active.file, bytes, active.offset as u64);
        armed.disarm();
        written.fatal("write", &name::segment(active.seq)).map_err(|failure| self.raise(failure))
    }

    /// Begins the next segment. Everything in the one before is durable first, so that the name of a segment proves
    /// that nothing is missing before it.
    fn rotate(&self, active: &mut Active) -> Result<(), Error> {
        self.sync_to(active.last)?;
        let seq = active.seq.checked_add(1).ok_or(Error::Exhausted)?;
        let header = make::header(&*self.disk, &self.options, seq, active.last, active.chain);
        let mut files = self.files.lock();
        let armed = self.group.arm("begin", seq);
        let made = make::prepare(&*self.disk, &self.dir, &mut files.spare, &header, &[])
            .and_then(|segment| segment.place(&*self.disk, &self.dir, Rename::NoReplace));
        armed.disarm();
        let file = made.map_err(|failure| self.raise(failure))?;
        files.sealed.push_back(Sealed { seq: active.seq, last: active.last, bytes: active.offset as u64 });
        let next = Active::new(file.clone(), &header, active.last, active.chain, HEADER_BYTES);
        *active = Active { buffer: std::mem::take(&mut active.buffer), ..next };
        self.group.switch(file, seq);
        Ok(())
    }

    /// A batch of which some records are written and the rest cannot be closes the log: what follows would look like
    /// the rest of it.
    fn cut_short(&self, error: Error, start: Lsn, active: &Active) -> Error {
        match error {
            Error::Io { verb, name, source } if active.last > start => {
                self.raise(Failure { verb, name, source, fatal: true })
            }
            other => other,
        }
    }
}
