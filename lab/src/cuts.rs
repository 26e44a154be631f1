//! Which disks a loss of power may leave: pure, from a recording to images.
//!
//! At any moment of a recording some writes are *covered*: they were done before a flush that is done. The rest is
//! *open*: each open write may be there, be missing, or be there in part, sector by sector, whatever the others do.

use std::collections::BTreeMap;

use crate::image::{Image, mix};
use crate::log::{Event, Mark, Recording, Write};

/// What becomes of the open writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None of them is there.
    Lost,
    /// All of them are.
    Kept,
    /// All but the newest, of which some sectors are.
    Torn(u64),
    /// Drawn for each by this number.
    Mixed(u64),
}

/// How many steps a tree may be after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

/// A cut: a moment of the recording, and what becomes of what was open then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// How many events came before the power went.
    pub(crate) at: usize,
    pub(crate) fate: Fate,
    pub(crate) bounds: Bounds,
}

impl Fate {
    /// Whether a write may be there in part.
    pub(crate) fn may_tear(self) -> bool {
        matches!(self, Self::Torn(_) | Self::Mixed(_))
    }
}

/// How far an enumeration goes, and what the disk is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) seed: u64,
    /// Mixed fates at each flush.
    pub(crate) mixed: u64,
    /// What is never torn itself: a sector, or a page.
    pub(crate) grain: usize,
    /// A control: nothing is ever covered, as on a disk that ignores flushes.
    pub(crate) is_deaf: bool,
    /// Where a file system keeps a block that it cannot do without, has once, and takes to be written whole or not at
    /// all: byte offset and length. Such a write is lost or kept, never torn.
    pub(crate) whole: &'static [(u64, u64)],
}

/// Where a replay stands.
struct Moment<'a> {
    at: usize,
    covered: Image,
    open: BTreeMap<usize, (&'a Write, bool)>,
    bounds: Bounds,
}

/// Every image that the rules lead to, once, with the narrowest bounds of all cuts that lead to it. `found` are the steps
/// that the tree was after when a recovery in the recording had said that it was done.
pub(crate) fn enumerate(recording: &Recording, rules: Rules, bounds: Bounds, found: Option<usize>) -> Vec<Cut> {
    let mut images: BTreeMap<u64, Cut> = BTreeMap::new();
    replay(recording, rules, bounds, found, &mut |moment, fates| {
        for fate in fates {
            let cut = Cut { at: moment.at, fate: *fate, bounds: moment.bounds };
            let known = images.entry(image_after(moment, *fate, rules).sum()).or_insert(cut);
            known.bounds.least = known.bounds.least.max(cut.bounds.least);
            known.bounds.most = known.bounds.most.min(cut.bounds.most);
        }
        true
    });
    let mut cuts: Vec<Cut> = images.into_values().collect();
    cuts.sort_by_key(|cut| cut.at);
    cuts
}

/// At most `max` of the cuts, in order: a third of them where everything open is lost or kept, the others of every kind.
pub(crate) fn sample(cuts: &[Cut], max: usize, seed: u64) -> Vec<Cut> {
    let mut order: Vec<usize> = (0..cuts.len()).collect();
    order.sort_by_key(|n| mix(seed ^ mix(*n as u64)));
    let plain = |n: &usize| matches!(cuts[*n].fate, Fate::Lost | Fate::Kept);
    let (first, rest): (Vec<usize>, Vec<usize>) = order.into_iter().partition(plain);
    let quota = (max / 3).max(max.saturating_sub(rest.len())).min(first.len());
    let mut chosen: Vec<usize> = first[..quota].iter().chain(&rest).take(max).copied().collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|n| cuts[n]).collect()
}

/// Makes the images of some cuts, which are in order, and hands each over; ends early where `each` gives `false`.
pub(crate) fn images(recording: &Recording, rules: Rules, cuts: &[Cut], mut each: impl FnMut(&Cut, Image) -> bool) {
    let mut left = cuts.iter().peekable();
    replay(recording, rules, Bounds { least: 0, most: 0 }, None, &mut |moment, _| {
        while let Some(cut) = left.next_if(|cut| cut.at == moment.at) {
            if !each(cut, image_after(moment, cut.fate, rules)) {
                return false;
            }
        }
        true
    });
}

