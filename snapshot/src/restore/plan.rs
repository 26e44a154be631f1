//! From what was and what is to what is done, in an order that may stop after any step. Pure.
//!
//! The order: what is newer goes first (a full disk may be why we are here), directories come back from the top, are made
//! durable where that matters, then comes everything that stands in them, and attributes last, from the bottom, because
//! each change in a directory moves its time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::backups::BackupState;
use super::survey::{Holds, Live, Survey};
use crate::manifest::{Entry, Manifest, Role};
use crate::walk::OWNER_ALL;
use crate::{Error, Result};

/// One step. Entries are named by their place in the manifest; `over` says that something stands there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Let the owner change a directory, for as long as it takes.
    Unlock { path: RelPath, mode: u32 },
    /// Remove what is newer.
    Remove { path: RelPath, dir: bool },
    /// Remove a directory above a guarded path that is newer, unless somebody else uses it.
    Prune { path: RelPath },
    /// Make a directory.
    MakeDir { place: usize, over: Option<Kind> },
    /// Make everything so far durable.
    Barrier,
    /// Put the backup of this number into place.
    Put { place: usize, backup: u64, over: Option<Kind> },
    /// Make a symlink or a node.
    Make { place: usize, over: Option<Kind> },
    /// Make it another name of what stands at the place `of`.
    Link { place: usize, of: usize, over: Option<Kind> },
    /// Set back whatever attribute differs.
    Attributes { place: usize },
    /// Set back only what this plan itself changed on a directory that is not guarded.
    Ancestor { place: usize, times: bool, mode: Option<u32> },
}

/// What to do, and what cannot be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) actions: Vec<Action>,
    /// Files somebody wrote to in place, so that their backups are no use; in order.
    pub(super) in_place: Vec<RelPath>,
    /// Files whose backups are gone or damaged; in order.
    pub(super) lost: Vec<RelPath>,
}

pub(super) fn plan(manifest: &Manifest, survey: &Survey) -> Result<Plan> {
    let mut planner = Planner::start(manifest, survey);
    planner.dirs()?;
    planner.files()?;
    let removals = planner.removals();
    Ok(planner.finish(removals))
}

struct Planner<'a> {
    manifest: &'a Manifest,
    survey: &'a Survey,
    make_dirs: Vec<Action>,
    puts: Vec<Action>,
    attributes: Vec<Action>,
    /// Directories made anew.
    made: HashSet<usize>,
    /// Directories in which a name comes or goes.
    touched: BTreeSet<RelPath>,
    /// Entries where something of another kind, or in the way, stays or goes as a whole.
    closed: HashSet<RelPath>,
    /// Inodes that may be the last to hold the bytes of a file without a backup.
    spared: HashSet<(u64, Time)>,
    in_place: BTreeSet<RelPath>,
    lost: BTreeSet<RelPath>,
}

impl<'a> Planner<'a> {
    fn start(manifest: &'a Manifest, survey: &'a Survey) -> Self {
        Self {
            manifest,
            survey,
            make_dirs: Vec::new(),
            puts: Vec::new(),
            attributes: Vec::new(),
            made: HashSet::new(),
            touched: BTreeSet::new(),
            closed: HashSet::new(),
            spared: HashSet::new(),
            in_place: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    fn live(&self, place: usize) -> Option<Live> {
        self.survey.live.get(place).copied().flatten()
    }

    /// Notes that the entry at `path` comes, goes or changes places.
    fn touch(&mut self, path: &RelPath) {
        if let Some(parent) = path.parent() {
            self.touched.insert(parent);
        }
    }

    /// What stands at `place`, which is about to make room.
    ///
    /// # Errors
    /// [`Error::Excluded`] where an excluded path would have to go with it.
    fn displace(&mut self, place: usize, entry: &Entry) -> Result<Option<Kind>> {
        self.touch(&entry.path);
        let over = self.live(place).map(|live| live.meta.kind);
        if over == Some(Kind::Dir) {
            if self.survey.excluded.iter().any(|excluded| excluded.starts_with(&entry.path)) {
                return Err(Error::Excluded { path: entry.path.clone() });
            }
            self.closed.insert(entry.path.clone());
        }
        Ok(over)
    }

    fn dirs(&mut self) -> Result<()> {
        for (place, entry) in self.manifest.entries().iter().enumerate().filter(|(_, entry)| entry.is_dir()) {
            if self.live(place).is_none_or(|live| live.holds != Holds::Right) {
                let over = self.displace(place, entry)?;
                self.make_dirs.push(Action::MakeDir { place, over });
                self.made.insert(place);
            }
        }
        Ok(())
    }

    /// Everything that is no directory, all names of one inode together.
    fn files(&mut self) -> Result<()> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, entry) in self.manifest.entries().iter().enumerate().filter(|(_, entry)| !entry.is_dir()) {
            groups.entry(entry.same_as.unwrap_or(place)).or_default().push(place);
        }
        for (first, names) in groups {
            self.group(first, &names)?;
        }
        Ok(())
    }

