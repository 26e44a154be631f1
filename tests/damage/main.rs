//! Damage as a product: each kind of it, to each file and directory beneath `.treewal`, with a transaction in each state.
//!
//! Every case runs in processes of their own, with a time limit, so that a fifo which somebody waits for fails the test and
//! does not stop it. Judged is what was acknowledged: it is in the tree, or the report says that something is wrong.
//! By default one case in `SLICE` runs; `TREEWAL_DAMAGE=all` runs them all, `TREEWAL_DAMAGE=<text>` those whose name has it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests look at the tree from outside"
)]

mod child;
mod judge;
mod kinds;
mod states;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use kinds::{Damage, targets};
use states::STATES;

/// One case in so many runs by default.
const SLICE: usize = 23;
const THREADS: usize = 2;

#[test]
fn every_kind_of_damage_to_every_part_in_every_state_is_harmless_or_told() {
    let wanted = std::env::var("TREEWAL_DAMAGE").unwrap_or_default();
    let mut cases = Vec::new();
    for state in STATES {
        let sample = tempfile::tempdir().unwrap();
        child::make(state, sample.path());
        for target in targets(sample.path()) {
            cases.extend(Damage::of(&target).map(|damage| (state, damage, target.clone())));
        }
    }
    let all = cases.len();
    let name =
        |(state, damage, target): &(&str, Damage, kinds::Target)| format!("{state} {damage:?} {}", target.shown());
    match wanted.as_str() {
        "" => cases = cases.into_iter().enumerate().filter(|(n, _)| n % SLICE == 0).map(|(_, case)| case).collect(),
        "all" => {}
        text => cases.retain(|case| name(case).contains(text)),
    }
    let next = AtomicUsize::new(0);
    let results: Vec<(String, Result<&'static str, String>)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((name(case), run(case)));
            }
            done
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, result) in &results {
        *counts.entry(result.as_ref().map_or("FAILED", |verdict| verdict)).or_default() += 1;
    }
    eprintln!("{} of {all} cases: {counts:?}", results.len());
    let failed: Vec<String> =
        results.iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.as_ref().err()?))).collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(!results.is_empty());
}

fn run((state, damage, target): &(&str, Damage, kinds::Target)) -> Result<&'static str, String> {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "outside").unwrap();
    let tree: &Path = dir.path();
    child::make(state, tree);
    let Some(path) = target.find(tree) else { return Ok("nothing there") };
    if !damage.apply(&path, outside.path()) {
        return Ok("not possible");
    }
    let verdict = judge::judge(state, *damage, target, tree);
    let there: Vec<_> = std::fs::read_dir(outside.path()).unwrap().collect();
    let secret = std::fs::read_to_string(outside.path().join("secret"));
    if there.len() != 1 || secret.ok().as_deref() != Some("outside") {
        return Err("something outside was changed".to_owned());
    }
    verdict
}
