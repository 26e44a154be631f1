//! From a directory handle and a path to the directory beneath it, through no symlink and onto no other mount.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, statx};
use rustix::io::{Errno, retry_on_intr};

use super::{name, stat};
use crate::{Kind, RelPath};

/// How often `openat2` is asked again when it says that a rename on the way may have deceived it.
const RACES_MAX: u32 = 32;

/// Opens the directory that everything else is relative to, following whatever `path` says.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(retry_on_intr(|| openat(CWD, path, directory(), Mode::empty()))?)
}

/// Opens the directory at `path` beneath `at`.
///
/// One `openat2`; where there is none (before Linux 5.6, or forbidden by a filter that answers `EPERM`), a [`walk`].
pub(super) fn open_dir(at: BorrowedFd<'_>, path: &RelPath) -> io::Result<OwnedFd> {
    // `RelPath::join` takes any name, so the components are looked at again here.
    for part in path.components() {
        name::single(part)?;
    }
    match beneath(at, path) {
        Err(Errno::NOSYS | Errno::PERM) => walk(at, path),
        opened => Ok(opened?),
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn beneath(at: BorrowedFd<'_>, path: &RelPath) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let path = path.to_path();
    for _ in 1..RACES_MAX {
        match openat2(at, &path, directory(), Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    openat2(at, &path, directory(), Mode::empty(), resolve)
}

/// The same as `openat2`, one component at a time: no component is followed where it is a symlink, and each must lie on
/// the mount of the one before.
///
/// Kernels before 5.8 do not tell the mount: there a bind mount of the same file system goes unnoticed, as only the
/// device number can be compared.
///
/// # Errors
/// As `openat2`: `ELOOP` where a component is a symlink, `EXDEV` where one is on another mount.
fn walk(at: BorrowedFd<'_>, path: &RelPath) -> io::Result<OwnedFd> {
    let Some(last) = path.depth().checked_sub(1) else {
        return step(at, OsStr::new("."), directory());
    };
    // A directory on the way need only be searchable, as for the kernel's own walk: hence O_PATH.
    let passing = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home = mount(at)?;
    let mut here: Option<OwnedFd> = None;
    for (index, part) in path.components().enumerate() {
        let how = if index == last { directory() } else { passing };
        let next = step(here.as_ref().map_or(at, AsFd::as_fd), part, how)?;
        if !mount(next.as_fd())?.same(&home) {
            return Err(Errno::XDEV.into());
        }
        here = Some(next);
    }
    here.ok_or_else(|| Errno::INVAL.into())
}

fn step(at: BorrowedFd<'_>, part: &OsStr, how: OFlags) -> io::Result<OwnedFd> {
    match retry_on_intr(|| openat(at, part, how | OFlags::NOFOLLOW, Mode::empty())) {
        // A symlink is no directory, says the kernel; the contract tells the two apart.
        Err(Errno::NOTDIR) if stat::stat(at, part)?.kind == Kind::Symlink => Err(Errno::LOOP.into()),
        opened => Ok(opened?),
    }
}

/// What tells one mount from another, as far as the kernel says.
struct Mount {
    device: (u32, u32),
    id: Option<u64>,
}

impl Mount {
    fn same(&self, other: &Self) -> bool {
        self.device == other.device && self.id == other.id
    }
}

fn mount(fd: BorrowedFd<'_>) -> io::Result<Mount> {
    let said = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE | StatxFlags::MNT_ID)?;
    let knows_mount = said.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(Mount { device: (said.stx_dev_major, said.stx_dev_minor), id: knows_mount.then_some(said.stx_mnt_id) })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the standard library is the oracle here")]

    use std::os::unix::fs::{MetadataExt, symlink};
    use std::{fs, process::Command};

    use super::*;

    type Opener = fn(BorrowedFd<'_>, &RelPath) -> io::Result<OwnedFd>;
    // Both ways must give the same answers, so every test runs over both.
    const WAYS: [(&str, Opener); 2] = [("openat2", open_dir), ("walk", walk)];

    fn rel(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    fn inode(fd: &OwnedFd) -> u64 {
        statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::INO).unwrap().stx_ino
    }

    #[test]
    fn opens_what_is_beneath() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("a/b/c")).unwrap();
        let root = open_root(tree.path()).unwrap();
        for (way, open) in WAYS {
            for path in ["", "a", "a/b/c"] {
                let opened = open(root.as_fd(), &rel(path)).unwrap();
                assert_eq!(inode(&opened), fs::metadata(tree.path().join(path)).unwrap().ino(), "{way} {path:?}");
            }
            let missing = open(root.as_fd(), &rel("a/none/c")).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound, "{way}");
        }
    }

    #[test]
    fn refuses_symlinks_wherever_they_point_and_what_is_no_directory() {
        let tree = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("real/inner")).unwrap();
        fs::create_dir(outside.path().join("inner")).unwrap();
        symlink(outside.path(), tree.path().join("out")).unwrap();
        symlink("real", tree.path().join("in")).unwrap();
        symlink("/", tree.path().join("top")).unwrap();
        fs::write(tree.path().join("file"), b"").unwrap();
        let root = open_root(tree.path()).unwrap();
        for (way, open) in WAYS {
            for path in ["out", "out/inner", "in", "in/inner", "top", "top/etc"] {
                let refused = open(root.as_fd(), &rel(path)).unwrap_err().raw_os_error();
                assert_eq!(refused, Some(Errno::LOOP.raw_os_error()), "{way} {path:?}");
            }
            for path in ["file", "file/inner"] {
                let refused = open(root.as_fd(), &rel(path)).unwrap_err().raw_os_error();
                assert_eq!(refused, Some(Errno::NOTDIR.raw_os_error()), "{way} {path:?}");
            }
        }
    }

    #[test]
    fn refuses_magic_links_and_joined_dots() {
        let process = open_root(Path::new("/proc/self")).unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("a")).unwrap();
        let root = open_root(tree.path()).unwrap();
        for (way, open) in WAYS {
            assert!(open(process.as_fd(), &rel("cwd")).is_err(), "{way}");
            assert!(open(process.as_fd(), &rel("root/etc")).is_err(), "{way}");
        }
        for part in ["..", ".", "", "a/..", "/"] {
            let refused = open_dir(root.as_fd(), &rel("a").join(part)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{part:?}");
        }
    }

    struct Mounted<'a>(&'a Path);

    impl Mounted<'_> {
        fn new<'a>(at: &'a Path, arguments: &[&str]) -> Option<Mounted<'a>> {
            let done = Command::new("mount").args(arguments).arg(at).output().ok()?;
            done.status.success().then(|| Mounted(at))
        }
    }

    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            // Patiently: a child that another test is just starting holds all our handles until its `exec`.
            let unmounted = || Command::new("umount").arg(self.0).output().is_ok_and(|done| done.status.success());
            let pause = || std::thread::sleep(std::time::Duration::from_millis(10));
            assert!(
                (0..100).any(|_| {
                    pause();
                    unmounted()
                }),
                "{} stays mounted",
                self.0.display()
            );
        }
    }

    #[test]
    fn stays_on_its_mount_where_mounting_is_permitted() {
        let tree = tempfile::tempdir().unwrap();
        let (other, bound, source) = (tree.path().join("other"), tree.path().join("bound"), tree.path().join("source"));
        for dir in [&other, &bound, &source] {
            fs::create_dir(dir).unwrap();
        }
        let Some(_tmpfs) = Mounted::new(&other, &["-t", "tmpfs", "tmpfs"]) else {
            eprintln!("skipped: mounting is not permitted");
            return;
        };
        // A bind mount of the same file system: the device number is the same, the mount is not.
        let source = source.to_str().unwrap();
        let _bind = Mounted::new(&bound, &["--bind", source]).unwrap();
        fs::create_dir(other.join("deep")).unwrap();
        let root = open_root(tree.path()).unwrap();
        for (way, open) in WAYS {
            for path in ["other", "other/deep", "bound"] {
                let refused = open(root.as_fd(), &rel(path)).unwrap_err();
                assert_eq!(refused.raw_os_error(), Some(Errno::XDEV.raw_os_error()), "{way} {path}");
            }
            assert!(open(root.as_fd(), &rel("source")).is_ok(), "{way}");
        }
    }
}
