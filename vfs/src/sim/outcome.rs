//! What one crash may leave: the choices that are open, and the named ways to make them all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::both_names::new_name;
use super::file_log::{FileLog, Torn, Version, Window};
use super::image::{Body, Id, Image};
use super::meta_log::MetaLog;
use super::names_log::NameChange;
use super::state::State;

/// What is assumed of a file system, beyond what a sync covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What [`Disk`](crate::Disk) promises and no more: changes that have nothing to do with each other survive in any
    /// combination.
    Strict,
    /// A journalled file system such as ext4 or xfs: names, metadata and cuts survive up to some moment and not after;
    /// syncing any file or directory moves that moment up to now. Written bytes are as free as in
    /// [`Strict`](Profile::Strict), except that a sector that was never written reads as what it was before.
    Ordered,
    /// A file system such as btrfs, which writes all that has changed as one, now and then, and in between logs what is
    /// synced by itself: like [`Ordered`](Profile::Ordered), but syncing one file or directory says nothing of what came
    /// before it elsewhere.
    Grouped,
}

/// One thing that a crash may leave, for [`SimDisk::after`](super::SimDisk::after) of the disk that it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The changes of names and metadata that survive.
    pub(super) kept: BTreeSet<u64>,
    /// Those of them that are renames which left the old name, too.
    pub(super) both: BTreeSet<u64>,
    /// What is left of the contents of each file; a file that is not in here is as it was when it was last synced.
    pub(super) files: BTreeMap<Id, Torn>,
}

/// All that a crash at this moment may leave; see [`SimDisk::outcomes`](super::SimDisk::outcomes).
#[derive(Debug, Clone)]
pub struct Outcomes {
    pub(super) profile: Profile,
    pub(super) durable: Image,
    pub(super) names: BTreeMap<u64, NameChange>,
    pub(super) metas: BTreeMap<Id, MetaLog>,
    pub(super) files: BTreeMap<Id, FileLog>,
    /// Where changes survive in their order, everything up to here is certain.
    pub(super) floor: u64,
}

impl Outcomes {
    pub(super) fn new(state: &State, profile: Profile) -> Self {
        let held_names = state.names.pending.iter().filter(|(_, change)| change.dropped).map(|(seq, _)| *seq);
        let held_metas = state.metas.values().flat_map(|log| &log.0).filter(|change| change.dropped);
        // A journal that failed once does not move on.
        let held = held_names.chain(held_metas.map(|change| change.seq)).min();
        let journalled = if profile == Profile::Grouped { 0 } else { state.journalled };
        Self {
            profile,
            durable: state.durable.clone(),
            names: state.names.pending.clone(),
            metas: state.metas.clone(),
            files: state.files.clone(),
            floor: held.map_or(journalled, |first| journalled.min(first - 1)),
        }
    }

    /// How many changes of names are not certain.
    #[must_use]
    pub fn open_names(&self) -> usize {
        self.names.len()
    }

