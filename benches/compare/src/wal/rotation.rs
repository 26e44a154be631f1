//! Rotation: what the commits cost that come when a segment is full, beside the other commits of the same run.

use std::time::Instant;

use treewal_compare::{median, quantile, shown};

use crate::Result;
use crate::contestant::{Kind, Log};
use crate::goals::Goals;
use crate::ours::Ours;
use crate::rounds::Run;

const RECORD: usize = 4 << 10;
const COMMITS: usize = 4000;
const WARM: usize = 32;
/// One segment for all of it, and one for some 62 commits.
const LARGE: u64 = 32 << 20;
const SMALL: u64 = 256 << 10;
/// Where nothing rotates, as many commits as in a small segment stand for one: what is found there is not of rotation.
const EVERY: usize = 62;
/// Commits before and after the one that finds a segment full that count as near.
const NEAR: usize = 2;
/// A commit that takes this many medians is slow.
const SLOW: f64 = 3.0;

#[derive(Clone, Copy)]
enum Row {
    Other(Kind),
    Ours(How),
}

/// How a log of ours is kept.
#[derive(Clone, Copy)]
struct How {
    segment: u64,
    /// Segments are made by a thread before they are needed.
    ahead: bool,
    /// Segments are given back when they are full.
    back: bool,
}

const ROWS: [(&str, Row); 7] = [
    ("limit", Row::Other(Kind::Limit)),
    ("treewal-journal, one segment", Row::Ours(How { segment: LARGE, ahead: false, back: false })),
    ("treewal-journal, 65 segments, made ahead", Row::Ours(How { segment: SMALL, ahead: true, back: false })),
    (
        "treewal-journal, 65 segments, made ahead, given back",
        Row::Ours(How { segment: SMALL, ahead: true, back: true }),
    ),
    ("treewal-journal, 65 segments, made when needed", Row::Ours(How { segment: SMALL, ahead: false, back: false })),
    ("okaywal 0.3.1, one segment", Row::Other(Kind::OkayLarge)),
    ("okaywal 0.3.1, defaults: 22 segments", Row::Other(Kind::Okay)),
];

/// Of one run: microseconds, then multiples of the run's own median.
const COLUMNS: [&str; 8] = [
    "p50, µs",
    "p99, × p50",
    "p99.9",
    "max",
    "of 1000 slower than 3",
    "slowest of five around a full segment, p50",
    "p90",
    "max",
];

type Shape = [f64; COLUMNS.len()];

pub(crate) fn measure(run: &mut Run, goals: &mut Goals) -> Result {
    let mut shapes: Vec<Vec<Shape>> = vec![Vec::new(); ROWS.len()];
    let record = run.dice.bytes(RECORD);
    run.each("rotation", &ROWS.map(|(name, _)| name), |run, row, _| {
        let (times, rotations) = match ROWS[row].1 {
            Row::Other(kind) => {
                let times = run.with(kind, LARGE, |log| times(log, &record))?;
                (times, if kind == Kind::Okay { Vec::new() } else { stand_ins() })
            }
            Row::Ours(how) => ours(run, &record, how)?,
        };
        shapes[row].push(shape(&times, &rotations));
        Ok(())
    })?;
    println!("| {COMMITS} durable commits of 4 KiB | {} |", COLUMNS.join(" | "));
    println!("|---|{}", "--:|".repeat(COLUMNS.len()));
    for ((name, row), shapes) in ROWS.iter().zip(&shapes).filter(|(_, shapes)| !shapes.is_empty()) {
        let medians: Vec<f64> =
            (0..COLUMNS.len()).map(|column| median(shapes.iter().map(|shape| shape[column]))).collect();
        let cells = medians.iter().map(|value| if value.is_nan() { "–".to_owned() } else { shown(*value) });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        if let Row::Ours(How { ahead: true, .. }) = row {
            goals.enter(
                name,
                "slowest of five commits around a rotation, p90, × p50 of the run",
                medians[6],
                Some(SLOW),
                None,
            );
        }
    }
    println!("\n*Goal: no commit slower than {SLOW} × p50 because a segment is full.*\n");
    Ok(())
}

fn times(log: &dyn Log, record: &[u8]) -> Result<Vec<f64>> {
    (0..WARM).try_for_each(|_| log.commit(0, record))?;
    (0..COMMITS).map(|_| timed(log, record)).collect()
}

/// Microseconds.
fn timed(log: &dyn Log, record: &[u8]) -> Result<f64> {
    let begun = Instant::now();
    log.commit(0, record)?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}

/// The times, and the numbers of the commits that began a segment.
fn ours(run: &mut Run, record: &[u8], how: How) -> Result<(Vec<f64>, Vec<usize>)> {
    let home = run.home()?;
    let log = Ours::new(&home.path, how.segment, how.ahead)?;
    home.settle()?;
    (0..WARM).try_for_each(|_| log.commit(0, record))?;
    let (mut times, mut rotations) = (Vec::with_capacity(COMMITS), Vec::new());
    for commit in 0..COMMITS {
        let room = log.room();
        times.push(timed(&log, record)?);
        if log.room() > room {
            rotations.push(commit);
            if how.back {
                log.give_back()?;
            }
        }
    }
    drop(log);
    home.remove()?;
    if rotations.is_empty() {
        rotations = stand_ins();
    }
    Ok((times, rotations))
}

fn stand_ins() -> Vec<usize> {
    (0..COMMITS).step_by(EVERY).collect()
}

fn shape(times: &[f64], rotations: &[usize]) -> Shape {
    let ordered = in_order(times.to_vec());
    let p50 = quantile(&ordered, 500);
    let slow = ordered.iter().filter(|time| **time > SLOW * p50).count();
    let around = |rotation: &usize| &times[rotation.saturating_sub(NEAR)..times.len().min(rotation + NEAR + 1)];
    let near = rotations.iter().map(|rotation| around(rotation).iter().copied().fold(0.0, f64::max));
    let near = in_order(near.collect());
    let share = slow as f64 * 1000.0 / times.len() as f64;
    let of = |ordered: &[f64], per_mille| quantile(ordered, per_mille) / p50;
    [
        p50,
        of(&ordered, 990),
        of(&ordered, 999),
        of(&ordered, 1000),
        share,
        of(&near, 500),
        of(&near, 900),
        of(&near, 1000),
    ]
}

fn in_order(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}
