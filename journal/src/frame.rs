//! One record in a segment: a header of 32 bytes, the payload, zeros up to the next multiple of 8.

use crate::Lsn;
use crate::layout::{
    ALIGN, FRAME_HEADER_BYTES, RECORD_BYTES_MAX, frame as field, frame_bytes, is_zero, put, u32_at, u64_at,
};

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

/// What stands in the header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) crc: u32,
    pub(crate) prev_crc: u32,
    pub(crate) kind: u8,
    pub(crate) lsn: Lsn,
    pub(crate) durable: Lsn,
    /// Of the payload, in bytes; within its limit.
    pub(crate) len: usize,
}

impl Head {
    /// Takes the header of a frame apart; `None` where it cannot be one.
    #[inline]
    pub(crate) fn parse(head: &[u8; FRAME_HEADER_BYTES]) -> Option<Self> {
        let len = usize::try_from(u32_at(head, field::LEN)).ok()?;
        if !is_kind_word(u32_at(head, field::KIND_WORD)) || len > RECORD_BYTES_MAX {
            return None;
        }
        Some(Self {
            crc: u32_at(head, field::CRC),
            prev_crc: u32_at(head, field::PREV_CRC),
            kind: head[field::KIND],
            lsn: Lsn(u64_at(head, field::LSN)),
            durable: Lsn(u64_at(head, field::DURABLE_LSN)),
            len,
        })
    }

    /// Bytes of the header and the payload.
    pub(crate) fn bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.len
    }

    /// Bytes that the frame takes in the segment.
    pub(crate) fn padded(&self) -> usize {
        frame_bytes(self.len)
    }
}

/// Whether four bytes can be the kind of a frame with the three zeros behind it.
fn is_kind_word(word: u32) -> bool {
    const KIND: u32 = 0xff;
    word & KIND != 0 && word & !KIND == 0
}

/// How many bytes from the front of `bytes` on, which begin where a frame may begin, hold no place where one does
/// begin: a multiple of [`ALIGN`]. The last few cannot be told, and are not counted.
pub(crate) fn gap(bytes: &[u8]) -> usize {
    // Mostly there are zeros, and they are passed over many at a time.
    const LANE: usize = 64;
    let mut at = bytes.chunks_exact(LANE).take_while(|lane| is_zero(lane)).count() * LANE;
    // The kind of a frame that begins within the last zeros can stand behind them.
    at = at.saturating_sub(field::KIND_WORD.end.next_multiple_of(ALIGN));
    while let Some(head) = bytes.get(at..at + FRAME_HEADER_BYTES) {
        if is_kind_word(u32_at(head, field::KIND_WORD)) {
            break;
        }
        at += ALIGN;
    }
    at
}

/// What the checksums of a segment start from, worked out once: its seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal {
    seed_crc: u32,
}

impl Seal {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed_crc: crc32fast::hash(&seed.to_le_bytes()) }
    }

    /// Whether the checksum of a frame fits, which is `frame`, header and payload and no more. If it does, the frame is
    /// one that the writer of this segment wrote: nobody else knows the seed.
    #[inline]
    pub(crate) fn fits(self, crc: u32, frame: &[u8]) -> bool {
        self.over([&frame[field::COVERED.start..]]) == crc
    }

    /// The checksum of these bytes, one part after another.
    #[inline]
    fn over<const PARTS: usize>(self, parts: [&[u8]; PARTS]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.seed_crc);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
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
#[inline]
pub(crate) fn encode(out: &mut Vec<u8>, seal: Seal, prev_crc: u32, label: Label, payload: &[u8]) -> u32 {
    const ZEROS: [u8; ALIGN] = [0; ALIGN];
    let start = out.len();
    let bytes = FRAME_HEADER_BYTES + payload.len();
    let padded = frame_bytes(payload.len());
    out.reserve(padded);
    out.extend_from_slice(&head_of(prev_crc, label, payload.len()));
    out.extend_from_slice(payload);
    // One pass over header and payload, where they stand side by side.
    let crc = seal.over([&out[start + field::COVERED.start..]]);
    put(&mut out[start..], field::CRC, &crc.to_le_bytes());
    out.extend_from_slice(&ZEROS[..padded - bytes]);
    crc
}

