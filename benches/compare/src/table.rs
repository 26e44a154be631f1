//! Medians and Markdown.

use std::time::Duration;

use treewal_compare::{median, shown};

use crate::contestant::{JOURNAL, LIMIT};
use crate::measure::PLANS;

/// What was measured: a time for each row, number of files and round.
pub(crate) struct Figures<'a> {
    names: &'a [&'a str],
    times: Vec<Vec<Vec<Duration>>>,
}

impl<'a> Figures<'a> {
    pub(crate) fn new(names: &'a [&'a str], rounds: usize) -> Self {
        Self { names, times: vec![vec![vec![Duration::ZERO; rounds]; PLANS.len()]; names.len()] }
    }

    pub(crate) fn set(&mut self, row: usize, column: usize, round: usize, time: Duration) {
        self.times[row][column][round] = time;
    }

    fn row(&self, name: &str) -> &[Vec<Duration>] {
        &self.times[self.names.iter().position(|known| *known == name).unwrap_or(0)]
    }

    /// For each row and column the median over the rounds of its time as a multiple of that of the row `base` in the
    /// same round.
    fn ratios(&self, title: &str, base: &str) {
        let base = self.row(base);
        self.print(title, |row, column| {
            let rounds = row[column].iter().zip(&base[column]);
            median(rounds.map(|(time, base)| time.as_secs_f64() / base.as_secs_f64()))
        });
    }

    fn milliseconds(&self, title: &str) {
        self.print(title, |row, column| median(row[column].iter().map(|time| time.as_secs_f64() * 1e3)));
    }

    fn print(&self, title: &str, figure: impl Fn(&[Vec<Duration>], usize) -> f64) {
        let columns: Vec<String> = PLANS.iter().map(|plan| format!("N = {} |", plan.files)).collect();
        println!("| {title} | {}\n|---|{}", columns.join(" "), "--:|".repeat(PLANS.len()));
        for (name, row) in self.names.iter().zip(&self.times) {
            let cells: Vec<String> =
                (0..PLANS.len()).map(|column| format!("{} |", shown(figure(row, column)))).collect();
            println!("| {name} | {}", cells.join(" "));
        }
        println!();
    }
}

/// Prints everything.
pub(crate) fn print(commits: &Figures<'_>, settled: &Figures<'_>) {
    commits.ratios("× limit", LIMIT);
    if commits.names.contains(&JOURNAL) {
        commits.ratios("× treewal, Durability::Journal", JOURNAL);
    }
    commits.milliseconds("ms a commit");
    let counts: Vec<String> = PLANS.iter().map(|plan| plan.commits_settled.to_string()).collect();
    let counts = counts.join(", ");
    settled.ratios(&format!("× limit; {counts} commits and one checkpoint"), LIMIT);
    settled.milliseconds("ms a commit, its share of the checkpoint included");
}
