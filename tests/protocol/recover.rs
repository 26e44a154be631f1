//! Recovery: the real reading of history, the real table, the real composition and the real planner, on the disk of this
//! model. What the real survey does by looking at inodes and bytes is said here once more, in the words of the table *found
//! at the path* of docs/design.md.

use treewal_journal::record::{Body, Goal, New};
use treewal_recovery::decide::{Verdict, decide};
use treewal_recovery::history::{History, Told, Work};
use treewal_recovery::redo::{Part, Wish, compose};
use treewal_vfs::Identity;

use crate::disk::{Ent, Spot, Version};
use crate::journal::{Rec, bytes, identity, stage};
use crate::plan::{Renaming, Scene, removed_by};
use crate::script::{Broken, FOREIGN, Script};
use crate::world::World;

/// More tries than the kills of any script.
const ATTEMPTS_MAX: u32 = 9;

/// What a recovery has to do.
pub(crate) struct Found {
    pub(crate) makes: Vec<(Spot, Ent)>,
    pub(crate) steps: Vec<Renaming>,
    pub(crate) keeps: Vec<Version>,
    /// What goes to quarantine before the first step.
    pub(crate) first: Vec<Version>,
    /// Slots that it puts something into.
    pub(crate) spares: Vec<Spot>,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Wanted,
    /// Ours, torn, or a state that the journal knows.
    Ours,
    /// Not ours, and older than the commit: a loss of power has brought it back.
    Older,
    Foreign,
}

fn to_redo(history: &History) -> Vec<(u64, &Told)> {
    let verdict = |told: &Told| decide(told.facts(ATTEMPTS_MAX)).1;
    let owed = history.transactions.iter().filter(|(_, told)| verdict(told) == Verdict::Redo);
    assert!(history.transactions.values().all(|told| verdict(told) != Verdict::GiveUp), "nothing here is given up");
    owed.map(|(number, told)| (*number, told)).collect()
}

/// The records that count a try.
pub(crate) fn owed(world: &World, script: &Script) -> Vec<Rec> {
    let history = world.journal.history(script);
    let attempt = |(number, told): (u64, &Told)| Rec::Attempt {
        txn: world.journal.txn(number),
        number: u8::try_from(told.attempts() + 1).unwrap(),
    };
    to_redo(&history).into_iter().map(attempt).collect()
}

/// Looks at everything; `None` where the journal has nothing to tell.
pub(crate) fn survey(world: &World, script: &Script) -> Option<Found> {
    let history = world.journal.history(script);
    if history.transactions.is_empty() {
        return None;
    }
    let parts: Vec<Part<'_>> = to_redo(&history)
        .into_iter()
        .filter_map(|(txn, told)| match &told.work {
            Work::Staged(begin, intents) => Some(Part { txn, at: told.at, stage: &begin.stage, intents }),
            Work::Guarded(_) => None,
        })
        .collect();
    let wishes = compose(&parts).unwrap();
    let home = wishes.iter().map(|wish| wish.stage.clone()).max().map_or(0, |stage| stage[1..].parse().unwrap());
    let first = if script.broken == Broken::Unseen { Vec::new() } else { unseen(world, &parts) };
    let mut redo =
        Redo { world, script, home, scene: Scene::of(&world.disk), makes: Vec::new(), keeps: Vec::new(), first };
    for wish in &wishes {
        redo.consider(wish);
    }
    let Redo { scene, makes, keeps, first, .. } = redo;
    let (steps, displaced) = scene.plan(home, 200, false);
    let spares = makes.iter().map(|(spot, _)| *spot).chain(displaced).collect();
    Some(Found { makes, steps, keeps, first, spares })
}

struct Redo<'a> {
    world: &'a World,
    script: &'a Script,
    home: u8,
    scene: Scene,
    makes: Vec<(Spot, Ent)>,
    keeps: Vec<Version>,
    first: Vec<Version>,
}

