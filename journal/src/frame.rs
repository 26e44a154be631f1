//! One record in a segment: a header of 32 bytes, the payload, zeros up to the next multiple of 8.

use crate::Lsn;
use crate::layout::{FRAME_HEADER_BYTES, RECORD_BYTES_MAX, frame as field, frame_bytes, is_zero, put, u32_at, u64_at};

/// A record as the reader hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number.
    pub lsn: Lsn,
    /// What the writer called it; never zero.
    pub kind: u8,
    /// Every record up to here was durable when this one was written.
    pub durable: Lsn,
    /// Its bytes.
    pub payload: &'a [u8],
    /// Number of the segment that it stands in.
    pub segment: u64,
    /// Where its frame starts in the segment, in bytes.
    pub offset: u64,
}

/// What stands in the header of a frame, with the payload behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    pub(crate) crc: u32,
    pub(crate) prev_crc: u32,
    pub(crate) kind: u8,
    pub(crate) lsn: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) payload: &'a [u8],
    covered: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Takes `bytes` apart, which start where a frame may start; `None` where they cannot be a frame. The checksum is
    /// not looked at.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..FRAME_HEADER_BYTES)?;
        let len = payload_len(head)?;
        let payload = bytes.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + len)?;
        Some(Self {
            crc: u32_at(head, field::CRC),
            prev_crc: u32_at(head, field::PREV_CRC),
            kind: head[field::KIND],
            lsn: Lsn(u64_at(head, field::LSN)),
            durable: Lsn(u64_at(head, field::DURABLE_LSN)),
            payload,
            covered: &head[field::COVERED],
        })
    }

    /// Whether the checksum fits. With it the frame is one that the writer of this segment wrote: nobody else knows
    /// the seed.
    pub(crate) fn is_sealed(&self, seed: u64) -> bool {
        checksum(seed, self.covered, self.payload) == self.crc
    }

    /// Bytes that the frame takes in the segment.
    pub(crate) fn bytes(&self) -> usize {
        frame_bytes(self.payload.len())
    }
}

/// The length of the payload that a frame's header claims; `None` where it cannot be the header of a frame.
pub(crate) fn payload_len(head: &[u8]) -> Option<usize> {
    let len = usize::try_from(u32_at(head, field::LEN)).ok()?;
    let plausible = head[field::KIND] != 0 && is_zero(&head[field::ZERO]) && len <= RECORD_BYTES_MAX;
    plausible.then_some(len)
}

/// What a frame says beside its payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub(crate) kind: u8,
    pub(crate) lsn: Lsn,
    pub(crate) durable: Lsn,
}

/// Appends a frame to `out` and gives its checksum, which the next frame repeats.
///
/// The payload is at most [`RECORD_BYTES_MAX`] long and the kind not zero: the caller has checked.
pub(crate) fn encode(out: &mut Vec<u8>, seed: u64, prev_crc: u32, label: Label, payload: &[u8]) -> u32 {
    let start = out.len();
    let crc = encode_head(out, seed, prev_crc, label, payload);
    out.extend_from_slice(payload);
    out.resize(start + frame_bytes(payload.len()), 0);
    crc
}

/// The same without the payload, which the caller writes behind it, and the zeros behind that.
pub(crate) fn encode_head(out: &mut Vec<u8>, seed: u64, prev_crc: u32, label: Label, payload: &[u8]) -> u32 {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    debug_assert!(payload.len() <= RECORD_BYTES_MAX && label.kind != 0);
    let mut head = [0; FRAME_HEADER_BYTES];
    put(&mut head, field::PREV_CRC, &prev_crc.to_le_bytes());
    put(&mut head, field::LEN, &len.to_le_bytes());
    head[field::KIND] = label.kind;
    put(&mut head, field::LSN, &label.lsn.0.to_le_bytes());
    put(&mut head, field::DURABLE_LSN, &label.durable.0.to_le_bytes());
    let crc = checksum(seed, &head[field::COVERED], payload);
    put(&mut head, field::CRC, &crc.to_le_bytes());
    out.extend_from_slice(&head);
    crc
}

fn checksum(seed: u64, covered: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(covered);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label { kind: 5, lsn: Lsn(12), durable: Lsn(9) };

    #[test]
    fn comes_back_as_it_went_and_is_padded_with_zeros() {
        for len in 0..20 {
            let payload = vec![0xaa; len];
            let mut out = Vec::new();
            let crc = encode(&mut out, 77, 4, LABEL, &payload);
            assert_eq!(out.len() % 8, 0);
            assert!(is_zero(&out[32 + len..]));
            let raw = Raw::parse(&out).unwrap();
            assert_eq!((raw.crc, raw.prev_crc, raw.kind, raw.lsn, raw.durable), (crc, 4, 5, Lsn(12), Lsn(9)));
            assert_eq!((raw.payload, raw.bytes()), (payload.as_slice(), out.len()));
            assert!(raw.is_sealed(77));
            assert!(!raw.is_sealed(78), "a frame belongs to one seed");
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        let mut out = Vec::new();
        encode(&mut out, 77, 4, LABEL, b"eight by");
        for at in 0..out.len() {
            for bit in 0..8 {
                let mut bad = out.clone();
                bad[at] ^= 1 << bit;
                assert!(!Raw::parse(&bad).is_some_and(|raw| raw.is_sealed(77)), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_length_is_bounded_before_it_is_believed() {
        let mut out = Vec::new();
        encode(&mut out, 77, 4, LABEL, b"");
        put(&mut out, field::LEN, &u32::MAX.to_le_bytes());
        assert_eq!(Raw::parse(&out), None);
        put(&mut out, field::LEN, &1u32.to_le_bytes());
        assert_eq!(Raw::parse(&out), None, "the payload would lie beyond the end");
    }
}
