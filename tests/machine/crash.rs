//! Ends that nobody asked for: kills, losses of power, calls that fail.

use std::collections::BTreeSet;

use treewal::{Error, Outcome};
use treewal_recovery::redo::is_torn_form;
use treewal_vfs::sim::Profile;
use treewal_vfs::{Fault, Kind, RelPath, errno};

use crate::counts;
use crate::guards::Guarding;
use crate::memory::Memory;
use crate::seen::{Entry, Seen, differences};
use crate::step::{Act, Crash, Level};
use crate::world::{Checked, MARKER, State, World, must};

impl World {
    /// From here on, the n-th call that changes something is the one.
    pub(crate) fn arm(&self, who: usize, crash: Option<(u64, &Crash)>) {
        let faulty = &self.handles[who].as_ref().unwrap().faulty;
        match crash {
            None => {}
            Some((at, Crash::Kill)) => faulty.arm(Fault::Off { at }),
            Some((at, Crash::Power(..))) => self.disk.cut_at(Some(at)),
            Some((at, Crash::Fault(full))) => {
                faulty.arm(Fault::Error { at, errno: Self::errno(*full) });
            }
        }
    }

    pub(crate) fn errno(full: bool) -> i32 {
        if full { errno::ENOSPC } else { errno::EIO }
    }

    /// An act that is ended in the middle, if it takes so many calls.
    pub(crate) fn cut(&mut self, who: usize, act: &Act, at: u64, crash: &Crash) -> Checked {
        let (who, act) = (self.actor(who, act), &self.resolved(act));
        let Some(plan) = self.plan(who, act)? else { return Ok(()) };
        let before = self.state.clone();
        if plan.unforeseen {
            return self.act(who, act);
        }
        let done = self.perform(who, act, &plan, Some((at, crash)))?;
        let states = done.states;
        let mut undecided = false;
        // The call that fails may be the one that gives it back: then it goes with its stage.
        self.died |= plan.ops.iter().any(|told| told.published.is_some());
        if done.error.is_some() {
            self.counts.add(counts::within(&counts::act(act)));
            self.count_calls(&plan, true);
            self.counts.add(format!("{} within", counts::crash(crash)));
        } else {
            self.counts.add(format!("{}, done before", counts::act(act)));
        }
        let allowed = match &done.error {
            None => {
                must(plan.fails.is_none(), || format!("should have failed: {:?}", plan.fails))?;
                let after = states.into_iter().next().unwrap_or(plan.after);
                self.state = after.clone();
                self.note(who, act);
                vec![after]
            }
            Some(error) => {
                undecided = !matches!(act, Act::Commit(..) | Act::Mounted(..) | Act::Guard(_) | Act::Within(_))
                    || error.outcome() == Outcome::Undecided
                    || matches!(error, Error::Poisoned);
                let is_refused = plan.fails.is_some() && matches!(act, Act::Mounted(..));
                let states = if is_refused {
                    vec![before]
                } else if states.is_empty() {
                    vec![before, plan.after]
                } else {
                    states
                };
                if matches!(act, Act::Commit(Level::Deferred, ..) | Act::Mounted(Level::Deferred, ..)) {
                    self.since.extend(states.iter().skip(1).map(|state| state.memory.seen()));
                }
                if matches!(crash, Crash::Fault(_)) && !undecided { states[..1].to_vec() } else { states }
            }
        };
        // What a snapshot had begun to take is swept by an opening, and by nobody else.
        self.unclean |= matches!(act, Act::Snapshot(..) | Act::Forget(_));
        self.crash(who, crash, Some((allowed, undecided)))
    }

