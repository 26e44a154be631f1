//! Ways in for the fuzz targets in `fuzz/`: what is private otherwise. No part of the interface of this crate.

use crate::frame::{Head, Label, Seal, encode};
use crate::header::Parsed;
use crate::layout::{FRAME_HEADER_BYTES, HEADER_BYTES, frame, header, put};
use crate::{Lsn, SegmentHeader};

/// What stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Checksum of the frame before.
    pub prev_crc: u32,
    /// Kind of the record.
    pub kind: u8,
    /// Its number.
    pub lsn: Lsn,
    /// Its mark.
    pub durable: Lsn,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Whether the checksum fits to the seed.
    pub sealed: bool,
    /// Length of the frame.
    pub bytes: usize,
}

/// The frame that `bytes` start with.
#[must_use]
pub fn decode_frame(bytes: &[u8], seed: u64) -> Option<Decoded<'_>> {
    let head = Head::parse(bytes.first_chunk()?)?;
    let frame = bytes.get(..head.bytes())?;
    let sealed = Seal::new(seed).fits(head.crc, frame);
    let Head { prev_crc, kind, lsn, durable, .. } = head;
    Some(Decoded { prev_crc, kind, lsn, durable, payload: &frame[FRAME_HEADER_BYTES..], sealed, bytes: head.padded() })
}

/// The frame in bytes, sealed, whatever else it says of its seal.
#[must_use]
pub fn encode_frame(decoded: &Decoded<'_>, seed: u64) -> Vec<u8> {
    let Decoded { prev_crc, kind, lsn, durable, payload, .. } = *decoded;
    let mut out = Vec::new();
    encode(&mut out, Seal::new(seed), prev_crc, Label { kind, lsn, durable }, payload);
    out
}

/// Makes what `bytes` start with a frame that follows another one: number, link and checksum; kind and length stay.
/// Gives its checksum and its length, or nothing where the length is too large.
pub fn chain_frame(bytes: &mut [u8], seed: u64, prev_crc: u32, lsn: Lsn) -> Option<(u32, usize)> {
    let head = bytes.get_mut(..FRAME_HEADER_BYTES)?;
    put(head, frame::PREV_CRC, &prev_crc.to_le_bytes());
    put(head, frame::LSN, &lsn.0.to_le_bytes());
    put(head, frame::ZERO, &[0; 3]);
    let sealed = encode_frame(&decode_frame(bytes, seed)?, seed);
    let fits = bytes.len().min(sealed.len());
    bytes[..fits].copy_from_slice(&sealed[..fits]);
    Some((crate::layout::u32_at(&sealed, frame::CRC), sealed.len()))
}

/// The header that `bytes` start with.
#[must_use]
pub fn decode_header(bytes: &[u8]) -> Option<SegmentHeader> {
    match SegmentHeader::decode(bytes) {
        Parsed::Header(header) => Some(header),
        Parsed::Reserved(_) | Parsed::Version(_) | Parsed::Fault(_) => None,
    }
}

/// The first block of a segment.
#[must_use]
pub fn encode_header(header: &SegmentHeader) -> Vec<u8> {
    header.encode()
}

/// Gives a header its checksum, whatever it says.
pub fn seal_header(bytes: &mut [u8]) {
    if bytes.len() >= HEADER_BYTES {
        let crc = crc32fast::hash(&bytes[header::COVERED]);
        put(bytes, header::CRC, &crc.to_le_bytes());
    }
}
