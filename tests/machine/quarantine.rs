//! What lies in quarantine: whole until it is brought back or thrown away; and what each of that leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use treewal::{Exported, Retried, Retry};
use treewal_vfs::{Disk, Kind, RelPath};

use crate::guards::Scope;
use crate::memory::{Memory, rel};
use crate::seen::{Entry, Seen, differences, look};
use crate::step::{Act, Manner, Step};
use crate::transactions::{Done, Plan};
use crate::world::{Checked, ROOT, World, must};

/// An entry of quarantine.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// All that is in it.
    whole: Seen,
    /// The tree when it came there, and how often it had been touched until then.
    then: Memory,
    touched: u64,
    goal: Goal,
}

/// What a retry is to bring.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    /// What a transaction was to leave at these paths.
    Staged(BTreeMap<RelPath, Option<Entry>>),
    /// What stood there before a guard.
    Guarded(Scope, Memory),
    /// What recovery could not tell from somebody else's work: only the case itself says.
    Told,
}

/// Whether two entries are the same to who reads them.
pub(crate) fn same_body(one: Option<&Entry>, other: Option<&Entry>) -> bool {
    let body = |entry: &Entry| (entry.kind, entry.contents.clone(), entry.target.clone());
    one.map(body) == other.map(body)
}

fn paths(retried: &Retried) -> Vec<RelPath> {
    retried.steps.iter().map(|step| rel(&step.path)).collect()
}

fn is_special(entry: &Entry) -> bool {
    !matches!(entry.kind, Kind::File | Kind::Dir | Kind::Symlink)
}

impl Manner {
    fn how(self) -> Retry {
        Retry::new().dry_run(self == Self::DryRun).force(self == Self::Force)
    }
}

impl Case {
    pub(crate) fn has(&self, contents: &[u8]) -> bool {
        self.whole.values().any(|entry| entry.kind == Kind::File && entry.contents == contents)
    }

    /// The paths that a retry is about.
    fn about(&self) -> Vec<RelPath> {
        match &self.goal {
            Goal::Staged(wanted) => wanted.keys().cloned().collect(),
            Goal::Guarded(scope, _) => scope.all(),
            Goal::Told => Vec::new(),
        }
    }

    /// What a retry says that it will do is what it may do.
    fn allows(&self, now: &Memory, told: &Retried, manner: Manner) -> Checked {
        let steps = paths(told);
        // That somebody has removed what a guard had changed, nothing tells.
        let tells = |path: &RelPath| now.at(path).is_some() || !matches!(self.goal, Goal::Guarded(..));
        let overwrites = |path: &&RelPath| tells(path) && !same_body(now.at(path), self.then.at(path));
        let late = steps.iter().find(overwrites).filter(|_| told.conflicts.is_empty() && manner != Manner::Force);
        must(late.is_none(), || format!("goes over somebody's later work at {late:?}"))?;
        match &self.goal {
            Goal::Staged(wanted) => {
                let named: BTreeSet<RelPath> =
                    steps.iter().cloned().chain(told.conflicts.iter().map(|one| rel(&one.path))).collect();
                let beyond = named.iter().find(|path| !wanted.contains_key(*path));
                must(beyond.is_none(), || format!("goes beyond the transaction: {beyond:?}"))?;
                let not_in_place = |(path, wanted): &(&RelPath, &Option<Entry>)| {
                    !named.contains(*path) && !same_body(now.at(path), wanted.as_ref())
                };
                let left = wanted.iter().find(not_in_place);
                must(left.is_none(), || format!("leaves out {left:?}"))
            }
            Goal::Guarded(scope, _) => {
                let beyond = steps.iter().find(|path| !scope.meets(path));
                must(beyond.is_none(), || format!("goes beyond the guard: {beyond:?}"))
            }
            Goal::Told => Ok(()),
        }
    }

    /// What it leaves; `None` where that is known only afterwards.
    fn leaves(&self, now: &Memory, steps: &[RelPath]) -> Option<Memory> {
        match &self.goal {
            Goal::Staged(wanted) => {
                let mut after = now.clone();
                for path in steps.iter().filter(|path| wanted[*path].is_none()) {
                    after.names.remove(path);
                }
                for (path, entry) in steps.iter().filter_map(|path| Some((path, wanted[path].as_ref()?))) {
                    let mut above: Vec<RelPath> = std::iter::successors(path.parent(), RelPath::parent).collect();
                    above.retain(|dir| after.at(dir).is_none());
                    above.iter().for_each(|dir| after.put(dir, after.new_entry(Kind::Dir, 0o755)));
                    after.put(path, entry.clone());
                }
                Some(after)
            }
            Goal::Guarded(scope, before) => Some(now.restored(before, |path| scope.covers(path))),
            Goal::Told => None,
        }
    }

