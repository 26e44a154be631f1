//! The trap of the page cache: a sync fails once, what it should have covered is seen and on no disk, and the next sync says
//! that all is well. So what was said is asked of the disk at each moment at which it was said: right after each call has
//! returned, right after the close, which may sync what a call had left, and right after the next opening, which may take what
//! it sees for what is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use treewal::{Error, Options, Outcome, Tree};
use treewal_vfs::sim::{Lose, Profile, SimDisk};

use crate::guards::vandalise;
use crate::seen::{Seen, look};
use crate::world::{Body, ROOT, assert_among, assert_reopens, options};

/// One call of the library, or a guard with what is done under it.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Commit(Body),
    Checkpoint,
    Sync,
    /// Of these paths; ended by a commit or not.
    Guard(&'static [&'static str], bool),
    Snapshot,
    Restore,
    Forget,
}

/// What is done to a tree, from its opening to its close.
pub(crate) struct Story {
    pub(crate) name: String,
    pub(crate) base: SimDisk,
    pub(crate) options: Options,
    /// What the opening alone makes of it.
    pub(crate) opened: Seen,
    pub(crate) acts: Vec<Act>,
    /// A commit may wait for the next checkpoint before it is durable.
    pub(crate) deferred: bool,
}

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    /// Syncs that failed.
    pub(crate) syncs: u64,
    /// Calls that said so, or that something else did not work.
    pub(crate) refused: u64,
    /// Different disks after a loss of power.
    pub(crate) lost: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.syncs += other.syncs;
        self.refused += other.refused;
        self.lost += other.lost;
    }
}

const SNAPSHOT: &str = "kept";

/// Whether all is asked for: the environment variable `TREEWAL_TRAP=all`.
pub(crate) fn is_all() -> bool {
    std::env::var("TREEWAL_TRAP").is_ok_and(|value| value == "all")
}

/// What may be found from now on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    /// The states of the story that the tree may be in.
    trees: BTreeSet<usize>,
    /// Of which state there is a snapshot, and whether it must be there, or may be.
    snapshot: Option<(usize, bool)>,
    /// A commit is not durable yet: until it is, nothing is said of a loss of power.
    put_off: bool,
}

/// A run of a story in which one sync fails.
struct Run<'a> {
    story: &'a Story,
    states: &'a [Seen],
    said: Said,
    sim: SimDisk,
    count: Count,
    /// What was judged already, by what was asked of it.
    judged: &'a mut BTreeSet<(u64, Said)>,
}

/// Tells the story once for each of its syncs, which fails.
pub(crate) fn every_sync_of(story: &Story) -> Count {
    let states = states(story);
    let (mut count, mut judged) = (Count::default(), BTreeSet::new());
    for lose in [Lose::All, Lose::Contents] {
        count.add(every_sync_losing(story, &states, lose, &mut judged));
    }
    count
}

fn every_sync_losing(story: &Story, states: &[Seen], lose: Lose, judged: &mut BTreeSet<(u64, Said)>) -> Count {
    let mut count = Count::default();
    for at in 1.. {
        let sim = story.base.remount();
        sim.set_failed_syncs(lose);
        let syncs = sim.syncs();
        sim.fail_sync_at(Some(at));
        let said = Said { trees: BTreeSet::from([0]), snapshot: None, put_off: false };
        let mut run = Run { story, states, said, sim, count: Count::default(), judged };
        run.play(&format!("{}, sync {at} fails, losing {lose:?}", story.name));
        if run.sim.syncs() - syncs < at {
            assert!(at > 1 && run.count.refused == 0, "{}: refused without a reason", story.name);
            return count;
        }
        run.sim.fail_sync_at(None);
        // A file system that has lost names, or metadata, goes on for nobody.
        if lose == Lose::Contents {
            run.reopen(&format!("{}, sync {at} failed", story.name));
        }
        count.add(Count { syncs: 1, ..run.count });
    }
    count
}

/// The tree after the opening and after each act, where no sync fails.
fn states(story: &Story) -> Vec<Seen> {
    let sim = story.base.remount();
    let tree = story.options.open_on(Arc::new(sim.clone()), ROOT).unwrap();
    let mut states = vec![look(&sim, ROOT)];
    assert_among(&states[0], &[&story.opened], &story.name);
    for act in &story.acts {
        take(act, &tree, &sim, &mut |_| {}).unwrap();
        states.push(look(&sim, ROOT));
    }
    states
}

fn take(act: &Act, tree: &Tree, sim: &SimDisk, between: &mut dyn FnMut(&str)) -> treewal::Result<()> {
    match act {
        Act::Commit(body) => tree.transaction(body),
        Act::Checkpoint => tree.checkpoint(),
        Act::Sync => tree.sync(),
        Act::Guard(paths, commit) => {
            let guard = tree.guard(*paths)?;
            between("guarded");
            vandalise(sim);
            between("changed under the guard");
            if *commit { guard.commit() } else { guard.rollback() }
        }
        Act::Snapshot => tree.snapshot(SNAPSHOT).map(drop),
        Act::Restore => tree.restore(&tree.find_snapshot(SNAPSHOT)?).map(drop),
        Act::Forget => tree.remove_snapshot(SNAPSHOT),
    }
}

