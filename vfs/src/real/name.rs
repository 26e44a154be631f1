//! What may stand as a name in a call: one component, and nothing that walks.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::Mode;

use crate::ITSELF;

/// Lets `name` through where it is a single component.
///
/// The kernel would take `..`, `a/b` and `.` as paths and leave the directory with them; here is the fence.
///
/// # Errors
/// `InvalidInput`. A name that is too long is left to the file system, which knows its own limit.
pub(super) fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    let walks = matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') || bytes.contains(&0);
    if walks {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is not a single name")));
    }
    Ok(name)
}

/// The same, and the name that stands for the directory itself: nothing leaves it by that either.
pub(super) fn single_or_itself(name: &OsStr) -> io::Result<&OsStr> {
    if name == ITSELF { Ok(name) } else { single(name) }
}

/// The permission, set-id and sticky bits of `mode`.
///
/// # Errors
/// `InvalidInput` where it has any other bit.
pub(super) fn permissions(mode: u32) -> io::Result<Mode> {
    if mode > 0o7777 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{mode:o} is more than permission bits")));
    }
    Ok(Mode::from_raw_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_component_is_a_name() {
        for bad in ["", ".", "..", "/", "a/b", "a/", "/a", "../a", "a\0"] {
            assert_eq!(single(OsStr::new(bad)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
        for good in ["a", "...", ".a", "a..", "\\"] {
            assert_eq!(single(OsStr::new(good)).unwrap(), good);
        }
        assert_eq!(single_or_itself(OsStr::new(".")).unwrap(), ".");
        assert!(single_or_itself(OsStr::new("..")).is_err());
        assert_eq!(single(OsStr::from_bytes(b"\xff")).unwrap().as_bytes(), b"\xff");
    }

    #[test]
    fn a_mode_has_no_file_type_in_it() {
        assert_eq!(permissions(0o7777).unwrap().as_raw_mode(), 0o7777);
        assert_eq!(permissions(0o100_644).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
