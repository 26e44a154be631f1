//! A disk as the protocol sees it: names that come and go by renames, contents that are whole or torn, and what of both no
//! sync has covered. A power loss keeps any part of that, but a change only with those of the same name or entry before it.

use std::collections::{BTreeMap, BTreeSet};

/// A version of a file's contents; each is written once.
pub(crate) type Version = u8;

/// An inode: the contents that it was made with, and which of several inodes with these contents it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ent {
    pub(crate) version: Version,
    pub(crate) copy: u8,
}

impl Ent {
    pub(crate) fn of(version: Version) -> Self {
        Self { version, copy: 0 }
    }
}

/// Where an entry can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// A path of the tree.
    Tree(u8),
    /// A slot in the stage of a process.
    Slot(u8, u8),
}

type Names = BTreeMap<Spot, Ent>;

/// One change of names that no sync has covered: each spot, with what stood there and what stands there now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Edit(Vec<(Spot, Option<Ent>, Option<Ent>)>);

impl Edit {
    fn meets(&self, other: &Self) -> bool {
        let same = |a: Option<Ent>, b: Option<Ent>| a.is_some() && a == b;
        self.0.iter().any(|(spot, old, new)| {
            other.0.iter().any(|(there, before, after)| {
                spot == there || same(*old, *before) || same(*old, *after) || same(*new, *before) || same(*new, *after)
            })
        })
    }

