//! The end of the log in memory: records that are appended, as the bytes that the next write hands to the disk.

use treewal_vfs::File;

use crate::frame::{Label, Seal, encode, encode_head};
use crate::layout::{BEGUN_AT, FRAME_HEADER_BYTES, frame_bytes};
use crate::{Lsn, SegmentHeader};

/// A larger buffer is given back after the write that needed it, in bytes.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// Where the log is appended to.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) file: File,
    pub(crate) seq: u64,
    seal: Seal,
    /// Where in the segment the buffer will stand.
    pub(crate) start: usize,
    /// What no write took yet: whole frames, and the header before them where the segment is only just begun.
    pub(crate) buffer: Vec<u8>,
    /// Where the segment ends.
    limit: usize,
    /// The last record in the buffer, or before it.
    pub(crate) last: Lsn,
    /// Checksum of the frame of `last`.
    pub(crate) chain: u32,
    /// The record before the segment, where its header goes out with its first record.
    pub(crate) begun_after: Option<Lsn>,
    /// Somebody is about to begin the next segment: nothing more goes into this one.
    pub(crate) sealed: bool,
    /// The next segment has been asked for.
    pub(crate) asked: bool,
}

/// What one write hands to the disk.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) file: File,
    pub(crate) seq: u64,
    pub(crate) offset: usize,
    /// Frames, and the zeros that end them where there is room.
    pub(crate) bytes: Vec<u8>,
}

/// Records that a write hands to the disk straight from the memory of whoever appends them.
#[derive(Debug)]
pub(crate) struct Direct {
    pub(crate) chunk: Chunk,
    /// Where in the bytes of the chunk each payload goes, in ascending order.
    pub(crate) gaps: Vec<usize>,
}

impl Tail {
    /// The end of a segment that holds `offset` bytes.
    pub(crate) fn resumed(file: File, header: &SegmentHeader, last: Lsn, chain: u32, offset: usize) -> Self {
        Self {
            file,
            seq: header.seq,
            seal: Seal::new(header.seed),
            start: offset,
            buffer: Vec::new(),
            limit: crate::read::walk::limit(header),
            last,
            chain,
            begun_after: None,
            sealed: false,
            asked: false,
        }
    }

    /// Goes on in a segment that is reserved on the disk: its header is the first that is written to it, together with
    /// its first frames.
    pub(crate) fn begin(&mut self, file: File, header: &SegmentHeader) {
        debug_assert!(self.buffer.is_empty());
        let buffer = std::mem::take(&mut self.buffer);
        let next = Self::resumed(file, header, self.last, self.chain, BEGUN_AT);
        *self = Self { buffer, begun_after: Some(next.last), sealed: self.sealed, ..next };
        self.buffer.extend_from_slice(&header.encode_begun());
    }

    /// Where the next frame goes.
    pub(crate) fn end(&self) -> usize {
        self.start + self.buffer.len()
    }

    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.end())
    }

    /// Whether frames of so many bytes in all can be appended here and now.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        !self.sealed && bytes <= self.room()
    }

    /// Whether so much of the segment is used that the next one should be made ready; true once a segment.
    pub(crate) fn asks_for_next(&mut self) -> bool {
        let asks = !self.asked && self.end() > self.limit / 2;
        self.asked |= asks;
        asks
    }

    /// Appends a record. The caller has seen that there is room.
    pub(crate) fn push(&mut self, kind: u8, durable: Lsn, payload: &[u8]) {
        debug_assert!(frame_bytes(payload.len()) <= self.room());
        let label = Label { kind, lsn: self.last.next(), durable };
        self.chain = encode(&mut self.buffer, self.seal, self.chain, label, payload);
        self.last = label.lsn;
    }

    /// Takes what is to be written, and leaves `empty` to go on with.
    pub(crate) fn take(&mut self, empty: Vec<u8>) -> Chunk {
        let end = self.end();
        self.take_upto(end, empty)
    }

    /// Appends records without their payloads, and takes all that is to be written. The caller has seen that there is
    /// room, and puts the payloads where the gaps are.
    pub(crate) fn take_direct<P: AsRef<[u8]>>(&mut self, durable: Lsn, records: &[(u8, P)], empty: Vec<u8>) -> Direct {
        let mut gaps = Vec::with_capacity(records.len());
        let mut end = self.end();
        for (kind, payload) in records {
            let payload = payload.as_ref();
            let label = Label { kind: *kind, lsn: self.last.next(), durable };
            self.chain = encode_head(&mut self.buffer, self.seal, self.chain, label, payload);
            self.last = label.lsn;
            gaps.push(self.buffer.len());
            let padding = frame_bytes(payload.len()) - FRAME_HEADER_BYTES - payload.len();
            self.buffer.resize(self.buffer.len() + padding, 0);
            end += frame_bytes(payload.len());
        }
        Direct { chunk: self.take_upto(end, empty), gaps }
    }

    fn take_upto(&mut self, end: usize, empty: Vec<u8>) -> Chunk {
        debug_assert!(empty.is_empty());
        let mut bytes = std::mem::replace(&mut self.buffer, empty);
        let offset = std::mem::replace(&mut self.start, end);
        if !bytes.is_empty() && self.limit.saturating_sub(end) >= FRAME_HEADER_BYTES {
            bytes.resize(bytes.len() + FRAME_HEADER_BYTES, 0);
        }
        Chunk { file: self.file.clone(), seq: self.seq, offset, bytes }
    }
}

/// The buffer of a chunk that is written, to be filled again.
pub(crate) fn emptied(chunk: Chunk) -> Vec<u8> {
    let mut bytes = chunk.bytes;
    bytes.clear();
    bytes.shrink_to(BUFFER_KEPT_BYTES);
    bytes
}
