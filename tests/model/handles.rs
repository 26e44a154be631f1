//! Several processes with a handle each on one simulated tree: commits that meet, guards, checkpoints, restarts, kills in the
//! middle of something or at rest, and losses of power. After each step the tree is what the model says.
//!
//! The model is what a transaction sees of its own changes, which `random.rs` holds against `std::fs`. A transaction that was
//! begun before others committed changes the paths that it changes, and no others, or is told of a conflict.

use std::sync::Arc;

use proptest::prelude::*;
use treewal::{Error, Outcome, Transaction, Tree};
use treewal_vfs::sim::{Profile, Reuse, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RelPath, write_all};

use crate::ops::{Op, op};
use crate::random::{begin, cases, check, look_through, options};
use crate::seen::{Seen, differences, leftovers, look};

const HANDLES: usize = 3;
/// Written by whoever comes after a kill, and not a part of what is compared.
const MARKER: &str = "marker";

#[derive(Debug, Clone)]
enum Step {
    Commit(usize, Vec<Op>),
    /// Stages, and leaves the commit to an `End`.
    Begin(usize, Vec<Op>),
    End(usize),
    Checkpoint(usize),
    Beside(usize),
    Guard(usize, Guarded),
    Close(usize),
    Kill(usize, Option<(Vec<Op>, u64)>),
    PowerLoss(Option<(usize, Vec<Op>, u64)>, Profile, u64),
}

#[derive(Debug, Clone, Copy)]
enum Guarded {
    Committed,
    RolledBack,
    Killed,
}

/// Without what a transaction cannot see of a file with several names.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let told = |op: &Op| !matches!(op, Op::HardLink(..) | Op::SetTime(..) | Op::Chown(..));
    prop::collection::vec(op(), 1..6).prop_map(move |ops| ops.into_iter().filter(told).collect())
}

