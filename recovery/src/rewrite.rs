//! Rewriting a file in place: for one at whose path something is mounted, so that no rename can replace it.
//!
//! Who reads the file meanwhile may find it torn, as may whoever looks after a crash and before recovery. What makes it whole
//! is that everything is durable elsewhere before the file is touched: the new contents in the record, or in a slot of the
//! stage, and the old ones in the *undo image*, another slot. A commit that fails rewrites the file once more, from the image.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

use treewal_journal::record::{Body, New, Owner, Times};
use treewal_vfs::{Dir, Disk, File, Open, write_all};

use crate::look::{Attributes, legible};
use crate::plan::{Ground, Place};

/// What is read at a time, and written or compared.
const BLOCK_BYTES: usize = 64 << 10;

/// Contents that stand somewhere else than in the file.
#[derive(Debug)]
pub enum Contents<'a> {
    /// In a record.
    Bytes(&'a [u8]),
    /// In a slot.
    File(File, u64),
}

impl<'a> Contents<'a> {
    /// Those of a new file: in its record, or at its place in the stage.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn of(ground: &mut Ground<'_>, new: &'a New, staged: &Place) -> io::Result<Self> {
        match &new.body {
            Body::Inline(bytes) => Ok(Self::Bytes(bytes)),
            _ => Self::at(ground, staged),
        }
    }

    /// Those of the file at a place.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn at(ground: &mut Ground<'_>, place: &Place) -> io::Result<Self> {
        let (dir, name) = ground.split(place)?;
        let disk = ground.disk();
        let file = legible(disk, &dir, name, None, || disk.open(&dir, name, Open::Read))?;
        let len = disk.stat_file(&file)?.size;
        Ok(Self::File(file, len))
    }

    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// As many bytes from `offset` on as there are, up to the length of `buf`.
    fn read(&self, disk: &dyn Disk, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
            Self::File(file, _) => fill(disk, file, buf, offset),
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(disk: &dyn Disk, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match disk.read_at(file, &mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Gives the file `name` other contents, and attributes, in place; both are durable when this returns.
///
/// A crash in between, or an error, leaves any part of it: the file holds some of the old bytes, some of the new ones, and
/// zeros. To do it again is to do it once.
///
/// # Errors
/// Any error of the disk.
pub fn rewrite(
    disk: &dyn Disk,
    (dir, name): (&Dir, &OsStr),
    contents: &Contents<'_>,
    attributes: &Attributes,
) -> io::Result<()> {
    let file = legible(disk, dir, name, None, || disk.open(dir, name, Open::ReadWrite))?;
    let mut buf = vec![0; BLOCK_BYTES];
    let mut at = 0;
    while at < contents.len() {
        let read = contents.read(disk, &mut buf, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all(disk, &file, &buf[..read], at)?;
        at += read as u64;
    }
    disk.set_len(&file, at)?;
    match attributes.set(disk, dir, name) {
        // An owner that this process may not give away stays, as with any file that is replaced.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && attributes.owner.is_some() => {
            Attributes { owner: None, ..attributes.clone() }.set(disk, dir, name)?;
        }
        set => set?,
    }
    // Not by a sync of the tree's file system: the file may be on another one.
    disk.sync_file(&file)
}

/// The attributes that a rewritten file shall have.
#[must_use]
pub fn wanted(new: &New) -> Attributes {
    let xattrs = new.xattrs.iter().map(|(name, value)| (OsString::from_vec(name.clone()), Some(value.clone())));
    Attributes {
        mode: Some(new.mode),
        owner: Some(Owner { uid: new.uid, gid: new.gid }),
        times: new.times.map(|times| times.to),
        xattrs: xattrs.collect(),
    }
}

/// The attributes that a file has, so that it can have them again: all but extended attributes that are not in `named`,
/// which nobody touches.
///
/// # Errors
/// Any error of the disk.
pub fn present(disk: &dyn Disk, (dir, name): (&Dir, &OsStr), named: &Attributes) -> io::Result<Attributes> {
    let meta = disk.stat(dir, name)?;
    let there = disk.xattrs(dir, name)?;
    let value = |name: &OsString| there.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
    Ok(Attributes {
        mode: Some(meta.mode),
        owner: Some(Owner { uid: meta.uid, gid: meta.gid }),
        times: Some(Times { accessed: meta.accessed, modified: meta.modified }),
        xattrs: named.xattrs.iter().map(|(name, _)| (name.clone(), value(name))).collect(),
    })
}

/// How a file stands between the old contents and the new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// It holds the old ones.
    Old,
    /// It holds the new ones.
    New,
    /// Each byte is that of the old ones or of the new ones at its place, or zero: a rewrite that was cut short.
    Torn,
    /// It holds something else.
    Other,
}

/// Compares a file with what it held and what it shall hold. Reads only.
pub(crate) fn form(disk: &dyn Disk, file: &File, old: &Contents<'_>, new: &Contents<'_>) -> io::Result<Form> {
    let len = disk.stat_file(file)?.size;
    let (mut is_old, mut is_new) = (len == old.len(), len == new.len());
    if len > old.len().max(new.len()) {
        return Ok(Form::Other);
    }
    let mut bufs = [vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]];
    let mut at = 0;
    while at < len {
        let [there, before, after] = &mut bufs;
        let read = fill(disk, file, there, at)?;
        if read == 0 {
            break;
        }
        let (before, after) = (read_some(disk, old, before, at)?, read_some(disk, new, after, at)?);
        for (n, byte) in there[..read].iter().enumerate() {
            let (in_old, in_new) = (before.get(n) == Some(byte), after.get(n) == Some(byte));
            if !(in_old || in_new || *byte == 0) {
                return Ok(Form::Other);
            }
            is_old &= in_old;
            is_new &= in_new;
        }
        at += read as u64;
    }
    Ok(match (is_new, is_old) {
        (true, _) => Form::New,
        (false, true) => Form::Old,
        _ => Form::Torn,
    })
}

fn read_some<'b>(disk: &dyn Disk, contents: &Contents<'_>, buf: &'b mut [u8], at: u64) -> io::Result<&'b [u8]> {
    let read = contents.read(disk, buf, at)?;
    Ok(&buf[..read])
}

#[cfg(test)]
mod tests {
    use treewal_vfs::read_all;
    use treewal_vfs::sim::{Profile, SimDisk};

    use super::*;

    #[test]
    fn a_torn_rewrite_is_told_from_what_somebody_else_wrote() {
        let disk = SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        let form = |bytes: &[u8], n: u32| {
            let file = disk.open(&root, OsStr::new(&n.to_string()), Open::CreateNew { mode: 0o600 }).unwrap();
            write_all(&disk, &file, bytes, 0).unwrap();
            form(&disk, &file, &Contents::Bytes(b"old contents"), &Contents::Bytes(b"new text")).unwrap()
        };
        let cases: [(&[u8], Form); 9] = [
            (b"old contents", Form::Old),
            (b"new text", Form::New),
            (b"", Form::Torn),
            (b"new textents", Form::Torn),
            (b"oew conte", Form::Torn),
            (b"\0\0\0 text", Form::Torn),
            (b"old contents and more", Form::Other),
            (b"somebody's", Form::Other),
            (b"new tex!", Form::Other),
        ];
        for (n, (bytes, expected)) in (0..).zip(cases) {
            assert_eq!(form(bytes, n), expected, "{}", bytes.escape_ascii());
        }
    }
    /// Nobody else syncs the file: it may be on another file system than the tree.
    #[test]
    fn a_rewritten_file_is_durable_with_its_attributes() {
        for new in [&b"short"[..], &[7; 3000]] {
            let disk = SimDisk::new();
            let root = disk.open_root("/".as_ref()).unwrap();
            let name = OsStr::new("f");
            let file = disk.open(&root, name, Open::CreateNew { mode: 0o600 }).unwrap();
            write_all(&disk, &file, &[1; 1500], 0).unwrap();
            disk.sync_all(&root).unwrap();
            let attributes = Attributes { mode: Some(0o640), ..Attributes::default() };
            rewrite(&disk, (&root, name), &Contents::Bytes(new), &attributes).unwrap();
            let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
            let root = lost.open_root("/".as_ref()).unwrap();
            let file = lost.open(&root, name, Open::Read).unwrap();
            assert!(read_all(&lost, &file, 1 << 20).unwrap() == new);
            assert_eq!(lost.stat(&root, name).unwrap().mode, 0o640);
        }
    }
}
