//! The manifest in bytes: the only place that knows an offset of it.
//!
//! ```text
//! file    magic "TWALSNAP" (8)  version u32 (4)  frame, frame, … , end frame
//! frame   length u32 (4)  crc u32 (4)  payload (length)
//! ```
//!
//! All numbers are little-endian. `length` counts the payload alone and is never zero. `crc` is the CRC-32 (IEEE) of
//! three things one after another: the number of the frame as a u64, counted from zero, the length field, and the
//! payload. The number is not stored; with it, frames that changed places, were doubled or left out do not pass.
//!
//! A payload is one [`Record`](super::record::Record) as `treewal_vfs::codec` writes it. First come the guarded paths,
//! then the excluded ones, then the entries (the directories above guarded paths, then all others, each sorted by path
//! component by component), and last one end record, after which the file ends. A file without its end record was never
//! finished. The end record has the same length in every manifest, so it can be read first:
//!
//! ```text
//! end     kind 3 (1)  entries u64 (8)  taken: seconds i64 (8), nanoseconds u32 (4)  mount (24)
//! ```
//!
//! *Mount* names the mount that the snapshot was taken on, in that boot of the machine; zeros where that is not known.
//!
//! An example: the snapshot of one path `a` that did not exist.
//!
//! | bytes | what |
//! |---|---|
//! | `54 57 41 4c 53 4e 41 50` | magic |
//! | `01 00 00 00` | version 1 |
//! | `04 00 00 00` | frame 0: four bytes |
//! | `7e 75 d5 15` | its checksum |
//! | `00 01 61 00` | record 0, a guarded path: one byte, `a`; not present |
//! | `2d 00 00 00` | frame 1: 45 bytes |
//! | `d4 38 f2 6e` | its checksum |
//! | `03` | record 3, the end |
//! | `00 00 00 00 00 00 00 00` | no entries |
//! | `00 00 00 00 00 00 00 00 00 00 00 00` | taken at second 0, nanosecond 0 |
//! | `00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00` | on a mount that is not known |

use treewal_vfs::Time;
use treewal_vfs::codec::VALUE_BYTES_MAX;

/// The first bytes of the file.
pub(super) const MAGIC: [u8; 8] = *b"TWALSNAP";
/// The version written here, and the newest that can be read.
pub(super) const VERSION: u32 = 1;

const VERSION_AT: usize = 8;
/// Bytes of the file before the first frame.
pub(super) const HEADER_BYTES: usize = 12;

const CRC_AT: usize = 4;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER_BYTES: usize = 8;
/// The longest payload: what the codec will decode.
pub(super) const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX;

/// Bytes of what an end record holds.
pub(super) const END_BYTES: usize = 44;
/// Bytes at the end of the file that are the frame of the end record: header, kind, and what it holds.
pub(super) const END_FRAME_BYTES: usize = FRAME_HEADER_BYTES + 1 + END_BYTES;

const TAKEN_AT: usize = 8;
const MOUNT_AT: usize = 20;
/// Bytes that name a mount.
pub(super) const MOUNT_BYTES: usize = 24;

const _: () = assert!(MOUNT_AT == TAKEN_AT + 12 && END_BYTES == MOUNT_AT + MOUNT_BYTES);
const _: () = assert!(VERSION_AT == MAGIC.len() && HEADER_BYTES == VERSION_AT + 4);
const _: () = assert!(FRAME_HEADER_BYTES == CRC_AT + 4);
const _: () = assert!(PAYLOAD_BYTES_MAX <= u32::MAX as usize);

/// The first bytes of a manifest.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..VERSION_AT].copy_from_slice(&MAGIC);
    out[VERSION_AT..].copy_from_slice(&VERSION.to_le_bytes());
    out
}

/// The version in a header; `None` where the magic is another.
pub(super) fn version(header: &[u8; HEADER_BYTES]) -> Option<u32> {
    let (magic, version) = header.split_at(VERSION_AT);
    if magic != MAGIC {
        return None;
    }
    Some(u32::from_le_bytes(version.try_into().ok()?))
}

/// Appends `payload` to `out` as frame number `sequence`; `None`, and nothing appended, where it is empty or too long.
pub(super) fn put_frame(sequence: u64, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if payload.is_empty() || payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&frame_crc(sequence, length, payload).to_le_bytes());
    out.extend_from_slice(payload);
    Some(())
}

/// Length of the payload and checksum, as the frame header says.
pub(super) fn frame_header(bytes: [u8; FRAME_HEADER_BYTES]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// The checksum of frame number `sequence`.
pub(super) fn frame_crc(sequence: u64, length: u32, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&sequence.to_le_bytes());
    crc.update(&length.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

/// What an end record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    /// How many entries there are.
    pub(super) entries: u64,
    /// The clock of the file system when the last of them had been recorded.
    pub(super) taken: Time,
    /// The mount that this was on; zeros where that is not known.
    pub(super) mount: [u8; MOUNT_BYTES],
}

impl End {
    pub(super) fn to_bytes(self) -> [u8; END_BYTES] {
        let mut out = [0; END_BYTES];
        out[..TAKEN_AT].copy_from_slice(&self.entries.to_le_bytes());
        out[TAKEN_AT..TAKEN_AT + 8].copy_from_slice(&self.taken.secs.to_le_bytes());
        out[TAKEN_AT + 8..MOUNT_AT].copy_from_slice(&self.taken.nanos.to_le_bytes());
        out[MOUNT_AT..].copy_from_slice(&self.mount);
        out
    }

    /// `None` where the time is impossible.
    pub(super) fn from_bytes(bytes: &[u8; END_BYTES]) -> Option<Self> {
        let (entries, rest) = bytes.split_at(TAKEN_AT);
        let (secs, rest) = rest.split_at(8);
        let (nanos, mount) = rest.split_at(4);
        let taken =
            Time { secs: i64::from_le_bytes(secs.try_into().ok()?), nanos: u32::from_le_bytes(nanos.try_into().ok()?) };
        let end = Self { entries: u64::from_le_bytes(entries.try_into().ok()?), taken, mount: mount.try_into().ok()? };
        (taken.nanos < 1_000_000_000).then_some(end)
    }
}
