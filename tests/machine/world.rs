//! The handles and the model, and what must hold after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Durability, Error, Finding, Guard, Options, RetryPolicy, Tree};
use treewal_vfs::sim::{Reuse, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Kind, Meta, Open, RelPath, write_all};

use crate::begun::Begun;
use crate::counts::{self, Counts};
use crate::drawn::Drawn;
use crate::guards::Guarding;
use crate::memory::{Memory, rel};
use crate::ops::TARGET;
use crate::outside::Outside;
use crate::quarantine::Case;
use crate::seen::{Seen, leftovers};
use crate::snaps::Kept;
use crate::step::{Act, HANDLES, MOUNTED, Step};

/// Where the tree stands on the disk.
pub(crate) const ROOT: &str = "/tree";
/// Where that stands which is to be published.
pub(crate) const OUTSIDE: &str = "/elsewhere";

/// Written by whoever comes after a crash, and no part of what is compared.
pub(crate) const MARKER: &str = "marker";
/// What somebody else writes before it is renamed, and nobody syncs; no part of it, either.
pub(crate) const DRAFT: &str = "draft";

/// Whether a path is none of those that are compared.
pub(crate) fn is_own(path: &RelPath) -> bool {
    let first = path.components().next().map(|name| name.to_string_lossy());
    first.is_some_and(|name| name == MARKER || name == DRAFT)
}

pub(crate) type Checked<T = ()> = Result<T, String>;

/// An error unless it holds.
pub(crate) fn must(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}

/// What every run begins with: directories, files above and below the limit, a symlink, a fifo, two names of one file.
pub(crate) fn begin(disk: &dyn Disk, at: &Path) {
    let root = disk.open_root(at).unwrap();
    let dir = |path: &RelPath| disk.open_dir(&root, &path.parent().unwrap()).unwrap();
    disk.set_mode(&root, treewal_vfs::ITSELF.as_ref(), 0o755).unwrap();
    for path in ["a", "b", "a/b"].map(|path| rel(path.as_ref())) {
        disk.create_dir(&dir(&path), path.name().unwrap(), 0o755).unwrap();
    }
    for (file, len) in [("a/a", 5), ("a/b/c", 7), ("b/a", 70), ("c", 9), (MOUNTED, 9)] {
        let path = rel(file.as_ref());
        let made = disk.open(&dir(&path), path.name().unwrap(), Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(disk, &made, file.as_bytes().repeat(len).as_slice(), 0).unwrap();
    }
    disk.symlink(TARGET.as_ref(), &dir(&rel("b/b".as_ref())), "b".as_ref()).unwrap();
    disk.hard_link(&root, "c".as_ref(), &dir(&rel("a/c".as_ref())), "c".as_ref()).unwrap();
    let fifo = Meta { kind: Kind::Fifo, mode: 0o644, ..disk.stat_dir(&root).unwrap() };
    disk.make_node(&dir(&rel("b/c".as_ref())), "c".as_ref(), &fifo).unwrap();
}

pub(crate) fn options() -> Options {
    Drawn::default().options()
}

pub(crate) struct Handle {
    pub(crate) process: SimDisk,
    pub(crate) faulty: Arc<FaultDisk>,
    pub(crate) begun: Option<Begun>,
    pub(crate) guards: BTreeMap<u64, Guard>,
    pub(crate) drawn: Drawn,
    pub(crate) tree: Tree,
}

/// What the model knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) memory: Memory,
    /// Guards that are open, the outermost first.
    pub(crate) guards: Vec<Guarding>,
    pub(crate) snaps: BTreeMap<u8, Kept>,
    /// What is in quarantine.
    pub(crate) cases: BTreeMap<String, Case>,
    /// What is to be published.
    pub(crate) outside: Outside,
}

impl State {
    /// What becomes of it where those processes die.
    pub(crate) fn died(mut self, dies: impl Fn(usize) -> bool) -> Self {
        self.outside.is_given_back(&dies);
        while let Some(at) = self.guards.iter().rposition(|guard| dies(guard.who)) {
            let guard = self.guards.remove(at);
            self.memory = self.memory.overlaid(&guard.before, |path| guard.scope.covers(path));
        }
        self
    }
}

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) handles: [Option<Handle>; HANDLES],
    pub(crate) state: State,
    /// States since the last that is durable for certain; the tree may be any mixture of them after a loss of power.
    pub(crate) since: Vec<Seen>,
    /// What those commits wrote to that promise nothing after a loss of power, also where nothing became of it.
    pub(crate) loose: BTreeSet<RelPath>,
    /// Whose commits these are.
    pub(crate) deferred: BTreeSet<usize>,
    /// Whether somebody else was there since the last checkpoint.
    pub(crate) foreign: bool,
    /// Whether a failed call may have left something that the next opening sweeps.
    pub(crate) unclean: bool,
    pub(crate) last_guard: u64,
    /// How often something was done.
    pub(crate) moves: u64,
    /// How often the tree was touched.
    pub(crate) touched: u64,
    pub(crate) exports: u64,
    pub(crate) prepared: u64,
    /// Whether somebody was killed in this step, or the power went.
    pub(crate) died: bool,
    /// Whether a call has failed, which may have been a sync.
    pub(crate) doubted: bool,
    pub(crate) counts: Rc<Counts>,
    /// With which options the handles open the tree.
    pub(crate) drawn: [Drawn; HANDLES],
    markers: u32,
}

