//! What was tried, and whether it was what was meant.

use std::collections::BTreeMap;

use crate::fault::Point;

/// How often a point is tried again whose call did not come.
const TRIES_MORE: usize = 9;

#[derive(Default)]
pub(crate) struct Tally {
    /// By kind: tried, and struck where it was meant to.
    tried: BTreeMap<String, (u64, u64)>,
    /// Points whose call did not come, or came in another place, each time it was tried, by the name of the call.
    missed: BTreeMap<String, u64>,
    /// How often such a point was tried again.
    again: BTreeMap<String, u64>,
    /// How the program ended; `None`: killed.
    codes: BTreeMap<Option<i32>, u64>,
    failed: Vec<String>,
}

impl Tally {
    /// Tries a point. Files are prepared and synced by several threads: a call that another one made this time, or that came
    /// in another place, is tried again.
    pub(crate) fn count(&mut self, kind: &str, point: &Point, mut once: impl FnMut(&mut Self) -> (Option<i32>, bool)) {
        let (mut code, mut hit) = once(self);
        let name = point.meant.as_ref().map(|meant| meant.name.clone());
        for _ in 0..TRIES_MORE {
            let Some(name) = name.as_ref().filter(|_| !hit) else { break };
            *self.again.entry(name.clone()).or_default() += 1;
            (code, hit) = once(self);
        }
        let (tried, hits) = self.tried.entry(kind.to_owned()).or_default();
        *tried += 1;
        *hits += u64::from(hit);
        *self.codes.entry(code).or_default() += 1;
        if let Some(name) = name.filter(|_| !hit) {
            *self.missed.entry(name).or_default() += 1;
        }
    }

    pub(crate) fn judged(&mut self, verdict: Result<(), String>, what: impl FnOnce() -> String) {
        if let Err(error) = verdict {
            self.failed.push(format!("{}: {error}", what()));
        }
    }

    /// At least 99 of 100 faults struck the call that was meant, before any other. Limits on files are meant for no call.
    pub(crate) fn end(self, what: &str) {
        for (kind, (tried, hits)) in &self.tried {
            println!("{what}: {kind}: {tried} tried, {hits} took effect");
        }
        println!("{what}: tried again: {:?}; never where it was meant: {:?}", self.again, self.missed);
        println!("{what}: exit codes {:?}", self.codes);
        let failed: Vec<&str> = self.failed.iter().take(12).map(String::as_str).collect();
        assert!(failed.is_empty(), "{} failed, the first of them:\n{}", self.failed.len(), failed.join("\n\n"));
        let sum = |part: fn(&(u64, u64)) -> u64| self.tried.values().map(part).sum::<u64>();
        let (tried, hits, missed) = (sum(|both| both.0), sum(|both| both.1), self.missed.values().sum::<u64>());
        // One command alone may have few syncs.
        let least = if std::env::var_os("TREEWAL_CALLS_COMMAND").is_some() { 0 } else { 15 };
        assert!(hits > least, "trying next to nothing proves nothing");
        // A survey may have seen a call that nearly always another thread makes; of a few points, one may be meant for it.
        assert!(
            missed <= (tried / 100).max(1),
            "{missed} of {tried} faults struck elsewhere, or nowhere: {:?}",
            self.missed
        );
    }
}
