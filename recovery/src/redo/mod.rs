//! Redo: bringing the tree to what committed transactions say, from whatever a crash has left of them.
//!
//! Nothing is replayed. The transactions are composed into one wish for each path; the disk is surveyed; the planner
//! that commit uses works out the renames that are missing. A second run, or one after a crash inside the first, finds
//! less to do, and in the end nothing. The order of work:
//!
//! 1. survey: reads only, and says of each path whether it holds what is wanted, a state that is known, our own file
//!    torn by a power loss, or the work of somebody else;
//! 2. what is missing is made again in the stage from the journal's bytes; a new directory stands there with all that
//!    shall be in it, as the commit built it or built again, so that no reader ever meets it half filled;
//! 3. what was made again is synced, and
//! 4. renamed into place: every path stays present that was present;
//! 5. what somebody else put in our way stays, and ours goes to quarantine.
//!
//! The renames are not synced: the caller syncs the file system before it writes the checkpoint that forgets the journal.

mod apart;
mod back;
mod carry;
mod closed;
mod compose;
mod copied;
mod emptied;
mod looks;
mod material;
mod older;
mod rewritten;
mod scene;
mod supersede;
mod survey;
mod twins;
mod unseen;

pub use apart::{Group, redo_apart};
pub use back::{Back, TakenBack, survey_back, take_back};
pub use closed::redo;
pub use compose::{Part, Wish, compose};
pub(crate) use survey::is_large;
pub use survey::{Seen, is_torn_form};

use std::collections::{BTreeMap, BTreeSet};

use treewal_journal::record::{Body, Goal, New};
use treewal_vfs::{Identity, Kind, RelPath, Time};

use crate::Result;
use crate::home::Home;
use crate::look::Attributes;
use crate::plan::{Area, Entity, Goals, Ground, Model, Place};
use carry::closing;
use closed::{CLOSED, Closed};
use emptied::{FILLED, handled, moved};
use scene::{Located, Stages, locate, where_now};
use survey::look;
use twins::Twins;
use unseen::Records;

/// What a redo did.
#[derive(Debug, Default)]
pub struct Redone {
    /// Paths that had to be changed.
    pub changed: u64,
    /// Paths where somebody else's work was left in place.
    pub superseded: Vec<Superseded>,
    /// Places of stages that hold nothing of worth once the tree is synced.
    pub garbage: Vec<Place>,
    /// Where in quarantine, by transaction, what was taken for an earlier state in a tree that was copied was kept before
    /// anything took its place.
    pub kept_first: BTreeMap<u64, String>,
}

/// A wish that was not carried out, because somebody else had changed the path since.
#[derive(Debug)]
pub struct Superseded {
    /// The transaction.
    pub txn: u64,
    /// Where.
    pub path: RelPath,
    /// Why, for people.
    pub reason: &'static str,
    /// The contents that could not be placed.
    pub contents: Option<Contents>,
    /// Where the entry stood that was to move here: it must not go with what takes its place.
    from: Option<RelPath>,
}

impl Superseded {
    /// Something that a transaction holds, and that nobody tries to place any more.
    pub(crate) fn given_up(txn: u64, path: RelPath, contents: Option<Contents>) -> Self {
        Self { contents, ..Self::of(txn, path, "given up") }
    }

    fn of(txn: u64, path: RelPath, reason: &'static str) -> Self {
        Self { txn, path, reason, contents: None, from: None }
    }

    /// Whether there is something to tell, also where nothing is kept: contents that were promised are gone, or somebody has
    /// to open a directory.
    pub(crate) fn is_to_tell(&self) -> bool {
        self.reason == CONTENTS_GONE || self.reason == CLOSED
    }
}

const CONTENTS_GONE: &str = "the contents that were staged for it are gone";

/// Contents on their way to quarantine.
#[derive(Debug, Clone)]
pub enum Contents {
    /// Bytes of the journal.
    Bytes(Vec<u8>),
    /// A file in a stage.
    Staged(Place),
    /// A copy of a file or symlink of the tree, which stays.
    Copied(Place),
}

/// One try at what [`redo`] does.
fn attempt(
    home: &Home,
    mut ground: Ground<'_>,
    (wishes, copied): (&[Wish], bool),
    (records, closed): (&Records, &Closed),
    kept_first: &mut BTreeMap<u64, String>,
) -> Result<Redone> {
    let stages = Stages::open(home, &mut ground, wishes)?;
    let located = locate(&mut ground, &stages, wishes)?;
    let mut redo = Redo {
        ground,
        stages,
        located,
        placed: BTreeMap::new(),
        model: Model::default(),
        identities: Vec::new(),
        goals: Goals::new(),
        looks: Vec::new(),
        standing: BTreeMap::new(),
        blocked: BTreeSet::new(),
        made_again: false,
        moving: wishes.iter().filter_map(moved).collect(),
        handled: handled(wishes),
        aside: BTreeMap::new(),
        displaced: Vec::new(),
        rewrites: Vec::new(),
        copied,
        guesses: Vec::new(),
        done: Redone::default(),
    };
    redo.place_movers();
    let siblings: Vec<Identity> =
        if redo.located.is_empty() { Vec::new() } else { wishes.iter().flat_map(|wish| wish.known.clone()).collect() };
    let mut twins = Twins::of(wishes);
    for wish in wishes {
        redo.ground.close_if_many().map_err(closing())?;
        if redo.is_out_of_reach(wish, closed)? {
            continue;
        }
        if !matches!(wish.goal, Goal::Kept | Goal::Emptied) {
            // Of several transactions that found it there, the last knew all that those before it did in it.
            for (dir, since) in &wish.dirs {
                let last = wish.dirs.iter().filter(|(other, _)| other.same_inode(dir)).map(|(_, since)| *since).max();
                if last == Some(*since) {
                    redo.displaced.push((wish.txn, wish.path.clone(), *dir, *since));
                }
            }
        }
        redo.consider(wish, (wishes, &siblings), &mut twins)?;
    }
    redo.reunite(twins)?;
    redo.find_unseen(records);
    redo.keep_guesses(home, kept_first)?;
    redo.carry_out()
}

