//! What a process does while it holds the lock, call by call: commit, checkpoint, recovery.

use crate::disk::{Ent, Spot, Version};
use crate::journal::Rec;
use crate::judge;
use crate::plan::{Renaming, commit_steps};
use crate::recover::{owed, survey};
use crate::script::{Broken, FOREIGN, Script};
use crate::world::{State, World};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    // A commit.
    /// Whether all is as the transaction found it.
    Check,
    Append,
    /// Works out the renames; no call by itself.
    Apply,
    Rename(Renaming),
    /// Looks at what has moved.
    Prove(Renaming),
    Acknowledge,
    MayCheckpoint,
    /// Displaced versions go.
    Garbage,
    Undo(Renaming),
    AppendRollback,
    Deny,
    // Both.
    SyncJournal,
    SyncTree,
    AppendCheckpoint,
    Forget,
    Release,
    // A recovery.
    Attempt,
    /// Looks at everything, and works out what is missing. Whether it is the opening of a tree.
    Survey(bool),
    Make(Spot, Ent),
    /// What cannot be placed, or is not ours and stands where ours belongs, is in quarantine, durably.
    Keep(Version),
    /// What nobody needs any more goes from the stages.
    Sweep(Vec<Spot>, bool),
    Recovered,
}

impl Act {
    /// A commit, as the first act finds it.
    pub(crate) fn commit(broken: Broken) -> Vec<Self> {
        let mut acts = match broken {
            Broken::PromiseUnsynced => vec![Self::Check, Self::Append, Self::Apply],
            Broken::ApplyFirst => vec![Self::Check, Self::Apply, Self::Append, Self::SyncJournal],
            _ => vec![Self::Check, Self::Append, Self::SyncJournal, Self::Apply],
        };
        acts.extend([Self::Acknowledge, Self::MayCheckpoint, Self::Release]);
        acts
    }

    fn checkpoint(broken: Broken) -> Vec<Self> {
        let mut acts = match broken {
            Broken::CheckpointUnsynced => vec![],
            _ => vec![Self::SyncTree],
        };
        acts.extend([Self::AppendCheckpoint, Self::SyncJournal, Self::Forget, Self::Garbage]);
        acts
    }

    pub(crate) fn recovery(broken: Broken, opening: bool) -> Vec<Self> {
        let mut acts = vec![Self::SyncJournal, Self::Attempt, Self::SyncJournal, Self::Survey(opening)];
        if broken == Broken::SweepFirst {
            acts.insert(0, Self::Sweep(Vec::new(), opening));
        }
        acts
    }

    /// Takes the next act of a process; gives the worlds that it may lead to.
    pub(crate) fn take_next(world: &World, script: &Script, who: u8) -> Vec<Result<World, String>> {
        let mut world = world.clone();
        while world.process(who).acts.front() == Some(&Self::Apply) {
            world.process_mut(who).acts.pop_front();
            let steps = renaming(commit_steps(&world, script, who), script.broken);
            world.push(who, steps);
        }
        let Some(act) = world.process_mut(who).acts.pop_front() else { return Vec::new() };
        let txn = (script.first(usize::from(who)) + world.process(who).begun).saturating_sub(1);
        match act {
            Self::MayCheckpoint => {
                let mut settled = world.clone();
                settled.push(who, Self::checkpoint(script.broken));
                return [settled, world].into_iter().flat_map(|world| Self::take_next(&world, script, who)).collect();
            }
            Self::Recovered => {
                return match judge::recovered(&world, script) {
                    Ok(told) => {
                        world.told = told;
                        Self::take_next(&world, script, who)
                    }
                    Err(violation) => vec![Err(violation)],
                };
            }
            // No commit may ever meet an unfinished one: what it finds is whole.
            Self::Check if judge::recovered(&world, script).is_err() => {
                return vec![judge::recovered(&world, script).map(|_| world).map_err(|what| format!("met: {what}"))];
            }
            Self::Check | Self::Append | Self::Acknowledge | Self::AppendRollback | Self::Deny => {
                act.of_commit(&mut world, script, who, txn);
            }
            other => other.of_disk(&mut world, script, who),
        }
        vec![judge::always(&world, script).map(|()| world)]
    }

    fn of_commit(self, world: &mut World, script: &Script, who: u8, txn: u8) {
        let ops = script.ops(txn);
        let saw = world.process(who).saw.clone();
        match self {
            Self::Check => {
                let is_same = ops.iter().zip(&saw).all(|((path, _), saw)| world.disk.at(Spot::Tree(*path)) == *saw);
                if !is_same {
                    // A conflict: it never happened.
                    world.process_mut(who).acts = [Self::Garbage, Self::Release].into();
                }
            }
            Self::Append => {
                let intents = saw.iter().enumerate().map(|(op, prior)| {
                    let op = u8::try_from(op).unwrap();
                    Rec::Intent { txn, op, prior: *prior }
                });
                let records: Vec<Rec> =
                    [Rec::Begin { txn }].into_iter().chain(intents).chain([Rec::Commit { txn }]).collect();
                world.journal.append(&records);
                world.told.order.push(txn);
                if saw.iter().flatten().any(|prior| prior.version == FOREIGN) {
                    world.told.replacing.insert(txn);
                }
            }
            Self::Acknowledge => drop(world.told.acknowledged.insert(txn)),
            Self::AppendRollback => world.journal.append(&[Rec::Rollback { txn }]),
            Self::Deny => {
                world.told.order.retain(|other| *other != txn);
                world.told.replacing.remove(&txn);
            }
            other => panic!("{other:?} is no act of a commit alone"),
        }
    }

