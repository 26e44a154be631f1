//! The header of a segment: what decodes, encodes to what decodes the same, also where somebody computed a checksum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use treewal_journal::fuzz::{decode_header, encode_header, seal_header};
use treewal_journal::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut block = data.to_vec();
    block.resize(4096, 0);
    check(&block);
    seal_header(&mut block);
    check(&block);
    block[..16].copy_from_slice(b"TREEWAL\0\x01\0\0\0\0\x10\0\0");
    block[76..80].fill(0);
    block[108..112].fill(0);
    seal_header(&mut block);
    check(&block);
    // Reserved, and then begun with what stood here.
    let mut begun = block.clone();
    begun.copy_within(..124, 512);
    for field in [56..64, 64..72, 72..76, 80..88, 112..120] {
        begun[field].fill(0);
    }
    seal_header(&mut begun);
    check(&begun);
});

fn check(bytes: &[u8]) {
    let Some(header) = decode_header(bytes) else { return };
    assert!(bytes.len() >= 4096);
    assert!((SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&header.segment_bytes));
    assert!(header.seq > 0 && header.prev < header.first && header.durable < header.first);
    assert!(header.first.0 < 1 << 63);
    let encoded = encode_header(&header);
    assert_eq!(decode_header(&encoded), Some(header));
    let at = if bytes[56..64] == [0; 8] { 512 } else { 0 };
    assert_eq!(encoded[..124], bytes[at..at + 124], "everything that counts is in the value");
}
