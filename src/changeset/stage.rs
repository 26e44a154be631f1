//! Staging a change set in a transaction.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use treewal_vfs::{Disk, Open};

use super::{Change, ChangeSet, Expectation, Timestamp};
use crate::transaction::Bytes;
use crate::{Error, Expect, FileTimes, Publish, Result, Transaction};

/// Contents given in one of three ways.
enum Contents<'a> {
    Bytes(std::borrow::Cow<'a, [u8]>),
    Source(&'a Path),
}

impl ChangeSet {
    /// Stages all changes; nothing happens in the tree before the transaction commits.
    ///
    /// # Errors
    /// [`Error::Change`] with the index of the change that failed, [`Error::Conflict`] for an expectation that does not
    /// hold.
    pub fn stage(&self, tx: &mut Transaction) -> Result<()> {
        for (index, expected) in self.expect.iter().enumerate() {
            let (path, expect) = expected.parse().map_err(|why| Error::Input(format!("expectation {index}: {why}")))?;
            tx.expect(path, expect)?;
        }
        for (index, change) in self.changes.iter().enumerate() {
            change.stage(tx).map_err(|source| Error::Change { index, source: Box::new(source) })?;
        }
        Ok(())
    }
}

impl Expectation {
    fn parse(&self) -> Result<(&Path, Expect), &'static str> {
        match (self.absent, &self.sha256, self.unchanged) {
            (Some(true), None, None) => Ok((&self.path, Expect::Absent)),
            (None, Some(hex), None) => {
                Ok((&self.path, Expect::Digest(digest(hex).ok_or("`sha256` is not 64 hexadecimal digits")?)))
            }
            (None, None, Some(true)) => Ok((&self.path, Expect::Unchanged)),
            (Some(false), None, None) => Err("`absent` can only be true"),
            (None, None, Some(false)) => Err("`unchanged` can only be true"),
            _ => Err("needs exactly one of `absent`, `sha256` and `unchanged`"),
        }
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (n, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(digest)
}

impl Change {
    fn stage(&self, tx: &mut Transaction) -> Result<()> {
        match self {
            Self::Write { path, text, base64, source, parents, if_changed } => {
                make_parents(tx, path, *parents)?;
                match contents(text, base64, source)? {
                    Contents::Bytes(bytes) if *if_changed => tx.write_if_changed(path, bytes).map(drop),
                    Contents::Bytes(bytes) => tx.write(path, bytes),
                    Contents::Source(source) if *if_changed && is_same(tx, path, source)? => Ok(()),
                    Contents::Source(source) => write_from(tx, path, source),
                }
            }
            Self::Append { path, text, base64, source, parents } => {
                make_parents(tx, path, *parents)?;
                match contents(text, base64, source)? {
                    Contents::Bytes(bytes) => tx.append(path, bytes),
                    Contents::Source(source) => read_source(tx, source, |tx, block| tx.append(path, block)),
                }
            }
            Self::Copy { from, to, parents } => {
                make_parents(tx, to, *parents)?;
                tx.copy(from, to).map(drop)
            }
            Self::Mkdir { path, parents: true } => tx.create_dir_all(path),
            Self::Mkdir { path, parents: false } => tx.create_dir(path),
            Self::Rename { from, to, parents } => {
                make_parents(tx, to, *parents)?;
                tx.rename(from, to)
            }
            Self::Exchange { a, b } => tx.exchange(a, b),
            Self::Remove { path, recursive } => {
                let directory = tx.metadata(path)?.is_dir();
                match (directory, recursive) {
                    (true, true) => tx.remove_dir_all(path),
                    (true, false) => tx.remove_dir(path),
                    (false, _) => tx.remove_file(path),
                }
            }
            Self::Symlink { target, path, parents } => {
                make_parents(tx, path, *parents)?;
                tx.symlink(target, path)
            }
            Self::HardLink { from, to, parents } => {
                make_parents(tx, to, *parents)?;
                tx.hard_link(from, to)
            }
            Self::Publish { from, to, merge, keep_unmanaged, parents } => {
                make_parents(tx, to, *parents)?;
                let how = if *merge { Publish::merge() } else { Publish::exchange() };
                tx.publish_with(how.keep_unmanaged(*keep_unmanaged), from, to)
            }
            Self::Patch { .. } | Self::Truncate { .. } => self.stage_part(tx),
            Self::Chmod { .. }
            | Self::Chown { .. }
            | Self::SetTimes { .. }
            | Self::SetXattr { .. }
            | Self::RemoveXattr { .. } => self.stage_attributes(tx),
        }
    }

    /// What changes a part of a file.
    fn stage_part(&self, tx: &mut Transaction) -> Result<()> {
        match self {
            Self::Patch { path, offset, text, base64, source } => {
                let bytes = match contents(text, base64, source)? {
                    Contents::Bytes(bytes) => bytes,
                    Contents::Source(source) => {
                        let mut whole = Vec::new();
                        read_source(tx, source, |_, block| {
                            whole.extend_from_slice(block);
                            Ok(())
                        })?;
                        whole.into()
                    }
                };
                tx.update(path, |file| {
                    file.seek(SeekFrom::Start(*offset))?;
                    file.write_all(&bytes)
                })
            }
            Self::Truncate { path, len } => tx.update(path, |file| file.set_len(*len)),
            _ => Ok(()),
        }
    }

    fn stage_attributes(&self, tx: &mut Transaction) -> Result<()> {
        match self {
            Self::Chown { path, uid, gid } => tx.lchown(path, *uid, *gid),
            Self::SetTimes { path, accessed, modified } => {
                let mut times = FileTimes::new();
                if let Some(time) = accessed {
                    times = times.set_accessed(time.to_system()?);
                }
                if let Some(time) = modified {
                    times = times.set_modified(time.to_system()?);
                }
                tx.set_times(path, times)
            }
            Self::SetXattr { path, name, text, base64 } => match contents(text, base64, &None)? {
                Contents::Bytes(value) => tx.set_xattr(path, name, value),
                Contents::Source(_) => Ok(()),
            },
            Self::RemoveXattr { path, name } => tx.remove_xattr(path, name),
            Self::Chmod { path, mode } => {
                let bits = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o7777);
                let bits =
                    bits.ok_or_else(|| Error::Input(format!("mode {mode:?} is not an octal number up to 7777")))?;
                tx.set_mode(&crate::path::parse(path)?, bits)
            }
            _ => Ok(()),
        }
    }
}

impl Timestamp {
    fn to_system(self) -> Result<SystemTime> {
        let bad = || Error::Input(format!("{self:?} is not a time that the system knows"));
        if self.nanos >= 1_000_000_000 {
            return Err(bad());
        }
        let whole = Duration::from_secs(self.secs.unsigned_abs());
        let time = if self.secs < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        time.and_then(|time| time.checked_add(Duration::from_nanos(self.nanos.into()))).ok_or_else(bad)
    }
}

fn make_parents(tx: &mut Transaction, path: &Path, wanted: bool) -> Result<()> {
    match path.parent() {
        Some(parent) if wanted && !parent.as_os_str().is_empty() => tx.create_dir_all(parent),
        _ => Ok(()),
    }
}

fn contents<'a>(
    text: &'a Option<String>,
    base64: &'a Option<String>,
    source: &'a Option<std::path::PathBuf>,
) -> Result<Contents<'a>> {
    match (text, base64, source) {
        (Some(text), None, None) => Ok(Contents::Bytes(text.as_bytes().into())),
        (None, Some(coded), None) => {
            let bytes =
                STANDARD.decode(coded).map_err(|error| Error::Input(format!("`base64` cannot be decoded: {error}")))?;
            Ok(Contents::Bytes(bytes.into()))
        }
        (None, None, Some(source)) => Ok(Contents::Source(source)),
        _ => Err(Error::Input("needs exactly one of `text`, `base64` and `source`".to_owned())),
    }
}

