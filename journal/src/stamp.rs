//! What a header says for people: when and in which boot of the machine a segment was made.

use std::time::{SystemTime, UNIX_EPOCH};

use treewal_vfs::Time;

/// The wall clock, for people who read a header.
pub(crate) fn now() -> Time {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Time { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() },
        Err(_) => Time::default(),
    }
}

/// The boot of the machine in 16 bytes: the UUID where it is one, else its first bytes.
pub(crate) fn boot(id: &str) -> [u8; 16] {
    let mut out = [0; 16];
    let digits: Vec<u8> = id.bytes().filter(|byte| *byte != b'-').collect();
    let uuid = std::str::from_utf8(&digits).ok().filter(|text| text.len() == 32);
    match uuid.and_then(|text| u128::from_str_radix(text, 16).ok()) {
        Some(number) => out = number.to_be_bytes(),
        None => {
            let len = id.len().min(out.len());
            out[..len].copy_from_slice(&id.as_bytes()[..len]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_its_uuid_or_what_fits_of_its_name() {
        let uuid = boot("01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(uuid[..8], [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(boot("sim-1"), *b"sim-1\0\0\0\0\0\0\0\0\0\0\0");
    }
}
