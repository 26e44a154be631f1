//! Names of snapshots. Pure.

use crate::{Error, Result};

/// Longest name, in bytes: what every file system takes, and then some.
const BYTES_MAX: usize = 200;

/// Checks a name: letters and digits of any script, and `-`, `_`, `.`, `+`, `@` but for the first.
///
/// It is the name of a directory, a word of command lines, and what begins with a dot is a draft.
pub(super) fn check(name: &str) -> Result<()> {
    let is_inner = |c: char| c.is_alphanumeric() || "-_.+@".contains(c);
    let starts = name.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    if starts && name.len() <= BYTES_MAX && name.chars().all(is_inner) {
        return Ok(());
    }
    let rule = "letters, digits, and after the first - _ . + @";
    Err(Error::Input(format!("{name:?} cannot name a snapshot: a name has 1 to {BYTES_MAX} bytes: {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word() {
        for good in ["a", "before-release", "2026-11-21_10.30", "été", "_x", "a@b+c", &"x".repeat(200)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".new", "-rf", "a/b", "a b", "a\n", "a\0", "..", "+x", &"x".repeat(201), "a:b"] {
            assert!(matches!(check(bad), Err(Error::Input(_))), "{bad:?}");
        }
    }
}