    fn of_disk(self, world: &mut World, script: &Script, who: u8) {
        match self {
            Self::Rename(step) => {
                let done = step.take(&mut world.disk);
                if done && step.of_commit {
                    world.process_mut(who).taken.push(step);
                } else if !done {
                    world.fail(who, &step, false);
                }
            }
            Self::Prove(step) => {
                if !step.is_proved(&world.disk) {
                    world.fail(who, &step, true);
                }
            }
            Self::Undo(step) => {
                if !step.back().take(&mut world.disk) {
                    // Neither done nor undone: the handle works no more, and the next opening decides.
                    world.end(who);
                }
            }
            Self::Garbage => {
                let own: Vec<Spot> =
                    world.slots().filter(|spot| matches!(spot, Spot::Slot(at, _) if *at == who)).collect();
                own.into_iter().for_each(|spot| world.disk.remove(spot));
            }
            Self::SyncJournal => world.journal.sync(),
            Self::SyncTree => world.disk.sync_all(),
            Self::AppendCheckpoint => world.journal.append(&[Rec::Checkpoint]),
            Self::Forget => world.journal.truncate(),
            Self::Release => {
                (world.lock, world.sign) = (None, Some((who, true)));
                let process = world.process_mut(who);
                process.state = State::Idle;
                process.saw.clear();
                process.taken.clear();
            }
            Self::Attempt => {
                let attempts = owed(world, script);
                world.journal.append(&attempts);
            }
            Self::Survey(opening) => {
                let acts = after_survey(world, script, opening);
                world.push(who, acts);
            }
            Self::Make(spot, ent) => world.disk.make(spot, ent),
            Self::Keep(version) => drop(world.quarantine.insert(version)),
            Self::Sweep(spares, opening) => {
                let is_dead = |at: u8| world.process(at).state == State::Gone || (opening && at == who);
                let swept: Vec<Spot> =
                    world.slots().filter(|spot| matches!(spot, Spot::Slot(at, _) if is_dead(*at))).collect();
                spares.into_iter().chain(swept).for_each(|spot| world.disk.remove(spot));
            }
            other => panic!("{other:?} is no call of the disk"),
        }
    }
}

/// What a recovery does, given what stands where.
fn after_survey(world: &World, script: &Script, opening: bool) -> Vec<Act> {
    let Some(found) = survey(world, script) else {
        return vec![Act::Sweep(Vec::new(), opening), Act::Recovered];
    };
    let mut acts: Vec<Act> = found.makes.iter().map(|(spot, ent)| Act::Make(*spot, *ent)).collect();
    acts.extend(found.first.iter().copied().map(Act::Keep));
    if !acts.is_empty() && script.broken != Broken::MadeUnsynced {
        acts.push(Act::SyncTree);
    }
    acts.extend(renaming(found.steps, script.broken));
    acts.extend(found.keeps.into_iter().map(Act::Keep));
    if script.broken != Broken::RecoveryUnsynced {
        acts.push(Act::SyncTree);
    }
    acts.extend([
        Act::AppendCheckpoint,
        Act::SyncJournal,
        Act::Forget,
        Act::Sweep(found.spares, opening),
        Act::Recovered,
    ]);
    acts
}

fn renaming(steps: Vec<Renaming>, broken: Broken) -> Vec<Act> {
    let proved = broken != Broken::NoProof;
    let acts = |step: Renaming| [Some(Act::Rename(step)), Some(Act::Prove(step)).filter(|_| proved)];
    steps.into_iter().flat_map(acts).flatten().collect()
}

impl World {
    /// Puts acts before those that a process has still to do.
    fn push(&mut self, who: u8, acts: Vec<Act>) {
        let all = &mut self.process_mut(who).acts;
        acts.into_iter().rev().for_each(|act| all.push_front(act));
    }

    fn slots(&self) -> impl Iterator<Item = Spot> + '_ {
        self.disk.names().map(|(spot, _)| spot).filter(|spot| matches!(spot, Spot::Slot(..)))
    }

    /// A step that cannot be taken, or moved something else. A commit takes everything back; a recovery is tried again.
    fn fail(&mut self, who: u8, step: &Renaming, moved: bool) {
        if !step.of_commit {
            // What it moved goes back; where that fails as well, the next recovery finds it as a kill would leave it.
            if moved {
                step.back().take(&mut self.disk);
            }
            self.end(who);
            return;
        }
        let taken = std::mem::take(&mut self.process_mut(who).taken);
        let undo = taken.into_iter().rev().map(Act::Undo);
        let rest = [Act::SyncTree, Act::AppendRollback, Act::SyncJournal, Act::Deny, Act::Release];
        self.process_mut(who).acts = undo.chain(rest).collect();
    }
}
