//! Taking staged transactions back by what they displaced: only where a person wants it, and all or nothing.
//!
//! A commit puts what it displaces into the stage, and there it stays while the transaction is owed. So the state before
//! can be brought back by renames alone, worked out by the planner that commits use. Whatever cannot be brought back by
//! that is said, and then nothing is touched: what others have changed since is theirs, and what moved about the tree is
//! where somebody may have gone on with it.
//!
//! A crash in between leaves the transactions owed, and a tree that a redo finishes as it would any other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use treewal_journal::record::{Body, Goal, LookChange, New};
use treewal_vfs::{Identity, Meta, RelPath, Rename};

use super::scene::Stages;
use super::survey::{Seen, is_untouched, judge_new};
use super::{Contents, Part, Wish, compose};
use crate::home::{ADOPTED_PREFIX, Home};
use crate::look::{Attributes, legible};
use crate::plan::{Area, Entity, Goals, Ground, Model, Place, plan, shown};
use crate::{Error, Result};

/// What it comes to.
#[derive(Debug, Default)]
pub struct Back {
    /// Paths that would change.
    pub changes: Vec<RelPath>,
    /// What keeps it from being done, for people.
    pub hindrances: Vec<String>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// Paths that changed.
    pub changed: u64,
    /// What stood where the state before stands now, and what had not come to its place.
    pub displaced: Vec<(RelPath, Contents)>,
}

/// What stood at a path, and what the transactions put there.
#[derive(Debug, Default)]
struct Before {
    prior: Option<Identity>,
    /// Where something was put, or removed: not only attributes.
    replaced: bool,
    ours: Vec<New>,
    later: Vec<Identity>,
    looks: Vec<LookChange>,
}

struct Scene<'a> {
    ground: Ground<'a>,
    stages: Stages,
    model: Model,
    identities: Vec<Identity>,
    goals: Goals,
    /// Attributes to set back, with how the entry is recognised.
    looks: Vec<(RelPath, LookChange)>,
    back: Back,
}

