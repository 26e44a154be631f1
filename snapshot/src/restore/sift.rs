//! Reading the manifest and walking the tree side by side, and choosing what a restore has something to do with.
//!
//! What is as it was is forgotten at once, so the memory of a restore grows with what differs. Names of one file
//! belong together, and so do files and the inode of theirs that stands at the path of another: where one of them was
//! chosen, the manifest is read once more for the others.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, Time};

use super::extract::Extract;
use crate::Result;
use crate::judge::is_settled;
use crate::manifest::{Entry, Manifest, Raw, Records, Role, compare_paths, parent, rel};
use crate::walk::{Met, Names, Threads, open_parent, split, stat, walk};

/// What was chosen of the manifest, and what stands there now.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) chosen: HashMap<usize, Chosen>,
    /// What is newer than the snapshot, a directory before what is in it.
    pub(super) added: Vec<(RelPath, Meta)>,
    /// Excluded paths that exist.
    pub(super) excluded: Vec<RelPath>,
    /// Whether no guarded directory can have changed or moved.
    pub(super) is_still: bool,
}

pub(super) struct Sift<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) tree: &'a Dir,
    pub(super) manifest: &'a Manifest,
    pub(super) threads: Threads,
}

/// Where the reading of the manifest is.
struct Reading<'a> {
    records: Records<'a>,
    next: Option<Raw>,
    place: usize,
    /// The directories that the last entry is in, with their places; `None` for what was chosen.
    open: Vec<(Vec<u8>, usize, Option<Chosen>)>,
    sifted: Sifted,
}

/// An entry, and what stands there now.
type Chosen = (Entry, Option<Meta>);

impl<'a> Sift<'a> {
    /// `is_clean` says of an entry, of which something of the same kind is there, whether nothing is to be done to it.
    pub(super) fn run(&self, is_clean: &dyn Fn(&mut Raw, &Meta) -> Result<bool>) -> Result<Sifted> {
        let mut reading = Reading {
            records: Records::new(self.manifest, self.disk),
            next: None,
            place: 0,
            open: Vec::new(),
            sifted: Sifted { is_still: true, ..Sifted::default() },
        };
        reading.next = reading.records.next()?;
        self.ancestors(&mut reading)?;
        let starts = self.manifest.guarded().iter().map(|guarded| guarded.path.clone());
        let mut names = Names::new(self.disk, self.tree, starts, self.manifest.excluded(), true);
        let stated = |_: &mut (), step: &crate::walk::Step<'_>| Ok((step.bytes(), step.meta_if_there(self.disk)?));
        walk(&mut names, self.threads, &|| (), &stated, &mut |_, (path, meta)| {
            // What was removed since it was listed is not there.
            let Some(meta) = meta else { return Ok(()) };
            reading.reach(&path)?;
            reading.meet(&path, meta, is_clean)
        })?;
        reading.rest()?;
        let Met { skipped, .. } = names.met;
        Ok(Sifted { excluded: skipped, ..reading.sifted })
    }

    /// Chooses, among the entries that were not, those for which `wanted` holds; says whether there were any.
    pub(super) fn again(&self, sifted: &mut Sifted, wanted: &dyn Fn(usize, &Entry) -> bool) -> Result<bool> {
        let mut reading = Reading {
            records: Records::new(self.manifest, self.disk),
            next: None,
            place: 0,
            open: Vec::new(),
            sifted: Sifted::default(),
        };
        let known: HashSet<usize> = sifted.chosen.keys().copied().collect();
        while let Some(raw) = reading.records.next()? {
            let place = reading.place;
            if !known.contains(&place) && wanted(place, &raw.entry) {
                reading.choose(raw, None);
            } else {
                reading.pass(raw, None);
            }
        }
        let found = std::mem::take(&mut reading.sifted.chosen);
        let any = found.keys().any(|place| !known.contains(place));
        for (place, (entry, _)) in found {
            if !known.contains(&place) {
                let meta = self.stat(&entry.path)?;
                sifted.chosen.insert(place, (entry, meta));
            }
        }
        Ok(any)
    }