/// Walks through a recording. `visit` is told of each moment at which the power may go, and of the fates to try there.
fn replay(
    recording: &Recording,
    rules: Rules,
    bounds: Bounds,
    found: Option<usize>,
    visit: &mut dyn FnMut(&Moment<'_>, &[Fate]) -> bool,
) {
    let mut moment = Moment { at: 0, covered: recording.base.clone(), open: BTreeMap::new(), bounds };
    for (n, event) in recording.events.iter().enumerate() {
        let draw = |what: u64| mix(rules.seed ^ mix(n as u64 ^ what << 48));
        let mut fates = Vec::new();
        match event {
            Event::Write(write) => {
                moment.open.insert(n, (write, false));
                fates.push(Fate::Kept);
                if draw(1) % 3 == 0 {
                    fates.push(Fate::Torn(draw(2)));
                }
                if draw(3) % 6 == 0 {
                    fates.push(Fate::Mixed(draw(4)));
                }
            }
            Event::Done(place) => {
                moment.open.entry(*place).and_modify(|(_, done)| *done = true);
                continue;
            }
            Event::Flush => {
                // Just before it is done, everything may still be lost.
                moment.at = 2 * n;
                let before: Vec<Fate> = (0..rules.mixed).map(|k| Fate::Mixed(draw(16 + k))).collect();
                if !visit(&moment, &[&[Fate::Lost, Fate::Kept], &before[..]].concat()) {
                    return;
                }
                if !rules.is_deaf {
                    cover(&mut moment);
                }
                fates.extend([Fate::Lost, Fate::Kept]);
            }
            Event::Mark(mark) => {
                match mark {
                    Mark::Begin(step) => moment.bounds.most = *step,
                    Mark::Ack(step) => moment.bounds.least = *step,
                    Mark::Recovered => {
                        moment.bounds = found.map_or(moment.bounds, |step| Bounds { least: step, most: step });
                    }
                    Mark::Stop => return,
                }
                fates.extend([Fate::Lost, Fate::Kept]);
            }
        }
        moment.at = 2 * n + 1;
        if !visit(&moment, &fates) {
            return;
        }
    }
}

/// Moves every write that is done to what is there for good.
fn cover(moment: &mut Moment<'_>) {
    for (write, _) in moment.open.values().filter(|(_, done)| *done) {
        moment.covered.write(write.offset, &write.data);
    }
    moment.open.retain(|_, (_, done)| !*done);
}

fn image_after(moment: &Moment<'_>, fate: Fate, rules: Rules) -> Image {
    let mut image = moment.covered.clone();
    let last = moment.open.len().saturating_sub(1);
    for (n, (write, _)) in moment.open.values().enumerate() {
        match fate {
            Fate::Lost => break,
            Fate::Torn(seed) if n == last => tear(&mut image, write, rules, seed),
            Fate::Kept | Fate::Torn(_) => image.write(write.offset, &write.data),
            Fate::Mixed(seed) => match mixed(seed, n, moment.open.len()) {
                Part::None => {}
                Part::All => image.write(write.offset, &write.data),
                Part::Some(seed) => tear(&mut image, write, rules, seed),
            },
        }
    }
    image
}

enum Part {
    None,
    All,
    Some(u64),
}

/// What becomes of the `n`th of several open writes: one style for all of them, drawn by `seed`.
fn mixed(seed: u64, n: usize, of: usize) -> Part {
    let draw = mix(seed ^ mix(n as u64));
    let one = usize::try_from(seed >> 8).unwrap() % of;
    match seed % 8 {
        // All but one, one alone, those up to one with that one torn.
        0 => {
            if n == one {
                Part::None
            } else {
                Part::All
            }
        }
        1 => {
            if n == one {
                Part::All
            } else {
                Part::None
            }
        }
        2 => {
            if n < one {
                Part::All
            } else if n == one {
                Part::Some(draw)
            } else {
                Part::None
            }
        }
        // Each for itself, mostly lost, half, mostly kept.
        style => {
            let kept = [10, 30, 50, 70, 90][usize::try_from(style - 3).unwrap()];
            match draw % 100 {
                roll if roll < kept => Part::All,
                roll if roll >= 92 => Part::Some(draw >> 8),
                _ => Part::None,
            }
        }
    }
}

/// Keeps some sectors of a write, which begins where a sector does: the first few, the last few, or any.
fn tear(image: &mut Image, write: &Write, rules: Rules, seed: u64) {
    let end = write.offset + write.data.len() as u64;
    if rules.whole.iter().any(|(offset, bytes)| write.offset < offset + bytes && *offset < end) {
        if seed % 2 == 0 {
            image.write(write.offset, &write.data);
        }
        return;
    }
    let sectors = write.data.chunks(rules.grain);
    let at = mix(seed) % (sectors.len() as u64 + 1);
    for (n, sector) in sectors.enumerate() {
        let n = n as u64;
        let is_kept = match seed % 3 {
            0 => n < at,
            1 => n >= at,
            _ => mix(seed ^ mix(n)) % 2 == 0,
        };
        if is_kept {
            image.write(write.offset + n * rules.grain as u64, sector);
        }
    }
}

#[cfg(test)]
mod tests;
