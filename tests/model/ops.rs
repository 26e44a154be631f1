//! Random operations on a small set of paths, so that they meet.

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use treewal::{Error, FileTimes, Publish, Transaction};

/// Contents above this many bytes are staged, not journalled: small, so that tests cross it often.
pub(crate) const INLINE_MAX: usize = 64;

/// One operation of a transaction; scripts name it by these words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Op {
    Write(PathBuf, Vec<u8>),
    Append(PathBuf, Vec<u8>),
    /// A file that is written in pieces at offsets, then cut or extended.
    Stream(PathBuf, Vec<(u64, Vec<u8>)>, Option<u64>),
    Copy(PathBuf, PathBuf),
    CreateDir(PathBuf),
    CreateDirAll(PathBuf),
    Symlink(PathBuf),
    Rename(PathBuf, PathBuf),
    Exchange(PathBuf, PathBuf),
    /// Something of the tree takes the place of something else; whether entries that it does not have are kept.
    Publish(PathBuf, PathBuf, bool),
    RemoveFile(PathBuf),
    RemoveDir(PathBuf),
    RemoveDirAll(PathBuf),
    Chmod(PathBuf, u32),
    /// Bytes at an offset of a file that is there.
    Update(PathBuf, u64, Vec<u8>),
    HardLink(PathBuf, PathBuf),
    /// A time of modification long gone, in seconds.
    SetTime(PathBuf, u64),
    /// The one extended attribute of the model; `None` removes it.
    Xattr(PathBuf, Option<u8>),
    Chown(PathBuf, u32),
    /// The user alone, also of a symlink.
    Lchown(PathBuf, u32),
}

pub(crate) const XATTR: &str = "user.model";

/// Where every symlink of the model points: nowhere.
pub(crate) const TARGET: &str = "no/such/file";

impl Op {
    /// Stages the operation.
    pub(crate) fn stage(&self, tx: &mut Transaction) -> treewal::Result<()> {
        match self {
            Self::Write(path, bytes) => tx.write(path, bytes),
            Self::Append(path, bytes) => tx.append(path, bytes),
            Self::Stream(path, pieces, len) => {
                let io = |error: std::io::Error| {
                    error.downcast().unwrap_or_else(|source| Error::Io { verb: "write", path: path.clone(), source })
                };
                let mut file = tx.create(path)?;
                for (offset, bytes) in pieces {
                    file.seek(SeekFrom::Start(*offset)).and_then(|_| file.write_all(bytes)).map_err(io)?;
                }
                len.map_or(Ok(()), |len| file.set_len(len).map_err(io))
            }
            Self::Copy(from, to) => tx.copy(from, to).map(drop),
            Self::CreateDir(path) => tx.create_dir(path),
            Self::CreateDirAll(path) => tx.create_dir_all(path),
            Self::Symlink(path) => tx.symlink(TARGET, path),
            Self::Rename(from, to) => tx.rename(from, to),
            Self::Exchange(a, b) => tx.exchange(a, b),
            Self::Publish(from, to, keep) => tx.publish_with(Publish::new().keep_unmanaged(*keep), from, to),
            Self::Lchown(path, id) => tx.lchown(path, Some(*id), None),
            Self::RemoveFile(path) => tx.remove_file(path),
            Self::RemoveDir(path) => tx.remove_dir(path),
            Self::RemoveDirAll(path) => tx.remove_dir_all(path),
            Self::Update(path, offset, bytes) => tx.update(path, |file| {
                file.seek(SeekFrom::Start(*offset))?;
                file.write_all(bytes)
            }),
            Self::HardLink(original, link) => tx.hard_link(original, link),
            Self::SetTime(path, secs) => {
                let time = UNIX_EPOCH + Duration::new(*secs, 999_999_999);
                tx.set_times(path, FileTimes::new().set_modified(time))
            }
            Self::Xattr(path, Some(value)) => tx.set_xattr(path, XATTR, [*value]),
            Self::Xattr(path, None) => tx.remove_xattr(path, XATTR),
            Self::Chown(path, id) => tx.chown(path, Some(*id), Some(*id + 1)),
            Self::Chmod(path, mode) => tx.set_permissions(path, std::fs::Permissions::from_mode(*mode)),
        }
    }
}

fn path() -> impl Strategy<Value = PathBuf> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        3 => name().prop_map(PathBuf::from),
        4 => (name(), name()).prop_map(|(a, b)| [a, b].iter().collect()),
        2 => (name(), name(), name()).prop_map(|(a, b, c)| [a, b, c].iter().collect()),
    ]
}

/// Also the tree itself, whose attributes are set like any other's.
fn path_or_root() -> impl Strategy<Value = PathBuf> {
    prop_oneof![6 => path(), 1 => Just(PathBuf::from("."))]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let len = prop::sample::select(vec![0, 1, 5, INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1, 600]);
    (len, any::<u8>()).prop_map(|(len, byte)| vec![byte; len])
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let pieces = prop::collection::vec((0..150u64, bytes()), 0..3);
    prop_oneof![
        4 => (path(), bytes()).prop_map(|(path, bytes)| Op::Write(path, bytes)),
        2 => (path(), bytes()).prop_map(|(path, bytes)| Op::Append(path, bytes)),
        1 => (path(), pieces, prop::option::of(0..150u64)).prop_map(|(path, pieces, len)| Op::Stream(path, pieces, len)),
        2 => (path(), path()).prop_map(|(from, to)| Op::Copy(from, to)),
        3 => path().prop_map(Op::CreateDir),
        2 => path().prop_map(Op::CreateDirAll),
        1 => path().prop_map(Op::Symlink),
        8 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
        4 => (path(), path()).prop_map(|(a, b)| Op::Exchange(a, b)),
        4 => (path(), path(), any::<bool>()).prop_map(|(from, to, keep)| Op::Publish(from, to, keep)),
        1 => (path(), 1..9u32).prop_map(|(path, id)| Op::Lchown(path, id)),
        2 => path().prop_map(Op::RemoveFile),
        1 => path().prop_map(Op::RemoveDir),
        2 => path().prop_map(Op::RemoveDirAll),
        2 => (path_or_root(), 0..0o100u32).prop_map(|(path, mode)| Op::Chmod(path, 0o700 | mode)),
        1 => (path(), 0..150u64, bytes()).prop_map(|(path, at, bytes)| Op::Update(path, at, bytes)),
        2 => (path(), path()).prop_map(|(original, link)| Op::HardLink(original, link)),
        1 => (path_or_root(), 1..9u64).prop_map(|(path, secs)| Op::SetTime(path, secs)),
        1 => (path_or_root(), prop::option::of(any::<u8>())).prop_map(|(path, value)| Op::Xattr(path, value)),
        1 => (path_or_root(), 1..9u32).prop_map(|(path, id)| Op::Chown(path, id)),
    ]
}

/// A few transactions, one after another.
pub(crate) fn transactions() -> impl Strategy<Value = Vec<Vec<Op>>> {
    prop::collection::vec(prop::collection::vec(op(), 1..9), 1..5)
}