/// The same without the payload, which the caller writes behind it, and the zeros behind that.
pub(crate) fn encode_head(out: &mut Vec<u8>, seal: Seal, prev_crc: u32, label: Label, payload: &[u8]) -> u32 {
    let mut head = head_of(prev_crc, label, payload.len());
    let crc = seal.over([&head[field::COVERED], payload]);
    put(&mut head, field::CRC, &crc.to_le_bytes());
    out.extend_from_slice(&head);
    crc
}

/// The header of a frame, but for its checksum.
#[inline]
fn head_of(prev_crc: u32, label: Label, len: usize) -> [u8; FRAME_HEADER_BYTES] {
    debug_assert!(len <= RECORD_BYTES_MAX && label.kind != 0);
    let mut head = [0; FRAME_HEADER_BYTES];
    put(&mut head, field::PREV_CRC, &prev_crc.to_le_bytes());
    put(&mut head, field::LEN, &u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    head[field::KIND] = label.kind;
    put(&mut head, field::LSN, &label.lsn.0.to_le_bytes());
    put(&mut head, field::DURABLE_LSN, &label.durable.0.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label { kind: 5, lsn: Lsn(12), durable: Lsn(9) };

    /// The header of the frame that `bytes` start with, where its payload is there and its checksum fits.
    fn sealed(bytes: &[u8], seed: u64) -> Option<Head> {
        let head = Head::parse(bytes.first_chunk()?)?;
        let frame = bytes.get(..head.bytes())?;
        Some(head).filter(|head| Seal::new(seed).fits(head.crc, frame))
    }

    #[test]
    fn comes_back_as_it_went_and_is_padded_with_zeros() {
        for len in 0..200 {
            let payload = vec![0xaa; len];
            let mut out = Vec::new();
            let crc = encode(&mut out, Seal::new(77), 4, LABEL, &payload);
            assert_eq!(out.len() % 8, 0);
            assert!(is_zero(&out[32 + len..]));
            let head = sealed(&out, 77).unwrap();
            assert_eq!((head.crc, head.prev_crc, head.kind, head.lsn, head.durable), (crc, 4, 5, Lsn(12), Lsn(9)));
            assert_eq!((head.len, head.bytes(), head.padded()), (len, 32 + len, out.len()));
            assert_eq!(sealed(&out, 78), None, "a frame belongs to one seed");
        }
    }

    #[test]
    fn no_flipped_bit_passes() {
        let mut out = Vec::new();
        encode(&mut out, Seal::new(77), 4, LABEL, b"eight by");
        for at in 0..out.len() {
            for bit in 0..8 {
                let mut bad = out.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(sealed(&bad, 77), None, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_length_is_bounded_before_it_is_believed() {
        let mut out = Vec::new();
        encode(&mut out, Seal::new(77), 4, LABEL, b"");
        put(&mut out, field::LEN, &u32::MAX.to_le_bytes());
        assert_eq!(Head::parse(out.first_chunk().unwrap()), None);
        put(&mut out, field::LEN, &1u32.to_le_bytes());
        assert_eq!(sealed(&out, 77), None, "the payload would lie beyond the end");
    }

    #[test]
    fn a_gap_ends_where_a_frame_can_begin_and_not_behind() {
        for len in (0..400).step_by(8) {
            for begin in (0..len).step_by(8) {
                let mut bytes = vec![0; len];
                if let Some(kind) = bytes.get_mut(begin + field::KIND) {
                    *kind = 3;
                }
                let told = len.saturating_sub(FRAME_HEADER_BYTES - ALIGN);
                let is_there = bytes.iter().any(|byte| *byte != 0);
                assert!(gap(&bytes) >= begin.min(told), "{begin} of {len}");
                assert!(gap(&bytes) <= if is_there { begin } else { len }, "{begin} of {len}");
                // Bytes that make a frame of nothing.
                bytes.iter_mut().skip(field::KIND + 1).step_by(8).for_each(|byte| *byte = 7);
                assert_eq!(gap(&bytes), told, "{begin} of {len}");
            }
        }
    }
}
