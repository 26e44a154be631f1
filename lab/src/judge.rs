//! What must hold after a loss of power, before and after recovery.

use crate::cuts::Bounds;
use crate::order::{AFTERWARDS, Facts, Ran, Recovered};
use crate::walk::{Walk, differences, is};
use crate::workloads::{Before, Workload};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The file system refused the disk.
    Refused(String),
    /// The tree is as after fewer steps than were acknowledged.
    Lost(String),
    /// treewal broke another promise.
    Broken(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the file system refuses: {why}"),
            Self::Lost(why) | Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Judges what a hand has seen of a disk; gives the number of steps that the tree is after.
pub(crate) fn judge(facts: &Facts, workload: &Workload, states: &[Walk], bounds: Bounds) -> Result<usize, Failure> {
    match facts {
        Facts::Refused(why) => Err(Failure::Refused(why.clone())),
        Facts::Recovered(seen) => match (judge_recovered(seen, workload, states, bounds), own_damage(seen)) {
            (Err(_), Some(why)) => Err(Failure::Refused(why)),
            (judged, _) => judged,
        },
        Facts::Prepared | Facts::Worked { .. } => Err(Failure::Broken("another task was done".to_owned())),
    }
}

fn judge_recovered(seen: &Recovered, workload: &Workload, states: &[Walk], bounds: Bounds) -> Result<usize, Failure> {
    let before = seen.before.as_ref().map_err(|error| Failure::Broken(format!("before recovery: {error}")))?;
    judge_before(before, workload, states, bounds).map_err(Failure::Broken)?;
    done("recover", &seen.recover).map_err(Failure::Broken)?;
    let tree = seen.tree.as_ref().map_err(|error| Failure::Broken(format!("after recovery: {error}")))?;
    let step = (bounds.least..=bounds.most).find(|step| is(tree, &states[*step]));
    let Some(step) = step else { return Err(strange(seen, tree, states, bounds)) };
    judge_end(seen, tree).map_err(Failure::Broken)?;
    Ok(step)
}

/// Everything but the state of the tree: nothing is left over, a second recovery does nothing, and a commit works.
fn judge_end(seen: &Recovered, tree: &Walk) -> Result<(), String> {
    if !seen.leftovers.is_empty() {
        return Err(format!("left over: {:?}\nrecovery: {}", seen.leftovers, seen.recover.out));
    }
    done("verify", &seen.verify)?;
    done("recover again", &seen.again)?;
    if !is_clean(&seen.again.out) {
        return Err(format!("recovery left work: {}\nfirst: {}", seen.again.out, seen.recover.out));
    }
    if seen.tree_again.as_ref() != Ok(tree) {
        return Err("a second recovery changed something".to_owned());
    }
    done("apply", &seen.commit)?;
    let mut after = seen.tree_after_commit.clone().map_err(|error| format!("after a commit: {error}"))?;
    let made = after.remove(AFTERWARDS.0).ok_or("the commit after the recovery made nothing")?;
    if !made.to_string().contains(&AFTERWARDS.1[..8]) {
        return Err(format!("the commit after the recovery made {made}"));
    }
    if !is(&after, tree) {
        return Err(format!("the commit after the recovery changed\n{}", differences(&after, tree)));
    }
    Ok(())
}

/// What is promised to who looks before recovery.
fn judge_before(found: &Walk, workload: &Workload, states: &[Walk], bounds: Bounds) -> Result<(), String> {
    // The same disk at two moments that allow nothing in common: what follows will say so.
    if workload.before == Before::Anything || bounds.least > bounds.most {
        return Ok(());
    }
    // Under `Durability::Journal` the tree itself may be as old as the last checkpoint.
    let least = if workload.before == Before::Whole { bounds.least } else { 0 };
    let possible = &states[least..=bounds.most];
    let paths: std::collections::BTreeSet<&String> = possible.iter().flat_map(Walk::keys).chain(found.keys()).collect();
    for path in paths {
        let lasts = possible.iter().all(|state| state.contains_key(path));
        // What stands in a directory that moves is there as it was before, for a moment: whole, but of another path.
        let matches = |state: &Walk| match found.get(path) {
            Some(seen) if least < bounds.most => state.values().any(|wanted| seen.same_contents(wanted)),
            Some(seen) => state.get(path).is_some_and(|wanted| seen.same_contents(wanted)),
            None => !state.contains_key(path),
        };
        if lasts && !found.contains_key(path) {
            return Err(format!("{path} is missing before recovery"));
        }
        if workload.before == Before::Whole && !possible.iter().any(matches) {
            let seen = found.get(path).map_or_else(|| "absent".to_owned(), ToString::to_string);
            return Err(format!("{path} is neither old nor new before recovery: {seen}; steps {bounds:?}"));
        }
    }
    Ok(())
}

fn done(what: &str, ran: &Ran) -> Result<(), String> {
    if ran.code == Some(0) { Ok(()) } else { Err(format!("{what}: exit {:?}\n{}{}", ran.code, ran.out, ran.err)) }
}

/// What the file system says of damage to its own structures: `EBADMSG`, `EUCLEAN`.
fn own_damage(seen: &Recovered) -> Option<String> {
    own_errors(seen, &[74, 117])
}

/// The first look, or word of the first recovery, that ended with one of these errors of the system.
pub(crate) fn own_errors(seen: &Recovered, errnos: &[i32]) -> Option<String> {
    let looks = [&seen.before, &seen.tree, &seen.tree_again].into_iter().filter_map(|look| look.as_ref().err());
    let said = looks.chain([&seen.recover.out, &seen.recover.err]);
    let is_one = |text: &&String| errnos.iter().any(|errno| text.contains(&format!("os error {errno})")));
    said.into_iter().find(is_one).cloned()
}

/// Whether the first recovery had something to do.
pub(crate) fn had_work(facts: &Facts) -> bool {
    matches!(facts, Facts::Recovered(seen) if !is_clean(&seen.recover.out))
}

/// Whether a recovery says that it had nothing to do.
pub(crate) fn is_clean(json: &str) -> bool {
    let report: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    report["recovery"]
        == serde_json::json!({
            "torn_tail": false, "damage": [], "transactions": [], "stages_reclaimed": 0, "snapshots_reclaimed": 0
        })
}

fn strange(seen: &Recovered, tree: &Walk, states: &[Walk], bounds: Bounds) -> Failure {
    let other = states.iter().position(|state| is(tree, state));
    let mut text = match other {
        Some(step) => format!("the tree is as after step {step}, allowed are {bounds:?}\n"),
        None => format!("the tree is as after no step, allowed are {bounds:?}\n"),
    };
    for (step, state) in states.iter().enumerate().take(bounds.most + 1).skip(bounds.least) {
        text.push_str(&format!("  against step {step}:\n{}", differences(tree, state)));
    }
    text.push_str(&format!("recovery: {}{}", seen.recover.out, seen.recover.err));
    if other.is_some_and(|step| step < bounds.least) { Failure::Lost(text) } else { Failure::Broken(text) }
}
