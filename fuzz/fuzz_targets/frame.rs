//! One frame: what decodes, encodes to what decodes the same; what is encoded, decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use treewal_journal::fuzz::{Decoded, decode_frame, encode_frame};

fuzz_target!(|data: &[u8]| {
    let Some((seed, bytes)) = data.split_first_chunk::<8>() else { return };
    let seed = u64::from_le_bytes(*seed);
    let Some(decoded) = decode_frame(bytes, seed) else { return };
    assert!(decoded.kind != 0 && decoded.payload.len() <= treewal_journal::RECORD_BYTES_MAX);
    assert!(decoded.bytes % 8 == 0 && decoded.bytes - decoded.payload.len() < 40);
    let encoded = encode_frame(&decoded, seed);
    assert_eq!(decode_frame(&encoded, seed), Some(Decoded { sealed: true, ..decoded }));
    // A frame that is sealed is the one that would be written, but for its padding.
    let used = 32 + decoded.payload.len();
    assert_eq!(decoded.sealed, encoded[..used] == bytes[..used]);
    // No other seed, and not without its last byte.
    assert!(!decode_frame(&encoded, !seed).unwrap().sealed);
    assert!(decode_frame(&encoded[..used - 1], seed).is_none());
});