    fn group(&mut self, first: usize, names: &[usize]) -> Result<()> {
        let entries = self.manifest.entries();
        for &place in names {
            if self.live(place).is_some_and(|live| live.holds == Holds::Suspect) {
                self.in_place.insert(entries[place].path.clone());
            }
        }
        let Some(leader) = self.leader(first, names) else { return self.anew(first, names) };
        let (of, inode) = leader;
        let mut missing = Vec::new();
        for &place in names {
            match self.live(place) {
                Some(live) if inode_of(&live.meta) == inode => {}
                _ => missing.push(place),
            }
        }
        if self.live(of).is_some_and(|live| !live.settled) {
            self.attributes.push(Action::Attributes { place: of });
        }
        // A hard-linked backup is one name too many: it becomes the missing one, and the count of names is right again.
        let spare = entries[first].backup.as_ref().filter(|backup| (backup.ino, backup.born) == inode);
        let ready = self.survey.backups.get(&first) == Some(&BackupState::Ready);
        if let (Some(backup), true, [place, rest @ ..]) = (spare, ready, missing.as_slice()) {
            self.put(*place, backup.number)?;
            return self.links(of, rest);
        }
        self.links(of, &missing)
    }

    fn put(&mut self, place: usize, backup: u64) -> Result<()> {
        let over = self.displace(place, &self.manifest.entries()[place])?;
        self.puts.push(Action::Put { place, backup, over });
        Ok(())
    }

    /// The name whose inode the others join, and that inode: the backup where an earlier restore has put it, else the
    /// inode of then.
    fn leader(&self, first: usize, names: &[usize]) -> Option<(usize, (u64, Time))> {
        let backup = self.manifest.entries()[first].backup.as_ref().map(|backup| (backup.ino, backup.born));
        let right = names.iter().filter_map(|&place| {
            let live = self.live(place)?;
            matches!(live.holds, Holds::Right | Holds::Suspect).then(|| (place, inode_of(&live.meta)))
        });
        right.min_by_key(|(place, inode)| (Some(*inode) != backup, *place))
    }

    /// No name has the contents of then.
    fn anew(&mut self, first: usize, names: &[usize]) -> Result<()> {
        let entries = self.manifest.entries();
        let Some((&place, rest)) = names.split_first() else { return Ok(()) };
        if let Some(backup) = &entries[first].backup {
            match self.survey.backups.get(&first) {
                Some(BackupState::Ready | BackupState::Copied) => self.put(place, backup.number)?,
                _ => {
                    self.give_up(first, names);
                    return Ok(());
                }
            }
        } else {
            let over = self.displace(place, &entries[place])?;
            self.puts.push(Action::Make { place, over });
        }
        self.links(place, rest)
    }

    fn links(&mut self, of: usize, places: &[usize]) -> Result<()> {
        for &place in places {
            let over = self.displace(place, &self.manifest.entries()[place])?;
            self.puts.push(Action::Link { place, of, over });
        }
        Ok(())
    }

    /// Leaves everything as it is: what stands there may be all there is.
    fn give_up(&mut self, first: usize, names: &[usize]) {
        let entries = self.manifest.entries();
        let written = self.survey.backups.get(&first) == Some(&BackupState::Written)
            || names.iter().any(|&place| self.live(place).is_some_and(|live| live.holds == Holds::Written));
        for &place in names {
            let path = &entries[place].path;
            if written { &mut self.in_place } else { &mut self.lost }.insert(path.clone());
            self.closed.insert(path.clone());
        }
        self.spared.insert(inode_of(&entries[first].meta));
        self.spared.extend(entries[first].backup.as_ref().map(|backup| (backup.ino, backup.born)));
    }