/// What was displaced by a commit that did not live to look at it: whatever stands in the slot of a new entry or of a removal,
/// and is neither that new entry nor anything that the records know.
fn unseen(world: &World, parts: &[Part<'_>]) -> Vec<Version> {
    let mut known: Vec<Identity> = Vec::new();
    for intent in parts.iter().flat_map(|part| part.intents) {
        known.extend(intent.prior);
        if let Goal::New(new) = &intent.goal {
            known.push(new.identity);
        }
    }
    let is_displaced = |owner: u8, slot: u8| {
        parts.iter().filter(|part| part.stage == stage(owner)).any(|part| {
            let mut goals = part.intents.iter().map(|intent| &intent.goal);
            removed_by(slot) == Some(world.journal.txn(part.txn))
                || goals.any(|goal| matches!(goal, Goal::New(new) if new.slot == u64::from(slot)))
        })
    };
    let stranger = |(spot, ent): (Spot, Ent)| match spot {
        Spot::Slot(owner, slot) => {
            let is_known = known.iter().any(|known| known.same_inode(&identity(ent)));
            (is_displaced(owner, slot) && !is_known).then_some(ent.version)
        }
        Spot::Tree(_) => None,
    };
    world.disk.names().filter_map(stranger).collect()
}

impl Redo<'_> {
    fn consider(&mut self, wish: &Wish) {
        let at: u8 = wish.path.to_string()[1..].parse().unwrap();
        let spot = Spot::Tree(at);
        let found = self.world.disk.at(spot);
        let seen = self.look(found, wish);
        if seen == Seen::Foreign {
            if let Goal::New(new) = &wish.goal {
                self.keeps.extend(self.kept(new));
            }
            return;
        }
        if seen == Seen::Older {
            self.first.extend(found.map(|ent| ent.version));
        }
        let standing = found.map(|ent| self.scene.put(spot, ent));
        let wanted = match &wish.goal {
            Goal::New(_) if seen == Seen::Wanted => standing,
            Goal::New(new) => match &new.body {
                Body::Inline(_) => {
                    let (spare, ent) = (self.scene.spare(self.home, 200), self.fresh(version(&new.identity)));
                    self.makes.push((spare, ent));
                    Some(self.scene.put(spare, ent))
                }
                // Gone: there is nothing to place, and nothing to keep. The judge will say so.
                _ => match self.staged(new) {
                    Some((spot, ent)) => Some(self.scene.put(spot, ent)),
                    None => return,
                },
            },
            _ => None,
        };
        self.scene.want(at, wanted);
    }

    fn fresh(&self, version: Version) -> Ent {
        self.world.disk.fresh(version)
    }

    fn look(&self, found: Option<Ent>, wish: &Wish) -> Seen {
        let Some(ent) = found else { return Seen::Nothing };
        let is = |known: &Identity| known.same_inode(&identity(ent));
        if let Goal::New(new) = &wish.goal {
            let torn = self.world.disk.is_torn(ent);
            let is_wanted = match &new.body {
                Body::Inline(wanted) => !torn && bytes(ent.version) == *wanted,
                // Synced before it was promised: the inode is the contents.
                _ => is(&new.identity),
            };
            if is_wanted {
                return Seen::Wanted;
            }
            if torn && is(&new.identity) {
                return Seen::Ours;
            }
        }
        let is_known = wish.known.iter().any(is) || self.script.broken == Broken::ForeignIsKnown;
        if is_known {
            Seen::Ours
        } else if self.is_older(ent) {
            Seen::Older
        } else {
            Seen::Foreign
        }
    }

    /// Whether something was last changed before the commit began to look. Times are not in this model, but the file of somebody
    /// else is the only one that comes to the tree other than by a commit: if that was there at the look, it is known. All else
    /// that nobody knows was there, or had been, unless a recovery made it.
    fn is_older(&self, ent: Ent) -> bool {
        ent.version != FOREIGN && ent.copy == 0 && self.script.broken != Broken::Ageless
    }

    /// A large file, where it still stands in a stage.
    fn staged(&self, new: &New) -> Option<(Spot, Ent)> {
        let mut slots = self.world.disk.names().filter(|(spot, _)| matches!(spot, Spot::Slot(..)));
        slots.find(|(_, ent)| new.identity.same_inode(&identity(*ent)))
    }

    /// What of ours is at hand, where somebody else has the path.
    fn kept(&self, new: &New) -> Option<Version> {
        match &new.body {
            Body::Inline(_) => Some(version(&new.identity)),
            _ => self.staged(new).map(|(_, ent)| ent.version),
        }
    }
}

fn version(identity: &Identity) -> Version {
    Version::try_from((identity.ino - 1) / 16).unwrap()
}
