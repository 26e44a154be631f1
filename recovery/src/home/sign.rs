//! What the lock file says: who took the lock last and, where that handle gave it back in order, how it left the tree.
//!
//! The text has a fixed length, so that one write replaces all of it. Word of how the tree was left is written over a text
//! without any, and ends with a full stop at the very end, so that a part of it is told from all of it.

use std::fmt;
use std::time::Duration;

use treewal_journal::{LogEnd, Lsn};
use treewal_vfs::Time;

/// The length of what the file says.
pub(super) const BYTES: usize = 192;

/// Who holds the lock, as the lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holder {
    /// Process id; 0 where the file does not say.
    pub pid: u32,
    /// When the holder opened the tree, as seconds since 1970 by its clock.
    pub since: u64,
    /// The random number of the holder's handle.
    pub token: u128,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

/// How a handle left the tree that gave the lock back in order: everything in the journal up to its end is durable there,
/// and in the tree it is applied, or was undone. Nothing else is promised: no checkpoint may cover it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Where the journal ended.
    pub end: LogEnd,
    /// How many bytes it has grown since the last checkpoint.
    pub bytes: u64,
    /// How old the oldest commit is that no checkpoint covers; `None` where there is none. By the clock of the wall for the
    /// time between two holders: it decides when a checkpoint is made, and nothing else.
    pub age: Option<Duration>,
    /// Whether a transaction is owed that recovery could neither finish nor undo: who writes may go on, and who wants to read a
    /// whole tree may not.
    pub owes: bool,
}

/// What stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) holder: Holder,
    /// `None` while the holder is at work, or where it ended in any other way than in order.
    pub(super) left: Option<Left>,
}

impl Sign {
    pub(super) fn encode(&self, now: Time) -> Vec<u8> {
        let Holder { pid, since, token } = self.holder;
        let mut text = format!("pid {pid} since {since} token {token:032x}");
        let stop = if self.left.is_some() { b".\n" } else { b" \n" };
        if let Some(Left { end, bytes, age, owes }) = self.left {
            let word = if owes { "owes" } else { "left" };
            let age = age.map_or_else(|| "-".to_owned(), |age| age.as_millis().to_string());
            let left = format!(" {word} {} {:08x} {bytes} {age} at {}", end.last, end.crc, millis(now));
            text.push_str(&left);
        }
        let mut out = text.into_bytes();
        out.resize(BYTES - 2, b' ');
        out.extend_from_slice(stop);
        out
    }

    /// What cannot be read names nobody, and so never passes for a handle, nor for one that left in order.
    pub(super) fn decode(bytes: &[u8], now: Time) -> Self {
        let nobody = Self { holder: Holder::default(), left: None };
        let Ok(text) = std::str::from_utf8(bytes) else { return nobody };
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["pid", pid, "since", since, "token", token, rest @ ..] = words.as_slice() else { return nobody };
        let holder = Holder {
            pid: pid.parse().unwrap_or_default(),
            since: since.parse().unwrap_or_default(),
            token: u128::from_str_radix(token, 16).unwrap_or_default(),
        };
        let is_whole = bytes.len() == BYTES && bytes.ends_with(b".\n") && holder.token != 0;
        Self { holder, left: left(rest, now).filter(|_| is_whole) }
    }
}

fn left(words: &[&str], now: Time) -> Option<Left> {
    let [word @ ("left" | "owes"), last, crc, bytes, age, "at", at, "."] = words else { return None };
    let end = LogEnd { last: Lsn(last.parse().ok()?), crc: u32::from_str_radix(crc, 16).ok()? };
    let since = Duration::from_millis(millis(now).saturating_sub(at.parse().ok()?));
    let age = match *age {
        "-" => None,
        age => Some(Duration::from_millis(age.parse().ok()?).saturating_add(since)),
    };
    Some(Left { end, bytes: bytes.parse().ok()?, age, owes: *word == "owes" })
}

fn millis(time: Time) -> u64 {
    let secs = u64::try_from(time.secs).unwrap_or_default();
    secs.saturating_mul(1000).saturating_add(u64::from(time.nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time { secs: 1_800_000_000, nanos: 5_000_000 };

    fn largest() -> Sign {
        let holder = Holder { pid: u32::MAX, since: u64::MAX, token: u128::MAX };
        let end = LogEnd { last: Lsn(u64::MAX), crc: u32::MAX };
        Sign {
            holder,
            left: Some(Left { end, bytes: u64::MAX, age: Some(Duration::from_millis(u64::MAX)), owes: true }),
        }
    }

    #[test]
    fn what_is_said_comes_back() {
        let largest = largest();
        for sign in [largest, Sign { left: None, ..largest }] {
            assert_eq!(sign.encode(NOW).len(), BYTES);
            assert_eq!(Sign::decode(&sign.encode(NOW), NOW), sign);
        }
        let left = Left { end: LogEnd { last: Lsn(7), crc: 0xab }, bytes: 12, age: None, owes: false };
        let sign = Sign { left: Some(left), ..largest };
        assert_eq!(Sign::decode(&sign.encode(NOW), NOW), sign);
    }

    #[test]
    fn age_goes_on_between_two_holders_and_never_backwards() {
        let left =
            Left { end: LogEnd { last: Lsn(7), crc: 0 }, bytes: 0, age: Some(Duration::from_secs(2)), owes: false };
        let written = Sign { left: Some(left), ..largest() }.encode(NOW);
        let age = |now| Sign::decode(&written, now).left.unwrap().age.unwrap();
        assert_eq!(age(Time { secs: NOW.secs + 3, ..NOW }), Duration::from_secs(5));
        assert_eq!(age(Time { secs: NOW.secs - 3, ..NOW }), Duration::from_secs(2));
    }

    #[test]
    fn a_part_of_it_is_no_word_that_a_handle_left_in_order() {
        let sign = largest();
        let (held, left) = (Sign { left: None, ..sign }.encode(NOW), sign.encode(NOW));
        for cut in 0..BYTES {
            let torn = [&left[..cut], &held[cut..]].concat();
            let whole = torn == left;
            assert_eq!(Sign::decode(&torn, NOW).left.is_some(), whole, "cut at {cut}");
            assert_eq!(Sign::decode(&left[..cut], NOW).left, None, "cut at {cut}");
        }
        for other in [&b""[..], b"pid x since", &[0; BYTES], &[0xff; BYTES]] {
            let Sign { holder, left } = Sign::decode(other, NOW);
            assert_eq!((holder, left), (Holder::default(), None));
        }
    }
}
