//! Guards: what they cover, and what their end leaves.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use treewal::{GuardOptions, Others, Sharing};
use treewal_vfs::RelPath;

use crate::counts;
use crate::memory::{Memory, rel};
use crate::quarantine::same_body;
use crate::step::{Asked, Deed, End, MOUNTED};
use crate::transactions::{Done, Plan};
use crate::world::{Checked, State, World, must};

/// How many guards may be open.
const GUARDS_MAX: usize = 4;

/// What is guarded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    paths: Vec<RelPath>,
    all_in: Option<RelPath>,
}

impl Scope {
    pub(crate) fn of(asked: &Asked) -> Self {
        Self { paths: asked.paths.iter().map(|path| rel(path)).collect(), all_in: asked.all_in.as_deref().map(rel) }
    }

    pub(crate) fn covers(&self, path: &RelPath) -> bool {
        let all_in = self.all_in.as_ref().is_some_and(|dir| path.starts_with(dir) && path != dir);
        all_in || self.paths.iter().any(|own| path.starts_with(own))
    }

    /// What it is about.
    pub(crate) fn all(&self) -> Vec<RelPath> {
        self.paths.iter().chain(&self.all_in).cloned().collect()
    }

    /// Whether a path is covered, or above something that is.
    pub(crate) fn meets(&self, path: &RelPath) -> bool {
        self.covers(path) || self.paths.iter().chain(&self.all_in).any(|own| own.starts_with(path))
    }

    /// A path that is covered where a short one is asked for that is not.
    fn nearest(&self, path: &RelPath) -> RelPath {
        let is_short = path.parent().is_some_and(|parent| parent.is_root());
        if is_short && !self.covers(path) { self.paths[0].clone() } else { path.clone() }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.paths.iter().chain(&self.all_in).any(|own| other.meets(own))
            || other.paths.iter().chain(&other.all_in).any(|own| self.meets(own))
    }
}

/// A guard that is open.
#[derive(Debug, Clone)]
pub(crate) struct Guarding {
    pub(crate) id: u64,
    pub(crate) who: usize,
    outer: Option<u64>,
    pub(crate) scope: Scope,
    /// The tree when it was taken.
    pub(crate) before: Memory,
    /// Whether its paths must not be written to in place.
    managed: bool,
    /// Whether checksums tell what was.
    digest: bool,
    /// Whether other threads wait for its end.
    pub(crate) wait: bool,
}

impl State {
    /// A guard, and those inside it, the outermost first.
    fn with_inner(&self, id: u64) -> Vec<u64> {
        let mut ids = vec![id];
        for guard in &self.guards {
            if guard.outer.is_some_and(|outer| ids.contains(&outer)) {
                ids.push(guard.id);
            }
        }
        ids
    }

    /// What the end of a guard leaves.
    pub(crate) fn ended(&self, id: u64, keep: bool) -> Self {
        let mut after = self.clone();
        for one in self.with_inner(id).into_iter().rev() {
            let at = after.guards.iter().position(|guard| guard.id == one).unwrap();
            let guard = after.guards.remove(at);
            if one != id || !keep {
                after.memory = after.memory.overlaid(&guard.before, |path| guard.scope.covers(path));
            }
        }
        after
    }
}

impl World {
    pub(crate) fn plan_guard(&self, who: usize, asked: &Asked) -> Option<Plan> {
        let scope = Scope::of(asked);
        let guards = &self.state.guards;
        if guards.len() >= GUARDS_MAX {
            return None;
        }
        let overlaps = guards.iter().any(|guard| guard.scope.overlaps(&scope));
        let reachable = scope.paths.iter().all(|path| self.state.memory.leads_to(path));
        let in_dir = scope.all_in.as_ref().is_none_or(|dir| self.state.memory.is_dir(dir));
        let mut after = self.state.clone();
        let about = scope.paths.iter().chain(&scope.all_in).cloned().collect();
        let before = self.state.memory.clone();
        let managed = asked.managed && !asked.copy;
        after.guards.push(Guarding {
            id: self.last_guard + 1,
            who,
            outer: None,
            scope,
            before,
            managed,
            digest: asked.digest,
            wait: asked.wait,
        });
        let fails = overlaps.then(|| "another guard has some of it".to_owned());
        Some(Plan { fails, may_fail: !reachable || !in_dir, ..Plan::of(after, about) })
    }

