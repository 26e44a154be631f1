//! Stages: each belongs to a handle that is open, or is left by one that is gone.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;

use treewal_recovery::home::Home;
use treewal_vfs::{Kind, Lock, Open, errno};

use super::journal::names;
use super::{Findings, io, stays};
use crate::Result;

const LOCK: &str = ".lock";
const SWEPT: &str = "harmless: the next opening finishes what needs it, and removes it";
/// A handle that begins makes its lock, and at once its directory.
const BEGINNING_SECS: i64 = 60;

pub(super) fn check(home: &Home, findings: &mut Findings) -> Result<()> {
    for name in names(home, &home.stage, "stage")? {
        let path = Path::new("stage").join(&name);
        let meta = match home.disk.stat(&home.stage, &name) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            meta => meta.map_err(io(&path))?,
        };
        let text = name.to_string_lossy();
        let (owner, wanted) = match text.strip_suffix(LOCK) {
            Some(owner) => (owner, Kind::File),
            None => (&*text, Kind::Dir),
        };
        if !is_handle(owner) || meta.kind != wanted {
            let what = format!("{path:?} is no stage of a handle");
            findings.add("stage-odd", &path, what, "harmless: the next opening removes it");
        } else if wanted == Kind::Dir {
            if !is_owned(home, owner)? && stays(home, &home.stage, &name)? {
                findings.add("stage-leftover", &path, format!("the handle of {path:?} is gone"), SWEPT);
            }
        } else if !is_there(home, OsStr::new(owner))?
            && home.disk.now().secs.saturating_sub(meta.modified.secs) > BEGINNING_SECS
        {
            findings.add("stage-leftover", &path, format!("{path:?} is the lock of a stage that is gone"), SWEPT);
        }
    }
    Ok(())
}

fn is_handle(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_there(home: &Home, name: &OsStr) -> Result<bool> {
    match home.disk.stat(&home.stage, name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        meta => meta.map(|_| true).map_err(io(Path::new("stage").join(name))),
    }
}

/// Whether a handle that is open has the stage. Its lock is there before its directory is: who finds it free has not come
/// before the owner.
fn is_owned(home: &Home, owner: &str) -> Result<bool> {
    let name = OsString::from(format!("{owner}{LOCK}"));
    let path = Path::new("stage").join(&name);
    let file = match home.disk.open(&home.stage, &name, Open::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) if matches!(error.raw_os_error(), Some(errno::ELOOP)) => return Ok(false),
        file => file.map_err(io(&path))?,
    };
    if home.disk.stat_file(&file).map_err(io(&path))?.kind != Kind::File {
        return Ok(false);
    }
    let free = home.disk.try_lock(&file, Lock::Shared).map_err(io(&path))?;
    Ok(!free)
}
