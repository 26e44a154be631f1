//! The verbs of [`Disk`], each a short way into the state.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice};
use std::path::Path;

use rustix::io::Errno;

use super::SimDisk;
use super::attributes::xattr_fits;
use super::content::to_usize;
use super::image::{Body, Id};
use super::names::permissions;
use super::state::State;
use crate::{
    Dir, Disk, Entry, File, Kind, Lock, Locker, Mapping, Meta, MountId, Open, PowerLoss, RelPath, Rename, Time,
};

impl Disk for SimDisk {
    fn open_root(&self, path: &Path) -> io::Result<Dir> {
        let mut state = self.enter()?;
        let id = state.follow(path)?;
        Ok(Dir(self.handle(&mut state, id, false)))
    }

    fn open_dir(&self, at: &Dir, path: &RelPath) -> io::Result<Dir> {
        let mut state = self.enter()?;
        let mut id = self.opened(&state, &at.0)?.0.id;
        for part in path.components() {
            id = state.existing(id, part)?;
            match state.seen.inode(id)?.kind {
                Kind::Dir => {}
                Kind::Symlink => return Err(Errno::LOOP.into()),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Ok(Dir(self.handle(&mut state, id, false)))
    }

    fn open(&self, at: &Dir, name: &OsStr, how: Open) -> io::Result<File> {
        let makes = match how {
            Open::Read | Open::ReadWrite => None,
            Open::CreateNew { mode } | Open::Create { mode } => Some(permissions(mode)?),
        };
        let mut state = match makes {
            // Only an open that makes a file changes something; one that fails is none.
            Some(_) if self.look(at, |state, dir| Ok(state.find(dir, name)?.is_none()))? => self.enter_changing()?,
            _ => self.enter()?,
        };
        let dir = self.opened(&state, &at.0)?.0.id;
        let id = match (state.find(dir, name)?, makes) {
            (None, Some(mode)) => state.create_file(dir, name, mode)?,
            (None, None) => return Err(Errno::NOENT.into()),
            (Some(_), _) if matches!(how, Open::CreateNew { .. }) => return Err(Errno::EXIST.into()),
            (Some(id), _) => state.openable(id, how)?,
        };
        Ok(File(self.handle(&mut state, id, how != Open::Read)))
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        self.look(at, |state, dir| state.meta(state.existing_or_itself(dir, name)?))
    }

    fn stat_dir(&self, dir: &Dir) -> io::Result<Meta> {
        self.look(dir, State::meta)
    }

    fn stat_file(&self, file: &File) -> io::Result<Meta> {
        self.look_file(file, |state, file| state.meta(file.id))
    }

    /// Leaves the time as it is: the clock of this disk is its own, and `now` may be another.
    fn stamp(&self, file: &File, _: Time) -> io::Result<Meta> {
        self.stat_file(file)
    }

    fn list(&self, dir: &Dir) -> io::Result<Vec<Entry>> {
        self.look(dir, State::list)
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> io::Result<OsString> {
        self.look(at, |state, dir| match &state.seen.inode(state.existing(dir, name)?)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        })
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.look_file(file, |state, file| state.read_at(file, buf, offset))
    }

    fn map(&self, file: &File, bytes_max: u64) -> io::Result<Option<Mapping>> {
        let meta = self.stat_file(file)?;
        let bytes = to_usize(meta.size.min(bytes_max));
        if meta.kind != Kind::File || bytes == 0 {
            return Ok(None);
        }
        let mut copy = vec![0; bytes];
        let read = self.read_at(file, &mut copy, 0)?;
        copy.truncate(read);
        Ok(Some(Mapping::of_copy(copy, read)))
    }

    fn next_data(&self, file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
        self.look_file(file, |state, file| state.next_data(file, offset))
    }

    fn xattrs(&self, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        self.look(at, |state, dir| state.xattrs(state.existing_or_itself(dir, name)?))
    }

    fn xattrs_of_file(&self, _: &File, at: &Dir, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        self.xattrs(at, name)
    }

    /// Root may.
    fn may_change_names(&self, _: &Dir, _: &OsStr) -> io::Result<bool> {
        Ok(true)
    }

    fn space(&self, dir: &Dir) -> io::Result<u64> {
        self.look(dir, |state, _| Ok(state.free()))
    }

    /// What it keeps is for a test to say; see [`SimDisk::outcomes`].
    fn power_loss(&self, _: &Dir) -> io::Result<PowerLoss> {
        Ok(PowerLoss::Unknown)
    }

    fn keeps_one_tree(&self, _: &Dir) -> io::Result<bool> {
        Ok(false)
    }

    fn unwritten(&self) -> Option<u64> {
        None
    }

    /// Root, the owner of everything that is made here.
    fn user(&self) -> u32 {
        0
    }

    fn now(&self) -> crate::Time {
        self.state.lock().clock()
    }

    fn network(&self, dir: &Dir) -> io::Result<Option<String>> {
        self.look(dir, |state, _| Ok(state.settings.network.map(ToOwned::to_owned)))
    }

    fn mount_id(&self, dir: &Dir) -> io::Result<Option<MountId>> {
        self.look(dir, |state, _| {
            let mut id = [0; 24];
            id[..8].copy_from_slice(&state.boot.to_le_bytes());
            id[16..].copy_from_slice(&state.mount.to_le_bytes());
            Ok(Some(MountId(id)))
        })
    }

    fn boot_id(&self) -> String {
        format!("simulated-boot-{}", self.state.lock().boot)
    }

    fn create_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        self.change(at, |state, dir| state.create_dir(dir, name, mode))
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.change(at, |state, dir| state.remove(dir, name, true))
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.change(at, |state, dir| state.remove(dir, name, false))
    }

    fn symlink(&self, target: &OsStr, at: &Dir, name: &OsStr) -> io::Result<()> {
        self.change(at, |state, dir| state.create_symlink(target, dir, name))
    }

    fn hard_link(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr) -> io::Result<()> {
        self.change_both((from, to), |state, from, to| state.hard_link(from, name, to, to_name))
    }

    fn make_node(&self, at: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
        self.change(at, |state, dir| state.create_node(dir, name, meta))
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        self.change_both((from, to), |state, from, to| state.rename(from, name, to, to_name, how))
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.change_file(file, |state, file| state.write_at(file, buf, offset))
    }

    fn write_vectored_at(&self, file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.write_at(file, &bufs.iter().flat_map(|buf| buf.iter().copied()).collect::<Vec<u8>>(), offset)
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.change_file(file, |state, file| state.set_len(file, len))
    }

    /// What is written goes where it went before.
    fn overwrite_in_place(&self, _: &File) -> io::Result<bool> {
        Ok(false)
    }

    fn reflink(&self, from: &File, to: &File) -> io::Result<()> {
        self.change_file(to, |state, to| {
            let (from, _) = self.opened(state, &from.0)?;
            state.reflink(from, to)
        })
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
        self.change_entry(at, name, |state, id| state.set_mode(id, mode))
    }

    fn set_owner(&self, at: &Dir, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        self.change_entry(at, name, |state, id| state.set_owner(id, uid, gid))
    }

    fn set_times(&self, at: &Dir, name: &OsStr, accessed: Time, modified: Time) -> io::Result<()> {
        self.change_entry(at, name, |state, id| state.set_times(id, accessed, modified))
    }

    fn set_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        xattr_fits(key, value)?;
        self.change_entry(at, name, |state, id| state.set_xattr(id, key, value))
    }

