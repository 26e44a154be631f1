//! Contestants in turns, and what they took.

use std::time::Instant;

use treewal_compare::{median, shown};

use crate::Result;

/// Who is measured: how it is made ready, what is timed, and how everything is as before.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'a str,
    pub(crate) ready: Box<dyn Fn() -> Result + 'a>,
    pub(crate) timed: Box<dyn Fn() -> Result + 'a>,
    pub(crate) after: Box<dyn Fn() -> Result + 'a>,
}

/// Runs everybody in each round, beginning with another one each time, and prints a table: medians, and as multiples of
/// each of `bases` in the same round.
pub(crate) fn measure(title: &str, rounds: usize, bases: &[&str], contestants: &[Contestant<'_>]) -> Result {
    let mut times = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let contestant = &contestants[index];
            (contestant.ready)()?;
            let begun = Instant::now();
            (contestant.timed)()?;
            times[index].push(begun.elapsed().as_secs_f64() * 1e3);
            (contestant.after)()?;
        }
    }
    let bases: Vec<usize> =
        bases.iter().filter_map(|base| contestants.iter().position(|known| known.name == *base)).collect();
    let heads: Vec<String> = bases.iter().map(|base| format!(" × {} |", contestants[*base].name)).collect();
    println!("| {title} | ms |{}\n|---|--:|{}", heads.concat(), "--:|".repeat(bases.len()));
    for (contestant, own) in contestants.iter().zip(&times) {
        let ratio = |base: &usize| median(own.iter().zip(&times[*base]).map(|(own, base)| own / base));
        let ratios: Vec<String> = bases.iter().map(|base| format!(" {} |", shown(ratio(base)))).collect();
        println!("| {} | {} |{}", contestant.name, shown(median(own.iter().copied())), ratios.concat());
    }
    println!();
    Ok(())
}
