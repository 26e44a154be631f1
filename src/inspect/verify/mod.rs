//! A check of everything treewal keeps in a tree. Changes nothing.
//!
//! It takes no lock that anybody waits for, so somebody may be at work meanwhile. What looks wrong is looked at again, and
//! is found only where it stays so, and where nobody at work can be the reason.

mod guards;
mod journal;
mod parts;
mod quarantine;
mod snapshots;
mod stage;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use treewal_recovery::home::{DIR_NAME, Home, TreeLock};
use treewal_vfs::{Dir, Disk, RealDisk};

use crate::{Error, Options, Result};

/// How often something is looked at before it is believed, where somebody may be at work.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(30);

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of finding it is: a word for programs, that stays.
    pub code: &'static str,
    /// What it is about, relative to the tree, as far as it can be shown.
    pub path: String,
    /// Whether acknowledged work may be affected, or something waits in quarantine.
    pub damage: bool,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, code: &'static str, path: impl AsRef<Path>, what: impl Into<String>, advice: &'static str) {
        self.put(false, code, path.as_ref(), what.into(), advice);
    }

    /// What may affect acknowledged work.
    fn damage(&mut self, code: &'static str, path: impl AsRef<Path>, what: impl Into<String>, advice: &'static str) {
        self.put(true, code, path.as_ref(), what.into(), advice);
    }

    fn put(&mut self, damage: bool, code: &'static str, path: &Path, what: String, advice: &'static str) {
        let path = Path::new(DIR_NAME).join(path).to_string_lossy().into_owned();
        self.0.push(Finding { code, path, damage, what, advice });
    }
}

/// Checks the journal record by record, the stages, the snapshots of guards and the named ones with all they keep,
/// quarantine, the identity of the tree, and who owns and may read what treewal keeps. Nothing is found in a tree that is
/// in order, or that treewal was never used on; nor of what somebody who has it open is just doing. Changes nothing.
///
/// # Errors
/// Any error of the disk.
pub fn verify(path: impl AsRef<Path>) -> Result<Vec<Finding>> {
    verify_with(&Options::new(), path)
}

/// The same, with what [`Options::quarantine_limit`] says; no other option counts.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(options: &Options, path: impl AsRef<Path>) -> Result<Vec<Finding>> {
    let (disk, path) = (Arc::new(RealDisk), path.as_ref());
    let root = disk.open_root(path).map_err(|source| Error::from_os("open", path.to_owned(), source))?;
    of(disk, root, options)
}

/// Checks the tree at `root`.
pub(crate) fn of(disk: Arc<dyn Disk>, root: Dir, options: &Options) -> Result<Vec<Finding>> {
    let mut findings = Findings::default();
    if !parts::check(&*disk, &root, &mut findings)? {
        return Ok(findings.0);
    }
    let Some(home) = Home::open(disk, root).map_err(Error::from_recovery)? else { return Ok(findings.0) };
    let seen = journal::check(&home, &mut findings)?;
    stage::check(&home, &mut findings)?;
    guards::check(&home, &seen, &mut findings)?;
    snapshots::check(&home, &mut findings)?;
    quarantine::check(&home, options, &mut findings)?;
    Ok(findings.0)
}

/// Whether somebody holds the tree right now.
fn is_held(home: &Home) -> Result<bool> {
    Ok(TreeLock::held_by(home).map_err(Error::from_recovery)?.is_some())
}

/// Whether an entry stays where it is for a while, with nobody at work: then nobody is just making or removing it.
fn stays(home: &Home, at: &Dir, name: &OsStr) -> Result<bool> {
    for _ in 0..LOOKS {
        if is_held(home)? || home.disk.stat(at, name).is_err() {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(!is_held(home)? && home.disk.stat(at, name).is_ok())
}

fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
    let path = Path::new(DIR_NAME).join(path);
    move |source| Error::from_os("look at", path, source)
}
