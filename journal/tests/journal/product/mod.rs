//! Damage as a product: every class of bytes that the format has, in every segment, times every way to spoil bytes; and
//! every file times every way to spoil a file. What must be handed out, and where the log must say that it ends, is
//! worked out here from which frames are still what was written, without the reader.

mod bytes;
mod files;

use std::sync::Arc;

use treewal_journal::{Lsn, Tail};

use crate::common::*;

/// With padding behind each.
const PAYLOAD_BYTES: usize = 6401;
const FRAME_BYTES: usize = 6440;
/// In each segment but the last.
const FRAMES: usize = 9;
const FRAMES_IN_LAST: usize = 5;
const SEGMENTS: usize = 4;
const HEADER_BYTES: usize = 4096;

struct Original {
    files: Vec<Vec<u8>>,
    records: Vec<Seen>,
}

fn original() -> Original {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    while log.last() < Lsn((FRAMES * (SEGMENTS - 1) + FRAMES_IN_LAST) as u64) {
        commit(&log, &vec![u8::try_from(log.last().0).unwrap() + 1; PAYLOAD_BYTES]);
    }
    let (found, records) = scan_every_way(&*disk);
    assert_eq!((found.tail, found.segments.len()), (Tail::Clean, SEGMENTS));
    Original { files: (1..=SEGMENTS as u64).map(|seq| bytes_of(&*disk, &segment(seq))).collect(), records }
}

fn frames_in(file: usize) -> usize {
    if file + 1 < SEGMENTS { FRAMES } else { FRAMES_IN_LAST }
}

fn frame_at(frame: usize) -> usize {
    HEADER_BYTES + frame * FRAME_BYTES
}

fn first_lsn(file: usize) -> u64 {
    (file * FRAMES) as u64 + 1
}