/// Such that what changes is what is named.
fn plain() -> impl Strategy<Value = Vec<Op>> {
    let told =
        |op: &Op| matches!(op, Op::Write(..) | Op::Append(..) | Op::Copy(..) | Op::CreateDir(..) | Op::RemoveFile(..));
    prop::collection::vec(op(), 1..10).prop_map(move |ops| ops.into_iter().filter(told).take(3).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..HANDLES;
    let guarded = prop::sample::select(vec![Guarded::Committed, Guarded::RolledBack, Guarded::Killed]);
    let profile = prop::sample::select(vec![Profile::Strict, Profile::Ordered]);
    let at = || 1..70u64;
    prop_oneof![
        12 => (who(), ops()).prop_map(|(who, ops)| Step::Commit(who, ops)),
        6 => (who(), plain()).prop_map(|(who, ops)| Step::Begin(who, ops)),
        6 => who().prop_map(Step::End),
        2 => who().prop_map(Step::Checkpoint),
        2 => who().prop_map(Step::Beside),
        2 => (who(), guarded).prop_map(|(who, how)| Step::Guard(who, how)),
        2 => who().prop_map(Step::Close),
        4 => (who(), prop::option::weighted(0.8, (ops(), at()))).prop_map(|(who, ops)| Step::Kill(who, ops)),
        1 => (prop::option::of((who(), ops(), at())), profile, any::<u64>())
            .prop_map(|(during, profile, seed)| Step::PowerLoss(during, profile, seed)),
    ]
}

struct Handle {
    process: SimDisk,
    faulty: Arc<FaultDisk>,
    tree: Tree,
    begun: Option<Begun>,
}

struct Begun {
    tx: Transaction,
    seen: Seen,
    /// The tree when it was begun, and how many commits there had been.
    before: Seen,
    commits: u32,
}

struct World {
    disk: SimDisk,
    handles: [Option<Handle>; HANDLES],
    state: Seen,
    commits: u32,
    markers: u32,
}

fn without_marker(mut seen: Seen) -> Seen {
    seen.remove(&RelPath::new(MARKER).unwrap());
    seen
}

/// What the tree holds once the transaction is committed.
fn wanted(tx: &Transaction) -> Seen {
    without_marker(look_through(tx))
}

/// Stages; what fails is as good as not asked for.
fn stage(tree: &Tree, ops: &[Op]) -> Transaction {
    let mut tx = tree.begin();
    for op in ops {
        drop(op.stage(&mut tx));
    }
    tx
}

impl World {
    fn new(reuse: Reuse) -> Self {
        let disk = SimDisk::new();
        disk.set_reuse(reuse);
        begin(&disk, "/".as_ref(), false);
        disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
        let state = look(&disk, "/");
        Self { disk, handles: Default::default(), state, commits: 0, markers: 0 }
    }

    fn open(&self) -> Handle {
        let process = self.disk.another_process();
        let faulty = Arc::new(FaultDisk::new(Arc::new(process.clone()), Fault::None));
        let tree = options().checkpoint_bytes(6 << 10).open_on(faulty.clone(), "/").unwrap();
        Handle { process, faulty, tree, begun: None }
    }

    fn handle(&mut self, who: usize) -> &mut Handle {
        if self.handles[who].is_none() {
            self.handles[who] = Some(self.open());
        }
        self.handles[who].as_mut().unwrap()
    }

    fn found(&self) -> Seen {
        without_marker(look(&self.disk, "/"))
    }

    /// The tree must be one of these, and is the model's from here on.
    fn becomes(&mut self, allowed: &[&Seen]) -> Result<(), TestCaseError> {
        let found = self.found();
        let differ = allowed.iter().map(|wanted| differences(&found, wanted)).collect::<Vec<_>>().join("or\n");
        prop_assert!(allowed.contains(&&found), "the tree is not as it should be:\n{}", differ);
        self.state = found;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Commit(who, ops) => {
                let tx = stage(&self.handle(*who).tree, ops);
                let wanted = wanted(&tx);
                let committed = tx.commit();
                prop_assert!(committed.is_ok(), "{:?}", committed);
                self.commits += u32::from(committed.unwrap().id > 0);
                self.becomes(&[&wanted])
            }
            Step::Begin(who, ops) => {
                let (before, commits) = (self.state.clone(), self.commits);
                let handle = self.handle(*who);
                let tx = stage(&handle.tree, ops);
                handle.begun = Some(Begun { seen: wanted(&tx), tx, before, commits });
                Ok(())
            }
            Step::End(who) => match self.handle(*who).begun.take() {
                Some(begun) => self.end(begun),
                None => Ok(()),
            },
            Step::Checkpoint(who) => {
                self.handle(*who).tree.checkpoint().unwrap();
                self.becomes(&[&self.state.clone()])
            }
            Step::Beside(who) => {
                self.handle(*who).tree.checkpoint_beside().unwrap();
                self.becomes(&[&self.state.clone()])
            }
            Step::Guard(who, how) => self.guard(*who, *how),
            Step::Close(who) => {
                self.handles[*who] = None;
                self.becomes(&[&self.state.clone()])
            }
            Step::Kill(who, during) => self.kill(*who, during.as_ref()),
            Step::PowerLoss(during, profile, seed) => self.power_loss(during.as_ref(), *profile, *seed),
        }
    }

    /// Commits what was staged some time ago.
    fn end(&mut self, begun: Begun) -> Result<(), TestCaseError> {
        let Begun { tx, seen, before, commits } = begun;
        let changes: Vec<RelPath> = tx.changes().iter().map(|change| RelPath::new(&change.path).unwrap()).collect();
        let mut merged = self.state.clone();
        for path in &changes {
            match seen.get(path) {
                Some(entry) => drop(merged.insert(path.clone(), entry.clone())),
                None => drop(merged.remove(path)),
            }
        }
        // What another has set of attributes alone is not noticed: see docs/guarantees.md.
        let body =
            |seen: &Seen, path| seen.get(path).map(|entry| (entry.kind, entry.contents.clone(), entry.target.clone()));
        let met = changes.iter().any(|path| body(&before, path) != body(&self.state, path));
        match tx.commit() {
            Ok(receipt) => {
                prop_assert!(!met, "overwrote what another has committed: {:?}", changes);
                self.commits += u32::from(receipt.id > 0);
                self.becomes(&[&merged])
            }
            Err(error) => {
                prop_assert!(commits != self.commits, "nobody else was there: {:?}", error);
                prop_assert!(error.outcome() != Outcome::Undecided, "{:?}", error);
                self.becomes(&[&self.state.clone()])
            }
        }
    }

    fn guard(&mut self, who: usize, how: Guarded) -> Result<(), TestCaseError> {
        let before = self.state.clone();
        let guard = self.handle(who).tree.guard(["c", "in-place"]).unwrap();
        let root = self.disk.open_root("/".as_ref()).unwrap();
        let file = self.disk.open(&root, "in-place".as_ref(), Open::Create { mode: 0o644 }).unwrap();
        write_all(&self.disk, &file, self.commits.to_string().as_bytes(), 0).unwrap();
        drop(file);
        let other = self.handles.iter().enumerate().find_map(|(n, handle)| handle.as_ref().filter(|_| n != who));
        if let Some(other) = other {
            let kept_out = other.tree.transaction(|tx| tx.write("kept-out", "x"));
            prop_assert!(matches!(kept_out, Err(Error::Locked { .. })), "{:?}", kept_out);
        }
        let changed = self.found();
        match how {
            Guarded::Committed => {
                guard.commit().unwrap();
                self.commits += 1;
                self.becomes(&[&changed])
            }
            Guarded::RolledBack => {
                guard.rollback().unwrap();
                self.becomes(&[&before])
            }
            Guarded::Killed => {
                let handle = self.handles[who].take().unwrap();
                drop(handle.process.kill());
                drop(guard);
                drop(handle);
                self.somebody_goes_on()?;
                self.becomes(&[&before])
            }
        }
    }

    /// Another process that lives, or else a new one, takes the tree.
    fn somebody_goes_on(&mut self) -> Result<(), TestCaseError> {
        self.markers += 1;
        let marker = self.markers.to_string();
        let who = self.handles.iter().position(Option::is_some).unwrap_or(0);
        let tree = &self.handle(who).tree;
        let went_on = tree.transaction(|tx| tx.write(MARKER, &marker));
        prop_assert!(went_on.is_ok(), "{:?}", went_on);
        Ok(())
    }

    /// Kills the process of a handle: at one of its calls in a commit, or at rest.
    fn kill(&mut self, who: usize, during: Option<&(Vec<Op>, u64)>) -> Result<(), TestCaseError> {
        let before = self.state.clone();
        self.handle(who);
        let handle = self.handles[who].take().unwrap();
        let Some((ops, at)) = during else {
            drop(handle.process.kill());
            drop(handle);
            // Nobody looks: what it left in order is there.
            return self.becomes(&[&before]);
        };
        let tx = stage(&handle.tree, ops);
        let after = wanted(&tx);
        handle.faulty.arm(Fault::Off { at: *at });
        let committed = tx.commit().is_ok();
        drop(handle.process.kill());
        drop(handle);
        self.somebody_goes_on()?;
        self.commits += 1;
        self.becomes(&[if committed { &after } else { &before }, &after])
    }

    /// Takes the power away, at rest or in a commit, and opens the tree anew.
    fn power_loss(
        &mut self,
        during: Option<&(usize, Vec<Op>, u64)>,
        profile: Profile,
        seed: u64,
    ) -> Result<(), TestCaseError> {
        let before = self.state.clone();
        let mut after = before.clone();
        let mut committed = true;
        if let Some((who, ops, at)) = during {
            let tx = stage(&self.handle(*who).tree, ops);
            after = wanted(&tx);
            self.disk.cut_at(Some(*at));
            committed = tx.commit().is_ok();
        }
        let all = self.disk.outcomes(profile);
        let outcome = match seed % 5 {
            0 => all.nothing(),
            1 => all.names_without_contents(),
            2 => all.contents_without_names(),
            _ => all.sample(seed, 1).next().unwrap_or_else(|| all.everything()),
        };
        self.disk = self.disk.after(&outcome);
        self.handles = Default::default();
        self.somebody_goes_on()?;
        let report = self.handles[0].as_ref().unwrap().tree.recovery();
        prop_assert!(!report.found_damage() && report.pending().count() == 0, "{}", report);
        prop_assert!(!report.transactions.iter().any(|found| !found.superseded.is_empty()), "{}", report);
        self.becomes(&[if committed { &after } else { &before }, &after])
    }

    /// All close, and leave nothing behind, whoever was killed before.
    fn close(mut self) -> Result<(), TestCaseError> {
        if self.handles.iter().all(Option::is_none) {
            self.handle(0);
        }
        self.handles = Default::default();
        prop_assert_eq!(leftovers(&self.disk, "/"), Vec::<String>::new());
        self.becomes(&[&self.state.clone()])?;
        let report = self.open().tree.recovery().clone();
        prop_assert!(report.is_clean() && report.transactions.is_empty(), "{}", report);
        self.becomes(&[&self.state.clone()])
    }
}

fn live(steps: &[Step], reuse: Reuse) -> Result<(), TestCaseError> {
    let mut world = World::new(reuse);
    for (n, step) in steps.iter().enumerate() {
        world.step(step).map_err(|error| TestCaseError::fail(format!("step {n}, {step:?}: {error}")))?;
    }
    world.close()
}

#[test]
fn whatever_several_handles_do_the_tree_is_what_the_model_says() {
    let reuse = prop::sample::select(vec![Reuse::AfterCrash, Reuse::AtOnce]);
    check(cases(250), (prop::collection::vec(step(), 1..40), reuse), |(steps, reuse)| live(&steps, reuse));
}
