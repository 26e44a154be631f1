//! Setting back mode, owner, times and extended attributes of one entry, those that differ.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, Kind, errno};

use crate::manifest::Entry;

/// The owner may read and write: enough to set an extended attribute.
const OWNER_WRITES: u32 = 0o600;
/// The bits that make a program run as its owner or group.
const SET_ID: u32 = 0o6000;

/// Makes the entry `name` in `dir` have the attributes of `entry`; says whether any differed. Nothing is synced.
///
/// The order is the kernel's: a change of owner takes set-id bits and capabilities away, an access control list changes
/// the mode, and an attribute cannot be set on a file that its owner may not write. So: owner, attributes, mode, times.
pub(crate) fn set_back(disk: &dyn Disk, dir: &Dir, name: &OsStr, entry: &Entry) -> io::Result<bool> {
    let then = &entry.meta;
    let live = disk.stat(dir, name)?;
    let ordinary = disk.user() != 0;
    let mut owner_differs = (live.uid, live.gid) != (then.uid, then.gid);
    let mut mode = then.mode;
    if owner_differs {
        match disk.set_owner(dir, name, then.uid, then.gid) {
            // An ordinary user cannot give it back to whom it was: then it is that user's, and sets nobody's id.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && ordinary => {
                owner_differs = false;
                mode &= if then.kind == Kind::Dir { !0 } else { !SET_ID };
            }
            owned => owned?,
        }
    }
    let has_mode = then.kind != Kind::Symlink;
    let mut current = disk.xattrs(dir, name)?;
    let mut wanted = entry.xattrs.clone();
    if ordinary {
        // What this process cannot set is left as it is.
        current.retain(|(key, _)| !is_privileged(key));
        wanted.retain(|(key, _)| !is_privileged(key));
    }
    let xattrs_differ = current != wanted;
    if xattrs_differ {
        if has_mode && live.mode & OWNER_WRITES != OWNER_WRITES {
            disk.set_mode(dir, name, live.mode | OWNER_WRITES)?;
        }
        for (key, _) in current.iter().filter(|(key, _)| !wanted.iter().any(|(other, _)| other == key)) {
            match disk.remove_xattr(dir, name, key) {
                Err(error) if error.raw_os_error() == Some(errno::ENODATA) => {}
                removed => removed?,
            }
        }
        for (key, value) in wanted.iter().filter(|wanted| !current.contains(wanted)) {
            disk.set_xattr(dir, name, key, value)?;
        }
    }
    let mode_differs = has_mode && live.mode != mode;
    if has_mode && (mode_differs || owner_differs || xattrs_differ) {
        disk.set_mode(dir, name, mode)?;
    }
    let time_differs = live.modified != then.modified;
    if time_differs {
        disk.set_times(dir, name, then.accessed, then.modified)?;
    }
    Ok(owner_differs || xattrs_differ || mode_differs || time_differs)
}

/// Attributes that an ordinary process cannot set.
fn is_privileged(key: &OsStr) -> bool {
    let key = key.as_encoded_bytes();
    key.starts_with(b"security.") || key.starts_with(b"trusted.")
}