impl Run<'_> {
    fn play(&mut self, at: &str) {
        let tree = match self.story.options.open_on(Arc::new(self.sim.clone()), ROOT) {
            Ok(tree) => tree,
            Err(error) => {
                self.count.refused += 1;
                return self.lose(&format!("{at}, not opened: {error:?}"));
            }
        };
        self.lose(&format!("{at}, opened"));
        for (n, act) in self.story.acts.iter().enumerate() {
            let sim = self.sim.clone();
            let result = take(act, &tree, &sim, &mut |moment| self.lose(&format!("{at}, act {n}, {moment}")));
            let at = format!("{at}, act {n}: {result:?}");
            self.note(act, n + 1, result.as_ref().err().map(Error::outcome));
            self.lose(&at);
            // What comes behind a change that was refused would be another story.
            if result.is_err() && !matches!(act, Act::Checkpoint | Act::Sync) {
                break;
            }
        }
        drop(tree);
        self.lose(&format!("{at}, closed"));
    }

    /// What may be found after an act that was to lead to the state `to`.
    fn note(&mut self, act: &Act, to: usize, outcome: Option<Outcome>) {
        self.count.refused += u64::from(outcome.is_some());
        match (act, outcome) {
            (Act::Commit(_), _) => self.said.put_off = self.story.deferred,
            (_, None) => self.said.put_off = false,
            _ => {}
        }
        match outcome {
            None => self.said.trees = BTreeSet::from([to]),
            Some(Outcome::Unchanged | Outcome::RolledBack) => {}
            Some(_) => drop(self.said.trees.insert(to)),
        }
        match (act, outcome) {
            (Act::Snapshot, _) => self.said.snapshot = Some((to, outcome.is_none())),
            (Act::Forget, None) => self.said.snapshot = None,
            (Act::Forget, Some(_)) => self.said.snapshot.iter_mut().for_each(|(_, must)| *must = false),
            _ => {}
        }
    }

    /// The power goes at this moment, in every way that has a name and some that are drawn.
    fn lose(&mut self, at: &str) {
        let profiles = [Profile::Strict, Profile::Ordered, Profile::Grouped];
        for profile in profiles.into_iter().filter(|_| !self.said.put_off) {
            let all = self.sim.outcomes(profile);
            let drawn = all.sample(self.sim.mutations(), if is_all() { 12 } else { 2 });
            for outcome in all.named().into_iter().chain(drawn) {
                let lost = self.sim.after(&outcome);
                if self.judged.insert((lost.digest(), self.said.clone())) {
                    self.count.lost += 1;
                    self.judge(&lost, &format!("{at}, power lost, {profile:?}: {}", self.sim.describe(&outcome)));
                }
            }
        }
    }

    /// The next process opens the tree, on the same boot and with the same page cache.
    fn reopen(&mut self, at: &str) {
        let at = format!("{at}, opened again");
        drop(options(treewal::Durability::Journal).open_on(Arc::new(self.sim.clone()), ROOT).unwrap());
        let wanted: Vec<&Seen> = self.said.trees.iter().map(|state| &self.states[*state]).collect();
        assert_among(&look(&self.sim, ROOT), &wanted, &at);
        // All that was put off is settled now.
        self.said.put_off = false;
        self.lose(&at);
    }

    fn judge(&self, lost: &SimDisk, at: &str) {
        let wanted: Vec<&Seen> = self.said.trees.iter().map(|state| &self.states[*state]).collect();
        let again = lost.remount();
        assert_reopens(lost, &wanted, at);
        if !self.story.acts.iter().any(|act| matches!(act, Act::Snapshot)) {
            return;
        }
        let tree = options(treewal::Durability::Journal).open_on(Arc::new(again.clone()), ROOT).unwrap();
        let snapshots = tree.snapshots().unwrap_or_else(|error| panic!("{at}: snapshots: {error:?}"));
        match (self.said.snapshot, snapshots.first()) {
            (Some((state, _)), Some(snapshot)) => {
                tree.restore(snapshot).unwrap_or_else(|error| panic!("{at}: restore: {error:?}"));
                assert_among(&look(&again, ROOT), &[&self.states[state]], &format!("{at}, restored"));
            }
            (said, None) => assert!(said.is_none_or(|(_, must)| !must), "{at}: the snapshot is gone"),
            (None, Some(snapshot)) => panic!("{at}: a snapshot that nobody asked for: {}", snapshot.name()),
        }
    }
}