impl World {
    pub(crate) fn new(counts: Rc<Counts>) -> Self {
        let disk = SimDisk::new();
        let top = disk.open_root("/".as_ref()).unwrap();
        for dir in ["tree", "elsewhere"] {
            disk.create_dir(&top, dir.as_ref(), 0o755).unwrap();
        }
        begin(&disk, ROOT.as_ref());
        disk.sync_all(&disk.open_root(ROOT.as_ref()).unwrap()).unwrap();
        let mut world = Self {
            disk,
            handles: Default::default(),
            state: State::default(),
            since: Vec::new(),
            loose: BTreeSet::new(),
            deferred: BTreeSet::new(),
            foreign: false,
            unclean: false,
            last_guard: 0,
            moves: 0,
            touched: 0,
            exports: 0,
            prepared: 0,
            died: false,
            doubted: false,
            counts,
            drawn: Default::default(),
            markers: 0,
        };
        world.state.memory = world.found();
        world.settled();
        world
    }

    /// All that was done is durable.
    pub(crate) fn settled(&mut self) {
        self.since = vec![self.state.memory.seen()];
        self.deferred.clear();
        self.loose.clear();
    }

    pub(crate) fn on(&self, disk: Arc<dyn Disk>) -> treewal::Result<Tree> {
        options().open_on(disk, ROOT)
    }

    /// The disk of a new process, on which a file is mounted.
    pub(crate) fn process(&self) -> (SimDisk, Arc<FaultDisk>) {
        let process = self.disk.another_process();
        let faulty = Arc::new(FaultDisk::new(Arc::new(process.clone()), Fault::None).with_busy(MOUNTED));
        (process, faulty)
    }

    /// The handle, opened where it is not; not, where a guard of another keeps it out.
    pub(crate) fn handle(&mut self, who: usize) -> Checked<Option<&mut Handle>> {
        if self.handles[who].is_none() {
            let (process, faulty) = self.process();
            match self.drawn[who].options().open_on(faulty.clone(), ROOT) {
                Ok(tree) => {
                    self.unclean = false;
                    self.counts.add("opened");
                    self.drawn[who].words().into_iter().for_each(|word| self.counts.add(word));
                    let (begun, guards, drawn) = (None, BTreeMap::new(), self.drawn[who]);
                    let handle = Handle { process, faulty, begun, guards, drawn, tree };
                    self.handles[who] = Some(handle);
                }
                Err(Error::Locked { .. }) if !self.state.guards.is_empty() => return Ok(None),
                Err(error) => return Err(format!("cannot open: {error:?}")),
            }
        }
        Ok(self.handles[who].as_mut())
    }

    /// Who has guards.
    pub(crate) fn holder(&self) -> Option<usize> {
        self.state.guards.first().map(|guard| guard.who)
    }

    /// Who does it: what is about guards, the one that has them.
    pub(crate) fn actor(&self, who: usize, act: &Act) -> usize {
        match act {
            Act::Within(_) | Act::GuardEnd(..) | Act::Met(..) => self.holder().unwrap_or(who),
            _ => who,
        }
    }

