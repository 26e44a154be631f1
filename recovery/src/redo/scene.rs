//! The scene of a redo: the stages it may use, and where the entries that move stand right now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;

use treewal_journal::record::Goal;
use treewal_vfs::{Identity, Kind, Meta, RelPath, Time};

use super::compose::Wish;
use crate::home::Home;
use crate::plan::{Area, Ground, Place};
use crate::{Error, Result};

/// Entries of the tree that a transaction moves, and directories that they may have stood in, by where they stood before
/// it.
pub(super) type Located = BTreeMap<RelPath, (Place, Meta)>;

/// The stages of the transactions, with everything that stands at the top of them.
pub(super) struct Stages {
    /// Every top entry of every stage, by inode.
    entries: HashMap<(u64, Time), (Place, Meta)>,
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
        let mut entries = HashMap::new();
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
        Ok(Self { entries, home_of_spares, taken, next: 0, spares: Vec::new() })
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
    pub(super) fn find(&self, identity: &Identity) -> Option<&(Place, Meta)> {
        self.entries.get(&(identity.ino, identity.born)).filter(|(_, meta)| meta.identity().same_inode(identity))
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
            let meta = ground.stat(&place).map_err(Error::io("look at", crate::plan::shown(&place)))?;
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
            found = elsewhere.get(&(identity.ino, identity.born)).cloned().or_else(|| stages.find(identity).cloned());
        }
        if let Some(found) = found {
            located.insert(from.clone(), found);
        }
    }
    Ok(located)
}

/// What stands at the paths of all wishes, by inode.
fn by_inode(ground: &mut Ground<'_>, wishes: &[Wish]) -> Result<HashMap<(u64, Time), (Place, Meta)>> {
    let mut standing = HashMap::new();
    for wish in wishes {
        let place = Place::tree(wish.path.clone());
        if let Some(meta) = ground.stat(&place).map_err(Error::io("look at", crate::plan::shown(&place)))? {
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
