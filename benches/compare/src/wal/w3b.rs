//! W3b: reads a whole log from the page cache, every checksum looked at.

use std::time::Instant;

use crate::Result;
use crate::goals::Goals;
use crate::home::Home;
use crate::rounds::Run;
use crate::scans::{Reader, Whole};
use crate::table::{Better, Figures};

/// Name, bytes of a record, bytes of the log, goal.
const SIZES: [(&str, usize, usize, f64); 2] =
    [("1 GiB of 4 KiB", 4 << 10, 1 << 30, 1.15), ("256 MiB of 128 B", 128, 256 << 20, 1.5)];

pub(crate) fn measure(run: &mut Run, goals: &mut Goals) -> Result {
    let rows = Reader::ALL.map(|reader| (reader.name().to_owned(), reader.role()));
    let columns = SIZES.map(|(name, ..)| name.to_owned());
    let mut rates = Figures::new("W3b, MB read a second", Better::More, rows, columns, run.rounds);
    for (column, (name, record, bytes, _)) in SIZES.into_iter().enumerate() {
        let all = Whole::new(record, bytes);
        eprintln!("W3b, writing {name}");
        let mut homes: Vec<Option<Home>> = Vec::new();
        for reader in Reader::ALL {
            let home = if run.wants(reader.name()) { Some(reader.write(run, all)?) } else { None };
            // The first time warms up.
            home.as_ref().map_or(Ok(()), |home| reader.read(&home.path, all))?;
            homes.push(home);
        }
        run.each(&format!("W3b, {name}"), &Reader::ALL.map(Reader::name), |_, row, round| {
            let home = homes[row].as_ref().ok_or("a log that nobody wrote")?;
            let begun = Instant::now();
            Reader::ALL[row].read(&home.path, all)?;
            rates.set(row, column, round, all.bytes() as f64 / 1e6 / begun.elapsed().as_secs_f64());
            Ok(())
        })?;
        homes.into_iter().flatten().try_for_each(Home::remove)?;
    }
    rates.print(&SIZES.map(|(.., goal)| Some(goal)), goals);
    Ok(())
}