    fn ancestors(&self, reading: &mut Reading<'_>) -> Result<()> {
        while let Some(raw) = reading.next.take_if(|raw| raw.entry.role == Role::Ancestor) {
            let entry = raw.whole();
            let meta = self.stat(&entry.path)?;
            reading.sifted.is_still &= meta.is_some_and(|meta| is_settled(&entry, &meta));
            reading.sifted.chosen.insert(reading.place, (entry, meta));
            reading.place += 1;
            reading.next = reading.records.next()?;
        }
        Ok(())
    }

    pub(super) fn stat(&self, path: &RelPath) -> Result<Option<Meta>> {
        match open_parent(self.disk, self.tree, &split(path).0)? {
            Some(dir) => stat(self.disk, &dir, path),
            None => Ok(None),
        }
    }
}

impl Reading<'_> {
    /// What the manifest has before `path` is gone.
    fn reach(&mut self, path: &[u8]) -> Result<()> {
        while let Some(raw) = self.next.take_if(|raw| compare_paths(&raw.path, path) == Ordering::Less) {
            self.lost(raw)?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<()> {
        while let Some(raw) = self.next.take() {
            self.lost(raw)?;
        }
        Ok(())
    }

    fn lost(&mut self, raw: Raw) -> Result<()> {
        self.sifted.is_still &= raw.entry.meta.kind != Kind::Dir;
        self.choose(raw, None);
        self.next = self.records.next()?;
        Ok(())
    }

    /// `meta` stands at `path`.
    fn meet(&mut self, path: &[u8], meta: Meta, is_clean: &dyn Fn(&mut Raw, &Meta) -> Result<bool>) -> Result<()> {
        let Some(mut raw) = self.next.take_if(|raw| raw.path == path) else {
            self.leave(path);
            self.keep_open();
            self.sifted.added.push((rel(path), meta));
            return Ok(());
        };
        if raw.entry.meta.kind == Kind::Dir {
            self.sifted.is_still &= is_settled(&raw.entry, &meta);
        }
        if meta.kind == raw.entry.meta.kind && is_clean(&mut raw, &meta)? {
            self.pass(raw, Some(meta));
        } else {
            self.choose(raw, Some(meta));
        }
        self.next = self.records.next()?;
        Ok(())
    }

    /// Goes out of the directories that `path` is not in.
    fn leave(&mut self, path: &[u8]) {
        let parent = parent(path);
        let within = |dir: &[u8]| parent.is_some_and(|parent| crate::manifest::is_within(parent, dir));
        while self.open.last().is_some_and(|(dir, ..)| !within(dir)) {
            self.open.pop();
        }
    }

    /// Chooses the directories that are open: something in them was.
    fn keep_open(&mut self) {
        for (path, place, held) in &mut self.open {
            if let Some((entry, meta)) = held.take() {
                let entry = Entry { path: rel(path), ..entry };
                self.sifted.chosen.insert(*place, (entry, meta));
            }
        }
    }

    fn pass(&mut self, raw: Raw, meta: Option<Meta>) {
        self.leave(&raw.path);
        if raw.entry.meta.kind == Kind::Dir {
            self.open.push((raw.path, self.place, Some((raw.entry, meta))));
        }
        self.place += 1;
    }

    fn choose(&mut self, raw: Raw, meta: Option<Meta>) {
        self.leave(&raw.path);
        self.keep_open();
        if raw.entry.meta.kind == Kind::Dir {
            self.open.push((raw.path.clone(), self.place, None));
        }
        self.sifted.chosen.insert(self.place, (raw.whole(), meta));
        self.place += 1;
    }
}

impl Sifted {
    /// The chosen entries, in order, and what stands at each.
    pub(super) fn sorted(chosen: HashMap<usize, Chosen>, taken: Time) -> Result<(Extract, Vec<Option<Meta>>)> {
        let mut sorted: Vec<_> = chosen.into_iter().collect();
        sorted.sort_unstable_by_key(|(place, _)| *place);
        let (entries, metas) = sorted.into_iter().map(|(place, (entry, meta))| ((place, entry), meta)).unzip();
        let extract = Extract::new(entries, taken).map_err(|path| Extract::wrong_link(&path))?;
        Ok((extract, metas))
    }
}