    fn remove_xattr(&self, at: &Dir, name: &OsStr, key: &OsStr) -> io::Result<()> {
        xattr_fits(key, &[])?;
        self.change_entry(at, name, |state, id| state.remove_xattr(id, key))
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.change_file(file, |state, file| state.sync_data(file.id))
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.change_file(file, |state, file| state.sync_file(file.id))
    }

    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        self.change(dir, State::sync_dir)
    }

    fn sync_all(&self, dir: &Dir) -> io::Result<()> {
        self.change(dir, |state, _| state.sync_all())
    }

    fn try_lock(&self, file: &File, lock: Lock) -> io::Result<bool> {
        let mut state = self.enter()?;
        let (opened, number) = self.opened(&state, &file.0)?;
        Ok(state.locks.try_lock(opened.id, number, lock))
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        let mut state = self.enter()?;
        let (opened, number) = self.opened(&state, &file.0)?;
        state.locks.unlock(opened.id, number);
        Ok(())
    }

    fn lockers(&self, _: &File) -> io::Result<Vec<Locker>> {
        Ok(Vec::new())
    }
}

impl SimDisk {
    /// A call on an entry that changes its inode.
    fn change_entry(
        &self,
        at: &Dir,
        name: &OsStr,
        call: impl FnOnce(&mut State, Id) -> Result<(), Errno>,
    ) -> io::Result<()> {
        self.change(at, |state, dir| {
            let id = state.existing_or_itself(dir, name)?;
            call(state, id)
        })
    }
}
