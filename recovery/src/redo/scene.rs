//! The scene of a redo: the stages it may use, and where the entries that move stand right now.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;

use treewal_journal::record::Goal;
use treewal_vfs::{Identity, Kind, Meta, RelPath, Time};

use super::compose::Wish;
use crate::home::Home;
use crate::plan::{Area, Ground, Place, shown};
use crate::{Error, Result};

/// Entries of the tree that a transaction moves, and directories that they may have stood in, by where they stood before
/// it.
pub(super) type Located = BTreeMap<RelPath, (Place, Meta)>;

/// Entries and where they stand, by inode number and time of birth: more than one where a file has several names.
#[derive(Debug, Default)]
struct ByInode(HashMap<(u64, Time), Vec<(Place, Meta)>>);

impl ByInode {
    fn insert(&mut self, place: Place, meta: Meta) {
        self.0.entry((meta.ino, meta.born)).or_default().push((place, meta));
    }

    /// The first entry with this inode that nobody has claimed.
    fn find(&self, identity: &Identity, claimed: &BTreeSet<Place>) -> Option<(Place, Meta)> {
        let found = self.0.get(&(identity.ino, identity.born))?;
        let mut free = found.iter().filter(|(place, _)| !claimed.contains(place));
        free.find(|(_, meta)| meta.identity().same_inode(identity)).cloned()
    }
}

/// The stages of the transactions, with everything that stands at the top of them.
pub(super) struct Stages {
    /// Every top entry of every stage, by inode.
    entries: ByInode,
    /// Everything beneath them, looked at once and only where something is missed.
    beneath: OnceCell<ByInode>,
    home_of_spares: String,
    taken: BTreeSet<RelPath>,
    next: u64,
    /// What the names of spare places begin with.
    pub(super) spare_prefix: String,
    /// The spare places that were given out.
    pub(super) spares: Vec<Place>,
}

