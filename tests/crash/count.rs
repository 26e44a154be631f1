//! What was explored, and what need not be explored again.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

/// What was explored.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) explorations: u64,
    pub(crate) cuts: u64,
    /// Of these, so many come when all of it was acknowledged.
    pub(crate) acknowledged: u64,
    /// Of the crashes, a cut under a profile each, those of which all outcomes were taken.
    pub(crate) exhausted: u64,
    /// Those of which the extremes, what differs from them in one thing, and a draw were taken.
    pub(crate) sampled: u64,
    pub(crate) states: u64,
    /// Of these, so many have an entry under both names of a rename.
    pub(crate) split: u64,
    /// Of these, so many were no disk, with the same to hold, that had been judged: they were recovered.
    pub(crate) distinct: u64,
    /// How many cuts leave a state that recovery has work in.
    pub(crate) with_work: u64,
    /// How many recoveries were cut at every call, and so many times.
    pub(crate) nests: u64,
    pub(crate) nested_cuts: u64,
    pub(crate) nested_states: u64,
    pub(crate) nested_distinct: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: &Self) {
        self.explorations += other.explorations;
        self.cuts += other.cuts;
        self.acknowledged += other.acknowledged;
        self.exhausted += other.exhausted;
        self.sampled += other.sampled;
        self.states += other.states;
        self.split += other.split;
        self.distinct += other.distinct;
        self.with_work += other.with_work;
        self.nests += other.nests;
        self.nested_cuts += other.nested_cuts;
        self.nested_states += other.nested_states;
        self.nested_distinct += other.nested_distinct;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, exhausted, sampled, states, distinct, .. } = self;
        let Self { nests, nested_cuts, nested_states, nested_distinct, .. } = self;
        let percent = 100 * exhausted / (exhausted + sampled).max(1);
        write!(f, "{cuts} cuts, {exhausted} crashes exhausted and {sampled} sampled ({percent} % exhausted), ")?;
        let split =
            if self.split > 0 { format!(" ({} with both names of a rename)", self.split) } else { String::new() };
        write!(f, "{states} states{split}, {distinct} distinct and recovered; inside {nests} recoveries ")?;
        write!(f, "{nested_cuts} cuts, {nested_states} states, {nested_distinct} distinct and recovered")
    }
}

/// All that this process has explored.
static TOTAL: Mutex<Option<Count>> = Mutex::new(None);

/// Notes an exploration.
pub(crate) fn add_to_total(count: &Count) {
    TOTAL.lock().unwrap().get_or_insert_default().add(count);
}

/// Says how much this process has explored so far: the last such line of a run is its total.
pub(crate) fn say_total() {
    let mut total = TOTAL.lock().unwrap();
    let total = total.get_or_insert_default();
    let shard = std::env::var("TREEWAL_CRASH_SHARD").map_or_else(|_| String::new(), |shard| format!(", shard {shard}"));
    println!("total so far{shard}: {} explorations, {total}", total.explorations);
}

/// Whether an exploration is in the share of this process: `TREEWAL_CRASH_SHARD=3/8` takes an eighth of the catalogue, the same
/// in each run. A long run that was ended goes on with the share that it was in.
pub(crate) fn is_mine(name: &str) -> bool {
    let Ok(shard) = std::env::var("TREEWAL_CRASH_SHARD") else { return true };
    let numbers = shard.split_once('/').and_then(|(one, of)| Some((one.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
    let Some((one, of)) = numbers.filter(|(one, of)| (1..=*of).contains(one)) else {
        panic!("TREEWAL_CRASH_SHARD is {shard}, not like 3/8")
    };
    hash(&name) % of == one - 1
}

/// Whether this process explores only a share.
pub(crate) fn is_share() -> bool {
    std::env::var_os("TREEWAL_CRASH_SHARD").is_some()
}

const SHARDS: usize = 64;

/// What was judged by this process, by hash: of all explorations, so that what two have in common is counted once.
static JUDGED: LazyLock<Vec<Mutex<HashSet<u64>>>> = LazyLock::new(|| (0..SHARDS).map(|_| Mutex::default()).collect());

/// How many disks this process has recovered and judged, each another by hash or with something else to hold.
static RECOVERED: AtomicU64 = AtomicU64::new(0);

/// A long run says from time to time how far it is.
const SAY_EVERY: u64 = 100_000;

/// Whether this disk is to be recovered and judged by this measure: nobody has yet.
pub(crate) fn is_to_recover(digest: u64, measure: u64) -> bool {
    let is_new = is_new(digest, measure);
    if is_new {
        let recovered = RECOVERED.fetch_add(1, Ordering::Relaxed) + 1;
        if recovered % SAY_EVERY == 0 {
            println!("{recovered} distinct disks recovered");
        }
    }
    is_new
}

/// Whether nobody has judged this disk by this measure yet; from now on somebody has.
pub(crate) fn is_new(digest: u64, measure: u64) -> bool {
    let key = hash(&(digest, measure));
    let shard = usize::try_from(key % SHARDS as u64).unwrap();
    JUDGED[shard].lock().unwrap().insert(key)
}

pub(crate) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