    /// What stands there after a retry of which only the case says what it brings.
    fn accepts(&self, found: &Memory, before: &Memory, told: &Retried) -> Checked {
        let kept = |contents: &[u8]| self.whole.values().any(|entry| entry.contents == contents);
        for step in &told.steps {
            let (path, at) = (rel(&step.path), found.at(&rel(&step.path)));
            let right = match step.what {
                "remove" => at.is_none(),
                "write" => at.is_some_and(|entry| entry.kind != Kind::File || kept(&entry.contents)),
                _ => at.is_some(),
            };
            must(right, || format!("{step:?} leaves {at:?} at {path}"))?;
        }
        let steps = paths(told);
        let concerned = |path: &RelPath| steps.iter().any(|step| path.starts_with(step));
        let above = |path: &RelPath| steps.iter().any(|step| step.starts_with(path)) && before.at(path).is_none();
        let other = |path: &&RelPath| !concerned(path) && !above(path) && found.at(path) != before.at(path);
        let met = found.names.keys().chain(before.names.keys()).find(other);
        must(met.is_none(), || format!("the retry changed {met:?} as well"))
    }

    /// What was exported is all that there is.
    fn is_exported(&self, out: &Seen, done: &Exported) -> Checked {
        // Where a symlink led is kept as contents.
        let there = |contents: &[u8]| {
            let holds = |entry: &Entry| entry.kind == Kind::File && entry.contents == contents;
            out.values().any(|entry| holds(entry) || entry.target.as_deref() == Some(contents))
        };
        let wanted: Vec<(RelPath, &Entry)> = match &self.goal {
            Goal::Staged(wanted) => {
                let placed = |path: &RelPath, entry: &Entry| same_body(self.then.at(path), Some(entry));
                let all = wanted.iter().filter_map(|(path, entry)| Some((path.clone(), entry.as_ref()?)));
                all.filter(|(path, entry)| !placed(path, entry)).collect()
            }
            Goal::Guarded(scope, before) => {
                let covered = before.names.iter().filter(|(path, _)| scope.covers(path));
                covered.map(|(path, id)| (path.clone(), &before.nodes[id])).collect()
            }
            Goal::Told => Vec::new(),
        };
        let special = wanted.iter().any(|(_, entry)| is_special(entry)) || self.whole.values().any(is_special);
        must(special || done.left.is_empty(), || format!("could not be exported: {done:?}"))?;
        for (path, entry) in wanted.iter().filter(|(_, entry)| !is_special(entry)) {
            must(same_body(out.get(path), Some(entry)), || format!("{path} is exported as {:?}", out.get(path)))?;
        }
        let lost = self.whole.iter().find(|(_, entry)| entry.kind == Kind::File && !there(&entry.contents));
        let is_snapshot = matches!(self.goal, Goal::Guarded(..));
        must(is_snapshot || special || lost.is_none(), || {
            format!("not exported: {:?}, of {:?}: {done:?}", lost, self.whole.keys())
        })
    }
}

impl World {
    /// What is in quarantine.
    pub(crate) fn in_quarantine(&self) -> BTreeSet<String> {
        let root = self.disk.open_root(ROOT.as_ref()).unwrap();
        let Ok(dir) = self.disk.open_dir(&root, &rel(".treewal/quarantine".as_ref())) else { return BTreeSet::new() };
        let entries = self.disk.list(&dir).unwrap().into_iter();
        let ids = entries.map(|entry| entry.name.to_string_lossy().into_owned());
        ids.filter(|id| !id.starts_with(".purged-")).collect()
    }

    fn look_into(&self, id: &str) -> Seen {
        look(&self.disk, Path::new(ROOT).join(".treewal/quarantine").join(id))
    }

    /// What has come to quarantine, is known from here on.
    pub(crate) fn admit(&mut self, id: &str, goal: Goal) {
        let (whole, then) = (self.look_into(id), self.state.memory.clone());
        self.counts.add("came to quarantine");
        self.state.cases.insert(id.to_owned(), Case { whole, then, touched: self.touched, goal });
    }

