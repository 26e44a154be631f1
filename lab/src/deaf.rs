//! What is left of the promises where flushes do not reach the disk.
//!
//! What was acknowledged may be gone there, and what is on the disk may be of several moments, of the file system's own
//! structures too. `docs/guarantees.md` says what holds all the same: the tree opens, or the file system itself refuses
//! it; nothing panics or hangs; and damage that can be seen is told.

use crate::judge::{is_clean, own_errors};
use crate::order::{Facts, Ran, Recovered};
use crate::walk::{Walk, is};

/// `EIO`, `EROFS`, `EBADMSG`, `EUCLEAN`: what a file system says of its own damage, and once it has stopped for it.
/// `ENOSPC`: no disk here is ever full, but ext4 takes nothing from a group of blocks whose bitmap is wrong.
const OWN_ERRORS: [i32; 5] = [5, 28, 30, 74, 117];
/// `ENOENT` of a look: a name that a directory lists, and that leads nowhere. Nobody else is at work.
const DANGLING: &str = "os error 2)";
/// How a command of the program ends that has done its work, left a transaction for the next try, and found damage.
const DONE: i32 = 0;
const UNDECIDED: i32 = 4;
const DAMAGE: i32 = 6;
/// How a program ends that panics.
const PANIC: i32 = 101;

/// What became of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The file system refused it, or something on it.
    Refused,
    /// The tree opened, and recovery told of damage.
    Told,
    /// The tree opened, and is as after some step.
    Whole,
    /// The tree opened and is as after no step, and there was nothing from which that could be known.
    Mixed,
}

/// Looks at what a hand has seen of a disk that had ignored flushes.
///
/// # Errors
/// What should hold all the same, and does not.
pub(crate) fn look(ran: &Result<Facts, String>, states: &[Walk]) -> Result<Found, String> {
    match ran {
        Err(how) => Err(how.clone()),
        Ok(Facts::Refused(_)) => Ok(Found::Refused),
        Ok(Facts::Recovered(seen)) => look_at(seen, states),
        Ok(Facts::Prepared | Facts::Worked { .. }) => Err("another task was done".to_owned()),
    }
}

fn look_at(seen: &Recovered, states: &[Walk]) -> Result<Found, String> {
    let runs = [("recover", &seen.recover), ("verify", &seen.verify), ("again", &seen.again), ("apply", &seen.commit)];
    for (what, ran) in runs {
        if ran.code.is_none_or(|code| code == PANIC) || ran.err.contains("panicked") {
            return Err(strange(what, ran));
        }
    }
    let is_dangling = |look: &Result<Walk, String>| look.as_ref().is_err_and(|error| error.contains(DANGLING));
    let is_own = |text: &str| OWN_ERRORS.iter().any(|errno| text.contains(&format!("os error {errno})")));
    let is_refused = runs.iter().any(|(_, ran)| is_own(&ran.out) || is_own(&ran.err));
    if is_refused || own_errors(seen, &OWN_ERRORS).is_some() || [&seen.before, &seen.tree].into_iter().any(is_dangling)
    {
        return Ok(Found::Refused);
    }
    match seen.recover.code {
        Some(DONE) => calm(seen).and_then(|()| after(seen, states)),
        Some(DAMAGE | UNDECIDED) if is_clean(&seen.recover.out) => {
            Err(format!("damage, and no word of what: {}", strange("recover", &seen.recover)))
        }
        Some(DAMAGE) if seen.commit.code != Some(DONE) => Err(strange("apply", &seen.commit)),
        Some(DAMAGE | UNDECIDED) => Ok(Found::Told),
        _ => Err(strange("recover", &seen.recover)),
    }
}

/// Where recovery has told of no damage, nothing finds any afterwards, and the tree is of use.
fn calm(seen: &Recovered) -> Result<(), String> {
    let Recovered { recover, leftovers, verify, again, tree, tree_again, commit, .. } = seen;
    // A stage that the file system cannot list or remove stays, and `verify` names it.
    let stem = |name: &String| name.trim_end_matches(".lock").to_owned();
    if !leftovers.iter().all(|name| name.starts_with("stage/") && verify.out.contains(&stem(name))) {
        return Err(format!("left over, and not told: {leftovers:?}\n{}", recover.out));
    }
    for (what, ran) in [("verify", verify), ("again", again), ("apply", commit)] {
        if ran.code != Some(DONE) {
            return Err(format!("{}\nafter {}", strange(what, ran), recover.out));
        }
    }
    if !is_clean(&again.out) || tree != tree_again {
        return Err(format!("recovery did not come to an end: {}\nafter {}", again.out, recover.out));
    }
    Ok(())
}

fn after(seen: &Recovered, states: &[Walk]) -> Result<Found, String> {
    let tree = seen.tree.as_ref().map_err(|error| format!("it opened, and cannot be looked at: {error}"))?;
    Ok(if states.iter().any(|state| is(tree, state)) { Found::Whole } else { Found::Mixed })
}

fn strange(what: &str, ran: &Ran) -> String {
    format!("{what}: exit {:?}\n{}{}", ran.code, ran.out, ran.err)
}

#[cfg(test)]
mod tests;
