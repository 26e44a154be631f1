//! Every outcome of a small crash, with the contents of each file reduced to the cases that differ in kind.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;

use super::content::Content;
use super::file_log::{Change, FileLog, Torn, Version, Window};
use super::image::Id;
use super::outcome::{Outcome, Outcomes};

/// Files of more sectors than this lose their first or last sector only, not each.
const SINGLE_SECTORS_MAX: usize = 8;
/// Files of more pending writes than this are seen after the first and last few only.
const STEPS_MAX: usize = 8;
/// Inodes of more combinations of metadata than this lose one field at a time only.
const COMBINATIONS_MAX: usize = 8;

/// One choice for one inode: changes of its metadata that survive, and what is left of its contents.
#[derive(Clone)]
struct Choice {
    kept: Vec<u64>,
    torn: Option<Torn>,
}

impl Outcomes {
    /// Every outcome: all combinations of names that can survive together, and for each file that can be found in them
    /// the representative cases of its contents and metadata. `None` where there are more than `limit`.
    #[must_use]
    pub fn exhaustive(&self, limit: usize) -> Option<impl Iterator<Item = Outcome> + use<>> {
        let mut contents = BTreeMap::new();
        let mut all = Vec::new();
        for (kept, moment) in self.survivors(limit)? {
            let choices: Vec<(Id, Vec<Choice>)> =
                self.found(&kept).into_iter().map(|id| (id, self.choices(id, moment, &mut contents))).collect();
            let count = choices.iter().try_fold(1usize, |count, (_, choices)| count.checked_mul(choices.len()))?;
            if all.len().checked_add(count)? > limit {
                return None;
            }
            combine(kept, &choices, &mut all);
        }
        Some(all.into_iter())
    }

    /// The sets of changes of names that can survive together, each with the moment where the journal ends.
    fn survivors(&self, limit: usize) -> Option<Vec<(BTreeSet<u64>, u64)>> {
        if self.is_ordered() {
            let moments = self.moments();
            let names_to = |moment: u64| self.names.range(..=moment).map(|(seq, _)| *seq).collect();
            return (moments.len() <= limit)
                .then(|| moments.into_iter().map(|moment| (names_to(moment), moment)).collect());
        }
        let mut sets = vec![BTreeSet::new()];
        for (seq, change) in &self.names {
            let open = |dep: &&u64| self.names.contains_key(dep);
            let fits = |set: &&BTreeSet<u64>| change.deps.iter().filter(open).all(|dep| set.contains(dep));
            let with = |set: &BTreeSet<u64>| set.iter().copied().chain([*seq]).collect();
            let more: Vec<BTreeSet<u64>> = sets.iter().filter(fits).map(with).collect();
            sets.extend(more);
            // Some of them may come to the same, so a few more than the limit are looked at.
            if sets.len() > limit.saturating_mul(16) {
                return None;
            }
        }
        let mut effects = HashSet::new();
        sets.retain(|set| effects.insert(self.effect(set)));
        (sets.len() <= limit).then(|| sets.into_iter().map(|set| (set, u64::MAX)).collect())
    }

    /// Where the journal may end.
    pub(super) fn moments(&self) -> Vec<u64> {
        let names = self.names.keys().copied();
        let metas = self.metas.values().flat_map(|log| &log.0).filter(|change| !change.implied);
        let files = self.files.values().flat_map(|log| &log.0).filter(|change| matches!(change.change, Change::Len(_)));
        let all: BTreeSet<u64> =
            names.chain(metas.map(|change| change.seq)).chain(files.map(|change| change.seq)).collect();
        [self.floor].into_iter().chain(all.into_iter().filter(|seq| *seq > self.floor)).collect()
    }

    /// The entries that differ from what is certain.
    fn effect(&self, kept: &BTreeSet<u64>) -> BTreeMap<(Id, &OsStr), Option<Id>> {
        let mut effect = BTreeMap::new();
        for edit in kept.iter().filter_map(|seq| self.names.get(seq)).flat_map(|change| &change.edits) {
            effect.insert((edit.dir, edit.name.as_ref()), edit.new);
        }
        effect.retain(|(dir, name), new| self.durable.lookup(*dir, name).unwrap_or(None) != *new);
        effect
    }

