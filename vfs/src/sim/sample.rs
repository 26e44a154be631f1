//! Outcomes drawn at random, the same ones for the same seed.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Content;
use super::file_log::{FileLog, Torn, Version};
use super::outcome::{Outcome, Outcomes};

/// `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = (high - low).saturating_add(1);
        low + self.next() % width
    }

    fn step(&mut self, low: usize, high: usize) -> usize {
        low + super::content::to_usize(self.between(0, (high - low) as u64))
    }

    /// True `of` times in eight.
    fn chance(&mut self, of: u64) -> bool {
        self.next() % 8 < of
    }
}

impl Outcomes {
    /// `count` outcomes at random. Some are close to nothing, some close to everything; the same may come twice.
    pub fn sample(&self, seed: u64, count: usize) -> impl Iterator<Item = Outcome> + '_ {
        let mut random = Random(seed);
        (0..count).map(move |_| self.draw(&mut random))
    }

    fn draw(&self, random: &mut Random) -> Outcome {
        let moments = self.moments();
        let moment = if self.is_ordered() { moments[random.step(0, moments.len() - 1)] } else { u64::MAX };
        let mut kept = self.draw_names(random, moment);
        let found = self.found(&kept);
        let mut files = BTreeMap::new();
        for id in found {
            for change in self.metas.get(&id).into_iter().flat_map(|log| &log.0) {
                let survives =
                    if self.is_ordered() && !change.implied { change.seq <= moment } else { random.chance(4) };
                if survives {
                    kept.insert(change.seq);
                }
            }
            if let Some((log, base)) = self.files.get(&id).zip(self.base(id)) {
                files.insert(id, self.draw_file(random, log, base, moment));
            }
        }
        Outcome { kept, both: BTreeSet::new(), files }
    }

    fn draw_names(&self, random: &mut Random, moment: u64) -> BTreeSet<u64> {
        if self.is_ordered() {
            return self.names.range(..=moment).map(|(seq, _)| *seq).collect();
        }
        let of = [1, 4, 6, 7, 8][random.step(0, 4)];
        let mut kept = BTreeSet::new();
        for (seq, change) in &self.names {
            let lost = |dep: &u64| self.names.contains_key(dep) && !kept.contains(dep);
            if random.chance(of) && !change.deps.iter().any(lost) {
                kept.insert(*seq);
            }
        }
        kept
    }

    fn draw_file(&self, random: &mut Random, log: &FileLog, base: &Content, moment: u64) -> Torn {
        let window = self.window(log, moment);
        let (first, last) = (window.first, window.last);
        let step = random.step(first, last);
        let mut torn = match random.between(0, 7) {
            0 => return log.none(base, window),
            1 => return log.all(base, window),
            2 => return log.plain(base, step, Version::After(step)),
            3 => log.plain(base, last, Version::After(0)),
            4 if !self.is_ordered() => log.plain(base, last, Version::Zeroed),
            _ => log.plain(base, step, Version::After(random.step(0, last))),
        };
        if torn.step < last && random.chance(3) {
            let (here, there) = (torn.len, log.len_at(base, torn.step + 1));
            torn.len = random.between(here.min(there), here.max(there));
        }
        let of = random.between(0, 8);
        for sector in log.sectors() {
            if random.chance(of) {
                let zeroed = !self.is_ordered() && random.chance(1);
                let version = if zeroed { Version::Zeroed } else { Version::After(random.step(0, last)) };
                torn.odd.insert(sector, version);
            }
        }
        torn
    }
}
