//! The small tree, and all operations on it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use treewal::Options;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Open, RelPath, write_all};

use crate::ops::{INLINE_MAX, Op};

/// What the operations name: what is there, and a free name in each directory.
const PATHS: [&str; 7] = ["d", "d/x", "d/n", "e", "e/n", "f", "n"];

pub(crate) fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(INLINE_MAX as u64).lock_wait(Duration::ZERO)
}

/// A full directory `d`, an empty one `e`, a file `f`; treewal's own directory, with all of it durable.
pub(crate) fn tree() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    for dir in ["d", "e"] {
        disk.create_dir(&root, OsStr::new(dir), 0o755).unwrap();
    }
    for (dir, name, bytes) in [("d", "x", 70), ("", "f", 7)] {
        let dir = disk.open_dir(&root, &RelPath::new(dir).unwrap()).unwrap();
        let file = disk.open(&dir, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(&disk, &file, name.repeat(bytes).as_bytes(), 0).unwrap();
    }
    drop(options().open_on(Arc::new(disk.clone()), "/").unwrap());
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// All of them. Contents are beneath the limit of what is journaled for one path and beyond it for the other.
pub(crate) fn operations() -> Vec<Op> {
    let mut all = Vec::new();
    let paths = || PATHS.into_iter().map(PathBuf::from);
    for (n, path) in paths().enumerate() {
        let contents = vec![b'w'; if n % 2 == 0 { INLINE_MAX + 1 } else { 3 }];
        all.extend([
            Op::Write(path.clone(), contents),
            Op::Append(path.clone(), b"and more".to_vec()),
            Op::CreateDir(path.clone()),
            Op::Symlink(path.clone()),
            Op::RemoveFile(path.clone()),
            Op::RemoveDir(path.clone()),
            Op::RemoveDirAll(path.clone()),
            Op::Chmod(path, 0o711),
        ]);
    }
    for (n, from) in paths().enumerate() {
        for (m, to) in paths().enumerate() {
            all.extend([
                Op::Rename(from.clone(), to.clone()),
                Op::HardLink(from.clone(), to.clone()),
                Op::Publish(from.clone(), to.clone(), false),
            ]);
            // Those that have nothing to merge are the same without.
            if from.starts_with("d") || from.starts_with("e") {
                all.push(Op::Publish(from.clone(), to.clone(), true));
            }
            if n <= m {
                all.push(Op::Exchange(from.clone(), to));
            }
        }
    }
    all
}