    /// What holds something that nobody has synced.
    pub(crate) fn unsynced_cases(&self) -> Vec<String> {
        let cases = self.state.cases.iter();
        cases.filter(|(_, case)| self.state.outside.is_unsynced_in(&case.whole)).map(|(id, _)| id.clone()).collect()
    }

    /// A loss of power may leave anything of that.
    pub(crate) fn look_again(&mut self, ids: &[String]) {
        let there = self.in_quarantine();
        for id in ids.iter().filter(|id| there.contains(*id)) {
            let whole = self.look_into(id);
            self.state.cases.entry(id.clone()).and_modify(|case| case.whole = whole);
        }
    }

    /// As `admit`, of all that nobody knows.
    pub(crate) fn admit_all(&mut self) {
        for id in self.in_quarantine() {
            if !self.state.cases.contains_key(&id) {
                self.admit(&id, Goal::Told);
            }
        }
    }

    /// Each is listed, and as it was when it came.
    pub(crate) fn cases_hold(&self) -> Checked {
        for (id, case) in &self.state.cases {
            let found = self.look_into(id);
            must(found == case.whole, || format!("{id} is not whole:\n{}", differences(&found, &case.whole)))?;
        }
        let Some(handle) = self.handles.iter().flatten().next() else { return Ok(()) };
        let listed = handle.tree.quarantine().map_err(|error| format!("{error:?}"))?;
        let known = self.state.cases.keys();
        must(listed.iter().map(|one| &one.id).eq(known), || format!("listed: {listed:?}"))?;
        for one in &listed {
            let details = handle.tree.quarantined(&one.id);
            must(details.as_ref().is_ok_and(|details| details.entry == *one), || format!("{details:?}, not {one:?}"))?;
        }
        Ok(())
    }

    /// Whether what is in the tree may be another after a step.
    pub(crate) fn touches(step: &Step) -> bool {
        let idle = |act: &Act| {
            matches!(act, Act::Checkpoint | Act::Beside | Act::Sync | Act::Export(_) | Act::Purge(_))
                || matches!(act, Act::Forget(_) | Act::Snapshot(..) | Act::Retry(_, Manner::DryRun))
        };
        match step {
            Step::Do(_, act) | Step::Cut(_, act, ..) => !idle(act),
            Step::Begin(..)
            | Step::Read(..)
            | Step::Disk(..)
            | Step::Options(..)
            | Step::Close(_)
            | Step::Crash(..) => false,
            Step::End(_) | Step::Foreign(_) | Step::Guarded(_) | Step::Owed(..) | Step::Lost(..) => true,
        }
    }

    fn nth_case(&self, nth: u8) -> Option<(String, Case)> {
        let cases = &self.state.cases;
        let (id, case) = cases.iter().nth(usize::from(nth) % cases.len().max(1))?;
        Some((id.clone(), case.clone()))
    }

    pub(crate) fn plan_retry(&self, who: usize, nth: u8, manner: Manner) -> Checked<Option<Plan>> {
        let Some((id, case)) = self.nth_case(nth) else { return Ok(None) };
        let now = &self.state.memory;
        if let Goal::Guarded(scope, before) = &case.goal {
            if now.brings_back_for_others(before, |path| scope.covers(path)) {
                return Ok(None);
            }
        }
        let known = !matches!(case.goal, Goal::Told);
        let quiet = known && self.touched == case.touched && self.state.guards.is_empty();
        let tree = &self.handles[who].as_ref().unwrap().tree;
        let plan = Plan::of(self.state.clone(), case.about());
        let told = match tree.retry_quarantine(&id, manner.how().dry_run(true)) {
            Ok(told) => told,
            Err(error) => {
                must(!quiet, || format!("{id} cannot be brought back, and nothing has changed: {error:?}"))?;
                let fails = Some(format!("{error:?}"));
                return Ok(Some(Plan { fails, case: Some((id, Retried::default())), ..plan }));
            }
        };
        must(told.receipt.is_none() && !told.purged, || format!("{told:?}"))?;
        must(!quiet || told.conflicts.is_empty(), || format!("nothing has changed, and {:?}", told.conflicts))?;
        case.allows(now, &told, manner).map_err(|error| format!("{error}: {told:?}"))?;
        // The snapshot of a guard comes back as a whole.
        let in_part = manner == Manner::Force && tree.quarantined(&id).is_ok_and(|one| one.entry.kind != "guarded");
        let goes = manner != Manner::DryRun && (told.conflicts.is_empty() || in_part);
        let mut after = self.state.clone();
        let memory = if goes { case.leaves(now, &paths(&told)) } else { Some(now.clone()) };
        let unforeseen = memory.is_none();
        after.memory = memory.unwrap_or_else(|| now.clone());
        let between = vec![after.clone()];
        if goes && told.conflicts.is_empty() {
            after.cases.remove(&id);
        }
        Ok(Some(Plan { after, between, unforeseen, goes, case: Some((id, told)), ..plan }))
    }