    /// What was under way, and whether the handle can say how it ended.
    pub(crate) fn crash(&mut self, who: usize, crash: &Crash, under_way: Option<(Vec<State>, bool)>) -> Checked {
        let dies = |guard: &Guarding| matches!(crash, Crash::Power(..)) || guard.who == who;
        if !matches!(crash, Crash::Fault(_)) && self.state.guards.iter().any(dies) {
            self.counts.add("died with a guard");
        }
        if under_way.is_none() && (self.handles[who].is_some() || matches!(crash, Crash::Power(..))) {
            self.counts.add(format!("{} at rest", counts::crash(crash)));
        }
        let (allowed, undecided) = under_way.unwrap_or_else(|| (vec![self.state.clone()], true));
        self.died |= undecided || !matches!(crash, Crash::Fault(_));
        match crash {
            Crash::Kill => {
                let Some(handle) = self.handles[who].take() else { return Ok(()) };
                drop(handle.process.kill());
                drop(handle);
                // Its stage is swept by an opening, or by who closes last.
                self.unclean = true;
                self.after_death(who, allowed)
            }
            Crash::Power(profile, seed) => self.power(*profile, *seed, allowed),
            Crash::Fault(_) => self.failed(who, allowed, undecided),
        }
    }

    /// The process of a handle is no more, and another takes the tree.
    fn after_death(&mut self, who: usize, allowed: Vec<State>) -> Checked {
        let allowed: Vec<State> = allowed.into_iter().map(|state| state.died(|one| one == who)).collect();
        self.state.guards.clone_from(&allowed[0].guards);
        self.somebody_goes_on()?;
        self.becomes(allowed)?;
        self.settled();
        Ok(())
    }

    /// A call has failed: the handle says what came of it, or is closed and another finds out.
    fn failed(&mut self, who: usize, allowed: Vec<State>, undecided: bool) -> Checked {
        let Some(handle) = self.handles[who].as_ref() else { return Ok(()) };
        self.doubted = true;
        handle.faulty.arm(Fault::None);
        self.unclean = true;
        let allowed = if undecided {
            allowed
        } else {
            self.becomes(allowed)?;
            vec![self.state.clone()]
        };
        self.next_opening()?;
        let handle = self.handles[who].as_ref().unwrap();
        let goes_on = !undecided
            && handle.guards.is_empty()
            && self.state.guards.is_empty()
            && handle.tree.transaction(|tx| tx.write(MARKER, "after a fault")).is_ok();
        if goes_on {
            return Ok(());
        }
        self.handles[who] = None;
        self.next_opening()?;
        self.after_death(who, allowed)?;
        let Some(holder) = self.holder() else { return Ok(()) };
        match self.handles[holder].as_ref().unwrap().tree.checkpoint() {
            Err(Error::Poisoned) => self.in_doubt(holder, vec![self.state.clone()]),
            Err(error) => Err(format!("no checkpoint: {error:?}")),
            Ok(()) => Ok(()),
        }
    }

    /// A sync of another handle has failed, and this one, whose guard keeps others from opening the tree, refuses further work.
    pub(crate) fn in_doubt(&mut self, who: usize, allowed: Vec<State>) -> Checked {
        self.counts.add("refused in doubt");
        (self.died, self.unclean) = (true, true);
        self.handles[who] = None;
        self.next_opening()?;
        self.after_death(who, allowed)
    }

    /// What a failed call left owed, no handle tries again by itself: see docs/recovery.md.
    fn next_opening(&self) -> Checked {
        let Some(handle) = self.handles.iter().flatten().next() else { return Ok(()) };
        let status = handle.tree.status().map_err(|error| format!("{error:?}"))?;
        if status.transactions.iter().all(|one| !one.owed) {
            return Ok(());
        }
        self.counts.add("owed after a failure");
        match self.on(self.process().1) {
            Ok(_) => Ok(()),
            Err(Error::Locked { .. }) if self.holder().is_some() => Ok(()),
            Err(error) => Err(format!("no next opening: {error:?}")),
        }
    }

    /// The power goes, and the tree is opened anew.
    fn power(&mut self, profile: u8, seed: u64, allowed: Vec<State>) -> Checked {
        if self.since.len() > 1 {
            self.counts.add("power lost with deferred commits");
        }
        let unsynced = self.unsynced_cases();
        let (lost, cleared) = self.lose_power(profile, seed);
        let mut allowed: Vec<State> = allowed.into_iter().map(|state| state.died(|_| true)).collect();
        allowed.iter_mut().for_each(|state| state.outside.forget(&cleared));
        self.state.guards.clear();
        self.somebody_goes_on()?;
        self.recovered().and_then(|()| self.is_left_by_power(allowed)).map_err(|error| format!("{error}\n{lost}"))?;
        self.look_again(&unsynced);
        self.settled();
        Ok(())
    }

