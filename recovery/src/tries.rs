//! Tries: how they are counted, and why each failed.
//!
//! A try is counted before it begins, by a record without a reason. When it has failed, the record is written again with
//! the reason. A try without one was cut short: it may have killed the process.
//!
//! **What counts towards the end.** A try that failed for good, or was cut short, counts as one; when
//! `max_attempts` of them are there, the transaction is given up. A try that failed for a reason that may pass (the disk
//! is full, the quota is used up, the device fails, something is busy, handles have run out, the disk is
//! read-only) says nothing about the transaction, and five of them come quickly where a service is started again and
//! again. They count as well, since a device that fails for ever must not be tried for ever; but only when there are
//! [`PATIENCE`] times as many, and the label then says what it was.

use std::error::Error as StdError;
use std::io;

use treewal_vfs::errno;

use crate::Error;
use crate::decide::Tries;

/// So many times as many tries are made where all failed for reasons that may pass.
pub const PATIENCE: u32 = 8;

/// What the reason of a try begins with that failed for something that may pass.
pub const PASSING: &str = "passing: ";

/// The reason of a try that was none: a person has given the transaction up. Durable before anything of it is moved, as no
/// redo could do without.
pub const DECIDED: &str = "decided: given up by hand";

/// A reason is cut to this many bytes: it is written again with each checkpoint.
const REASON_BYTES_MAX: usize = 512;

/// Whether the cause of an error says nothing about what was tried, and may be gone the next time.
#[must_use]
pub fn is_passing(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let found = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if found.is_some_and(may_pass) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn may_pass(code: i32) -> bool {
    use errno::{EBUSY, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS};
    [ENOSPC, EDQUOT, EIO, EBUSY, EMFILE, ENFILE, ENOMEM, EROFS].contains(&code)
}

/// Why a try failed, as its record says it.
#[must_use]
pub(crate) fn reason(error: &Error) -> String {
    let mut text = chain(error);
    if is_passing(error) {
        text.insert_str(0, PASSING);
    }
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// How many tries are left, where these were made.
#[must_use]
pub fn left(tries: &[String], most: u32) -> Tries {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let counted = tries.iter().filter(|reason| !reason.starts_with(PASSING)).count();
    if counted >= most || tries.iter().any(|reason| reason == DECIDED) {
        Tries::Spent
    } else if tries.len() >= most.saturating_mul(PATIENCE as usize) {
        Tries::Starved
    } else {
        Tries::Left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: i32) -> Error {
        Error::io("rename", "a")(io::Error::from_raw_os_error(code))
    }

    #[test]
    fn ro11_what_may_pass_is_told_from_what_does_not() {
        use errno::{EBUSY, EDQUOT, EIO, EMFILE, ENOSPC, EROFS};
        for code in [ENOSPC, EDQUOT, EIO, EBUSY, EMFILE, EROFS] {
            assert!(reason(&failed(code)).starts_with(PASSING), "{code}");
        }
        for code in [errno::EACCES, errno::ENOENT, errno::ENOTDIR] {
            assert!(!reason(&failed(code)).starts_with(PASSING), "{code}");
        }
        assert!(!is_passing(&Error::Changed { path: "a".into() }));
    }

    #[test]
    fn ro11_tries_that_failed_for_good_or_were_cut_short_count_and_others_count_less() {
        let (good, cut, passing) = ("broken".to_owned(), String::new(), format!("{PASSING}full"));
        let of = |list: &[(&String, usize)]| -> Vec<String> {
            list.iter().flat_map(|(text, times)| vec![(*text).clone(); *times]).collect()
        };
        assert_eq!(left(&of(&[(&good, 2), (&cut, 2), (&passing, 30)]), 5), Tries::Left);
        assert_eq!(left(&of(&[(&good, 2), (&cut, 3)]), 5), Tries::Spent);
        assert_eq!(left(&of(&[(&passing, 39)]), 5), Tries::Left);
        assert_eq!(left(&of(&[(&passing, 40)]), 5), Tries::Starved);
        assert_eq!(left(&[], 1), Tries::Left);
        assert_eq!(left(&[good, DECIDED.to_owned()], 5), Tries::Spent);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = Error::Store { path: "x".into(), reason: "ö".repeat(600) };
        assert!(reason(&long).len() <= REASON_BYTES_MAX);
    }
}