    fn choices(&self, id: Id, moment: u64, known: &mut BTreeMap<(Id, Window), Vec<Torn>>) -> Vec<Choice> {
        let implied = self.metas.get(&id).and_then(super::meta_log::MetaLog::implied);
        let with = |kept: &[u64], implied: Option<u64>, torn: Option<&Torn>| Choice {
            kept: kept.iter().copied().chain(implied).collect(),
            torn: torn.cloned(),
        };
        let mut out = Vec::new();
        for kept in self.metadata(id, moment) {
            let Some((log, base)) = self.files.get(&id).zip(self.base(id)) else {
                out.push(with(&kept, None, None));
                out.extend(implied.map(|seq| with(&kept, Some(seq), None)));
                continue;
            };
            let window = self.window(log, moment);
            let cases = known.entry((id, window)).or_insert_with(|| cases(log, base, window, !self.is_ordered()));
            for (place, torn) in cases.iter().enumerate() {
                // The first two are nothing and everything: only they are also seen without the time of the write.
                if place < 2 && implied.is_some() {
                    out.push(with(&kept, None, Some(torn)));
                }
                out.push(with(&kept, implied, Some(torn)));
            }
        }
        out
    }

    /// The combinations of asked-for changes of metadata.
    fn metadata(&self, id: Id, moment: u64) -> Vec<Vec<u64>> {
        let Some(log) = self.metas.get(&id) else { return vec![Vec::new()] };
        let fields = log.by_field();
        if self.is_ordered() {
            return vec![fields.into_iter().flatten().filter(|seq| *seq <= moment).collect()];
        }
        let mut sets = vec![Vec::new()];
        for field in &fields {
            // The last one kept is the one that counts, so each value is one change kept.
            let more: Vec<Vec<u64>> = sets.iter().flat_map(|set| field.iter().map(|seq| also(set, *seq))).collect();
            sets.extend(more);
            if sets.len() > COMBINATIONS_MAX {
                let newest: Vec<u64> = fields.iter().filter_map(|field| field.last().copied()).collect();
                let without = |lost: &u64| newest.iter().copied().filter(|seq| seq != lost).collect();
                return [vec![], newest.clone()].into_iter().chain(newest.iter().map(without)).collect();
            }
        }
        sets
    }
}

fn also(set: &[u64], seq: u64) -> Vec<u64> {
    set.iter().copied().chain([seq]).collect()
}

/// Adds one outcome for every way to take one choice of each inode.
fn combine(kept: BTreeSet<u64>, choices: &[(Id, Vec<Choice>)], into: &mut Vec<Outcome>) {
    let start = into.len();
    into.push(Outcome { kept, both: BTreeSet::new(), files: BTreeMap::new() });
    for (id, choices) in choices {
        let so_far: Vec<Outcome> = into.drain(start..).collect();
        for outcome in &so_far {
            for choice in choices {
                let mut next = outcome.clone();
                next.kept.extend(&choice.kept);
                if let Some(torn) = &choice.torn {
                    next.files.insert(*id, torn.clone());
                }
                into.push(next);
            }
        }
    }
}

/// The ways in which a file may be torn that differ in kind; nothing and everything come first.
fn cases(log: &FileLog, base: &Content, window: Window, zeroed: bool) -> Vec<Torn> {
    let Window { first, last } = window;
    let sectors: Vec<u64> = log.sectors().into_iter().collect();
    let odd = |sectors: &[u64], version| sectors.iter().map(|sector| (*sector, version)).collect();
    let (old, new) = (Version::After(0), Version::After(last));
    let full = log.all(base, window);
    let mut cases = vec![log.none(base, window), full.clone()];
    let near = |step: &usize| last - first <= STEPS_MAX || *step <= first + 2 || *step + 2 >= last;
    cases.extend((first..=last).filter(near).map(|step| log.plain(base, step, Version::After(step))));
    cases.push(log.plain(base, last, old));
    if zeroed {
        cases.push(log.plain(base, last, Version::Zeroed));
    }
    cases.push(log.plain(base, first, new));
    let (front, back) = sectors.split_at(sectors.len().div_ceil(2));
    cases.extend([front, back].map(|half| Torn { odd: odd(half, old), ..full.clone() }));
    let lost =
        if sectors.len() <= SINGLE_SECTORS_MAX { &sectors[..] } else { &[sectors[0], sectors[sectors.len() - 1]] };
    cases.extend(lost.iter().map(|sector| Torn { odd: odd(&[*sector], old), ..full.clone() }));
    // Half the growth, or half the cut of a file that still has what is beyond it; in whole sectors.
    let (before, after) = (log.len_at(base, first), full.len);
    let between = before.midpoint(after) / 512 * 512;
    let (shortest, longest) = (before.min(after), before.max(after));
    if shortest < between && between < longest {
        let source = if before < after { full } else { log.plain(base, first, new) };
        cases.push(Torn { len: between, ..source });
    }
    let mut seen = Vec::new();
    cases.retain(|torn| {
        let built = log.build(base, torn);
        let fresh = !seen.contains(&built);
        if fresh {
            seen.push(built);
        }
        fresh
    });
    cases
}
