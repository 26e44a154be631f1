//! Work that comes to quarantine: the process dies in it, the disk refuses to finish it, and it is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use treewal::{Error, Resolution};
use treewal_vfs::{Disk, Fault, Kind, RelPath};

use crate::call::Call;
use crate::counts;
use crate::guards::Guarding;
use crate::memory::Memory;
use crate::quarantine::{Goal, same_body};
use crate::seen::{Entry, differences};
use crate::step::{Act, Asked, Crash, Deed, Level, Loss, Way, Work};
use crate::world::{Checked, ROOT, State, World, must, options};

/// Work that ended with its process.
pub(crate) struct Dead {
    /// Whether it was said to be done.
    pub(crate) acknowledged: bool,
    /// What it was to leave; of a guard what stands there.
    pub(crate) after: State,
    /// Guards that were open, by the numbers of their transactions.
    guards: BTreeMap<u64, Guarding>,
}

impl World {
    /// All die, so that nobody goes on with what one of them has left.
    pub(crate) fn all_die(&mut self) {
        for handle in self.handles.iter_mut().filter_map(Option::take) {
            drop(handle.process.kill());
        }
        self.state.outside.is_given_back(|_| true);
    }

    /// The process dies in a commit, of all that is not settled the only one.
    pub(crate) fn dies_in_a_commit(&mut self, who: usize, ops: &[Call], at: u64) -> Checked<Option<Dead>> {
        // Guards go with their handle.
        if let Some(holder) = self.holder() {
            self.close_one(holder)?;
        }
        let Some(handle) = self.handle(who)? else { return Ok(None) };
        handle.tree.checkpoint().map_err(|error| format!("no checkpoint: {error:?}"))?;
        let act = Act::Commit(Level::Journal, Way::Begin, ops.to_vec());
        let Some(plan) = self.plan(who, &act)? else { return Ok(None) };
        let done = self.perform(who, &act, &plan, Some((at, &Crash::Kill)))?;
        self.all_die();
        Ok(Some(Dead { acknowledged: done.error.is_none(), after: plan.after, guards: BTreeMap::new() }))
    }

    /// The process dies under its guards; where it has none, under this one.
    fn dies_under_guards(&mut self, who: usize, asked: &Asked, deeds: &[Deed]) -> Checked<Option<Dead>> {
        if self.state.guards.is_empty() {
            self.act(who, &Act::Guard(asked.clone()))?;
        }
        let Some(holder) = self.holder() else { return Ok(None) };
        deeds.iter().try_for_each(|deed| self.guarded(deed))?;
        let handle = self.handles[holder].as_ref().unwrap();
        handle.tree.checkpoint().map_err(|error| format!("no checkpoint: {error:?}"))?;
        let number = |guard: &Guarding| (handle.guards[&guard.id].id(), guard.clone());
        let guards = self.state.guards.iter().map(number).collect();
        self.all_die();
        let after = State { guards: Vec::new(), ..self.state.clone() };
        Ok(Some(Dead { acknowledged: true, after, guards }))
    }

    pub(crate) fn lost(&mut self, who: usize, work: &Work, loss: Loss, cut: Option<&(u64, Crash)>) -> Checked {
        let dead = match work {
            Work::Commit(ops, at) => self.dies_in_a_commit(who, ops, *at)?,
            Work::Guards(asked, deeds) => self.dies_under_guards(who, asked, deeds)?,
        };
        let Some(dead) = dead else { return Ok(()) };
        // What somebody else's work has brought there meanwhile is none of this.
        self.admit_told()?;
        let known: BTreeSet<String> = self.state.cases.keys().cloned().collect();
        let owed = self.refused_by_the_disk(&options().max_attempts(1))?;
        if !owed.is_empty() {
            self.give_up(&owed, loss, cut)?;
        }
        self.somebody_goes_on()?;
        let new = self.in_quarantine().into_iter().filter(|id| !known.contains(id));
        // What was to be published is of other work.
        let new: Vec<String> = new.filter(|id| !id.starts_with("publish-")).collect();
        // What nobody decided about has come to its end.
        let loss = Some(loss).filter(|_| !owed.is_empty());
        if dead.guards.is_empty() {
            self.is_left_by_commit(dead, loss, &new)
        } else {
            self.is_left_by_guards(dead, loss, &new)
        }
    }

    /// On a disk that works again, what is owed is given up, and that may be ended in the middle.
    fn give_up(&mut self, owed: &[u64], loss: Loss, cut: Option<&(u64, Crash)>) -> Checked {
        let (process, faulty) = self.process();
        match cut {
            None => {}
            Some((at, Crash::Power(..))) => self.disk.cut_at(Some(*at)),
            Some((at, Crash::Kill)) => faulty.arm(Fault::Off { at: *at }),
            Some((at, Crash::Fault(full))) => faulty.arm(Fault::Error { at: *at, errno: Self::errno(*full) }),
        }
        let done = Self::decided(faulty, owed, loss);
        drop(process.kill());
        must(done.is_ok() || cut.is_some(), || format!("not given up: {done:?}"))?;
        if let (Err(_), Some((_, crash))) = (&done, cut) {
            self.counts.add(format!("{} while given up", counts::crash(crash)));
        }
        if let Some((_, Crash::Power(profile, seed))) = cut {
            drop(self.lose_power(*profile, *seed));
        }
        // The tries are used up whatever became of this one; what a person has not decided yet is finished or undone.
        if loss == Loss::Tries {
            let again = Self::decided(self.process().1, owed, loss);
            must(again.is_ok(), || format!("not given up: {again:?}"))?;
        }
        Ok(())
    }