    /// How many files have contents that are not certain.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.files.len()
    }

    /// Only what is certain.
    #[must_use]
    pub fn nothing(&self) -> Outcome {
        let moment = self.floor;
        let kept = self.kept_by(|seq, _| self.is_ordered() && seq <= moment);
        self.with_files(kept, |log, base| log.none(base, self.window(log, moment)))
    }

    /// Everything that was done.
    #[must_use]
    pub fn everything(&self) -> Outcome {
        self.with_files(self.kept_by(|_, _| true), |log, base| log.all(base, log.whole()))
    }

    /// All names and metadata, but none of the contents that were not synced: the file of length zero.
    #[must_use]
    pub fn names_without_contents(&self) -> Outcome {
        self.with_files(self.kept_by(|_, _| true), |log, base| log.none(base, self.window(log, u64::MAX)))
    }

    /// All names, metadata and lengths, with zeros, or what was there before, in place of the contents.
    #[must_use]
    pub fn names_and_lengths(&self) -> Outcome {
        let version = if self.is_ordered() { Version::After(0) } else { Version::Zeroed };
        self.with_files(self.kept_by(|_, _| true), |log, base| log.plain(base, log.whole().last, version))
    }

    /// All contents, but none of the names that were not synced.
    #[must_use]
    pub fn contents_without_names(&self) -> Outcome {
        let moment = self.floor;
        let kept = self.kept_by(|seq, is_name| if self.is_ordered() { seq <= moment } else { !is_name });
        self.with_files(kept, |log, base| log.all(base, self.window(log, moment)))
    }

    /// The ways above, all of them.
    #[must_use]
    pub fn named(&self) -> [Outcome; 5] {
        [
            self.nothing(),
            self.everything(),
            self.names_without_contents(),
            self.names_and_lengths(),
            self.contents_without_names(),
        ]
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.profile != Profile::Strict
    }

    /// The steps that a file may be in when the journal ends at `moment`.
    pub(super) fn window(&self, log: &FileLog, moment: u64) -> Window {
        if self.is_ordered() { log.cuts_up_to(moment) } else { log.whole() }
    }

    fn kept_by(&self, keep: impl Fn(u64, bool) -> bool) -> BTreeSet<u64> {
        let names = self.names.keys().copied().filter(|seq| keep(*seq, true));
        let metas = self.metas.values().flat_map(|log| &log.0).map(|change| change.seq).filter(|seq| keep(*seq, false));
        names.chain(metas).collect()
    }

    pub(super) fn with_files(
        &self,
        kept: BTreeSet<u64>,
        choose: impl Fn(&FileLog, &super::content::Content) -> Torn,
    ) -> Outcome {
        let files = self.files.iter().filter_map(|(id, log)| Some((*id, choose(log, self.base(*id)?)))).collect();
        Outcome { kept, both: BTreeSet::new(), files }
    }

    /// What is certain of the contents of a file.
    pub(super) fn base(&self, id: Id) -> Option<&super::content::Content> {
        match &self.durable.find(id)?.body {
            Body::File(content) => Some(content),
            _ => None,
        }
    }

    /// The inodes with open contents or metadata that can be found under some name when `kept` survives.
    pub(super) fn found(&self, kept: &BTreeSet<u64>) -> Vec<Id> {
        let mut more: HashMap<Id, i64> = HashMap::new();
        for edit in kept.iter().filter_map(|seq| self.names.get(seq)).flat_map(|change| &change.edits) {
            if let Some(old) = edit.old {
                *more.entry(old).or_default() -= 1;
            }
            if let Some(new) = edit.new {
                *more.entry(new).or_default() += 1;
            }
        }
        let open: BTreeSet<Id> = self.metas.keys().chain(self.files.keys()).copied().collect();
        let names = |id: &Id| self.durable.find(*id).map_or(0, |inode| inode.names);
        let is_found = |id: &Id| names(id).saturating_add_signed(more.get(id).copied().unwrap_or(0)) > 0;
        open.into_iter().filter(is_found).collect()
    }
}

impl State {
    /// The tree that `outcome` leaves.
    pub(super) fn image_after(&self, outcome: &Outcome) -> Image {
        let mut image = self.durable.clone();
        for (seq, change) in &self.names.pending {
            if outcome.kept.contains(seq) {
                let to = new_name(change).filter(|_| outcome.both.contains(seq));
                image.apply(*seq, change.at, to.map_or(&change.edits, std::slice::from_ref));
            }
        }
        for (id, log) in &self.metas {
            for change in log.0.iter().filter(|change| outcome.kept.contains(&change.seq)) {
                if let Ok(inode) = image.inode_mut(*id) {
                    change.apply(inode);
                }
            }
        }
        for (id, torn) in &outcome.files {
            let Some(log) = self.files.get(id) else { continue };
            // What nobody can find need not be built.
            if let Some(inode) = image.inodes.get_mut(id).filter(|inode| inode.names > 0) {
                if let Body::File(content) = &mut std::sync::Arc::make_mut(inode).body {
                    *content = log.build(content, torn).into();
                }
            }
        }
        image
    }
}