    /// All that was not synced may be gone; says what is.
    pub(crate) fn lose_power(&mut self, profile: u8, seed: u64) -> (String, BTreeSet<RelPath>) {
        let profile = [Profile::Strict, Profile::Ordered, Profile::Grouped][usize::from(profile % 3)];
        let all = self.disk.outcomes(profile);
        let outcome = match seed % 6 {
            0 => all.nothing(),
            1 => all.names_without_contents(),
            2 => all.contents_without_names(),
            3 => all.names_and_lengths(),
            _ => all.sample(seed, 1).next().unwrap_or_else(|| all.everything()),
        };
        let lost = self.disk.describe(&outcome);
        self.disk = self.disk.after(&outcome);
        let (unsynced, cleared) = (self.unsynced_cases(), self.clear_outside());
        self.look_again(&unsynced);
        self.state.outside.forget(&cleared);
        self.handles = Default::default();
        self.unclean = false;
        (lost, cleared)
    }

    /// Nothing was damaged, nothing is owed, and nobody else was there, but for what may be lost.
    fn recovered(&self) -> Checked {
        let report = self.handles[0].as_ref().unwrap().tree.recovery();
        let whole = report.damage.is_empty() && (self.foreign || !report.found_damage());
        must(whole && report.pending().count() == 0, || format!("{report}, {report:?}"))?;
        let superseded = report.transactions.iter().any(|found| !found.superseded.is_empty());
        must(!superseded || self.foreign || self.since.len() > 1, || format!("nobody else was there: {report}"))
    }

    fn is_left_by_power(&mut self, allowed: Vec<State>) -> Checked {
        if self.since.len() < 2 {
            return self.becomes(allowed);
        }
        let found = self.found();
        let names = self.snapshot_names()?;
        let kept = self.kept(&allowed);
        let fits =
            |state: &&State| state.snaps.keys().copied().eq(names.iter().copied()) && state.cases.keys().eq(&kept);
        let mut why = format!("snapshots {names:?}");
        let mut versions = self.since.clone();
        versions.extend(allowed.iter().map(|state| state.memory.seen()));
        for state in allowed.iter().filter(fits) {
            match loosely(&found, &state.memory.seen(), &versions, &self.loose) {
                Ok(()) => {
                    self.state = State { memory: found, ..state.clone() };
                    self.outside_is_anything();
                    // What recovery could not tell from somebody else's work.
                    self.admit_all();
                    return Ok(());
                }
                Err(differ) => why = differ,
            }
        }
        Err(format!("more is lost than may be:\n{why}"))
    }
}

/// Paths that no durable commit is the last to have changed are as in any of the versions, or torn; the others as wanted.
fn loosely(found: &Memory, wanted: &Seen, versions: &[Seen], loose: &BTreeSet<RelPath>) -> Checked {
    let found = found.seen();
    let paths: BTreeSet<&RelPath> =
        found.keys().chain(wanted.keys()).chain(versions.iter().flat_map(Seen::keys)).collect();
    for path in paths {
        let is_loose =
            loose.contains(path) || versions.iter().any(|version| version.get(path) != versions[0].get(path));
        let fits = |entry: Option<&Entry>| match (found.get(path), entry) {
            (Some(found), Some(entry)) => {
                let torn = entry.kind == Kind::File && is_torn_form(&found.contents, &entry.contents);
                found.kind == entry.kind && (found.contents == entry.contents || torn)
            }
            (found, entry) => found.is_none() && entry.is_none(),
        };
        let ok = if is_loose {
            versions.iter().any(|version| fits(version.get(path)))
        } else {
            found.get(path) == wanted.get(path)
        };
        must(ok, || differences(&found, wanted))?;
    }
    Ok(())
}