    pub(crate) fn plan_within(&self, who: usize, path: &RelPath) -> Option<Plan> {
        let outer = self.state.guards.iter().rfind(|guard| guard.who == who)?;
        if self.state.guards.len() >= GUARDS_MAX {
            return None;
        }
        let path = &outer.scope.nearest(path);
        let scope = Scope { paths: vec![path.clone()], all_in: None };
        let (before, managed, digest) = (self.state.memory.clone(), outer.managed, false);
        let inner = Guarding {
            id: self.last_guard + 1,
            who,
            outer: Some(outer.id),
            scope,
            before,
            managed,
            digest,
            wait: false,
        };
        // A pattern of the outer guard is no path of it.
        let own = outer.scope.paths.iter().any(|own| path.starts_with(own));
        let may_fail = !own || !self.state.memory.leads_to(path);
        let mut after = self.state.clone();
        after.guards.push(inner);
        let fails = (!outer.scope.covers(path)).then(|| "the outer guard has not that path".to_owned());
        Some(Plan { fails, may_fail, ..Plan::of(after, vec![path.clone()]) })
    }

    pub(crate) fn ending(&self, who: usize, inner: bool) -> Option<u64> {
        let mut own = self.state.guards.iter().filter(|guard| guard.who == who);
        Some(if inner { own.next_back() } else { own.next() }?.id)
    }

    pub(crate) fn plan_end(&self, who: usize, inner: bool, end: End) -> Option<Plan> {
        let id = self.ending(who, inner)?;
        Some(Plan::of(self.state.ended(id, end == End::Commit), Vec::new()))
    }

    pub(crate) fn take_guard(&mut self, who: usize, asked: &Asked) -> Done {
        let mut options = GuardOptions::new().digest(asked.digest).exchange(asked.exchange);
        if asked.copy {
            options = options.sharing(Sharing::Copy);
        }
        if asked.managed {
            options = options.managed("a").managed("b").managed("c");
        }
        if asked.threads {
            options = options.threads(NonZeroUsize::new(2).unwrap());
        }
        if asked.wait {
            options = options.others(Others::Wait);
        }
        if let Some(dir) = &asked.all_in {
            options = options.matching(dir.join("*"));
        }
        let tree = self.handles[who].as_ref().unwrap().tree.clone();
        self.taken(who, tree.guard_with(options, &asked.paths))
    }

    pub(crate) fn take_within(&mut self, who: usize, path: &Path) -> Done {
        let outer = self.state.guards.iter().rfind(|guard| guard.who == who).unwrap();
        let path = outer.scope.nearest(&rel(path)).to_path();
        let taken = self.handles[who].as_ref().unwrap().guards[&outer.id].guard([path]);
        self.taken(who, taken)
    }

    fn taken(&mut self, who: usize, taken: treewal::Result<treewal::Guard>) -> Done {
        match taken {
            Ok(guard) => {
                self.last_guard += 1;
                self.handles[who].as_mut().unwrap().guards.insert(self.last_guard, guard);
                Done::default()
            }
            Err(error) => Done { error: Some(error), ..Done::default() },
        }
    }

    /// What is different under a guard is told, and nothing that it does not cover.
    fn changes_are_told(&self, who: usize, id: u64) -> Checked {
        self.look_into_guard(id, &self.handles[who].as_ref().unwrap().guards[&id])?;
        let told = self.handles[who].as_ref().unwrap().guards[&id].changes().map_err(|error| format!("{error:?}"))?;
        let told: BTreeSet<RelPath> = told.into_iter().map(|change| change.path).collect();
        let guard = self.state.guards.iter().find(|guard| guard.id == id).unwrap();
        let (now, before) = (&self.state.memory, &guard.before);
        let all: BTreeSet<&RelPath> = now.names.keys().chain(before.names.keys()).collect();
        let is_missed = |path: &&RelPath| {
            guard.scope.covers(path) && !told.contains(*path) && !same_body(now.at(path), before.at(path))
        };
        let missed = all.into_iter().find(is_missed);
        must(missed.is_none(), || format!("the guard does not tell of {missed:?}: {told:?}"))?;
        let beyond = told.iter().find(|path| !guard.scope.meets(path));
        must(beyond.is_none(), || format!("the guard tells of {beyond:?}"))?;
        self.counts.add("guard asked for changes");
        Ok(())
    }