    /// A restore is of a snapshot that there is, if there is any.
    pub(crate) fn resolved(&self, act: &Act) -> Act {
        match (act, self.state.snaps.keys().next()) {
            (Act::Restore(name, path), Some(other)) if !self.state.snaps.contains_key(name) => {
                Act::Restore(*other, path.clone())
            }
            _ => act.clone(),
        }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Checked {
        self.moves += u64::from(!matches!(step, Step::Begin(..) | Step::End(_) | Step::Read(..)));
        self.touched += u64::from(Self::touches(step));
        self.died = matches!(step, Step::Lost(..) | Step::Owed(..));
        match step {
            Step::Disk(reflinks, reuse) => {
                self.disk.set_reflink(*reflinks);
                self.disk.set_reuse(if *reuse { Reuse::AtOnce } else { Reuse::AfterCrash });
                Ok(())
            }
            Step::Options(who, drawn) => {
                self.drawn[*who] = *drawn;
                Ok(())
            }
            Step::Do(who, act) => self.act(*who, act),
            Step::Cut(who, act, at, crash) => self.cut(*who, act, *at, crash),
            Step::Crash(who, crash) => self.crash(*who, crash, None),
            Step::Begin(who, ops) => self.begin(*who, ops),
            Step::End(who) => self.end(*who),
            Step::Read(who, only) => self.read(*who, *only),
            Step::Foreign(deed) => self.foreign(deed),
            Step::Guarded(deed) => self.guarded(deed),
            Step::Close(who) => self.close_one(*who),
            Step::Owed(who, ops, at, keep) => self.owed(*who, ops, *at, *keep),
            Step::Lost(who, work, loss, cut) => self.lost(*who, work, *loss, cut.as_ref()),
        }?;
        self.admit_told()?;
        must(self.state.outside.is_kept(&self.disk), || format!("lost: {:?}", self.state.outside))?;
        self.cases_hold()?;
        self.verify()
    }

    /// Nothing is found but what the next opening sweeps, where somebody was killed, and what quarantine holds.
    fn verify(&self) -> Checked {
        let expected = |finding: &Finding| {
            let left = ["stage-leftover", "guard-leftover", "snapshot-leftover", "quarantine-leftover", "journal-torn"];
            self.unclean && left.contains(&finding.code)
                || !self.state.cases.is_empty() && finding.code == "quarantined"
        };
        // What may be a leftover is looked at for a while, which costs time.
        let often = if self.unclean { 64 } else { 1 };
        for handle in self.handles.iter().flatten().filter(|_| self.moves % often == 0) {
            let findings = handle.tree.verify().map_err(|error| format!("cannot verify: {error:?}"))?;
            must(findings.iter().all(|one| expected(one) || handle.drawn.expects(one)), || format!("{findings:?}"))?;
        }
        Ok(())
    }

    pub(crate) fn act(&mut self, who: usize, act: &Act) -> Checked {
        let (who, act) = (self.actor(who, act), &self.resolved(act));
        let Some(plan) = self.plan(who, act)? else { return Ok(()) };
        let before = self.state.clone();
        let linked = plan.linked.clone();
        let done = self.perform(who, act, &plan, None)?;
        if let Some(error) = done.error {
            if self.doubted && format!("{error:?}").contains("Poisoned") {
                return self.in_doubt(who, [vec![before, plan.after], done.states].concat());
            }
            self.refused(who, act, &plan, &done.changed, &error)?;
            self.counts.add(format!("{}, refused", counts::act(act)));
            return self.becomes(vec![before]);
        }
        self.allowed(who, act, &plan, &done.changed)?;
        must(plan.fails.is_none(), || format!("should have failed: {:?}", plan.fails))?;
        self.counts.add(counts::act(act));
        self.count_calls(&plan, false);
        if let Act::Commit(_, way, _) = act {
            self.counts.add(format!("by {way:?}"));
        }
        self.becomes(if done.states.is_empty() { vec![plan.after] } else { done.states })?;
        self.note(who, act);
        if matches!(act, Act::Checkpoint) {
            self.foreign = false;
        }
        linked.map_or(Ok(()), |wanted| self.linked(&wanted))
    }

    /// Another process that lives, or else a new one, takes the tree.
    pub(crate) fn somebody_goes_on(&mut self) -> Checked {
        self.markers += 1;
        let marker = self.markers.to_string();
        let who = self.holder().or_else(|| self.handles.iter().position(Option::is_some)).unwrap_or(0);
        let Some(handle) = self.handle(who)? else { return Err("nobody can go on".to_owned()) };
        // A restore that another finishes may take the marker away after a look at it.
        let again = RetryPolicy::new().tries_max(2).pause_min(Duration::ZERO).pause_max(Duration::ZERO);
        let went_on = handle.tree.transaction_with(again, |tx| {
            tx.set_durability(Durability::Journal);
            tx.write(MARKER, &marker)
        });
        must(went_on.is_ok(), || format!("nobody goes on: {went_on:?}"))
    }

    pub(crate) fn close_one(&mut self, who: usize) -> Checked {
        if self.handles[who].is_some() {
            self.counts.add("closed");
        }
        // The journal needs its stage until a checkpoint, which a guard of another puts off.
        self.unclean |= self.handles[who].is_some() && self.holder().is_some_and(|holder| holder != who);
        self.handles[who] = None;
        let state = self.state.clone().died(|one| one == who);
        self.becomes(vec![state])
    }

    /// All close, and leave nothing behind, whoever was killed before.
    pub(crate) fn close(mut self) -> Checked {
        for who in 0..HANDLES {
            self.close_one(who)?;
        }
        // What somebody else's changes had put aside is for people.
        self.handle(0)?;
        self.strays_are_in_quarantine()?;
        self.purge()?;
        self.handles = Default::default();
        let left = leftovers(&self.disk, ROOT);
        must(left.is_empty(), || format!("left over: {left:?}"))?;
        self.becomes(vec![self.state.clone()])?;
        self.handle(0)?;
        let tree = &self.handles[0].as_ref().unwrap().tree;
        let (report, findings) = (tree.recovery().clone(), tree.verify());
        must(report.is_clean() && report.transactions.is_empty(), || format!("not at rest: {report}"))?;
        must(matches!(&findings, Ok(found) if found.is_empty()), || format!("{findings:?}"))?;
        self.snapshots_hold()?;
        self.becomes(vec![self.state.clone()])
    }
}