struct Redo<'a> {
    ground: Ground<'a>,
    stages: Stages,
    located: Located,
    /// The entities of what was located, by where it stood at first.
    placed: BTreeMap<Place, Entity>,
    model: Model,
    identities: Vec<Identity>,
    goals: Goals,
    /// Looks to set once everything stands in its place.
    looks: Vec<(RelPath, Attributes)>,
    /// Where new directories stand: in the tree already, or still in a stage.
    standing: BTreeMap<RelPath, Place>,
    /// Paths that somebody else holds: what is wanted beneath them cannot be.
    blocked: BTreeSet<RelPath>,
    made_again: bool,
    /// What was displaced to the name of something taken in, and where it was put from there.
    aside: BTreeMap<Place, Place>,
    /// Inode number and time of birth of what moves: that goes nowhere but to another path.
    moving: BTreeSet<(u64, Time)>,
    /// See [`handled`].
    handled: BTreeMap<(u64, Time), Time>,
    /// Directories that go with all that is in them: of which transaction, from where, and since when.
    displaced: Vec<(u64, RelPath, Identity, Time)>,
    /// Files to rewrite in place: at which path, of which stage, and how they shall be.
    rewrites: Vec<(RelPath, String, New)>,
    /// See [`copied`].
    copied: bool,
    /// What goes to quarantine before ours takes its place: of which transaction, of which path, and why.
    guesses: Vec<(u64, RelPath, Contents, &'static str)>,
    done: Redone,
}

