//! What must hold after a kill, before and after recovery.

use std::fmt::Write;
use std::path::Path;

use crate::child;
use crate::walk::{Seen, Walk, leftovers, walk};
use crate::workloads::Renames;

const SEGMENTS_MAX: usize = 2;

/// What a kill may lead to.
pub(crate) struct Expected<'a> {
    /// The tree before the first step, and after each.
    pub(crate) states: &'a [Walk],
    /// How many steps were acknowledged: the tree must be as after that many, or one more.
    pub(crate) acknowledged: usize,
}

impl Expected<'_> {
    fn allowed(&self) -> &[Walk] {
        let last = self.states.len().min(self.acknowledged + 2);
        &self.states[self.acknowledged..last]
    }
}

/// P1, P2, P3, P4, P5 by opening the tree twice.
pub(crate) fn judge(tree: &Path, expected: &Expected<'_>) -> Result<(), String> {
    let first = child::options().open(tree).map_err(|error| format!("cannot open: {error:?}"))?;
    let report = first.recovery().clone();
    let opened = walk(tree);
    if !expected.allowed().iter().any(|wanted| is(&opened, wanted)) {
        return Err(format!("{}\nrecovery: {report}", differences(&opened, expected)));
    }
    if report.found_damage() || report.pending().next().is_some() {
        return Err(format!("damaged or pending: {report}"));
    }
    drop(first);
    left_in_order(tree, &format!("recovery: {report}"))?;
    let second = child::options().open(tree).map_err(|error| format!("cannot open again: {error:?}"))?;
    if !second.recovery().is_clean() {
        return Err(format!("the first opening left work: {}\nfirst: {report}", second.recovery()));
    }
    drop(second);
    if walk(tree) != opened {
        return Err("the second opening changed something".to_owned());
    }
    left_in_order(tree, "at the second opening")
}

fn left_in_order(tree: &Path, when: &str) -> Result<(), String> {
    match leftovers(tree) {
        (left, segments) if left.is_empty() && segments <= SEGMENTS_MAX => Ok(()),
        (left, segments) => Err(format!("left over: {left:?}, {segments} segments; {when}")),
    }
}

/// P7: what is there before and after is there in between, although nobody has recovered the tree yet; and each file
/// is one of its versions, whole: the kernel lives, so that what was written is there.
///
/// Without an exchange of names a directory may be missing, with what is in it; without second names a file may be, too.
pub(crate) fn judge_unrecovered(tree: &Path, states: &[Walk], renames: Renames) -> Result<(), String> {
    let found = walk(tree);
    for path in states[0].keys() {
        let versions: Vec<&Seen> = states.iter().filter_map(|state| state.get(path)).collect();
        if versions.len() < states.len() {
            continue;
        }
        let is_dir = |seen: &&Seen| seen.mode & 0o170_000 == 0o040_000;
        let excused = match renames {
            Renames::All => false,
            Renames::Plain => true,
            Renames::NoExchange => {
                path.ancestors().skip(1).any(|dir| dir != Path::new("") && !found.contains_key(dir))
                    || versions.iter().any(is_dir)
            }
        };
        if excused && !found.contains_key(path) {
            continue;
        }
        let seen = found.get(path).ok_or_else(|| format!("{path:?} is missing before recovery"))?;
        if !versions.iter().any(|version| version.contents == seen.contents) {
            return Err(format!("{path:?} is torn before recovery: {seen}"));
        }
    }
    Ok(())
}

fn is(found: &Walk, wanted: &Walk) -> bool {
    found.len() == wanted.len()
        && found.iter().zip(wanted).all(|((path, seen), (name, wanted))| path == name && seen.is(wanted))
}

fn differences(found: &Walk, expected: &Expected<'_>) -> String {
    let mut text = format!("not as after {} steps or one more:", expected.acknowledged);
    for (n, wanted) in expected.allowed().iter().enumerate() {
        write!(text, "\n  against step {}:", expected.acknowledged + n).unwrap();
        let paths: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
        for path in paths {
            let (seen, wanted) = (found.get(path), wanted.get(path));
            if !matches!((seen, wanted), (Some(seen), Some(wanted)) if seen.is(wanted)) {
                let show = |seen: Option<&Seen>| seen.map_or_else(|| "absent".to_owned(), ToString::to_string);
                write!(text, "\n    {path:?}: {}, wanted {}", show(seen), show(wanted)).unwrap();
            }
        }
    }
    text
}
