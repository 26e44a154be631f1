//! The random run, and those that are kept.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::counts::Counts;
use crate::drawn::drawn;
use crate::scenes::piece;
use crate::script;
use crate::step::{HANDLES, Step};
use crate::world::World;

/// So many make each kind of step happen.
const RUNS: u32 = 900;

/// How many runs were asked for, if any were.
fn asked() -> Option<u32> {
    let told = |name| std::env::var(name).ok()?.parse().ok();
    told("TREEWAL_MODEL_CASES").or_else(|| told("PROPTEST_CASES"))
}

pub(crate) fn cases(few: u32) -> u32 {
    asked().unwrap_or(few)
}

/// Runs a test; what fails is made as small as it goes, and given with why.
fn search<S: Strategy>(
    cases: u32,
    of: S,
    test: impl Fn(S::Value) -> Result<(), String>,
) -> Result<(), TestError<S::Value>> {
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 3000, ..ProptestConfig::default() };
    // The same runs each time, so that a change is what breaks a test; who asks for a number gets others each time.
    let mut runner = match asked() {
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        Some(_) => TestRunner::new(config),
    };
    runner.run(&of, |value| test(value).map_err(TestCaseError::fail))
}

pub(crate) fn check<S: Strategy>(cases: u32, of: S, test: impl Fn(S::Value) -> Result<(), String>) {
    if let Err(failure) = search(cases, of, test) {
        panic!("{failure}");
    }
}

/// Does the steps, one after another.
pub(crate) fn live(steps: &[Step], counts: &Rc<Counts>) -> Result<(), String> {
    let mut world = World::new(Rc::clone(counts));
    counts.add("runs");
    for (n, step) in steps.iter().enumerate() {
        world.step(step).map_err(|error| format!("step {}, {step:?}: {error}", n + 1))?;
    }
    world.close()
}

fn scripts() -> impl Strategy<Value = Vec<Step>> {
    let disk = (any::<bool>(), any::<bool>()).prop_map(|(reflinks, reuse)| Step::Disk(reflinks, reuse));
    let options = prop::collection::vec(drawn(), 0..=HANDLES);
    (disk, options, prop::collection::vec(piece(), 1..30)).prop_map(|(disk, options, pieces)| {
        let options = options.into_iter().enumerate().map(|(who, drawn)| Step::Options(who, drawn));
        [disk].into_iter().chain(options).chain(pieces.into_iter().flatten()).collect()
    })
}

#[test]
fn whatever_is_done_by_whom_and_whatever_ends_it_the_tree_is_what_the_model_says() {
    let counts = Rc::new(Counts::default());
    match search(cases(RUNS), scripts(), |steps| live(&steps, &counts)) {
        Ok(()) => eprint!("{counts}"),
        Err(TestError::Fail(why, steps)) => {
            panic!("{why}\nthe script, for tests/machine/regressions/:\n{}", script::write(&steps))
        }
        Err(other) => panic!("{other}"),
    }
    let never = counts.never();
    assert!(asked().is_some() || never.is_empty(), "never done: {never:?}");
}

/// Scripts that once failed, or that say how something is done.
#[test]
fn what_was_met_before_is_met_again() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine/regressions");
    let mut paths: Vec<_> = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let steps = script::read(&std::fs::read_to_string(&path).unwrap());
        live(&steps, &Rc::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// One script, while it is being looked into.
#[test]
fn the_script_that_was_asked_for() {
    let Some(path) = std::env::var_os("TREEWAL_MODEL_SCRIPT") else { return };
    let steps = script::read(&std::fs::read_to_string(path).unwrap());
    let counts = Rc::new(Counts::default());
    live(&steps, &counts).unwrap_or_else(|error| panic!("{error}"));
    eprint!("{counts}");
}

#[test]
fn a_script_is_read_as_it_was_written() {
    check(30, scripts(), |steps| {
        let text = script::write(&steps);
        let again = script::write(&script::read(&format!("# what it shows\n\n{text}")));
        if again == text { Ok(()) } else { Err(format!("{text}is read as\n{again}")) }
    });
}
