//! The world that is explored: a disk, a journal, a lock, processes, and what they were told. Every step is one call of a
//! process, or one thing that befalls them.

use std::collections::{BTreeSet, VecDeque};

use crate::act::Act;
use crate::disk::{Disk, Ent, Spot, Version};
use crate::journal::Journal;
use crate::plan::Renaming;
use crate::script::{Broken, FOREIGN, Op, Script, When};

/// What a process is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) state: State,
    /// How many of its transactions it has begun.
    pub(crate) begun: u8,
    /// What the transaction under way found at its paths.
    pub(crate) saw: Vec<Option<Ent>>,
    /// What it does next, the lock in its hands.
    pub(crate) acts: VecDeque<Act>,
    /// Renames of the commit that are taken.
    pub(crate) taken: Vec<Renaming>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Not there, or no more.
    Gone,
    Idle,
    /// All of a transaction stands in the stage.
    Staged,
    /// It holds the lock.
    Working,
}

/// What became of the file of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Foreign {
    Waiting,
    /// It was put over this version.
    There(Option<Version>),
    /// The power took it before it was durable.
    Lost,
}

/// What the outside was told, and may hold us to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Told {
    /// Transactions that the journal was told of, in its order, without those that were denied.
    pub(crate) order: Vec<u8>,
    pub(crate) acknowledged: BTreeSet<u8>,
    /// Those that found the file of somebody else at a path of theirs, and may replace it.
    pub(crate) replacing: BTreeSet<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) disk: Disk,
    pub(crate) journal: Journal,
    pub(crate) processes: Vec<Process>,
    pub(crate) lock: Option<u8>,
    /// Who took the lock last, and whether it left the tree in order. No process that could read it survives a loss of power.
    pub(crate) sign: Option<(u8, bool)>,
    pub(crate) quarantine: BTreeSet<Version>,
    pub(crate) told: Told,
    pub(crate) foreign: Foreign,
    pub(crate) kills: u8,
    pub(crate) losses: u8,
}

/// One step, for the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Open(u8),
    Begin(u8),
    Lock(u8),
    /// The next call of the process that holds the lock; the number tells alternatives apart.
    Act(u8),
    Kill(u8),
    PowerLoss,
    SomebodyElseWrites,
}

/// Where a step leads: to a world, or to one that must not be.
pub(crate) type Next = (Event, Result<World, String>);

impl World {
    pub(crate) fn new(script: &Script) -> Self {
        let idle = Process { state: State::Idle, begun: 0, saw: Vec::new(), acts: VecDeque::new(), taken: Vec::new() };
        Self {
            disk: Disk::with(&script.start()),
            journal: Journal::default(),
            processes: vec![idle; script.processes.len()],
            lock: None,
            sign: None,
            quarantine: BTreeSet::new(),
            told: Told::default(),
            foreign: Foreign::Waiting,
            kills: script.kills,
            losses: script.losses,
        }
    }

    /// Every step that can be taken from here.
    pub(crate) fn steps(&self, script: &Script) -> Vec<Next> {
        let mut next = Vec::new();
        for who in 0..u8::try_from(self.processes.len()).unwrap() {
            self.own_steps(script, who, &mut next);
            let is_at_work = self.process(who).state != State::Gone;
            if is_at_work && self.kills > 0 {
                let mut world = self.clone();
                world.kills -= 1;
                world.end(who);
                next.push((Event::Kill(who), Ok(world)));
            }
        }
        let foreign = script.foreign.filter(|(_, when)| *when == When::Anytime || self.lock.is_none());
        if let (Some((path, when)), Foreign::Waiting) = (foreign, self.foreign) {
            let mut world = self.clone();
            let there = world.disk.at(Spot::Tree(path)).map(|ent| ent.version);
            world.disk.overwrite(Spot::Tree(path), Ent::of(FOREIGN));
            if when == When::Unlocked {
                world.disk.sync_path(Spot::Tree(path));
            }
            world.foreign = Foreign::There(there);
            next.push((Event::SomebodyElseWrites, Ok(world)));
        }
        if self.losses > 0 {
            next.extend(self.after_a_loss().into_iter().map(|world| (Event::PowerLoss, Ok(world))));
        }
        next
    }

