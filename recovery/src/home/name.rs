//! Which names lead to treewal's own directory.

use std::ffi::OsStr;

use super::DIR_NAME;

/// Characters that a file system which folds case may leave out of a comparison: first and last of each run of what Unicode
/// calls default ignorable.
const IGNORED: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a name at the root of a tree leads to treewal's own directory, on any file system: in a directory that folds case
/// (ext4 and f2fs can have such) `.TREEWAL` does. The same names are kept on all, since a tree can be moved.
#[must_use]
pub fn is_own_name(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    if !bytes.starts_with(b".") && bytes.is_ascii() {
        return false;
    }
    let Some(text) = name.to_str() else { return false };
    let is_ignored = |char: &char| IGNORED.iter().any(|(first, last)| first <= char && char <= last);
    let said = text.chars().filter(|char| !is_ignored(char)).map(|char| char.to_ascii_lowercase());
    said.eq(DIR_NAME.chars())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_that_fold_to_it_are_kept_and_no_others() {
        for own in [".treewal", ".TREEWAL", ".TreeWal", ".tree\u{200d}wal", "\u{feff}.treewal", ".treewal\u{fe0f}"] {
            assert!(is_own_name(OsStr::new(own)), "{own:?}");
        }
        for other in ["treewal", ".treewa", ".treewall", ".treewal ", ".treewal\u{e9}", ".tr\u{e9}ewal", "", "."] {
            assert!(!is_own_name(OsStr::new(other)), "{other:?}");
        }
        assert!(!is_own_name(OsStr::from_bytes(b".treewal\xff")));
    }
}
