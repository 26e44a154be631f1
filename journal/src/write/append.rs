//! Appending: frames into a buffer, large payloads straight to the disk, a new segment where one is full.

use std::io::IoSlice;

use treewal_vfs::write_all_vectored;

use super::group::Medium;
use super::tail::{Direct, Tail};
use super::writer::Writer;
use crate::error::{Attempt, Error};
use crate::layout::frame_bytes;
use crate::lsn::LSN_MAX;
use crate::{Lsn, name};

/// A buffer that has grown to this is written without anybody asking, in bytes: large enough that the call costs
/// little, small enough to stay in the cache of a processor.
const BUFFER_BYTES: usize = 256 << 10;
/// While others write, a buffer may grow to this; then appends wait.
const BUFFER_BYTES_MAX: usize = 4 << 20;
/// From this on a payload goes to the disk from where it is, in bytes: copying it would cost more than a call of its
/// own.
const DIRECT_BYTES: usize = 32 << 10;
/// The same for many together that would fill the buffer anyway, where each takes so much on average, in bytes.
const DIRECT_EACH_BYTES: usize = 2 << 10;

impl Writer {
    /// See [`Log::append`](crate::Log::append).
    pub(crate) fn append<P: AsRef<[u8]>>(&self, records: &[(u8, P)]) -> Result<Lsn, Error> {
        self.group.check()?;
        let bytes = self.check(records)?;
        let is_large = records.iter().any(|(_, payload)| payload.as_ref().len() >= DIRECT_BYTES)
            || bytes >= BUFFER_BYTES.max(records.len().saturating_mul(DIRECT_EACH_BYTES));
        if is_large && bytes <= self.options.capacity() {
            return self.append_direct(records, bytes);
        }
        self.append_copied(records, bytes)
    }

    fn append_copied<P: AsRef<[u8]>>(&self, records: &[(u8, P)], bytes: usize) -> Result<Lsn, Error> {
        if bytes > self.options.capacity() {
            return self.append_across(records);
        }
        let mut tail = self.tail.lock();
        while !tail.takes(bytes) {
            drop(tail);
            self.make_room(bytes)?;
            tail = self.tail.lock();
        }
        let last = self.push(&mut tail, records)?;
        let buffered = tail.buffer.len();
        drop(tail);
        self.relieve(buffered)?;
        Ok(last)
    }

    /// See [`Log::append_with`](crate::Log::append_with).
    pub(crate) fn append_with<P: AsRef<[u8]>>(&self, build: impl Fn(Lsn) -> Vec<(u8, P)>) -> Result<Lsn, Error> {
        loop {
            self.group.check()?;
            let mut tail = self.tail.lock();
            let records = build(tail.last.next());
            let bytes = self.check(&records)?;
            if tail.takes(bytes) {
                let last = self.push(&mut tail, &records)?;
                let buffered = tail.buffer.len();
                drop(tail);
                self.relieve(buffered)?;
                return Ok(last);
            }
            drop(tail);
            if bytes > self.options.capacity() {
                return Err(Error::BatchTooLarge { bytes, bytes_max: self.options.capacity() });
            }
            self.make_room(bytes)?;
        }
    }

    /// Copies records into the buffer. The caller has seen that there is room.
    pub(crate) fn push<P: AsRef<[u8]>>(&self, tail: &mut Tail, records: &[(u8, P)]) -> Result<Lsn, Error> {
        Self::check_numbers(tail, records.len())?;
        let durable = self.group.durable();
        for (kind, payload) in records {
            tail.push(*kind, durable, payload.as_ref());
        }
        self.look_ahead(tail);
        Ok(tail.last)
    }

    /// Writes records from where they are, behind all that is in the buffer, with one call.
    fn append_direct<P: AsRef<[u8]>>(&self, records: &[(u8, P)], bytes: usize) -> Result<Lsn, Error> {
        loop {
            let turn = self.group.take_turn(false)?;
            let empty = self.spare_buffer();
            let durable = self.group.durable();
            let mut tail = self.tail.lock();
            if !tail.takes(bytes) {
                drop(tail);
                turn.end();
                self.make_room(bytes)?;
                continue;
            }
            if let Err(error) = Self::check_numbers(&tail, records.len()) {
                drop(tail);
                turn.end();
                return Err(error);
            }
            let direct = tail.take_direct(durable, records, empty);
            self.look_ahead(&mut tail);
            let last = tail.last;
            drop(tail);
            let written = self.write_direct(&direct, records);
            self.give_back(direct.chunk);
            turn.end();
            return written.map(|()| last);
        }
    }

    fn write_direct<P: AsRef<[u8]>>(&self, direct: &Direct, records: &[(u8, P)]) -> Result<(), Error> {
        let Direct { chunk, gaps } = direct;
        let mut parts = Vec::with_capacity(2 * records.len() + 1);
        let mut from = 0;
        for (gap, (_, payload)) in gaps.iter().zip(records) {
            parts.push(IoSlice::new(&chunk.bytes[from..*gap]));
            parts.push(IoSlice::new(payload.as_ref()));
            from = *gap;
        }
        parts.push(IoSlice::new(&chunk.bytes[from..]));
        write_all_vectored(&*self.disk, &chunk.file, &mut parts, chunk.offset as u64)
            .fatal("write", &name::segment(chunk.seq))
            .map_err(|failure| self.raise(failure))
    }

    /// Writes a buffer that has become large. While others write, it may grow further.
    fn relieve(&self, buffered: usize) -> Result<(), Error> {
        if buffered < BUFFER_BYTES {
            return Ok(());
        }
        let turn = match self.group.try_turn() {
            Some(turn) => turn,
            None if buffered < BUFFER_BYTES_MAX => return Ok(()),
            None => self.group.take_turn(false)?,
        };
        let written = turn.write(self);
        turn.end();
        written.inspect_err(|error| self.note(error))
    }

    /// The bytes that the frames of a batch take, once it is clear that each of them can be written.
    fn check<P: AsRef<[u8]>>(&self, records: &[(u8, P)]) -> Result<usize, Error> {
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
        Ok(total)
    }

    /// Whether so many more records have numbers.
    pub(crate) fn check_numbers(tail: &Tail, records: usize) -> Result<(), Error> {
        let last = tail.last.0.saturating_add(records as u64);
        if last >= LSN_MAX.0 { Err(Error::Exhausted) } else { Ok(()) }
    }
}
