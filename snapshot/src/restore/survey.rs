//! Looking at the tree and at the backups. Changes nothing, except that directories which their owner may not read are
//! made readable.

use std::collections::{BTreeSet, HashMap, HashSet};

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, Time};

use super::Check;
use super::backups::{BackupState, Backups};
use super::extract::Extract;
use super::sift::{Sift, Sifted};
use crate::diff::has_names;
use crate::judge::{Verdict, has_attributes, is_backup, is_doubtful, is_settled, judge};
use crate::manifest::{Backup, Entry, Manifest, Mode, Raw};
use crate::walk::{Threads, open_parent, split};
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
    /// For each entry of the extract, in its order.
    pub(super) live: Vec<Option<Live>>,
    /// What is newer than the snapshot, a directory before what is in it.
    pub(super) added: Vec<(RelPath, Meta)>,
    /// Directories above guarded paths that are newer than the snapshot, upper ones first.
    pub(super) fresh: BTreeSet<RelPath>,
    /// Excluded paths that exist.
    pub(super) excluded: Vec<RelPath>,
    /// Whether no directory of the manifest can have changed or moved.
    pub(super) is_still: bool,
    /// For the first names (by place) of files of which some name is not right.
    pub(super) backups: HashMap<usize, BackupState>,
}

/// Looks at everything; gives what is to be looked at more closely, and what was found.
pub(super) fn survey(
    disk: &dyn Disk,
    tree: &Dir,
    from: &Dir,
    manifest: &Manifest,
    check: Check,
) -> Result<(Extract, Survey)> {
    let sift = Sift { disk, tree, manifest, threads: Threads::new(None) };
    let look = Look { disk, tree, manifest, check, backups: Backups::new(disk, from) };
    let mut sifted = sift.run(&|raw, meta| look.is_clean(raw, meta))?;
    look.complete(&sift, &mut sifted)?;
    let Sifted { chosen, added, excluded, is_still } = sifted;
    let (extract, metas) = Sifted::sorted(chosen, manifest.taken())?;
    let is_still = is_still && check != Check::Contents;
    let mut survey = Survey { added, excluded, is_still, ..Survey::default() };
    for guarded in manifest.guarded() {
        look.fresh(&sift, &extract, &guarded.path, &mut survey.fresh)?;
    }
    for (entry, meta) in extract.entries().iter().zip(metas) {
        survey.live.push(meta.map(|meta| look.live(&extract, entry, meta)).transpose()?);
    }
    one_owner_each(extract.entries(), &mut survey.live);
    look.backups(&extract, &mut survey)?;
    Ok((extract, survey))
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
    /// Whether nothing is to be done to an entry of the manifest, where something of its kind stands at its path.
    fn is_clean(&self, raw: &mut Raw, meta: &Meta) -> Result<bool> {
        let doubtful = self.is_doubtful(&raw.entry);
        if !doubtful && is_settled(&raw.entry, meta) {
            return Ok(true);
        }
        let entry = &mut raw.entry;
        let is_own = entry.is_dir() || (meta.ino, meta.born) == (entry.meta.ino, entry.meta.born);
        // Names of one file are looked at together; a time that moved needs a reason.
        let alone = entry.same_as.is_none() && (entry.is_dir() || meta.links == entry.meta.links);
        if !doubtful || !is_own || !alone || !has_attributes(entry, meta) {
            return Ok(false);
        }
        entry.path = crate::manifest::rel(&raw.path);
        let clean = self.holds(entry, entry.backup.as_ref(), meta, true)? == Holds::Right && self.xattrs_are(entry)?;
        entry.path = RelPath::root();
        Ok(clean)
    }

    /// What belongs to what was chosen: the other names of the same file, and the files whose inodes stand at paths that
    /// are not theirs.
    fn complete(&self, sift: &Sift<'_>, sifted: &mut Sifted) -> Result<()> {
        let mut before = (HashSet::new(), HashSet::new());
        loop {
            let (mut firsts, mut inodes) = (HashSet::new(), HashSet::new());
            for (place, (entry, meta)) in &sifted.chosen {
                let several = entry.backup.as_ref().map_or(entry.meta.links > 1, |own| has_names(&entry.meta, own));
                if entry.same_as.is_some() || (several && !entry.is_dir()) {
                    firsts.insert(entry.same_as.unwrap_or(*place));
                }
                // Of what may stay where it is, for what it looks like.
                let foreign = |meta: &&Meta| match entry.meta.kind {
                    Kind::Dir => false,
                    Kind::File => judge(entry, entry.backup.as_ref(), meta) == Verdict::Alike,
                    kind => kind == meta.kind && (meta.ino, meta.born) != (entry.meta.ino, entry.meta.born),
                };
                if let Some(meta) = meta.as_ref().filter(foreign) {
                    inodes.insert((meta.ino, meta.born));
                }
            }
            if (&firsts, &inodes) == (&before.0, &before.1) {
                return Ok(());
            }
            let owns = |entry: &Entry| {
                let own = (entry.meta.ino, entry.meta.born);
                let backup = entry.backup.as_ref().map(|backup| (backup.ino, backup.born));
                inodes.contains(&own) || backup.is_some_and(|backup| inodes.contains(&backup))
            };
            let wanted = |place: usize, entry: &Entry| {
                firsts.contains(&entry.same_as.unwrap_or(place)) || (!entry.is_dir() && owns(entry))
            };
            if !sift.again(sifted, &wanted)? {
                return Ok(());
            }
            before = (firsts, inodes);
        }
    }

    /// Directories above a guarded path that were not there.
    fn fresh(
        &self,
        sift: &Sift<'_>,
        extract: &Extract,
        guarded: &RelPath,
        fresh: &mut BTreeSet<RelPath>,
    ) -> Result<()> {
        for path in guarded.ancestors().filter(|path| !path.is_root() && extract.place(path).is_none()) {
            if sift.stat(&path)?.is_some_and(|at| at.kind == Kind::Dir) {
                fresh.insert(path);
            }
        }
        Ok(())
    }

    fn is_doubtful(&self, entry: &Entry) -> bool {
        self.check == Check::Contents || is_doubtful(self.manifest.taken(), entry)
    }

    fn live(&self, extract: &Extract, entry: &Entry, meta: Meta) -> Result<Live> {
        let doubtful = self.check == Check::Contents || extract.is_doubtful(entry);
        let holds = match entry.meta.kind {
            kind if kind != meta.kind => Holds::Wrong,
            _ => self.holds(entry, extract.backup_of(entry), &meta, doubtful)?,
        };
        Ok(Live { meta, holds, settled: !doubtful && is_settled(entry, &meta) })
    }

    /// What `meta`, which is of the same kind, holds of the contents of an entry.
    fn holds(&self, entry: &Entry, backup: Option<&Backup>, meta: &Meta, doubtful: bool) -> Result<Holds> {
        Ok(match entry.meta.kind {
            Kind::Dir => Holds::Right,
            Kind::File => match backup {
                Some(backup) => self.file(entry, backup, meta, doubtful)?,
                None => Holds::Wrong,
            },
            Kind::Symlink if self.target(entry)? => Holds::Right,
            Kind::Symlink => Holds::Wrong,
            _ if meta.rdev == entry.meta.rdev => Holds::Right,
            _ => Holds::Wrong,
        })
    }

    fn xattrs_are(&self, entry: &Entry) -> Result<bool> {
        let (parent, name) = split(&entry.path);
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        Ok(self.disk.xattrs(&dir, name).map_err(Error::io("read attributes of", &entry.path))? == entry.xattrs)
    }

    fn target(&self, entry: &Entry) -> Result<bool> {
        let Some((parent, name)) = entry.path.split() else { return Ok(false) };
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        let target = self.disk.read_link(&dir, name).map_err(Error::io("read", &entry.path))?;
        Ok(entry.target.as_ref() == Some(&target))
    }

    fn file(&self, entry: &Entry, backup: &Backup, meta: &Meta, doubtful: bool) -> Result<Holds> {
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

    /// Whether the file in the tree has the checksum of then.
    fn is_summed(&self, entry: &Entry, backup: &Backup) -> Result<bool> {
        let Some((parent, name)) = entry.path.split() else { return Ok(false) };
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        self.backups.have_sum(&dir, name, entry, backup)
    }

    /// Where the file is its own backup, only its attributes can tell. Each name that is taken away or given moves the
    /// time of last change as well as a write does; that somebody replaced another name of it is no reason for doubt,
    /// and neither is what a restore itself did, which takes the backup's name away first.
    fn shared(&self, entry: &Entry, backup: &Backup, meta: &Meta, verdict: Verdict) -> Result<Holds> {
        Ok(match verdict {
            Verdict::Same => Holds::Right,
            Verdict::Touched if backup.checksum.is_some() => {
                if self.is_summed(entry, backup)? {
                    Holds::Right
                } else {
                    Holds::Written
                }
            }
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
    fn backups(&self, extract: &Extract, survey: &mut Survey) -> Result<()> {
        // Which files have a name with the contents of then, and which have one without.
        let (mut right, mut wrong) = (BTreeSet::new(), BTreeSet::new());
        for (place, (entry, live)) in extract.entries().iter().zip(&survey.live).enumerate() {
            if entry.meta.kind == Kind::File {
                let is_right = live.is_some_and(|live| matches!(live.holds, Holds::Right | Holds::Suspect));
                if is_right { &mut right } else { &mut wrong }.insert(entry.same_as.unwrap_or(place));
            }
        }
        for place in wrong {
            if let Some((entry, backup)) = extract.entries().get(place).and_then(|e| Some((e, e.backup.as_ref()?))) {
                survey.backups.insert(place, self.backups.state(entry, backup, !right.contains(&place))?);
            }
        }
        Ok(())
    }
}
