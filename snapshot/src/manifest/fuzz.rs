//! Ways in for the fuzz targets in `fuzz/`. No part of the interface of this crate.

use treewal_vfs::codec;

use super::layout::{self, FRAME_HEADER_BYTES, HEADER_BYTES};
use super::record::{Record, from_entry};
use super::{Entry, Manifest, layout::frame_crc};

/// Gives every frame its checksum, as far as lengths lead from one to the next.
pub fn seal(bytes: &mut [u8]) {
    let mut at = HEADER_BYTES;
    let mut sequence = 0;
    while let Some(head) = bytes.get(at..at + FRAME_HEADER_BYTES) {
        let mut raw = [0; FRAME_HEADER_BYTES];
        raw.copy_from_slice(head);
        let (length, _) = layout::frame_header(raw);
        let start = at + FRAME_HEADER_BYTES;
        let Some(payload) = bytes.get(start..start.saturating_add(length as usize)) else { return };
        let crc = frame_crc(sequence, length, payload).to_le_bytes();
        bytes[at + 4..start].copy_from_slice(&crc);
        at = start + length as usize;
        sequence += 1;
    }
}

/// The manifest with these entries in bytes, as it is written.
#[must_use]
pub fn written(manifest: &Manifest, entries: &[Entry]) -> Option<Vec<u8>> {
    let guarded =
        manifest.guarded.iter().map(|one| Record::Guarded { path: one.path.to_bytes(), present: one.present });
    let excluded = manifest.excluded.iter().map(|path| Record::Excluded { path: path.to_bytes() });
    let entry = |entry: &Entry| Record::Entry(Box::new(from_entry(entry.clone(), entry.path.to_bytes())));
    let end = Record::End { bytes: manifest.end.to_bytes() };
    let mut out = layout::header().to_vec();
    for (sequence, record) in (0..).zip(guarded.chain(excluded).chain(entries.iter().map(entry)).chain([end])) {
        layout::put_frame(sequence, &codec::encode(&record).ok()?, &mut out)?;
    }
    Some(out)
}
