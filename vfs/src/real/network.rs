//! Whether a file system is of this machine alone, or other machines may have it mounted as well.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FsWord, fstatfs};
use rustix::io::retry_on_intr;

use super::kernel;

/// As the kernel's `magic.h` numbers them, and the sources of those that are not in it.
const NETWORK: [(FsWord, &str); 13] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x2003_0528, "OrangeFS"),
];
const FUSE: FsWord = 0x6573_5546;
/// What FUSE file systems with a server elsewhere call themselves. Of any other, nothing is known: most are of this machine.
const SERVED: [&str; 17] = [
    "virtiofs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.goofys",
    "fuse.gcsfuse",
    "fuse.blobfuse",
    "fuse.blobfuse2",
    "fuse.davfs2",
    "fuse.curlftpfs",
    "fuse.juicefs",
    "fuse.moosefs",
    "fuse.seaweedfs",
    "fuse.beegfs",
];

/// The name of a network file system.
pub(super) fn network(dir: BorrowedFd<'_>) -> io::Result<Option<String>> {
    let kind = retry_on_intr(|| fstatfs(dir))?.f_type;
    if kind == FUSE {
        // Without `/proc` nothing is known of it, which is no error.
        let mount = kernel::mount_of(dir).ok().flatten();
        return Ok(mount.map(|mount| mount.kind).filter(|kind| SERVED.contains(&kind.as_str())));
    }
    Ok(NETWORK.iter().find(|(number, _)| *number == kind).map(|(_, name)| (*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;

    #[test]
    fn what_the_kernel_makes_up_itself_is_on_no_network() {
        let proc = openat(CWD, c"/proc", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert_eq!(network(proc.as_fd()).unwrap(), None);
    }
}
