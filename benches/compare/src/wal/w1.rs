//! W1: one thread appends a record and waits until it is durable, again and again.

use std::time::Instant;

use treewal_compare::quantile;

use crate::Result;
use crate::contestant::{Kind, Log};
use crate::goals::Goals;
use crate::rounds::Run;
use crate::table::{Better, Figures};

const ROWS: [Kind; 10] = [
    Kind::Limit,
    Kind::Framed,
    Kind::Ours,
    Kind::Okay,
    Kind::OkayLarge,
    Kind::Raft,
    Kind::RaftPrefilled,
    Kind::WalDb,
    Kind::Sqlite,
    Kind::Redb,
];

struct Size {
    name: &'static str,
    record: usize,
    commits: usize,
    p50_goal: f64,
    p99_goal: Option<f64>,
}

const SIZES: [Size; 3] = [
    Size { name: "128 B", record: 128, commits: 1000, p50_goal: 1.05, p99_goal: Some(1.2) },
    Size { name: "4 KiB", record: 4 << 10, commits: 1000, p50_goal: 1.05, p99_goal: Some(1.2) },
    Size { name: "64 KiB", record: 64 << 10, commits: 300, p50_goal: 1.10, p99_goal: None },
];

/// A round takes turns of so many commits ..
const TURN: usize = 50;
/// .. and some before, which do not count.
const WARM: usize = 8;
const ROOM: u64 = 32 << 20;

pub(crate) fn measure(run: &mut Run, goals: &mut Goals) -> Result {
    let figures = |title| {
        let rows = ROWS.map(|kind| (kind.name().to_owned(), kind.role()));
        Figures::new(title, Better::Less, rows, SIZES.map(|size| size.name.to_owned()), run.rounds)
    };
    let (mut p50, mut p99) = (figures("W1, p50 in µs"), figures("W1, p99 in µs"));
    for (column, size) in SIZES.iter().enumerate() {
        let record = run.dice.bytes(size.record);
        let mut times = vec![vec![Vec::new(); run.rounds]; ROWS.len()];
        let slices = size.commits / TURN;
        run.together(&format!("W1, {}", size.name), &ROWS, ROOM, slices, |log, row, round| {
            commit(log, &record, &mut times[row][round])
        })?;
        for (row, rounds) in times.iter_mut().enumerate() {
            for (round, times) in rounds.iter_mut().enumerate() {
                times.sort_by(f64::total_cmp);
                p50.set(row, column, round, quantile(times, 500));
                p99.set(row, column, round, quantile(times, 990));
            }
        }
    }
    p50.print(&SIZES.map(|size| Some(size.p50_goal)), goals);
    p99.print(&SIZES.map(|size| size.p99_goal), goals);
    Ok(())
}

/// One turn; enters the microseconds of each commit.
fn commit(log: &dyn Log, record: &[u8], times: &mut Vec<f64>) -> Result {
    for _ in 0..WARM {
        log.commit(0, record)?;
    }
    for _ in 0..TURN {
        let begun = Instant::now();
        log.commit(0, record)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(())
}