/// What taking transactions back would do. Reads only.
///
/// # Errors
/// Any error of the disk.
pub fn survey_back(home: &Home, parts: &[Part<'_>]) -> Result<Back> {
    Ok(scene(home, parts)?.back)
}

/// Brings back the state before transactions, oldest first. Nothing is synced.
///
/// # Errors
/// [`Error::Store`] where it cannot be done, with the reasons; any error of the disk.
pub fn take_back(home: &Home, parts: &[Part<'_>]) -> Result<TakenBack> {
    let mut scene = scene(home, parts)?;
    if !scene.back.hindrances.is_empty() {
        return Err(Error::Store { path: ".treewal/stage".into(), reason: scene.back.hindrances.join("; ") });
    }
    let mut done = TakenBack::default();
    let before: BTreeMap<Entity, RelPath> = scene
        .goals
        .keys()
        .filter_map(|path| Some((scene.model.at(&Place::tree(path.clone()))?, path.clone())))
        .collect();
    let stages = &mut scene.stages;
    // Under such a name it goes to quarantine with its stage, should a crash keep it from going there by itself.
    let spare_prefix = format!("{ADOPTED_PREFIX}r");
    stages.spare_prefix.clone_from(&spare_prefix);
    let steps = plan(&mut scene.model, &scene.goals, &mut || stages.spare());
    for step in &steps {
        let (mut taken, identities) = (false, &scene.identities);
        scene.ground.take(step, &|entity| identities[entity.0], &mut taken)?;
    }
    done.changed = (steps.len() + scene.looks.len()) as u64;
    for (path, look) in std::mem::take(&mut scene.looks).iter().rev() {
        scene.set_back(path, look)?;
    }
    for (entity, path) in before {
        let Some(place) = scene.model.place_of(entity).filter(|place| place.area != Area::Tree).cloned() else {
            continue;
        };
        // It may have changed places with what came back.
        done.displaced.push((path, Contents::Staged(scene.set_aside(place)?)));
    }
    // What stood in the stages has moved.
    scene.stages = Stages::look(home, &mut scene.ground, &wishes(parts)?)?;
    scene.stages.spare_prefix = spare_prefix;
    scene.keep_waiting(&composed(parts)?, &mut done)?;
    Ok(done)
}

/// What each transaction wishes by itself: of one that later ones have replaced there is a stage as well.
fn wishes(parts: &[Part<'_>]) -> Result<Vec<Wish>> {
    Ok(parts.iter().map(|part| composed(&[*part])).collect::<Result<Vec<_>>>()?.concat())
}

fn composed(parts: &[Part<'_>]) -> Result<Vec<Wish>> {
    compose(parts).map_err(|bad| Error::Store {
        path: ".treewal/journal".into(),
        reason: format!("a record names a path outside the tree: {bad}"),
    })
}

fn scene<'a>(home: &'a Home, parts: &[Part<'_>]) -> Result<Scene<'a>> {
    let mut ground = Ground::new(&*home.disk, home.root.clone());
    let stages = Stages::look(home, &mut ground, &wishes(parts)?)?;
    let mut scene = Scene {
        ground,
        stages,
        model: Model::default(),
        identities: Vec::new(),
        goals: Goals::new(),
        looks: Vec::new(),
        back: Back::default(),
    };
    let paths = scene.before(parts);
    if scene.back.hindrances.is_empty() {
        for (path, before) in &paths {
            scene.look_at(path, before)?;
        }
    }
    Ok(scene)
}

impl Scene<'_> {
    /// What stood at each path before the first transaction, and all that came after.
    fn before(&mut self, parts: &[Part<'_>]) -> BTreeMap<RelPath, Before> {
        let mut paths: BTreeMap<RelPath, Before> = BTreeMap::new();
        for intent in parts.iter().flat_map(|part| part.intents) {
            let path = intent.path.to_path().unwrap_or_default();
            let is_link = matches!(&intent.goal, Goal::New(New { body: Body::Link { .. }, .. }));
            if matches!(intent.goal, Goal::Moved { .. } | Goal::Rewritten { .. })
                || is_link
                || intent.base.as_ref().is_some_and(|base| *base != intent.path)
            {
                self.back
                    .hindrances
                    .push(format!("{path}: it moves entries, gives them other names or rewrites them in place"));
                continue;
            }
            if intent.base.is_none() {
                // It goes with the new directory that it is in.
                continue;
            }
            let replaces = !matches!(intent.goal, Goal::Kept);
            let before = paths.entry(path).or_insert_with(|| Before { prior: intent.prior, ..Before::default() });
            before.later.extend(intent.prior.filter(|prior| Some(*prior) != before.prior));
            before.replaced |= replaces;
            if let Goal::New(new) = &intent.goal {
                before.ours.push(new.clone());
            }
            // Of what is taken out of the tree, attributes need not be set back.
            before.looks.extend(intent.look.clone());
        }
        paths
    }

    fn look_at(&mut self, path: &RelPath, before: &Before) -> Result<()> {
        let spot = Place::tree(path.clone());
        let io = |verb| Error::io(verb, path.to_path());
        let found = self.ground.stat(&spot).map_err(io("look at"))?;
        let stands = |meta: &Meta| before.prior.is_some_and(|prior| prior.same_inode(&meta.identity()));
        if found.as_ref().is_some_and(stands) || found.is_none() && before.prior.is_none() {
            self.looks.extend(before.looks.iter().map(|look| (path.clone(), look.clone())));
            if found.is_some() && !before.looks.is_empty() {
                self.back.changes.push(path.clone());
            }
            if let (true, Some(meta)) = (before.replaced, found) {
                let entity = self.entity(spot, meta.identity());
                self.goals.insert(path.clone(), Some(entity));
            }
            return Ok(());
        }
        if !before.replaced {
            self.back.hindrances.push(format!("{path}: somebody put something else there"));
            return Ok(());
        }
        if let Some(meta) = found {
            if !self.is_ours(&spot, &meta, before)? {
                self.back.hindrances.push(format!("{path}: somebody changed it since"));
                return Ok(());
            }
            self.entity(spot, meta.identity());
        }
        let goal = match before.prior {
            None => None,
            Some(prior) => {
                let displaced = self.stages.find(&mut self.ground, &prior, &BTreeSet::new())?;
                let Some((place, meta)) = displaced.filter(|(_, meta)| is_untouched(&prior, &meta.identity())) else {
                    self.back.hindrances.push(format!("{path}: what stood there is gone"));
                    return Ok(());
                };
                self.looks.extend(before.looks.iter().map(|look| (path.clone(), look.clone())));
                Some(self.entity(place, meta.identity()))
            }
        };
        self.back.changes.push(path.clone());
        self.goals.insert(path.clone(), goal);
        Ok(())
    }

    /// Whether what stands at a path is what one of the transactions put there, or found there.
    fn is_ours(&mut self, spot: &Place, meta: &Meta, before: &Before) -> Result<bool> {
        if before.later.iter().any(|known| is_untouched(known, &meta.identity())) {
            return Ok(true);
        }
        for new in &before.ours {
            if let Some(Seen::Wanted(_) | Seen::Torn(_)) = judge_new(&mut self.ground, spot, meta, new)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was promised at last and did not stand in its place goes to quarantine as well, also where what an earlier one of the
    /// transactions had there did, or what a loss of power had left of it. A redo finds a large file by its inode, under whatever
    /// name; of a small one, the journal has the bytes.
    fn keep_waiting(&mut self, wishes: &[Wish], done: &mut TakenBack) -> Result<()> {
        let staged = |(path, contents): &(RelPath, Contents)| match contents {
            Contents::Staged(place) => Some((path.clone(), place.clone())),
            _ => None,
        };
        let kept: BTreeMap<RelPath, Place> = done.displaced.iter().filter_map(staged).collect();
        let mut claimed: BTreeSet<Place> = kept.values().cloned().collect();
        for Wish { path, goal, stage, .. } in wishes {
            let Goal::New(new) = goal else { continue };
            if matches!(new.body, Body::Dir | Body::Link { .. }) || self.is_among(&kept, path, new)? {
                continue;
            }
            let contents = match &new.body {
                Body::Inline(bytes) | Body::Symlink(bytes) => Contents::Bytes(bytes.clone()),
                _ => match self.waiting(stage, new, &claimed)? {
                    Some(place) => {
                        claimed.insert(place.clone());
                        Contents::Staged(self.set_aside(place)?)
                    }
                    None => continue,
                },
            };
            done.displaced.push((path.clone(), contents));
        }
        Ok(())
    }

    /// Whether what was taken out of the tree has, at a path, all that is new there.
    fn is_among(&mut self, kept: &BTreeMap<RelPath, Place>, path: &RelPath, new: &New) -> Result<bool> {
        for above in path.ancestors().chain([path.clone()]) {
            let Some((place, rest)) = kept.get(&above).zip(path.strip_prefix(&above)) else { continue };
            let spot = Place { area: place.area.clone(), path: place.path.join_path(&rest) };
            let there = self.ground.stat(&spot).map_err(Error::io("look at", shown(&spot)))?;
            let Some(meta) = there else { continue };
            if let Some(Seen::Wanted(_)) = judge_new(&mut self.ground, &spot, &meta, new)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where in the stages a large file stands: of its names, that which the transaction gave it for this path.
    fn waiting(&mut self, stage: &str, new: &New, claimed: &BTreeSet<Place>) -> Result<Option<Place>> {
        if let Ok(inner) = new.inner.to_path() {
            let own = Place::slot(stage, new.slot, &inner);
            let there = self.ground.stat(&own).map_err(Error::io("look at", shown(&own)))?;
            if there.is_some_and(|meta| meta.identity().same_inode(&new.identity)) {
                return Ok(Some(own));
            }
        }
        Ok(self.stages.find(&mut self.ground, &new.identity, claimed)?.map(|(place, _)| place))
    }

    /// Gives an entry of a stage a name under which it outlasts the stage.
    fn set_aside(&mut self, place: Place) -> Result<Place> {
        let is_aside = |name: &OsStr| name.as_encoded_bytes().starts_with(ADOPTED_PREFIX.as_bytes());
        if place.path.depth() == 1 && place.path.name().is_some_and(is_aside) {
            return Ok(place);
        }
        let aside = self.stages.spare();
        self.ground.rename(&place, &aside, Rename::NoReplace)?;
        self.ground.forget();
        Ok(aside)
    }

    fn entity(&mut self, place: Place, identity: Identity) -> Entity {
        if let Some(entity) = self.model.at(&place) {
            return entity;
        }
        let entity = Entity(self.identities.len());
        self.identities.push(identity);
        self.model.put(place, entity);
        entity
    }

    /// Sets attributes back that are as the transaction set them; what somebody has set since stays.
    fn set_back(&mut self, path: &RelPath, change: &LookChange) -> Result<()> {
        let place = Place::tree(path.clone());
        let io = |verb| Error::io(verb, shown(&place));
        let Some(meta) = self.ground.stat(&place).map_err(io("look at"))? else { return Ok(()) };
        let (dir, name) = self.ground.split(&place).map_err(io("open"))?;
        let disk = self.ground.disk();
        let there =
            if change.xattrs.is_empty() { Vec::new() } else { disk.xattrs(&dir, name).map_err(io("look at"))? };
        let mut change = change.clone();
        change.mode = change.mode.filter(|mode| mode.to == meta.mode);
        change.owner = change.owner.filter(|owner| (owner.to.uid, owner.to.gid) == (meta.uid, meta.gid));
        change.times = change.times.filter(|times| times.to.modified == meta.modified);
        change.xattrs.retain(|xattr| {
            let found = there.iter().find(|(key, _)| key.as_encoded_bytes() == xattr.name).map(|(_, value)| value);
            found == xattr.to.as_ref()
        });
        let before = Attributes::before(&change);
        legible(disk, &dir, name, before.mode, || before.set(disk, &dir, name)).map_err(io("set attributes of"))
    }
}
