//! Looking at the tree and at the backups. Changes nothing, except that directories which their owner may not read are
//! made readable.

use std::collections::{BTreeSet, HashMap};

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, Time};

use super::Check;
use super::backups::{BackupState, Backups};
use crate::judge::{Verdict, is_backup, is_settled, judge};
use crate::manifest::{Backup, Entry, Manifest, Mode, Role};
use crate::walk::{Walk, open_parent, split, stat};
use crate::{Error, Result};

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
    let look = Look { disk, tree, manifest, check, backups: Backups::open(disk, from)? };
    let mut survey = Survey::default();
    let metas = look.tree(&mut survey)?;
    for (entry, meta) in manifest.entries().iter().zip(metas) {
        survey.live.push(meta.map(|meta| look.live(entry, meta)).transpose()?);
    }
    one_owner_each(manifest.entries(), &mut survey.live);
    look.backups(&mut survey)?;
    Ok(survey)
}

/// An inode can be one file only. Where it could stay for what it looks like at the paths of two files of then, it is the
/// one whose inode or backup it was, else the first; the other must come back as one of its own.
fn one_owner_each(entries: &[Entry], live: &mut [Option<Live>]) {
    let mut owners: HashMap<(u64, Time), usize> = HashMap::new();
    for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.same_as.is_none()) {
        owners.insert((entry.meta.ino, entry.meta.born), place);
        owners.extend(entry.backup.as_ref().map(|backup| ((backup.ino, backup.born), place)));
    }
    for (place, (entry, live)) in entries.iter().zip(live).enumerate().filter(|(_, (entry, _))| !entry.is_dir()) {
        let Some(live) = live.as_mut().filter(|live| matches!(live.holds, Holds::Right | Holds::Suspect)) else {
            continue;
        };
        let file = entry.same_as.unwrap_or(place);
        if *owners.entry((live.meta.ino, live.meta.born)).or_insert(file) != file {
            (live.holds, live.settled) = (Holds::Wrong, false);
        }
    }
}

struct Look<'a> {
    disk: &'a dyn Disk,
    tree: &'a Dir,
    manifest: &'a Manifest,
    check: Check,
    backups: Backups<'a>,
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
        match open_parent(self.disk, self.tree, &split(path).0)? {
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
            Verdict::Same | Verdict::Touched | Verdict::Alike if self.is_right(entry, backup)? => Holds::Right,
            Verdict::Backup => Holds::Right,
            Verdict::BackupWritten => Holds::Written,
            _ => Holds::Wrong,
        })
    }

    /// Whether the file in the tree has the contents of then.
    fn is_right(&self, entry: &Entry, backup: &Backup) -> Result<bool> {
        let Some((parent, name)) = entry.path.split() else { return Ok(false) };
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        self.backups.are_contents_of(&dir, name, entry, backup)
    }

    /// Where the file is its own backup, only its attributes can tell. Each name that is taken away or given moves the
    /// time of last change as well as a write does; that somebody replaced another name of it is no reason for doubt,
    /// and neither is what a restore itself did, which takes the backup's name away first.
    fn shared(&self, entry: &Entry, backup: &Backup, meta: &Meta, verdict: Verdict) -> Result<Holds> {
        Ok(match verdict {
            Verdict::Same => Holds::Right,
            Verdict::Touched if meta.links < entry.meta.links => Holds::Right,
            Verdict::Touched => match self.backups.at_home(entry, backup)? {
                Some(own) if is_backup(backup, &own) => Holds::Suspect,
                _ => Holds::Right,
            },
            Verdict::Written | Verdict::BackupWritten => Holds::Written,
            Verdict::Alike if self.is_right(entry, backup)? => Holds::Right,
            Verdict::Alike | Verdict::Backup | Verdict::Other => Holds::Wrong,
        })
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
                survey.backups.insert(place, self.backups.state(entry, backup, !right.contains(&place))?);
            }
        }
        Ok(())
    }
}
