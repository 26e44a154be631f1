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

/// Entries and where they stand, by inode number and time of birth.
type ByInode = HashMap<(u64, Time), (Place, Meta)>;

/// The stages of the transactions, with everything that stands at the top of them.
pub(super) struct Stages {
    /// Every top entry of every stage, by inode.
    entries: ByInode,
    /// Everything beneath them, looked at once and only where something is missed.
    beneath: OnceCell<ByInode>,
    home_of_spares: String,
    taken: BTreeSet<RelPath>,
    next: u64,
    /// The spare places that were given out.
    pub(super) spares: Vec<Place>,
}

impl Stages {
    /// Opens the stages that the wishes name. One that a power loss took is made again: it held nothing that was
    /// promised to be there, but what the redo displaces needs a place.
    pub(super) fn open(home: &Home, ground: &mut Ground<'_>, wishes: &[Wish]) -> Result<Self> {
        let names: BTreeSet<&str> = wishes.iter().map(|wish| wish.stage.as_str()).collect();
        let mut entries = ByInode::new();
        let mut taken = BTreeSet::new();
        for name in &names {
            let io = |verb| Error::io(verb, format!(".treewal/stage/{name}"));
            let path = RelPath::new(name).ok().filter(|path| path.depth() == 1);
            let path = path.ok_or_else(|| Error::Store {
                path: ".treewal/journal".into(),
                reason: format!("a record names {name:?} as a stage directory"),
            })?;
            let dir = match home.disk.open_dir(&home.stage, &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    home.disk.create_dir(&home.stage, OsStr::new(name), 0o700).map_err(io("make"))?;
                    home.disk.open_dir(&home.stage, &path).map_err(io("open"))?
                }
                other => other.map_err(io("open"))?,
            };
            ground.add_stage(name, dir.clone());
            for entry in home.disk.list(&dir).map_err(io("list"))? {
                let path = RelPath::root().join(&entry.name);
                let place = Place { area: Area::Stage((*name).to_owned()), path: path.clone() };
                taken.insert(path);
                if let Some(meta) = ground.stat(&place).map_err(io("look at"))? {
                    entries.insert((meta.ino, meta.born), (place, meta));
                }
            }
        }
        let home_of_spares = names.last().copied().unwrap_or_default().to_owned();
        Ok(Self { entries, beneath: OnceCell::new(), home_of_spares, taken, next: 0, spares: Vec::new() })
    }

    /// A free place. Its name can never be a slot number of the stage's owner, who may be alive.
    pub(super) fn spare(&mut self) -> Place {
        loop {
            let path = RelPath::root().join(format!("r{}", self.next));
            self.next += 1;
            if self.taken.insert(path.clone()) {
                let place = Place { area: Area::Stage(self.home_of_spares.clone()), path };
                self.spares.push(place.clone());
                return place;
            }
        }
    }

    /// The place in a stage of an entry with this inode.
    ///
    /// It may lie deep: an entry moves into a new directory once that has its name in the tree, and a power loss may
    /// take the name back and leave the entry inside, also where it was a recovery that had made the directory.
    pub(super) fn find(&self, ground: &mut Ground<'_>, identity: &Identity) -> Result<Option<(Place, Meta)>> {
        let same = |found: &ByInode| {
            let found = found.get(&(identity.ino, identity.born));
            found.filter(|(_, meta)| meta.identity().same_inode(identity)).cloned()
        };
        if let Some(found) = same(&self.entries) {
            return Ok(Some(found));
        }
        let beneath = match self.beneath.get() {
            Some(beneath) => beneath,
            None => {
                let beneath = self.look_beneath(ground)?;
                self.beneath.get_or_init(|| beneath)
            }
        };
        Ok(same(beneath))
    }

    fn look_beneath(&self, ground: &mut Ground<'_>) -> Result<ByInode> {
        let mut found = ByInode::new();
        let mut dirs: Vec<Place> =
            self.entries.values().filter(|(_, meta)| meta.kind == Kind::Dir).map(|(place, _)| place.clone()).collect();
        while let Some(at) = dirs.pop() {
            let io = |verb| Error::io(verb, shown(&at));
            let dir = ground.dir(&at).map_err(io("open"))?;
            for entry in ground.disk().list(&dir).map_err(io("list"))? {
                let place = Place { area: at.area.clone(), path: at.path.join(&entry.name) };
                let Some(meta) = ground.stat(&place).map_err(io("look into"))? else { continue };
                if meta.kind == Kind::Dir {
                    dirs.push(place.clone());
                }
                found.insert((meta.ino, meta.born), (place, meta));
            }
        }
        Ok(found)
    }
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
    let mut located = Located::new();
    let mut elsewhere = None;
    for (from, (identity, goal)) in &moves {
        let mut found = None;
        for place in [where_now(&located, from), Place::tree((*goal).clone())] {
            let meta = ground.stat(&place).map_err(Error::io("look at", shown(&place)))?;
            if let Some(meta) = meta.filter(|meta| meta.identity().same_inode(identity)) {
                found = Some((place, meta));
                break;
            }
        }
        if found.is_none() {
            // Looked at once for all of them, and only where a crash came between two renames.
            let elsewhere = match &elsewhere {
                Some(elsewhere) => elsewhere,
                None => elsewhere.insert(by_inode(ground, wishes)?),
            };
            found = match elsewhere.get(&(identity.ino, identity.born)) {
                Some(found) => Some(found.clone()),
                None => stages.find(ground, identity)?,
            };
        }
        if let Some(found) = found {
            located.insert(from.clone(), found);
        }
    }
    Ok(located)
}

/// What stands at the paths of all wishes, by inode.
fn by_inode(ground: &mut Ground<'_>, wishes: &[Wish]) -> Result<ByInode> {
    let mut standing = ByInode::new();
    for wish in wishes {
        let place = Place::tree(wish.path.clone());
        if let Some(meta) = ground.stat(&place).map_err(Error::io("look at", shown(&place)))? {
            standing.insert((meta.ino, meta.born), (place, meta));
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
        None => Place::tree(base.clone()),
    }
}
