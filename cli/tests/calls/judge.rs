//! What must hold of a tree that a disturbed program leaves.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::catalogue::{Case, TREEWAL};
use crate::look::{Look, Walk, differences, walk};

/// What a command left, and what it said.
pub(crate) struct Run {
    pub(crate) dir: tempfile::TempDir,
    /// `None` where it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The word that it said of the tree, where it came to that.
    fn outcome(&self) -> Option<&str> {
        self.stdout.split_once(r#""outcome": ""#)?.1.split('"').next()
    }

    fn says_done(&self) -> bool {
        self.code == Some(0) || self.stdout.contains(r#""exit": 0,"#)
    }

    /// Whether it said that the tree is unchanged, or as before again. Code 4 leaves that open, and 125 does if the outcome
    /// does; without a report 125 says nothing. A recovery that fails denies nothing.
    fn says_undone(&self, case: &Case) -> bool {
        match (self.code, self.outcome()) {
            (None | Some(0 | 4), _) => false,
            _ if case.is_recovery() => false,
            (_, Some(outcome)) => matches!(outcome, "unchanged" | "rolled-back" | "restored"),
            (Some(code), None) => code != 125,
        }
    }

    /// Whether code and outcome say the same.
    fn contradicts_itself(&self, case: &Case) -> bool {
        let Some((code, outcome)) = self.code.zip(self.outcome()) else { return false };
        match outcome {
            "undecided" => code != 4 && !(case.args[0] == "run" && code == 125),
            "unchanged" if !case.is_recovery() => code == 4,
            "rolled-back" => code == 0 || code == 4,
            "restored" => code == 0,
            "committed" | "created" | "removed" => code != 0,
            _ => false,
        }
    }
}

/// What was said is true at once, and a recovery brings the tree to one of its two states, for good.
pub(crate) fn judge(case: &Case, look: &Look, run: &Run) -> Result<(), String> {
    let dir = run.dir.path();
    let said = |what: &str| format!("{what}; exit {:?}, {}{}", run.code, run.stdout, run.stderr);
    if run.contradicts_itself(case) {
        return Err(said("the code says one thing, the outcome another"));
    }
    let at_once = Look { before: look.before.seen_alone(), after: look.after.seen_alone() };
    true_to_its_word(case, &at_once, run, &walk(dir).seen_alone())
        .map_err(|error| said(&format!("at once: {error}")))?;
    recover(dir).map_err(|error| said(&error))?;
    let found = walk(dir);
    if found != look.after && found != look.before {
        return Err(said(&format!("neither before nor after: {}", differences(&found, look))));
    }
    true_to_its_word(case, look, run, &found).map_err(|error| said(&error))?;
    left_in_order(dir).map_err(|error| said(&error))?;
    goes_on(dir, &found).map_err(|error| said(&error))
}

fn true_to_its_word(case: &Case, look: &Look, run: &Run, found: &Walk) -> Result<(), String> {
    if run.says_done() && *found != look.after {
        return Err(format!("acknowledged, and not done: {}", differences(found, look)));
    }
    if run.says_undone(case) && *found != look.before {
        return Err(format!("denied, and not as before: {}", differences(found, look)));
    }
    Ok(())
}

/// The next opening finds nothing to recover and nothing damaged, changes nothing, and one more commit works.
fn goes_on(dir: &Path, found: &Walk) -> Result<(), String> {
    let tree = treewal::Tree::open(dir).map_err(|error| format!("not opened: {error:?}"))?;
    if !tree.recovery().is_clean() || walk(dir) != *found {
        return Err(format!("a second recovery did something: {}", tree.recovery()));
    }
    let damage = tree.verify().map_err(|error| format!("not verified: {error:?}"))?;
    if !damage.is_empty() {
        return Err(format!("verify: {damage:?}"));
    }
    tree.transaction(|tx| tx.write("later", "works")).map_err(|error| format!("no commit after it: {error:?}"))?;
    drop(tree);
    if fs::read(dir.join("later")).ok().as_deref() == Some(b"works") {
        Ok(())
    } else {
        Err("no commit after it".into())
    }
}

fn recover(dir: &Path) -> Result<(), String> {
    let output = Command::new(TREEWAL).arg("-C").arg(dir).arg("recover").output().unwrap();
    if output.status.success() { Ok(()) } else { Err(format!("recover: {output:?}")) }
}

fn left_in_order(dir: &Path) -> Result<(), String> {
    let own = dir.join(".treewal");
    let names = |sub: &str| -> Vec<String> {
        let Ok(entries) = fs::read_dir(own.join(sub)) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let left: Vec<String> = ["stage", "guards", "quarantine"].into_iter().flat_map(names).collect();
    let segments = names("journal").len();
    if left.is_empty() && segments <= 2 { Ok(()) } else { Err(format!("left over: {left:?}, {segments} segments")) }
}