impl Stages {
    /// Opens the stages that the wishes name. One that a power loss took is made again: it held nothing that was
    /// promised to be there, but what the redo displaces needs a place.
    pub(super) fn open(home: &Home, ground: &mut Ground<'_>, wishes: &[Wish]) -> Result<Self> {
        for name in wishes.iter().map(|wish| wish.stage.as_str()).collect::<BTreeSet<_>>() {
            let io = |verb| Error::io(verb, format!(".treewal/stage/{name}"));
            match home.disk.open_dir(&home.stage, &stage_path(name)?) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    home.disk.create_dir(&home.stage, OsStr::new(name), 0o700).map_err(io("make"))?;
                }
                opened => drop(opened.map_err(io("open"))?),
            }
        }
        Self::look(home, ground, wishes)
    }

    /// The same without making anything: a stage that is gone holds nothing.
    pub(super) fn look(home: &Home, ground: &mut Ground<'_>, wishes: &[Wish]) -> Result<Self> {
        let names: BTreeSet<&str> = wishes.iter().map(|wish| wish.stage.as_str()).collect();
        let mut entries = ByInode::default();
        let mut taken = BTreeSet::new();
        for name in &names {
            let io = |verb| Error::io(verb, format!(".treewal/stage/{name}"));
            let dir = match home.disk.open_dir(&home.stage, &stage_path(name)?) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(io("open"))?,
            };
            ground.add_stage(name, dir.clone());
            for entry in home.disk.list(&dir).map_err(io("list"))? {
                let path = RelPath::root().join(&entry.name);
                let place = Place { area: Area::Stage((*name).to_owned()), path: path.clone() };
                taken.insert(path);
                if let Some(meta) = ground.stat(&place).map_err(io("look at"))? {
                    entries.insert(place, meta);
                }
            }
        }
        let home_of_spares = names.last().copied().unwrap_or_default().to_owned();
        Ok(Self {
            entries,
            beneath: OnceCell::new(),
            home_of_spares,
            taken,
            next: 0,
            spare_prefix: "r".to_owned(),
            spares: Vec::new(),
        })
    }

    /// A free place. Its name can never be a slot number of the stage's owner, who may be alive.
    pub(super) fn spare(&mut self) -> Place {
        loop {
            let path = RelPath::root().join(format!("{}{}", self.spare_prefix, self.next));
            self.next += 1;
            if self.taken.insert(path.clone()) {
                let place = Place { area: Area::Stage(self.home_of_spares.clone()), path };
                self.spares.push(place.clone());
                return place;
            }
        }
    }

    /// The place in a stage of an entry with this inode, other than those that are `claimed`.
    ///
    /// It may lie deep: an entry moves into a new directory once that has its name in the tree, and a power loss may
    /// take the name back and leave the entry inside, also where it was a recovery that had made the directory.
    pub(super) fn find(
        &self,
        ground: &mut Ground<'_>,
        identity: &Identity,
        claimed: &BTreeSet<Place>,
    ) -> Result<Option<(Place, Meta)>> {
        if let Some(found) = self.entries.find(identity, claimed) {
            return Ok(Some(found));
        }
        let beneath = match self.beneath.get() {
            Some(beneath) => beneath,
            None => {
                let beneath = self.look_beneath(ground)?;
                self.beneath.get_or_init(|| beneath)
            }
        };
        Ok(beneath.find(identity, claimed))
    }

    /// The place of an entry with this inode right in a stage, where a rename puts what it displaces; as it was found at
    /// first.
    pub(super) fn top(&self, identity: &Identity) -> Option<(Place, Meta)> {
        self.entries.find(identity, &BTreeSet::new())
    }

    /// All that stood right in a stage, as it was found at first.
    pub(super) fn tops(&self) -> impl Iterator<Item = &(Place, Meta)> {
        self.entries.0.values().flatten()
    }

    fn look_beneath(&self, ground: &mut Ground<'_>) -> Result<ByInode> {
        let mut found = ByInode::default();
        let mut dirs: Vec<Place> = self
            .entries
            .0
            .values()
            .flatten()
            .filter(|(_, meta)| meta.kind == Kind::Dir)
            .map(|(place, _)| place.clone())
            .collect();
        while let Some(at) = dirs.pop() {
            let io = |verb| Error::io(verb, shown(&at));
            let dir = ground.dir(&at).map_err(io("open"))?;
            for entry in ground.disk().list(&dir).map_err(io("list"))? {
                let place = Place { area: at.area.clone(), path: at.path.join(&entry.name) };
                let Some(meta) = ground.stat(&place).map_err(io("look into"))? else { continue };
                if meta.kind == Kind::Dir {
                    dirs.push(place.clone());
                }
                found.insert(place, meta);
            }
        }
        Ok(found)
    }
}

/// A stage that a record names: nothing in the journal is trusted.
fn stage_path(name: &str) -> Result<RelPath> {
    RelPath::new(name).ok().filter(|path| path.depth() == 1).ok_or_else(|| Error::Store {
        path: ".treewal/journal".into(),
        reason: format!("a record names {name:?} as a stage directory"),
    })
}