    /// What is newer, from the bottom, without what goes or stays as a whole.
    fn removals(&mut self) -> Vec<Action> {
        let mut kept: HashSet<RelPath> = self.survey.excluded.iter().flat_map(RelPath::ancestors).collect();
        for (path, meta) in &self.survey.added {
            let is_closed = path.ancestors().any(|above| self.closed.contains(&above));
            if is_closed || (meta.kind != Kind::Dir && self.spared.contains(&inode_of(meta))) {
                kept.insert(path.clone());
                kept.extend(path.ancestors());
            }
        }
        let mut removals = Vec::new();
        for (path, meta) in self.survey.added.iter().rev().filter(|(path, _)| !kept.contains(path)) {
            self.touch(path);
            removals.push(Action::Remove { path: path.clone(), dir: meta.kind == Kind::Dir });
        }
        for path in self.survey.fresh.iter().rev() {
            self.touch(path);
            removals.push(Action::Prune { path: path.clone() });
        }
        removals
    }

    fn finish(mut self, removals: Vec<Action>) -> Plan {
        let added: HashMap<&RelPath, &Meta> = self.survey.added.iter().map(|(path, meta)| (path, meta)).collect();
        let mut actions = Vec::new();
        let mut unlocked = HashSet::new();
        for path in &self.touched {
            let place = self.manifest.place(path);
            let live = place.and_then(|place| self.live(place)).map(|live| live.meta);
            let meta = live.or_else(|| added.get(path).map(|meta| **meta));
            if let Some(meta) = meta.filter(|meta| meta.kind == Kind::Dir && meta.mode & OWNER_ALL != OWNER_ALL) {
                if !path.is_root() {
                    actions.push(Action::Unlock { path: path.clone(), mode: meta.mode | OWNER_ALL });
                    unlocked.insert(path.clone());
                }
            }
        }
        actions.extend(removals);
        let barrier = self.needs_barrier();
        actions.append(&mut self.make_dirs);
        actions.extend(barrier.then_some(Action::Barrier));
        actions.append(&mut self.puts);
        actions.append(&mut self.attributes);
        for (place, entry) in self.manifest.entries().iter().enumerate().rev() {
            if entry.is_dir() && !entry.path.is_root() {
                actions.extend(self.dir_attributes(place, entry, unlocked.contains(&entry.path)));
            }
        }
        let (in_place, lost) = (self.in_place.into_iter().collect(), self.lost.into_iter().collect());
        Plan { actions, in_place, lost }
    }

    /// Whether a power loss could part a backup from the name it is given.
    ///
    /// A backup goes into a directory, not to a path. Where the directory itself was made, moved or exchanged and that is
    /// not durable, a power loss may put the directory back and keep what was put into it: the backup would be
    /// somewhere else, perhaps outside of everything guarded. A directory that did not change has not moved.
    fn needs_barrier(&self) -> bool {
        let dirs = self.manifest.entries().iter().zip(&self.survey.live).filter(|(entry, _)| entry.is_dir());
        let moved = dirs.map(|(_, live)| live.is_some_and(|live| live.settled)).any(|settled| !settled);
        moved && self.puts.iter().any(|action| matches!(action, Action::Put { .. }))
    }

    fn dir_attributes(&self, place: usize, entry: &Entry, unlocked: bool) -> Option<Action> {
        let is_touched = self.touched.contains(&entry.path);
        let live = self.live(place).filter(|_| !self.made.contains(&place));
        match (entry.role, live) {
            (_, None) => Some(Action::Attributes { place }),
            (Role::Guarded, Some(live)) => (is_touched || !live.settled).then_some(Action::Attributes { place }),
            (Role::Ancestor, Some(live)) => {
                // Others may have changed it, and rightly: only what we did to it ourselves is taken back. A mode that
                // was opened by a restore that did not come to its end is known by what it differs in.
                let opened = entry.meta.mode | OWNER_ALL;
                let left_open = live.meta.mode != entry.meta.mode && live.meta.mode == opened;
                let mode = if left_open { Some(entry.meta.mode) } else { unlocked.then_some(live.meta.mode) };
                let times = is_touched && live.meta.modified == entry.meta.modified;
                (times || mode.is_some()).then_some(Action::Ancestor { place, times, mode })
            }
        }
    }
}

fn inode_of(meta: &Meta) -> (u64, Time) {
    (meta.ino, meta.born)
}
