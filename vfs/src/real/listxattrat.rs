//! `listxattrat` of Linux 6.13: the names of the attributes of an entry of an open directory, without a way through
//! `/proc`, which takes three times as long. No library offers it yet.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::path::Arg;

/// The number of the call, which is the same on these processors.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const NUMBER: Option<libc::c_long> = Some(465);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const NUMBER: Option<libc::c_long> = None;

/// Whether the kernel, or who watches over the process, was found to refuse the call. It is not asked again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Puts the names into `buf`, each with a zero byte behind it, and gives their length; a symlink is not followed. `None`
/// where there is no such call.
///
/// # Errors
/// As `llistxattr`: `RANGE` where `buf` is too small.
pub(super) fn names(at: BorrowedFd<'_>, name: &OsStr, buf: &mut [u8]) -> Option<Result<usize, Errno>> {
    let number = NUMBER.filter(|_| !REFUSED.load(Ordering::Relaxed))?;
    match call(number, at, name, buf) {
        // Old rules for a confined process answer EPERM to whatever they do not know; a list of names never does.
        Err(Errno::NOSYS | Errno::PERM) => {
            REFUSED.store(true, Ordering::Relaxed);
            None
        }
        listed => Some(listed),
    }
}

#[expect(unsafe_code, reason = "no library offers the call")]
fn call(number: libc::c_long, at: BorrowedFd<'_>, name: &OsStr, buf: &mut [u8]) -> Result<usize, Errno> {
    name.into_with_c_str(|name| {
        // SAFETY: the call is listxattrat(int, const char *, unsigned int, char *, size_t). It reads `name` up to its zero
        // byte, and writes at most `buf.len()` bytes to `buf`, which is ours alone for as long as the call takes. The
        // descriptor is open as long as it is borrowed. Where the number stood for another call, the kernel would be older
        // than it, and answer ENOSYS: numbers are never given twice.
        let listed = unsafe {
            libc::syscall(
                number,
                libc::c_long::from(at.as_raw_fd()),
                name.as_ptr(),
                libc::c_long::from(libc::AT_SYMLINK_NOFOLLOW),
                buf.as_mut_ptr(),
                buf.len(),
            )
        };
        usize::try_from(listed).map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    })
}
