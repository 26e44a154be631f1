//! Rounds: in each, every contestant makes the same commits on its own tree, in an order drawn anew.

use std::time::{Duration, Instant};

use treewal_compare::Dice;

use crate::contestant::{Contestant, JOURNAL, LIMIT, NAMES, make, selected};
use crate::table::{Figures, print};
use crate::work::{Write, change_set};
use crate::{Result, Run};

/// How a number of files is measured.
pub(crate) struct Plan {
    pub(crate) files: usize,
    /// Commits one after another; the figure of a round is their median.
    commits: usize,
    /// How often a round does that.
    sections: usize,
    /// Commits before a checkpoint, where checkpoints count: about as many as fill the 8 MiB of journal after which
    /// treewal checkpoints by itself.
    pub(crate) commits_settled: usize,
}

pub(crate) const PLANS: [Plan; 4] = [
    Plan { files: 1, commits: 32, sections: 1, commits_settled: 1600 },
    Plan { files: 10, commits: 16, sections: 1, commits_settled: 160 },
    Plan { files: 100, commits: 8, sections: 1, commits_settled: 16 },
    Plan { files: 1000, commits: 1, sections: 3, commits_settled: 2 },
];

/// The rows whose checkpoints are timed as well, in a table of their own. The others put nothing off, or little:
/// under `Durability::Tree` all is durable when the commit returns.
pub(crate) const SETTLED: [&str; 2] = [LIMIT, JOURNAL];

/// A row of one of the two tables.
#[derive(Clone, Copy)]
enum Row {
    Commit(usize),
    Settled(usize),
}

/// Runs all rounds and prints the tables.
pub(crate) fn measure(Run { at, rounds, only, .. }: &Run<'_>) -> Result {
    let rounds = *rounds;
    let names = selected(&NAMES, only)?;
    let rows_settled: Vec<&str> = SETTLED.into_iter().filter(|name| names.contains(name)).collect();
    let mut contestants = Vec::new();
    for name in &names {
        eprintln!("making the tree of {name}");
        contestants.push(make(name, at)?);
    }
    let mut dice = Dice::new(std::process::id().into());
    let mut number = 0;
    let mut commits = Figures::new(&names, rounds);
    let mut settled = Figures::new(&rows_settled, rounds);
    for (column, plan) in PLANS.iter().enumerate() {
        for round in 0..=rounds {
            // The first round only warms up.
            let round = round.checked_sub(1);
            eprintln!("{} files, round {}", plan.files, round.map_or(0, |round| round + 1));
            let mut rows: Vec<Row> = (0..names.len()).map(Row::Commit).collect();
            rows.extend((0..rows_settled.len()).map(Row::Settled));
            dice.shuffle(&mut rows);
            for row in rows {
                let index = match row {
                    Row::Commit(index) => index,
                    Row::Settled(index) => names.iter().position(|name| *name == rows_settled[index]).unwrap_or(0),
                };
                let contestant = &mut *contestants[index];
                let figure = match row {
                    Row::Commit(_) => commit_time(contestant, plan, number)?,
                    Row::Settled(_) => settled_time(contestant, plan, number)?,
                };
                match (row, round) {
                    (_, None) => {}
                    (Row::Commit(index), Some(round)) => commits.set(index, column, round, figure),
                    (Row::Settled(index), Some(round)) => settled.set(index, column, round, figure),
                }
            }
            number += plan.commits_settled.max(plan.commits * plan.sections);
        }
    }
    print(&commits, &settled);
    contestants.into_iter().try_for_each(|contestant| contestant.end().remove())
}

/// The median time of a commit, without what it puts off.
fn commit_time(contestant: &mut dyn Contestant, plan: &Plan, number: usize) -> Result<Duration> {
    let mut times = Vec::new();
    for section in 0..plan.sections {
        contestant.settle()?;
        contestant.tree().flush()?;
        for commit in 0..plan.commits {
            let set = change_set(plan.files, number + section * plan.commits + commit);
            times.push(timed(contestant, &set)?);
        }
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// The mean time of a commit with its share of the checkpoint, those that treewal makes on its own among them.
fn settled_time(contestant: &mut dyn Contestant, plan: &Plan, number: usize) -> Result<Duration> {
    contestant.settle()?;
    contestant.tree().flush()?;
    let mut total = Duration::ZERO;
    for commit in 0..plan.commits_settled {
        total += timed(contestant, &change_set(plan.files, number + commit))?;
    }
    let begun = Instant::now();
    contestant.settle()?;
    total += begun.elapsed();
    Ok(total / u32::try_from(plan.commits_settled)?)
}

fn timed(contestant: &mut dyn Contestant, set: &[Write]) -> Result<Duration> {
    contestant.ready(set)?;
    let begun = Instant::now();
    contestant.commit(set)?;
    let time = begun.elapsed();
    contestant.check(set)?;
    Ok(time)
}