/// Whether a file has the contents of one outside of the tree.
fn is_same(tx: &mut Transaction, path: &Path, source: &Path) -> Result<bool> {
    let io = |error| Error::from_os("read", source.to_owned(), error);
    let (disk, file) = open_source(tx, source).map_err(io)?;
    let len = disk.stat_file(&file).map_err(io)?.size;
    tx.keeps(&crate::path::parse(path)?, |tx, node, path| tx.is_same_file(node, path, (len, &Bytes::File(file))))
}

fn write_from(tx: &mut Transaction, path: &Path, source: &Path) -> Result<()> {
    let mut first = true;
    read_source(tx, source, |tx, block| {
        if std::mem::take(&mut first) {
            return tx
                .create(path)?
                .write_all(block)
                .map_err(|source| Error::from_os("write", path.to_owned(), source));
        }
        tx.append(path, block)
    })
}

/// Gives the contents of a file outside the tree, block by block; an empty one as one empty block.
fn read_source(
    tx: &mut Transaction,
    source: &Path,
    mut take: impl FnMut(&mut Transaction, &[u8]) -> Result<()>,
) -> Result<()> {
    let io = |error| Error::from_os("read", source.to_owned(), error);
    let (disk, file) = open_source(tx, source).map_err(io)?;
    let mut block = vec![0; 256 << 10];
    let mut offset = 0;
    loop {
        let read = disk.read_at(&file, &mut block, offset).map_err(io)?;
        if read > 0 || offset == 0 {
            take(tx, &block[..read])?;
        }
        if read == 0 {
            return Ok(());
        }
        offset += read as u64;
    }
}

fn open_source(tx: &Transaction, source: &Path) -> std::io::Result<(std::sync::Arc<dyn Disk>, treewal_vfs::File)> {
    let disk = tx.disk();
    let name = source.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let parent = match source.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A program that names a source may name it by a link: only what is written must stay in the tree.
    let dir = disk.open_root(parent)?;
    let file = match disk.read_link(&dir, name) {
        Ok(target) => {
            let target = parent.join(target);
            let dir = disk.open_root(target.parent().unwrap_or(Path::new("/")))?;
            disk.open(&dir, target.file_name().ok_or(std::io::ErrorKind::InvalidInput)?, Open::Read)?
        }
        Err(_) => disk.open(&dir, name, Open::Read)?,
    };
    let meta = disk.stat_file(&file)?;
    if meta.kind != treewal_vfs::Kind::File {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    Ok((disk, file))
}