    fn apply(&self, names: &mut Names) {
        for (spot, _, new) in &self.0 {
            match new {
                Some(ent) => names.insert(*spot, *ent),
                None => names.remove(spot),
            };
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Disk {
    /// What every process sees.
    names: Names,
    /// What is certain to survive.
    durable: Names,
    pending: Vec<Edit>,
    /// Contents that no sync has covered.
    loose: BTreeSet<Ent>,
    /// Contents that a power loss tore.
    torn: BTreeSet<Ent>,
}

impl Disk {
    pub(crate) fn with(names: &[(Spot, Ent)]) -> Self {
        let names: Names = names.iter().copied().collect();
        Self { durable: names.clone(), names, ..Self::default() }
    }

    pub(crate) fn at(&self, spot: Spot) -> Option<Ent> {
        self.names.get(&spot).copied()
    }

    pub(crate) fn is_torn(&self, ent: Ent) -> bool {
        self.torn.contains(&ent)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (Spot, Ent)> + '_ {
        self.names.iter().map(|(spot, ent)| (*spot, *ent))
    }

    /// Whether a version stands anywhere in the tree, whole.
    pub(crate) fn tree_holds(&self, version: Version) -> bool {
        self.names().any(|(spot, ent)| matches!(spot, Spot::Tree(_)) && ent.version == version && !self.is_torn(ent))
    }

    /// Whether a version has a name that is certain to survive.
    pub(crate) fn is_durable(&self, version: Version) -> bool {
        self.durable.values().any(|ent| ent.version == version)
    }

    /// An inode of a version that nothing on the disk is, nor may become again.
    pub(crate) fn fresh(&self, version: Version) -> Ent {
        let known = |ent: &Ent| {
            self.names.values().chain(self.durable.values()).any(|other| other == ent)
                || self
                    .pending
                    .iter()
                    .flat_map(|edit| &edit.0)
                    .any(|(_, old, new)| *old == Some(*ent) || *new == Some(*ent))
        };
        // 0 is what a commit made: the journal may know it.
        (1..).map(|copy| Ent { version, copy }).find(|ent| !known(ent)).unwrap()
    }

    fn edit(&mut self, changes: &[(Spot, Option<Ent>)]) {
        let edit = Edit(changes.iter().map(|(spot, new)| (*spot, self.at(*spot), *new)).collect());
        edit.apply(&mut self.names);
        self.pending.push(edit);
    }

    /// A new file, its contents not synced.
    pub(crate) fn make(&mut self, spot: Spot, ent: Ent) {
        self.edit(&[(spot, Some(ent))]);
        self.loose.insert(ent);
        self.torn.remove(&ent);
    }

    pub(crate) fn remove(&mut self, spot: Spot) {
        if self.at(spot).is_some() {
            self.edit(&[(spot, None)]);
        }
    }

    /// `false`, and nothing done, where `from` is missing or `to` is taken.
    pub(crate) fn rename(&mut self, from: Spot, to: Spot) -> bool {
        let Some(ent) = self.at(from).filter(|_| self.at(to).is_none()) else { return false };
        self.edit(&[(from, None), (to, Some(ent))]);
        true
    }

    /// `false`, and nothing done, where either is missing.
    pub(crate) fn exchange(&mut self, a: Spot, b: Spot) -> bool {
        let (Some(one), Some(two)) = (self.at(a), self.at(b)) else { return false };
        self.edit(&[(a, Some(two)), (b, Some(one))]);
        true
    }

    /// A file of somebody else takes the place of whatever stands there, in one rename; its contents are synced.
    pub(crate) fn overwrite(&mut self, spot: Spot, ent: Ent) {
        self.edit(&[(spot, Some(ent))]);
    }

    pub(crate) fn sync_all(&mut self) {
        self.durable = self.names.clone();
        self.pending.clear();
        self.loose.clear();
    }

    pub(crate) fn sync_contents(&mut self, ent: Ent) {
        self.loose.remove(&ent);
    }

    /// Makes the names in a stage durable, and what they depend on.
    pub(crate) fn sync_stage(&mut self, owner: u8) {
        self.settle(|spot| matches!(spot, Spot::Slot(who, _) if *who == owner));
    }

    /// Makes a path durable, and what it depends on.
    pub(crate) fn sync_path(&mut self, path: Spot) {
        self.settle(|spot| *spot == path);
    }

    fn settle(&mut self, is_asked: impl Fn(&Spot) -> bool) {
        let is_there = |edit: &Edit| edit.0.iter().any(|(spot, ..)| is_asked(spot));
        let mut kept = vec![false; self.pending.len()];
        for at in (0..self.pending.len()).rev() {
            let needed =
                (at + 1..self.pending.len()).any(|later| kept[later] && self.pending[later].meets(&self.pending[at]));
            kept[at] = needed || is_there(&self.pending[at]);
        }
        let mut open = Vec::new();
        for (edit, kept) in std::mem::take(&mut self.pending).into_iter().zip(kept) {
            if kept {
                edit.apply(&mut self.durable);
            } else {
                open.push(edit);
            }
        }
        self.pending = open;
    }

    /// Everything that a loss of power may leave.
    pub(crate) fn losses(&self) -> Vec<Self> {
        let mut sets: Vec<(Vec<usize>, Names)> = vec![(Vec::new(), self.durable.clone())];
        for (at, edit) in self.pending.iter().enumerate() {
            let deps: Vec<usize> = (0..at).filter(|earlier| self.pending[*earlier].meets(edit)).collect();
            let fits = |(kept, _): &&(Vec<usize>, Names)| deps.iter().all(|dep| kept.contains(dep));
            let more: Vec<_> = sets
                .iter()
                .filter(fits)
                .map(|(kept, names)| {
                    let mut names = names.clone();
                    edit.apply(&mut names);
                    (kept.iter().copied().chain([at]).collect(), names)
                })
                .collect();
            sets.extend(more);
        }
        let mut images: BTreeSet<(Names, BTreeSet<Ent>)> = BTreeSet::new();
        for (_, names) in sets {
            let there: BTreeSet<Ent> = names.values().copied().collect();
            let open: Vec<Ent> = self.loose.intersection(&there).copied().collect();
            for bits in 0..1u32 << open.len() {
                let lost = open.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, ent)| *ent);
                let torn = self.torn.iter().copied().filter(|ent| there.contains(ent)).chain(lost).collect();
                images.insert((names.clone(), torn));
            }
        }
        let image = |(names, torn): (Names, _)| Self { durable: names.clone(), names, torn, ..Self::default() };
        images.into_iter().map(image).collect()
    }
}

#[test]
fn a_loss_keeps_a_rename_only_with_those_it_rests_on() {
    let (tree, slot) = (Spot::Tree(0), Spot::Slot(0, 1));
    let mut disk = Disk::with(&[(tree, Ent::of(0))]);
    disk.make(slot, Ent::of(1));
    assert!(disk.exchange(slot, tree));
    // Neither; the new file with and without its contents; both, with and without.
    assert_eq!(disk.losses().len(), 5);
    disk.sync_contents(Ent::of(1));
    assert_eq!(disk.losses().len(), 3);
    disk.sync_stage(0);
    assert_eq!(disk.losses().len(), 1);
    assert_eq!(disk.losses()[0].at(tree), Some(Ent::of(1)));
}
