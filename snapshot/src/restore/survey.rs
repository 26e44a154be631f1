//! Looking at the tree and at the backups. Changes nothing, except that directories which their owner may not read are
//! made readable.

use std::collections::{BTreeSet, HashMap};
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Meta, Open, RelPath, Time};

use super::{Check, WORK};
use crate::judge::{Verdict, is_backup, is_settled, is_whole, judge};
use crate::ladder::{CONTENTS, backup_name};
use crate::manifest::{Backup, Entry, Manifest, Mode, Role};
use crate::walk::{Walk, open_parent, stat};
use crate::{Error, Result, contents};

/// What stands at the path of an entry, as far as contents go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// What the entry was: nothing but attributes can be wrong.
    Right,
    /// What the entry was, as far as anybody can tell: it shares its only bytes with its backup, and something about
    /// the inode changed that is no write by itself.
    Suspect,
    /// Its only bytes, and somebody wrote to them.
    Written,
    /// Something else.
    Wrong,
}

/// What stands at the path of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) meta: Meta,
    pub(super) holds: Holds,
    /// Nothing about it can have changed.
    pub(super) settled: bool,
}

/// What became of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BackupState {
    /// It is there and whole, at this path of the snapshot's directory.
    Ready(RelPath),
    /// It is the file itself, and somebody wrote to it.
    Written,
    /// It is not there, or not what was written.
    Lost,
}

/// Everything a plan needs to know.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// For each entry of the manifest, in its order.
    pub(super) live: Vec<Option<Live>>,
    /// What is newer than the snapshot, a directory before what is in it.
    pub(super) added: Vec<(RelPath, Meta)>,
    /// Directories above guarded paths that are newer than the snapshot, upper ones first.
    pub(super) fresh: BTreeSet<RelPath>,
    /// Excluded paths that exist.
    pub(super) excluded: Vec<RelPath>,
    /// For the first names (by place) of files of which some name is not right.
    pub(super) backups: HashMap<usize, BackupState>,
}

pub(super) fn survey(disk: &dyn Disk, tree: &Dir, from: &Dir, manifest: &Manifest, check: Check) -> Result<Survey> {
    let contents = match disk.open_dir(from, &RelPath::root().join(CONTENTS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some(opened.map_err(Error::own("open", CONTENTS))?),
    };
    let astray = astray(disk, from)?;
    let look = Look { disk, tree, from, contents, astray, manifest, check };
    let mut survey = Survey::default();
    let metas = look.tree(&mut survey)?;
    for (entry, meta) in manifest.entries().iter().zip(metas) {
        survey.live.push(meta.map(|meta| look.live(entry, meta)).transpose()?);
    }
    look.backups(&mut survey)?;
    Ok(survey)
}

/// Files in the work directory, by inode.
///
/// A directory that takes the place of something else is made there, exchanged with it and then filled. A power loss may
/// take the exchange back and keep what was put into the directory: then backups are found in it.
fn astray(disk: &dyn Disk, from: &Dir) -> Result<HashMap<(u64, Time), RelPath>> {
    let mut found = HashMap::new();
    let walk = Walk { disk, tree: from, skip: &|_| false, unlock: true };
    walk.run(&RelPath::root().join(WORK), &mut |step| {
        if step.meta.kind == Kind::File {
            found.insert((step.meta.ino, step.meta.born), step.path.clone());
        }
        Ok(())
    })?;
    Ok(found)
}

struct Look<'a> {
    disk: &'a dyn Disk,
    tree: &'a Dir,
    from: &'a Dir,
    contents: Option<Dir>,
    astray: HashMap<(u64, Time), RelPath>,
    manifest: &'a Manifest,
    check: Check,
}