    pub(crate) fn retry(&mut self, who: usize, manner: Manner, plan: &Plan) -> Checked<Done> {
        let Some((id, told)) = &plan.case else { return Ok(Done::default()) };
        let before = self.state.memory.clone();
        let done = match self.handles[who].as_ref().unwrap().tree.retry_quarantine(id, manner.how()) {
            Ok(done) => done,
            Err(error) => {
                let states = [&self.state].into_iter().chain(&plan.between).chain([&plan.after]).cloned().collect();
                return Ok(Done { error: Some(error), changed: paths(told), states });
            }
        };
        must(done.steps == told.steps && done.conflicts == told.conflicts, || format!("{done:?}, not {told:?}"))?;
        must(done.receipt.as_ref().is_some_and(|one| one.durable) == plan.goes, || format!("{done:?}"))?;
        must(done.purged == (plan.goes && done.conflicts.is_empty()), || format!("{done:?}"))?;
        let then = &self.state.cases[id].then;
        let over = paths(&done).iter().any(|path| !same_body(before.at(path), then.at(path)));
        self.counts.add(match (plan.goes, done.conflicts.is_empty()) {
            (true, true) if over => "retry by force",
            (true, true) => "retry done",
            (true, false) => "retry in part",
            (false, true) => "retry told",
            (false, false) => "retry refused",
        });
        let mut after = plan.after.clone();
        if plan.unforeseen {
            after.memory = self.found();
            self.state.cases[id].accepts(&after.memory, &before, &done)?;
        }
        Ok(Done { error: None, changed: if plan.goes { paths(&done) } else { Vec::new() }, states: vec![after] })
    }

    pub(crate) fn plan_export(&self, nth: u8) -> Option<Plan> {
        let (id, _) = self.nth_case(nth)?;
        Some(Plan { case: Some((id, Retried::default())), ..Plan::of(self.state.clone(), Vec::new()) })
    }

    /// To a directory outside of the tree.
    pub(crate) fn export(&mut self, who: usize, plan: &Plan) -> Checked<Done> {
        let Some((id, _)) = &plan.case else { return Ok(Done::default()) };
        self.exports += 1;
        let dest = format!("/out{}", self.exports);
        match self.handles[who].as_ref().unwrap().tree.export_quarantine(id, &dest) {
            Ok(done) => {
                self.state.cases[id].is_exported(&look(&self.disk, &dest), &done)?;
                Ok(Done::default())
            }
            Err(error) => Ok(Done { error: Some(error), ..Done::default() }),
        }
    }

    pub(crate) fn plan_purge(&self, nth: u8) -> Option<Plan> {
        let (id, case) = self.nth_case(nth)?;
        let mut after = self.state.clone();
        after.cases.remove(&id);
        after.outside.is_purged(&case.whole);
        Some(Plan { case: Some((id, Retried::default())), ..Plan::of(after, Vec::new()) })
    }

    pub(crate) fn purge_one(&self, who: usize, plan: &Plan) -> Done {
        let Some((id, _)) = &plan.case else { return Done::default() };
        Done::of(self.handles[who].as_ref().unwrap().tree.purge_quarantine(id))
    }

    /// Throws away what is in quarantine.
    pub(crate) fn purge(&mut self) -> Checked {
        let Some(handle) = self.handles.iter().flatten().next() else { return Err("nobody is there".to_owned()) };
        for id in self.in_quarantine() {
            handle.tree.purge_quarantine(&id).map_err(|error| format!("{id}: {error:?}"))?;
        }
        self.state.cases.clear();
        self.state.outside.forget_strays();
        must(self.in_quarantine().is_empty(), || format!("left: {:?}", self.in_quarantine()))
    }
}
