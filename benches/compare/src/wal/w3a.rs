//! W3a: one thread appends as fast as it can, and nothing has to be durable; at the end the kernel has all of it.

use std::time::Instant;

use crate::Result;
use crate::contestant::{Kind, Log};
use crate::goals::Goals;
use crate::rounds::Run;
use crate::table::{Better, Figures};

/// The limit gathers framed records in a buffer. Logs that cannot append without a sync are missing.
const ROWS: [Kind; 5] = [Kind::Framed, Kind::FramedWide, Kind::Ours, Kind::Raft, Kind::WalDb];
const SIZES: [(&str, usize); 3] = [("128 B", 128), ("4 KiB", 4 << 10), ("64 KiB", 64 << 10)];
const GOAL: f64 = 1.15;

/// What is appended, and the room for it: all of it fits in one segment of ours.
const PAYLOAD: usize = 48 << 20;
const ROOM: u64 = 64 << 20;
/// A turn is short: it is taken more often.
const TIMES: usize = 3;

pub(crate) fn measure(run: &mut Run, goals: &mut Goals) -> Result {
    let rows = ROWS.map(Kind::row_under_framed_limit);
    let columns = SIZES.map(|(name, _)| name.to_owned());
    let mut rates =
        Figures::new("W3a, MB appended a second, not durable", Better::More, rows, columns, TIMES * run.rounds);
    for (column, (name, bytes)) in SIZES.into_iter().enumerate() {
        let record = run.dice.bytes(bytes);
        for time in 0..TIMES {
            run.each(&format!("W3a, {name}"), &ROWS.map(Kind::name), |run, row, round| {
                let rate = run.with(ROWS[row], ROOM, |log| rate(log, &record))?;
                rates.set(row, column, TIMES * round + time, rate);
                Ok(())
            })?;
        }
    }
    rates.print(&SIZES.map(|_| Some(GOAL)), goals);
    Ok(())
}

/// Megabytes of payload a second.
fn rate(log: &dyn Log, record: &[u8]) -> Result<f64> {
    let records = PAYLOAD / record.len();
    let begun = Instant::now();
    for _ in 0..records {
        log.append(record)?;
    }
    log.flush()?;
    let seconds = begun.elapsed().as_secs_f64();
    log.sync()?;
    Ok((records * record.len()) as f64 / 1e6 / seconds)
}
