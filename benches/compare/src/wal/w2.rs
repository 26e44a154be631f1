//! W2: many threads, each of which appends a record of 128 bytes and waits until it is durable, again and again.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use treewal_compare::median;

use crate::Result;
use crate::contestant::{Kind, Log};
use crate::goals::Goals;
use crate::rounds::Run;
use crate::table::{Better, Figures};

/// The limit is one thread that writes as many records at once as there are threads.
const ROWS: [Kind; 9] = [
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

/// Threads, and the goal.
const THREADS: [(usize, f64); 6] = [(1, 1.05), (2, 1.15), (4, 2.0), (8, 2.3), (16, 2.3), (32, 2.7)];

const RECORD: usize = 128;
const ROOM: u64 = 32 << 20;
/// A round takes so many turns of such a length; the median of their rates counts, so that a stall of the machine does
/// not. Stalls of a log are what p99 of W1 is for.
const TURNS: usize = 10;
const LENGTH: Duration = Duration::from_millis(20);

pub(crate) fn measure(run: &mut Run, goals: &mut Goals) -> Result {
    let rows = ROWS.map(Kind::row_under_framed_limit);
    let columns = THREADS.map(|(threads, _)| format!("T = {threads}"));
    let mut rates = Figures::new("W2, durable appends of 128 B a second", Better::More, rows, columns, run.rounds);
    let record = run.dice.bytes(RECORD);
    for (column, (threads, _)) in THREADS.into_iter().enumerate() {
        let mut turns = vec![vec![Vec::new(); run.rounds]; ROWS.len()];
        run.together(&format!("W2, {threads} threads"), &ROWS, ROOM, TURNS, |log, row, round| {
            let rate =
                if ROWS[row] == Kind::Framed { alone(log, &record, threads)? } else { many(log, &record, threads)? };
            turns[row][round].push(rate);
            Ok(())
        })?;
        for (row, rounds) in turns.into_iter().enumerate() {
            for (round, turns) in rounds.into_iter().enumerate() {
                rates.set(row, column, round, median(turns.into_iter()));
            }
        }
    }
    rates.print(&THREADS.map(|(_, goal)| Some(goal)), goals);
    Ok(())
}

/// One turn of the limit: records a second. It has a new thread as the others have, which the scheduler may put elsewhere.
fn alone(log: &dyn Log, record: &[u8], at_once: usize) -> Result<f64> {
    let turn = || -> Result<f64> {
        let (begun, mut done) = (Instant::now(), 0);
        while begun.elapsed() < LENGTH {
            log.commit_many(record, at_once)?;
            done += at_once;
        }
        Ok(done as f64 / begun.elapsed().as_secs_f64())
    };
    std::thread::scope(|scope| scope.spawn(turn).join().map_err(|_| "a thread panicked")?)
}

/// One turn: records a second. Each thread looks at the clock itself: one that has to be woken to say stop comes late.
fn many(log: &dyn Log, record: &[u8], threads: usize) -> Result<f64> {
    let barrier = Barrier::new(threads);
    let work = |thread| -> Result<(usize, Instant, Instant)> {
        barrier.wait();
        let (begun, mut done) = (Instant::now(), 0);
        while begun.elapsed() < LENGTH {
            log.commit(thread, record)?;
            done += 1;
        }
        Ok((done, begun, Instant::now()))
    };
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let (mut done, mut begun, mut ended) = (0, None::<Instant>, None::<Instant>);
        for thread in threads {
            let (records, from, to) = thread.join().map_err(|_| "a thread panicked")??;
            done += records;
            begun = Some(begun.map_or(from, |begun| begun.min(from)));
            ended = ended.max(Some(to));
        }
        let (begun, ended) = begun.zip(ended).ok_or("no threads")?;
        Ok(done as f64 / ended.duration_since(begun).as_secs_f64())
    })
}
