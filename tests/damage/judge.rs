//! What may come of damage.

use std::fs;
use std::path::Path;

use treewal::{OnDamage, Tree};

use crate::child::part_in;
use crate::kinds::{Damage, Target};
use crate::states::{acknowledged, options};

/// Opens the tree and says how that went, on one line each: in a process of its own.
pub(crate) fn open(how: &str, dir: &Path) {
    let on_damage = if how == "refuse" { OnDamage::Refuse } else { OnDamage::Quarantine };
    let tree = match options().on_damage(on_damage).open(dir) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("@refused {error:?}");
            return;
        }
    };
    let report = tree.recovery();
    eprintln!("@report {}", report.to_string().replace('\n', " | "));
    if report.found_damage() || report.pending().next().is_some() {
        eprintln!("@told");
    }
    for line in &report.transactions {
        for path in &line.superseded {
            eprintln!("@superseded {path}");
        }
    }
    let pending = report.pending().count() > 0;
    if !pending {
        match tree.transaction(|tx| tx.write("next", how)) {
            Ok(()) => eprintln!("@works"),
            Err(error) => eprintln!("@idle {error:?}"),
        }
    }
    // Looking at it must not end in anything worse either.
    for looked in [treewal::verify(dir).map(drop), treewal::status(dir).map(drop), treewal::quarantine(dir).map(drop)] {
        if let Err(error) = looked {
            eprintln!("@blind {error:?}");
        }
    }
    if let Ok(listed) = Tree::snapshots(&tree) {
        for snapshot in listed {
            drop(snapshot.verify());
        }
    }
}

fn said(how: &str, dir: &Path) -> Result<String, String> {
    let output = part_in(&format!("open {how}"), dir).ok_or("it hangs")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(format!("it dies: {said}")) }
}

fn tree_of(dir: &Path) -> Vec<(String, Option<String>)> {
    let read = |name: &str| fs::read(dir.join(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ["base", "dir/kept", "small", "large", "later", "guarded", "newer"].map(|name| (name.to_owned(), read(name))).into()
}

/// Whether a tree may be refused for good: by name, and for what a person has to decide.
fn may_refuse(damage: Damage, target: &Target, said: &str) -> bool {
    let newer = said.contains("version") || said.contains("Version");
    let own = target.shown() == ".treewal";
    newer && matches!(damage, Damage::Newer | Damage::FlipFirst | Damage::FlipMiddle)
        || own && matches!(damage, Damage::File | Damage::Symlink | Damage::Fifo)
        // Whoever is not root has to open what he closed.
        || damage == Damage::Unreadable && said.contains("PermissionDenied")
}

pub(crate) fn judge(state: &str, damage: Damage, target: &Target, dir: &Path) -> Result<&'static str, String> {
    // Who refuses touches nothing.
    let before = tree_of(dir);
    let refused = said("refuse", dir)?;
    if refused.contains("@refused") && tree_of(dir) != before {
        return Err(format!("it refuses, and changes the tree: {refused}"));
    }
    let first = said("quarantine", dir)?;
    if first.contains("@refused") {
        let may = may_refuse(damage, target, &first);
        return if may { Ok("refused by name") } else { Err(format!("it does not open: {first}")) };
    }
    if first.contains("@blind") || first.contains("@idle") {
        return Err(first);
    }
    let told = refused.contains("@told") || first.contains("@told");
    let both = format!("{refused}\n{first}");
    let mut missing = Vec::new();
    for (path, contents) in acknowledged(state) {
        if fs::read(dir.join(path)).ok() != Some(contents.into_bytes()) {
            missing.push(path);
        }
    }
    if !missing.is_empty() && !told && !is_excused(state, damage, target) {
        return Err(format!("{missing:?} lost without a word: {both}"));
    }
    let mut last = first;
    for _ in 0..4 {
        last = said("quarantine", dir)?;
        if last.contains("@works") {
            break;
        }
    }
    if !last.contains("@works") {
        return Err(format!("it does not come to rest: {last}"));
    }
    leaks(dir)?;
    Ok(match (missing.is_empty(), told) {
        (true, false) => "harmless",
        (true, true) => "told, nothing lost",
        (false, _) => "told",
    })
}

/// What nothing can tell: the journal as a whole, or its oldest part, removed by hand. See `docs/guarantees.md`.
fn is_excused(state: &str, damage: Damage, target: &Target) -> bool {
    let is_journal = target.shown().starts_with("journal") || target.shown() == ".treewal";
    let gone = matches!(damage, Damage::Delete | Damage::Empty);
    state != "none" && is_journal && gone
}

fn leaks(dir: &Path) -> Result<(), String> {
    for part in ["stage", "guards"] {
        let left: Vec<_> =
            fs::read_dir(dir.join(".treewal").join(part)).map_err(|error| format!("{part}: {error}"))?.collect();
        if !left.is_empty() {
            return Err(format!("{part} keeps {left:?}"));
        }
    }
    let drafts = fs::read_dir(dir.join(".treewal/snapshots")).into_iter().flatten();
    let left: Vec<_> = drafts
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().as_encoded_bytes()[0] == b'.'))
        .collect();
    if left.is_empty() { Ok(()) } else { Err(format!("snapshots keep {left:?}")) }
}
