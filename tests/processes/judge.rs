//! What must hold when all have ended: every acknowledged commit is there, nothing is half, nothing is left over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use treewal::Tree;

use crate::contents::generation;
use crate::worker::{GUARDED, OWN, PUBLISHED, SHARED, own, record};

/// How many segments, begun or made ready, a journal at rest has at most, with a spare file.
const SEGMENTS_MAX: usize = 3;

/// Nothing is left over, and an opening finds nothing to do.
pub(crate) fn at_rest(dir: &Path) -> Result<(), String> {
    let names = |sub: &str| -> Vec<String> {
        let entries = fs::read_dir(dir.join(".treewal").join(sub)).unwrap();
        entries.map(|entry| format!("{sub}/{}", entry.unwrap().file_name().to_string_lossy())).collect()
    };
    let left: Vec<String> = ["stage", "guards", "quarantine"].iter().flat_map(|sub| names(sub)).collect();
    if !left.is_empty() || names("journal").len() > SEGMENTS_MAX {
        return Err(format!("left over: {left:?}, {:?}", names("journal")));
    }
    let tree = Tree::open(dir).map_err(|error| format!("cannot open: {error:?}"))?;
    let report = tree.recovery();
    if report.is_clean() && report.transactions.is_empty() { Ok(()) } else { Err(format!("not at rest: {report}")) }
}

/// What the processes wrote down.
#[derive(Default)]
struct Told {
    /// For each kind of deed, by number: whether it was acknowledged (`Some(true)`), failed (`Some(false)`), or nobody knows.
    deeds: BTreeMap<String, BTreeMap<u64, Option<bool>>>,
}

impl Told {
    fn read(dir: &Path, id: u64) -> Self {
        let mut told = Self::default();
        for line in fs::read_to_string(record(dir, id)).unwrap_or_default().lines() {
            let (what, number) = line.rsplit_once(' ').unwrap();
            let (word, kind) = what.split_once(' ').unwrap();
            let end = match word {
                "ack" => Some(true),
                "not" | "undo" => Some(false),
                _ => None,
            };
            told.deeds.entry(kind.to_owned()).or_default().insert(number.parse().unwrap(), end);
        }
        told
    }

    fn acknowledged(&self) -> usize {
        self.deeds.values().flat_map(BTreeMap::values).filter(|end| **end == Some(true)).count()
    }

    /// Whether files that were written over and over may be of this generation.
    fn allows(&self, kind: &str, generation: u64) -> Result<(), String> {
        let nothing = BTreeMap::new();
        let deeds = self.deeds.get(kind).unwrap_or(&nothing);
        let last = deeds.iter().filter(|(_, end)| **end == Some(true)).map(|(number, _)| *number).max().unwrap_or(0);
        let open = generation > last && deeds.get(&generation) == Some(&None);
        if generation == last || open {
            return Ok(());
        }
        Err(format!("{kind} is of generation {generation}, and {last} was acknowledged"))
    }
}

/// Whether files of a process may be of this generation, by what it has written down.
pub(crate) fn allows(dir: &Path, id: u64, kind: &str, generation: u64) -> Result<(), String> {
    Told::read(dir, id).allows(kind, generation)
}

/// Judges what stands in the tree; gives how many commits were acknowledged.
pub(crate) fn judge(dir: &Path, ids: std::ops::Range<u64>) -> Result<usize, String> {
    let told: BTreeMap<u64, Told> = ids.clone().map(|id| (id, Told::read(dir, id))).collect();
    for id in ids {
        for (kind, names) in [("own", &OWN[..]), ("guarded", &GUARDED[..]), ("published", &PUBLISHED[..])] {
            let mut found = names.iter().map(|name| {
                let bytes =
                    fs::read(dir.join(own(id)).join(name)).map_err(|error| format!("{name} of {id}: {error}"))?;
                generation(name, &bytes).ok_or_else(|| format!("{name} of {id} is torn: {} bytes", bytes.len()))
            });
            let first = found.next().unwrap()?;
            for other in found {
                let other = other?;
                if other != first {
                    return Err(format!("{kind} of {id} is half of generation {first}, half of {other}"));
                }
            }
            told[&id].allows(kind, first).map_err(|error| format!("process {id}: {error}"))?;
        }
    }
    for counter in 0..SHARED {
        judge_shared(dir, counter, &told)?;
    }
    Ok(told.values().map(Told::acknowledged).sum())
}

/// The counter is as many as have counted; each acknowledged deed is there once, and none that nobody tried.
fn judge_shared(dir: &Path, counter: u64, told: &BTreeMap<u64, Told>) -> Result<(), String> {
    let read = |name: String| fs::read_to_string(dir.join("shared").join(name)).unwrap();
    let (count, log) = (read(format!("count{counter}")), read(format!("log{counter}")));
    if log.lines().count().to_string() != count {
        return Err(format!("counter {counter} is {count}, and {} have counted", log.lines().count()));
    }
    let mut seen: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    for line in log.lines() {
        let (id, number) = line.split_once(' ').unwrap();
        *seen.entry((id.parse().unwrap(), number.parse().unwrap())).or_default() += 1;
    }
    for (id, told) in told {
        let Some(deeds) = told.deeds.get(&format!("shared {counter}")) else { continue };
        for (number, end) in deeds {
            let times = seen.remove(&(*id, *number)).unwrap_or(0);
            let fits = match end {
                Some(acknowledged) => times == u32::from(*acknowledged),
                None => times <= 1,
            };
            if !fits {
                return Err(format!(
                    "deed {number} of {id} on counter {counter} ended {end:?}, and is there {times} times"
                ));
            }
        }
    }
    if seen.is_empty() { Ok(()) } else { Err(format!("nobody did {:?}", seen.keys().next())) }
}