impl Redo<'_> {
    fn entity(&mut self, place: Place, identity: Identity) -> Entity {
        if let Some(entity) = self.model.at(&place) {
            return entity;
        }
        let entity = Entity(self.identities.len());
        self.identities.push(identity);
        self.model.put(place, entity);
        entity
    }

    fn place_movers(&mut self) {
        let movers: Vec<(Place, Identity)> =
            self.located.values().map(|(place, meta)| (place.clone(), meta.identity())).collect();
        for (place, identity) in movers {
            let entity = self.entity(place.clone(), identity);
            self.placed.insert(place, entity);
        }
    }

    /// Decides about one path; parents have been decided about before.
    fn consider<'a>(
        &mut self,
        wish: &'a Wish,
        (wishes, siblings): (&[Wish], &[Identity]),
        twins: &mut Twins<'a>,
    ) -> Result<()> {
        if wish.path.ancestors().any(|above| self.blocked.contains(&above)) {
            return self.supersede(wish, "the directory that it belongs to is somebody else's now");
        }
        if let Goal::Rewritten { new, image } = &wish.goal {
            return self.consider_rewritten(wish, (new, *image));
        }
        let inside = self.inside(&wish.path);
        // A place of ours alone, to be filled before the directory above it gets its name.
        let site = inside.clone().filter(|place| place.area != Area::Tree);
        let spot = match &wish.base {
            Some(base) if site.is_none() => Some(where_now(&self.located, base)),
            _ => inside,
        };
        let mut seen = match &spot {
            None => Seen::Nothing,
            Some(spot) if self.model.at(spot).is_some() => self.seen_mover(spot, wish),
            Some(spot) => look(&mut self.ground, spot, wish, siblings)?,
        };
        if let (Some(spot), Seen::Foreign(meta)) = (&spot, seen) {
            seen = self.guess(wish, spot, meta)?;
        }
        if let (Some(spot), Seen::Foreign(meta)) = (&spot, seen) {
            seen = self.come_back(wish, spot, meta);
        }
        if let (Some(spot), Seen::Known(meta)) = (&spot, seen) {
            if meta.kind == Kind::Dir && !self.may_go(wish, (spot, &meta), (wishes, siblings))? {
                return self.supersede(wish, FILLED);
            }
        }
        if let Some(site) = &site {
            seen = self.clear(site, seen, wish)?;
        }
        if let (Some(spot), Seen::Wanted(meta) | Seen::Torn(meta) | Seen::Known(meta)) = (&spot, seen) {
            self.entity(spot.clone(), meta.identity());
        }
        match &wish.goal {
            Goal::Emptied if seen == Seen::Nothing && site.is_none() => self.bring_back(wish, (wishes, siblings)),
            Goal::Absent | Goal::Emptied => self.consider_absent(wish, seen),
            Goal::Kept => self.consider_kept(wish, seen, spot),
            // Done with above.
            Goal::Rewritten { .. } => Ok(()),
            Goal::New(new) => self.consider_new((wish, new), seen, (spot, site), twins),
            Goal::Moved { from, .. } => {
                let from = from.to_path().unwrap_or_default();
                self.consider_moved(wish, &from, seen)
            }
        }
    }

    /// What a mover that stands at the spot is to this wish.
    fn seen_mover(&self, spot: &Place, wish: &Wish) -> Seen {
        let mover = self.located.values().find(|(place, _)| place == spot);
        match (mover, &wish.goal) {
            (Some((_, meta)), Goal::Moved { identity, .. }) if meta.identity().same_inode(identity) => {
                Seen::Wanted(*meta)
            }
            (Some((_, meta)), _) => Seen::Known(*meta),
            (None, _) => Seen::Nothing,
        }
    }

    fn consider_absent(&mut self, wish: &Wish, seen: Seen) -> Result<()> {
        match seen {
            Seen::Nothing => {}
            Seen::Foreign(_) => return self.supersede(wish, "somebody changed what was to be removed"),
            Seen::Wanted(_) | Seen::Torn(_) | Seen::Known(_) => {
                self.goals.insert(wish.path.clone(), None);
            }
        }
        Ok(())
    }

    fn consider_kept(&mut self, wish: &Wish, seen: Seen, spot: Option<Place>) -> Result<()> {
        let ours = match (seen, spot) {
            (Seen::Wanted(meta), Some(spot)) => self.compare_set(wish, &spot, &meta)?,
            _ => false,
        };
        if ours { Ok(()) } else { self.supersede(wish, "somebody changed the entry whose attributes were to be set") }
    }

    fn consider_moved(&mut self, wish: &Wish, from: &RelPath, seen: Seen) -> Result<()> {
        if matches!(seen, Seen::Foreign(_)) {
            return self.supersede(wish, "somebody put something else where an entry was to move");
        }
        let Some((place, meta)) = self.located.get(from).cloned() else {
            return self.supersede(wish, "the entry that was to move here is gone");
        };
        self.compare_set(wish, &place, &meta)?;
        let entity = self.entity(place, meta.identity());
        self.goals.insert(wish.path.clone(), Some(entity));
        Ok(())
    }

    fn consider_new<'a>(
        &mut self,
        (wish, new): (&'a Wish, &New),
        seen: Seen,
        (spot, site): (Option<Place>, Option<Place>),
        twins: &mut Twins<'a>,
    ) -> Result<()> {
        let in_place = match seen {
            Seen::Wanted(meta) => Some(meta),
            // A tree that was copied has the directory under another inode; what is in it is looked at by itself.
            Seen::Foreign(meta) if matches!(new.body, Body::Dir) && meta.kind == Kind::Dir => Some(meta),
            Seen::Foreign(_) => return self.supersede(wish, "somebody changed the path since"),
            // What stood here may never have been synced by whoever made it, and then a power loss takes it: nothing
            // there is no sign that somebody removed it. Should somebody have, the commit wins, and no byte is lost.
            Seen::Nothing | Seen::Torn(_) | Seen::Known(_) => None,
        };
        if let (Some(meta), Some(spot)) = (in_place, spot) {
            let entity = self.entity(spot.clone(), meta.identity());
            self.goals.insert(wish.path.clone(), Some(entity));
            if meta.kind == Kind::Dir {
                self.standing.insert(wish.path.clone(), spot.clone());
            }
            twins.stands(wish, &spot);
            return self.compare_looks(wish, new, &spot, &meta);
        }
        if site.is_none() && !self.make_way(wish)? {
            return self.supersede(wish, "somebody put something else where a directory above it stood");
        }
        if twins.has(wish) {
            twins.miss(wish, site);
            return Ok(());
        }
        if let Body::Link { from } = &new.body {
            let from = from.to_path().unwrap_or_default();
            let Some(entity) = self.linked(wish, new, &from, site)? else {
                return self.supersede(wish, "the entry that was to get another name is gone");
            };
            self.goals.insert(wish.path.clone(), Some(entity));
            return Ok(());
        }
        if let Some((place, meta)) = self.written_since(new, wish)? {
            let entity = self.entity(place, meta.identity());
            self.goals.insert(wish.path.clone(), Some(entity));
            return self.supersede(wish, "somebody wrote into it since");
        }
        let entity = match self.staged_place(new, wish)? {
            Some((place, meta)) => {
                self.compare_looks(wish, new, &place, &meta)?;
                self.entity(place, meta.identity())
            }
            None if matches!(new.body, Body::Staged) => return self.supersede_lost(wish, new),
            None => self.make_again(wish, new, site)?,
        };
        if let (Body::Dir, Some(place)) = (&new.body, self.model.place_of(entity)) {
            self.standing.insert(wish.path.clone(), place.clone());
        }
        self.goals.insert(wish.path.clone(), Some(entity));
        Ok(())
    }
}