    fn decided(disk: Arc<dyn Disk>, owed: &[u64], loss: Loss) -> treewal::Result<()> {
        let how = match loss {
            Loss::Tries => return options().max_attempts(1).open_on(disk, ROOT).map(drop),
            Loss::Abandon => Resolution::Abandon,
            Loss::Keep => Resolution::Keep,
        };
        for txn in owed {
            match options().resolve_on(&disk, ROOT, *txn, how) {
                // Those that touch each other's paths are decided about together.
                Err(Error::Input(_)) if *txn != owed[0] => {}
                resolved => drop(resolved?),
            }
        }
        Ok(())
    }

    /// Each path is as before the transaction or as after it, and what was promised is there or in quarantine.
    fn is_left_by_commit(&mut self, dead: Dead, loss: Option<Loss>, new: &[String]) -> Checked {
        let Dead { acknowledged, mut after, .. } = dead;
        (after.outside, after.cases) = (self.state.outside.clone(), self.state.cases.clone());
        let before = self.state.clone();
        if new.is_empty() && loss != Some(Loss::Keep) {
            let allowed = if acknowledged { vec![after] } else { vec![before, after] };
            self.becomes(allowed)?;
            self.settled();
            return Ok(());
        }
        let found = self.found();
        for path in all_paths(&[&found, &before.memory, &after.memory]) {
            let (was, wanted) = (before.memory.at(path), after.memory.at(path));
            let why = || format!("in between:\n{}", differences(&found.seen(), &after.memory.seen()));
            must(is_one_of(found.at(path), &[was, wanted]), why)?;
        }
        let goal: BTreeMap<RelPath, Option<Entry>> = all_paths(&[&before.memory, &after.memory])
            .into_iter()
            .filter(|path| before.memory.names.get(*path) != after.memory.names.get(*path))
            .map(|path| (path.clone(), after.memory.at(path).cloned()))
            .collect();
        self.state.memory = found;
        for id in new {
            self.admit(id, Goal::Staged(goal.clone()));
        }
        self.admits_what_was_promised(&goal)?;
        match loss {
            Some(Loss::Tries) => self.counts.add("commit given up"),
            Some(Loss::Abandon) => self.counts.add("commit abandoned"),
            Some(Loss::Keep) => self.counts.add("commit kept as it is"),
            None => {}
        }
        self.settled();
        Ok(())
    }

    /// Contents that are not in the tree are in quarantine.
    fn admits_what_was_promised(&self, goal: &BTreeMap<RelPath, Option<Entry>>) -> Checked {
        let files = goal.iter().filter_map(|(path, entry)| Some((path, entry.as_ref()?)));
        for (path, entry) in files.filter(|(_, entry)| entry.kind == Kind::File) {
            let there = same_body(self.state.memory.at(path), Some(entry));
            let kept = || self.state.cases.values().any(|case| case.has(&entry.contents));
            must(there || kept(), || format!("{path} is neither in the tree nor in quarantine"))?;
        }
        Ok(())
    }

    /// Each path is as it was found, or as before a guard; a guard that is in quarantine has touched nothing else.
    fn is_left_by_guards(&mut self, dead: Dead, loss: Option<Loss>, new: &[String]) -> Checked {
        let found = self.found();
        let lost = |txn: &u64| new.contains(&format!("txn-{txn}"));
        let guards: Vec<&Guarding> = dead.guards.values().collect();
        let lost_guards: Vec<&Guarding> = dead.guards.iter().filter(|(txn, _)| lost(txn)).map(|(_, one)| one).collect();
        let now = &self.state.memory;
        let befores: Vec<&Memory> = guards.iter().map(|guard| &guard.before).collect();
        let memories: Vec<&Memory> = [&found, now].into_iter().chain(befores).collect();
        for path in all_paths(&memories) {
            let over: Vec<&&Guarding> = guards.iter().filter(|guard| guard.scope.covers(path)).collect();
            let stays =
                over.is_empty() || loss == Some(Loss::Keep) || lost_guards.iter().any(|guard| guard.scope.covers(path));
            let mut may: Vec<Option<&Entry>> = over.iter().map(|guard| guard.before.at(path)).collect();
            if stays {
                may.push(now.at(path));
            }
            let why = || format!("{path}: {:?}, not one of {may:?}", found.at(path));
            must(is_one_of(found.at(path), &may), why)?;
        }
        let State { outside, cases, .. } = self.state.clone();
        self.state = State { memory: found, guards: Vec::new(), outside, cases, ..dead.after };
        for (txn, guard) in &dead.guards {
            if lost(txn) {
                self.admit(&format!("txn-{txn}"), Goal::Guarded(guard.scope.clone(), guard.before.clone()));
            }
        }
        let any = dead.guards.keys().any(lost);
        match loss {
            Some(Loss::Tries) if any => self.counts.add("guard given up"),
            Some(Loss::Abandon) if any => self.counts.add("guard abandoned"),
            Some(Loss::Keep) => self.counts.add("guard kept as it is"),
            _ => {}
        }
        self.admit_all();
        self.settled();
        Ok(())
    }
}

fn all_paths<'a>(memories: &[&'a Memory]) -> BTreeSet<&'a RelPath> {
    memories.iter().flat_map(|memory| memory.names.keys()).collect()
}

/// Whether the body is that of one, and so are the attributes: a try may have come half way. A directory that it made gets its
/// own last.
fn is_one_of(found: Option<&Entry>, may: &[Option<&Entry>]) -> bool {
    let looks = |entry: &Entry| (entry.mode, entry.owner, entry.xattrs.clone());
    let is_dir = found.is_some_and(|entry| entry.kind == Kind::Dir);
    let looks_like_one = is_dir || may.iter().any(|one| found.map(looks) == one.map(looks));
    looks_like_one && may.iter().any(|one| same_body(found, *one))
}