/// Finds the entries that move: where they stood, where they shall stand, in a slot, or halfway in each other's place.
pub(super) fn locate(ground: &mut Ground<'_>, stages: &Stages, wishes: &[Wish]) -> Result<Located> {
    let mut moves: BTreeMap<RelPath, (Identity, &RelPath)> = BTreeMap::new();
    for wish in wishes {
        if let Goal::Moved { from, identity } = &wish.goal {
            if let Ok(from) = from.to_path() {
                moves.insert(from, (*identity, &wish.path));
            }
        }
    }
    if moves.is_empty() {
        return Ok(Located::new());
    }
    // A directory that is replaced or removed may have something in it that moves out.
    for wish in wishes {
        let displaced = wish.known.first().filter(|known| known.kind == Kind::Dir && !matches!(wish.goal, Goal::Kept));
        if let (Some(base), Some(identity)) = (&wish.base, displaced) {
            moves.entry(base.clone()).or_insert((*identity, &wish.path));
        }
    }
    // In the order of their paths, directories before what stood in them: where they are now tells where the rest is.
    let mut search = Search::default();
    let mut missing = Vec::new();
    for (from, (identity, goal)) in &moves {
        let places = [where_now(&search.located, from), Place::tree((*goal).clone())];
        if !search.at(ground, places, from, identity)? {
            missing.push((from, identity));
        }
    }
    // Only where a crash came between two renames: in the place of any other, wherever that is by now, or in a stage. A
    // directory that is found shows what is in it, so this goes on as long as it finds one.
    while !missing.is_empty() {
        let before = moves.keys().chain(wishes.iter().filter_map(|wish| wish.base.as_ref()));
        let before: BTreeSet<Place> = before.map(|path| where_now(&search.located, path)).collect();
        let after = wishes.iter().map(|wish| Place::tree(wish.path.clone()));
        let standing = by_inode(ground, after.chain(before).collect())?;
        let mut lost = Vec::new();
        for (from, identity) in &missing {
            if !search.at(ground, [where_now(&search.located, from)], from, identity)?
                && !search.among(ground, &standing, stages, from, identity)?
            {
                lost.push((*from, *identity));
            }
        }
        if lost.len() == missing.len() {
            break;
        }
        missing = lost;
    }
    Ok(search.located)
}

/// Entries on their way to be found.
#[derive(Default)]
struct Search {
    located: Located,
    /// Several names of one file are as many entries: no place is found twice.
    claimed: BTreeSet<Place>,
}

impl Search {
    /// Looks for an entry at some places; says whether it stands at one.
    fn at(
        &mut self,
        ground: &mut Ground<'_>,
        places: impl IntoIterator<Item = Place>,
        from: &RelPath,
        identity: &Identity,
    ) -> Result<bool> {
        for place in places {
            if self.claimed.contains(&place) {
                continue;
            }
            let meta = reachable(ground, &place)?;
            if let Some(meta) = meta.filter(|meta| meta.identity().same_inode(identity)) {
                self.found(from, (place, meta));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks for an entry among those that were seen standing in the tree, and in the stages; says whether it is there.
    fn among(
        &mut self,
        ground: &mut Ground<'_>,
        standing: &ByInode,
        stages: &Stages,
        from: &RelPath,
        identity: &Identity,
    ) -> Result<bool> {
        let found = match standing.find(identity, &self.claimed) {
            None => stages.find(ground, identity, &self.claimed)?,
            found => found,
        };
        let there = found.is_some();
        found.into_iter().for_each(|found| self.found(from, found));
        Ok(there)
    }

    fn found(&mut self, from: &RelPath, found: (Place, Meta)) {
        self.claimed.insert(found.0.clone());
        self.located.insert(from.clone(), found);
    }
}

/// What stands at a place; what this process may not reach is not there for it. The wish for it meets that again.
fn reachable(ground: &mut Ground<'_>, place: &Place) -> Result<Option<Meta>> {
    match ground.stat(place) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        found => found.map_err(Error::io("look at", shown(place))),
    }
}

/// What stands at places, by inode.
fn by_inode(ground: &mut Ground<'_>, places: BTreeSet<Place>) -> Result<ByInode> {
    let mut standing = ByInode::default();
    for place in places {
        if let Some(meta) = reachable(ground, &place)? {
            standing.insert(place, meta);
        }
    }
    Ok(standing)
}

/// Where a path of the tree as it was lies now, given where directories have gone.
pub(super) fn where_now(located: &Located, base: &RelPath) -> Place {
    let moved = base.ancestors().filter_map(|above| located.get(&above).map(|(place, _)| (above, place))).last();
    match moved {
        Some((above, place)) => {
            let rest = base.strip_prefix(&above).unwrap_or_default();
            Place { area: place.area.clone(), path: place.path.join_path(&rest) }
        }
        None => Place::of(base),
    }
}