impl Look<'_> {
    /// What is in the tree: by entry, and beside the entries.
    fn tree(&self, survey: &mut Survey) -> Result<Vec<Option<Meta>>> {
        let mut metas = vec![None; self.manifest.entries().len()];
        let skip = |path: &RelPath| self.manifest.is_excluded(path);
        let walk = Walk { disk: self.disk, tree: self.tree, skip: &skip, unlock: true };
        for guarded in self.manifest.guarded() {
            let met = walk.run(&guarded.path, &mut |step| {
                match self.manifest.place(step.path).and_then(|place| metas.get_mut(place)) {
                    Some(meta) => *meta = Some(step.meta),
                    None => survey.added.push((step.path.clone(), step.meta)),
                }
                Ok(())
            })?;
            survey.excluded.extend(met.skipped);
            for path in met.unlocked {
                if let Some(place) = self.manifest.place(&path) {
                    metas[place] = self.stat(&path)?;
                }
            }
            self.fresh(&guarded.path, &mut survey.fresh)?;
        }
        for (entry, meta) in self.manifest.entries().iter().zip(&mut metas) {
            if entry.role == Role::Ancestor {
                *meta = self.stat(&entry.path)?;
            }
        }
        Ok(metas)
    }

    /// Directories above a guarded path that were not there.
    fn fresh(&self, guarded: &RelPath, fresh: &mut BTreeSet<RelPath>) -> Result<()> {
        for path in guarded.ancestors().filter(|path| !path.is_root() && self.manifest.place(path).is_none()) {
            if self.stat(&path)?.is_some_and(|at| at.kind == Kind::Dir) {
                fresh.insert(path);
            }
        }
        Ok(())
    }

    fn stat(&self, path: &RelPath) -> Result<Option<Meta>> {
        let Some(parent) = path.parent() else { return Ok(None) };
        match open_parent(self.disk, self.tree, &parent)? {
            Some(dir) => stat(self.disk, &dir, path),
            None => Ok(None),
        }
    }

    fn live(&self, entry: &Entry, meta: Meta) -> Result<Live> {
        let doubtful = self.check == Check::Contents || self.manifest.is_doubtful(entry);
        let holds = match entry.meta.kind {
            kind if kind != meta.kind => Holds::Wrong,
            Kind::Dir => Holds::Right,
            Kind::File => self.file(entry, &meta, doubtful)?,
            Kind::Symlink if self.target(entry)? => Holds::Right,
            Kind::Symlink => Holds::Wrong,
            _ if meta.rdev == entry.meta.rdev => Holds::Right,
            _ => Holds::Wrong,
        };
        Ok(Live { meta, holds, settled: !doubtful && is_settled(entry, &meta) })
    }

    fn target(&self, entry: &Entry) -> Result<bool> {
        let Some((parent, name)) = entry.path.split() else { return Ok(false) };
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        let target = self.disk.read_link(&dir, name).map_err(Error::io("read", &entry.path))?;
        Ok(entry.target.as_ref() == Some(&target))
    }

    fn file(&self, entry: &Entry, meta: &Meta, doubtful: bool) -> Result<Holds> {
        let Some(backup) = self.manifest.backup_of(entry) else { return Ok(Holds::Wrong) };
        let verdict = judge(entry, Some(backup), meta);
        if backup.mode == Mode::HardLink {
            return self.shared(entry, backup, meta, verdict);
        }
        Ok(match verdict {
            Verdict::Same if !doubtful => Holds::Right,
            Verdict::Same | Verdict::Touched if self.equals_backup(entry, backup)? => Holds::Right,
            Verdict::Backup => Holds::Right,
            Verdict::BackupWritten => Holds::Written,
            Verdict::Same | Verdict::Touched | Verdict::Written | Verdict::Other => Holds::Wrong,
        })
    }

    /// Where the file is its own backup, only its attributes can tell. Each name that is taken away or given moves the
    /// time of last change as well as a write does; that somebody replaced another name of it is no reason for doubt,
    /// and neither is what a restore itself did, which takes the backup's name away first.
    fn shared(&self, entry: &Entry, backup: &Backup, meta: &Meta, verdict: Verdict) -> Result<Holds> {
        Ok(match verdict {
            Verdict::Same => Holds::Right,
            Verdict::Touched if meta.links < entry.meta.links => Holds::Right,
            Verdict::Touched => match self.backup(entry, backup)? {
                Some(own) if is_backup(backup, &own) => Holds::Suspect,
                _ => Holds::Right,
            },
            Verdict::Written | Verdict::BackupWritten => Holds::Written,
            Verdict::Backup | Verdict::Other => Holds::Wrong,
        })
    }

    /// What stands where the backup was put.
    fn backup(&self, entry: &Entry, backup: &Backup) -> Result<Option<Meta>> {
        let Some(dir) = &self.contents else { return Ok(None) };
        match self.disk.stat(dir, &backup_name(backup.number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            meta => meta.map(Some).map_err(Error::io("describe the backup of", &entry.path)),
        }
    }

    /// Whether the file in the tree holds what its backup does; not so where either cannot be read.
    fn equals_backup(&self, entry: &Entry, backup: &Backup) -> Result<bool> {
        let whole = |own: Meta| is_backup(backup, &own) && is_whole(backup, &entry.meta, &own);
        let Some(dir) = self.contents.as_ref().filter(|_| entry.path.name().is_some()) else { return Ok(false) };
        if !self.backup(entry, backup)?.is_some_and(whole) {
            return Ok(false);
        }
        let Some((parent, name)) = entry.path.split() else { return Ok(false) };
        let Some(parent) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        let compared = (|| {
            let live = self.disk.open(&parent, name, Open::Read)?;
            let own = self.disk.open(dir, &backup_name(backup.number), Open::Read)?;
            contents::equal(self.disk, &live, &own, entry.meta.size)
        })();
        match compared {
            Err(error) if cannot_compare(&error) => Ok(false),
            compared => compared.map_err(Error::io("compare", &entry.path)),
        }
    }

    /// Looks after the backups of files of which some name is not right.
    fn backups(&self, survey: &mut Survey) -> Result<()> {
        // Which files have a name with the contents of then, and which have one without.
        let (mut right, mut wrong) = (BTreeSet::new(), BTreeSet::new());
        for (place, (entry, live)) in self.manifest.entries().iter().zip(&survey.live).enumerate() {
            if entry.meta.kind == Kind::File {
                let is_right = live.is_some_and(|live| matches!(live.holds, Holds::Right | Holds::Suspect));
                if is_right { &mut right } else { &mut wrong }.insert(entry.same_as.unwrap_or(place));
            }
        }
        for place in wrong {
            if let Some((entry, backup)) =
                self.manifest.entries().get(place).and_then(|e| Some((e, e.backup.as_ref()?)))
            {
                survey.backups.insert(place, self.state(entry, backup, !right.contains(&place))?);
            }
        }
        Ok(())
    }

    fn state(&self, entry: &Entry, backup: &Backup, needed: bool) -> Result<BackupState> {
        let (path, own) = match self.backup(entry, backup)?.filter(|own| is_backup(backup, own)) {
            Some(own) => (RelPath::root().join(CONTENTS).join(backup_name(backup.number)), own),
            None => match self.found_astray(backup)? {
                Some(found) => found,
                None => return Ok(BackupState::Lost),
            },
        };
        if !is_whole(backup, &entry.meta, &own) {
            return Ok(if backup.mode == Mode::HardLink { BackupState::Written } else { BackupState::Lost });
        }
        let (Some(expected), true) = (backup.checksum, needed) else { return Ok(BackupState::Ready(path)) };
        match self.checksum(&path, entry.meta.size) {
            Ok(found) if found == expected => Ok(BackupState::Ready(path)),
            Err(error) if !cannot_compare(&error) => Err(Error::io("read the backup of", &entry.path)(error)),
            _ => Ok(BackupState::Lost),
        }
    }

    fn found_astray(&self, backup: &Backup) -> Result<Option<(RelPath, Meta)>> {
        let Some(path) = self.astray.get(&(backup.ino, backup.born)) else { return Ok(None) };
        let Some((parent, _)) = path.split() else { return Ok(None) };
        let Some(dir) = open_parent(self.disk, self.from, &parent)? else { return Ok(None) };
        let own = stat(self.disk, &dir, path)?.filter(|own| is_backup(backup, own));
        Ok(own.map(|own| (path.clone(), own)))
    }

    /// Of a file in the directory of the snapshot.
    fn checksum(&self, path: &RelPath, size: u64) -> io::Result<u32> {
        let (parent, name) = path.split().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.disk.open_dir(self.from, &parent)?;
        contents::checksum(self.disk, &self.disk.open(&dir, name, Open::Read)?, size)
    }
}

/// The file is gone, became shorter or may not be read: then it is not what it was.
fn cannot_compare(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind())
}
