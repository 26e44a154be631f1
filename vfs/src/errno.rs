//! The error numbers that callers of a [`Disk`](crate::Disk) tell apart, and that a test gives to a
//! [`Fault`](crate::Fault); compare with [`std::io::Error::raw_os_error`].

use rustix::io::Errno;

/// Permission denied.
pub const EACCES: i32 = Errno::ACCESS.raw_os_error();
/// Try again.
pub const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
/// Not an open handle of this disk.
pub const EBADF: i32 = Errno::BADF.raw_os_error();
/// In use: a mount point.
pub const EBUSY: i32 = Errno::BUSY.raw_os_error();
/// Disk quota exceeded.
pub const EDQUOT: i32 = Errno::DQUOT.raw_os_error();
/// A page that the disk does not give.
pub const EFAULT: i32 = Errno::FAULT.raw_os_error();
/// Something is there already.
pub const EEXIST: i32 = Errno::EXIST.raw_os_error();
/// Interrupted by a signal.
pub const EINTR: i32 = Errno::INTR.raw_os_error();
/// Not a possible request.
pub const EINVAL: i32 = Errno::INVAL.raw_os_error();
/// The device failed.
pub const EIO: i32 = Errno::IO.raw_os_error();
/// A directory, where something else was asked for.
pub const EISDIR: i32 = Errno::ISDIR.raw_os_error();
/// A symlink, where none is followed.
pub const ELOOP: i32 = Errno::LOOP.raw_os_error();
/// No more handles for this process.
pub const EMFILE: i32 = Errno::MFILE.raw_os_error();
/// No more hard links for this file.
pub const EMLINK: i32 = Errno::MLINK.raw_os_error();
/// No more handles for the whole system.
pub const ENFILE: i32 = Errno::NFILE.raw_os_error();
/// No memory.
pub const ENOMEM: i32 = Errno::NOMEM.raw_os_error();
/// The name or path is too long.
pub const ENAMETOOLONG: i32 = Errno::NAMETOOLONG.raw_os_error();
/// No such extended attribute.
pub const ENODATA: i32 = Errno::NODATA.raw_os_error();
/// Nothing of that name.
pub const ENOENT: i32 = Errno::NOENT.raw_os_error();
/// No space left.
pub const ENOSPC: i32 = Errno::NOSPC.raw_os_error();
/// No such system call.
pub const ENOSYS: i32 = Errno::NOSYS.raw_os_error();
/// Not a directory.
pub const ENOTDIR: i32 = Errno::NOTDIR.raw_os_error();
/// A directory that is not empty.
pub const ENOTEMPTY: i32 = Errno::NOTEMPTY.raw_os_error();
/// The file system does not know the request.
pub const ENOTTY: i32 = Errno::NOTTY.raw_os_error();
/// The file system cannot do that.
pub const EOPNOTSUPP: i32 = Errno::OPNOTSUPP.raw_os_error();
/// Not permitted.
pub const EPERM: i32 = Errno::PERM.raw_os_error();
/// A read-only file system.
pub const EROFS: i32 = Errno::ROFS.raw_os_error();
/// A handle that a network file system no longer knows.
pub const ESTALE: i32 = Errno::STALE.raw_os_error();
/// Another file system, or another mount.
pub const EXDEV: i32 = Errno::XDEV.raw_os_error();