    fn own_steps(&self, script: &Script, who: u8, next: &mut Vec<Next>) {
        let process = self.process(who);
        let transactions = script.processes[usize::from(who)].len();
        match process.state {
            State::Gone if self.lock.is_none() => {
                let mut world = self.clone();
                world.take(who);
                let acts = Act::recovery(script.broken, true);
                world.process_mut(who).acts = acts.into_iter().chain([Act::Release]).collect();
                next.push((Event::Open(who), Ok(world)));
            }
            State::Idle if usize::from(process.begun) < transactions => {
                next.push((Event::Begin(who), Ok(self.begin(script, who))));
            }
            State::Staged if self.lock.is_none() => next.push((Event::Lock(who), Ok(self.lock(script, who)))),
            State::Working => {
                let alternatives = Act::take_next(self, script, who);
                next.extend(alternatives.into_iter().map(|world| (Event::Act(who), world)));
            }
            State::Gone | State::Idle | State::Staged => {}
        }
    }

    /// Looks at the paths of the next transaction, and puts all that it makes into the stage.
    fn begin(&self, script: &Script, who: u8) -> Self {
        let mut world = self.clone();
        let txn = script.first(usize::from(who)) + self.process(who).begun;
        let ops = script.ops(txn);
        for (_, op) in ops {
            match *op {
                Op::Small(version) => world.disk.make(Spot::Slot(who, version), Ent::of(version)),
                Op::Large(version) => {
                    world.disk.make(Spot::Slot(who, version), Ent::of(version));
                    if script.broken != Broken::LargeUnsynced {
                        world.disk.sync_contents(Ent::of(version));
                    }
                    if script.broken != Broken::StageUnsynced {
                        world.disk.sync_stage(who);
                    }
                }
                Op::Remove => {}
            }
        }
        let saw = ops.iter().map(|(path, _)| self.disk.at(Spot::Tree(*path))).collect();
        let process = world.process_mut(who);
        (process.saw, process.state) = (saw, State::Staged);
        process.begun += 1;
        world
    }

    /// Takes the lock for a commit.
    fn lock(&self, script: &Script, who: u8) -> Self {
        let mut world = self.clone();
        let was_killed = self.sign.is_some_and(|(last, in_order)| last != who && !in_order);
        world.take(who);
        let before = if was_killed && script.broken != Broken::NoRecovery {
            Act::recovery(script.broken, false)
        } else {
            vec![]
        };
        world.process_mut(who).acts = before.into_iter().chain(Act::commit(script.broken)).collect();
        world
    }

    fn take(&mut self, who: u8) {
        self.lock = Some(who);
        self.sign = Some((who, false));
        self.process_mut(who).state = State::Working;
    }

    /// The process is no more, and the kernel gives its lock back.
    pub(crate) fn end(&mut self, who: u8) {
        if self.lock == Some(who) {
            self.lock = None;
        }
        let begun = self.process(who).begun;
        let acts = VecDeque::new();
        *self.process_mut(who) = Process { state: State::Gone, begun, saw: Vec::new(), acts, taken: Vec::new() };
    }

    fn after_a_loss(&self) -> Vec<Self> {
        let mut dark = self.clone();
        dark.losses -= 1;
        (dark.lock, dark.sign) = (None, None);
        (0..u8::try_from(self.processes.len()).unwrap()).for_each(|who| dark.end(who));
        let journals: Vec<Journal> = self.journal.losses().collect();
        let mut worlds = Vec::new();
        for disk in self.disk.losses() {
            for journal in &journals {
                let mut world = Self { disk: disk.clone(), journal: journal.clone(), ..dark.clone() };
                let is_there = disk.names().any(|(_, ent)| ent.version == FOREIGN);
                if matches!(self.foreign, Foreign::There(_)) && !is_there && !self.disk.is_durable(FOREIGN) {
                    world.foreign = Foreign::Lost;
                }
                worlds.push(world);
            }
        }
        worlds
    }

    pub(crate) fn process(&self, who: u8) -> &Process {
        &self.processes[usize::from(who)]
    }

    pub(crate) fn process_mut(&mut self, who: u8) -> &mut Process {
        &mut self.processes[usize::from(who)]
    }
}
