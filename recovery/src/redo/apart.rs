//! Many transactions redone as one and, where that fails, apart: what keeps one of them from its end keeps no other.

use super::{Part, Redone, redo};
use crate::Result;
use crate::home::Home;
use crate::reach::Reach;

/// So many times a part of the transactions is tried by itself; what is left then is owed together. Each try looks
/// through the stages, so it must not be one for each of thousands.
const TRIES_MAX: u32 = 64;

/// Transactions that were redone together, and what came of it.
pub type Group<'a> = (Vec<Part<'a>>, Result<Redone>);

/// Brings the tree to what `parts` say, oldest first. All at once; what fails, in halves, down to those that touch each
/// other's paths. Each try is as good as a recovery that was cut short and came again.
///
/// # Errors
/// Those of a group are in its result.
#[must_use]
pub fn redo_apart<'a>(home: &Home, parts: &[Part<'a>], copied: bool) -> Vec<Group<'a>> {
    let mut done = Vec::new();
    let whole = redo(home, parts, copied);
    if whole.is_ok() || parts.len() < 2 {
        done.push((parts.to_vec(), whole));
        return done;
    }
    let reaches: Vec<Reach> = parts.iter().map(|part| Reach::of_intents(part.intents)).collect();
    let groups: Vec<Vec<Part<'a>>> = Reach::groups(&reaches)
        .into_iter()
        .map(|group| group.into_iter().map(|place| parts[place]).collect())
        .collect();
    if groups.len() < 2 {
        done.push((parts.to_vec(), whole));
        return done;
    }
    tracing::warn!(groups = groups.len(), "not everything can be finished at once: trying apart");
    let mut left = TRIES_MAX;
    let middle = groups.len() / 2;
    for half in [&groups[..middle], &groups[middle..]] {
        halve((home, copied), half, &mut left, &mut done);
    }
    done
}

fn halve<'a>((home, copied): (&Home, bool), groups: &[Vec<Part<'a>>], left: &mut u32, done: &mut Vec<Group<'a>>) {
    let mut parts: Vec<Part<'a>> = groups.concat();
    parts.sort_by_key(|part| part.txn);
    *left = left.saturating_sub(1);
    let redone = redo(home, &parts, copied);
    if redone.is_ok() || groups.len() < 2 || *left == 0 {
        done.push((parts, redone));
        return;
    }
    let middle = groups.len() / 2;
    for half in [&groups[..middle], &groups[middle..]] {
        halve((home, copied), half, left, done);
    }
}
