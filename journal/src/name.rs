//! The names in the directory of a log.

use std::ffi::{OsStr, OsString};

/// Left behind where a sync failed: the page cache may show what the disk does not hold. It is never synced itself, and
/// so lives exactly as long as the page cache may lie, or longer.
pub(crate) const DOUBT: &str = "doubt";
/// How the directory itself is called in errors.
pub(crate) const DIR: &str = ".";

const SUFFIX: &str = ".wal";
/// Of a file that waits to become the next segment; what it holds does not count.
const SPARE_SUFFIX: &str = ".spare";
const DIGITS: usize = 16;

/// The name of a segment: its number as 16 lower-case hexadecimal digits.
pub(crate) fn segment(seq: u64) -> String {
    format!("{seq:016x}{SUFFIX}")
}

/// A name for a file that is to become a segment, and that no file had before: after a failed sync of the directory,
/// what was done to a name is in doubt, and all that is done to it later with it.
pub(crate) fn fresh_spare() -> String {
    format!("{:016x}{SPARE_SUFFIX}", treewal_vfs::random())
}

/// What a name in the directory stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Spare(String),
    Doubt,
    Stray(OsString),
}

pub(crate) fn parse(name: &OsStr) -> Name {
    match name.to_str() {
        Some(text) if text.ends_with(SPARE_SUFFIX) => Name::Spare(text.to_owned()),
        Some(DOUBT) => Name::Doubt,
        Some(text) => parse_segment(text).map_or_else(|| Name::Stray(name.to_owned()), Name::Segment),
        None => Name::Stray(name.to_owned()),
    }
}

fn parse_segment(text: &str) -> Option<u64> {
    let digits = text.strip_suffix(SUFFIX)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_is_a_segment() {
        for seq in [1, 0x2a, u64::MAX] {
            assert_eq!(parse(OsStr::new(&segment(seq))), Name::Segment(seq));
        }
        for stray in ["1.wal", "000000000000002A.wal", "+00000000000002a.wal", "000000000000002a.wal.bak", ".wal", ""] {
            assert_eq!(parse(OsStr::new(stray)), Name::Stray(stray.into()), "{stray}");
        }
        assert_eq!(parse(OsStr::new("doubt")), Name::Doubt);
        let spare = fresh_spare();
        assert_eq!(parse(OsStr::new(&spare)), Name::Spare(spare.clone()));
        assert_ne!(spare, fresh_spare());
    }
}