    pub(crate) fn end_guard(&mut self, who: usize, id: u64, end: End, crashes: bool) -> Checked<Done> {
        if !crashes {
            self.changes_are_told(who, id)?;
        }
        let with_inner = self.state.with_inner(id);
        let handle = self.handles[who].as_mut().unwrap();
        let guard = handle.guards.remove(&id).unwrap();
        let done = match end {
            End::Commit => Done::of(guard.commit()),
            End::Drop if !crashes => {
                drop(guard);
                Done::default()
            }
            End::Drop | End::RollBack => Done::of(guard.rollback()),
        };
        // Those inside have ended with it.
        handle.guards.retain(|one, _| !with_inner.contains(one));
        Ok(done)
    }

    /// Somebody works on what a guard is for.
    pub(crate) fn guarded(&mut self, deed: &Deed) -> Checked {
        let Some(guard) = self.state.guards.last() else { return Ok(()) };
        let is_new = matches!(deed, Deed::MakeDir(_));
        let mut deed = deed.clone();
        let (Deed::InPlace(path, _) | Deed::Replace(path, _) | Deed::Remove(path) | Deed::MakeDir(path)) = &mut deed;
        if !self.state.guards.iter().any(|guard| guard.scope.covers(&rel(path))) {
            // One of those that are.
            let memory = &self.state.memory;
            let fits = |name: &RelPath| guard.scope.covers(name) && (!is_new || memory.is_dir(name));
            let own: Vec<_> = memory.names.keys().filter(|name| fits(name)).collect();
            let at: usize = path.as_os_str().as_encoded_bytes().iter().map(|byte| usize::from(*byte)).sum();
            let Some(own) = own.get(at % own.len().max(1)) else { return Ok(()) };
            let below = own.join(rel(path).name().unwrap());
            *path = if is_new { below } else { (*own).clone() }.to_path();
        }
        // What another name shows of it then, nobody has synced, and no guard brings back.
        let shared = match &deed {
            Deed::InPlace(path, byte) if self.state.memory.links(&rel(path)) > 1 => Some((path.clone(), *byte)),
            _ => None,
        };
        let deed = shared.map_or(deed, |(path, byte)| Deed::Replace(path, byte));
        if self.deed(&deed)? {
            self.counts.add(format!("guarded {}", counts::deed(&deed)));
            // A version that a commit has displaced may be a name of the same file: what is written there, recovery keeps.
            self.foreign |= matches!(deed, Deed::InPlace(..));
        }
        self.becomes(vec![self.state.clone()])
    }

    /// Whether a file that a guard keeps by name gets another name elsewhere. That moves its time of change, and without a checksum
    /// nothing tells it from a write in place: see docs/guarantees.md.
    pub(crate) fn moves_what_is_kept_by_name(&self, after: &Memory) -> bool {
        let guards = || self.state.guards.iter().filter(|guard| guard.managed && !guard.digest);
        let memory = &self.state.memory;
        let names = |of: &Memory, id: u64| {
            of.names.iter().filter(|(_, own)| **own == id).map(|(name, _)| name.clone()).collect()
        };
        let is_kept = |name: &RelPath| guards().any(|guard| guard.scope.covers(name));
        let kept = memory.names.iter().filter(|(name, _)| memory.is_file(name) && is_kept(name));
        kept.into_iter().any(|(_, id)| {
            let (then, now): (BTreeSet<RelPath>, BTreeSet<RelPath>) = (names(memory, *id), names(after, *id));
            then != now && now.len() >= then.len()
        })
    }

    /// Whether files must be replaced, and never written to in place.
    pub(crate) fn must_replace(&self) -> bool {
        self.state.guards.iter().any(|guard| guard.managed)
    }

    /// Whether no guard has the path, nor anything above or beneath it.
    pub(crate) fn is_free(&self, path: &RelPath) -> Checked<bool> {
        must(path.name().is_none_or(|name| name != MOUNTED), || "the mounted file is not for others".to_owned())?;
        Ok(!self.state.guards.iter().any(|guard| guard.scope.meets(path)))
    }
}
