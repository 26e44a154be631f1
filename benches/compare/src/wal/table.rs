//! Figures of all rounds, and Markdown.

use treewal_compare::{median, shown};

use crate::contestant::Role;
use crate::goals::Goals;

/// What is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// A time.
    Less,
    /// A rate.
    More,
}

/// A figure for each row, column and round. The first row is the limit that the others are a multiple of: more is worse,
/// whatever is measured.
pub(crate) struct Figures {
    title: String,
    better: Better,
    rows: Vec<(String, Role)>,
    columns: Vec<String>,
    figures: Vec<Vec<Vec<f64>>>,
}

impl Figures {
    pub(crate) fn new(
        title: impl Into<String>,
        better: Better,
        rows: impl IntoIterator<Item = (String, Role)>,
        columns: impl IntoIterator<Item = String>,
        rounds: usize,
    ) -> Self {
        let (rows, columns): (Vec<_>, Vec<_>) = (rows.into_iter().collect(), columns.into_iter().collect());
        let figures = vec![vec![vec![f64::NAN; rounds]; columns.len()]; rows.len()];
        Self { title: title.into(), better, rows, columns, figures }
    }

    pub(crate) fn set(&mut self, row: usize, column: usize, round: usize, figure: f64) {
        self.figures[row][column][round] = figure;
    }

    /// The median over the rounds of a figure as a multiple of the limit in the same round.
    fn ratio(&self, row: usize, column: usize) -> f64 {
        let rounds = self.figures[row][column].iter().zip(&self.figures[0][column]);
        median(rounds.map(|(figure, limit)| match self.better {
            Better::Less => figure / limit,
            Better::More => limit / figure,
        }))
    }

    /// Prints the table, with the goal of each column below it, and enters the goals.
    pub(crate) fn print(&self, limits: &[Option<f64>], goals: &mut Goals) {
        println!("| {} | {} |\n|---|{}", self.title, self.columns.join(" | "), "--:|".repeat(self.columns.len()));
        for (row, (name, _)) in self.rows.iter().enumerate() {
            // Who does not take part has no figures.
            if self.figures[row].iter().flatten().all(|figure| figure.is_nan()) {
                continue;
            }
            let cells = (0..self.columns.len()).map(|column| {
                let figure = median(self.figures[row][column].iter().copied());
                if figure.is_nan() {
                    "–".to_owned()
                } else {
                    format!("{} ({}×)", shown(figure), shown(self.ratio(row, column)))
                }
            });
            println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        let cells = limits.iter().map(|goal| goal.map_or_else(|| "–".to_owned(), |goal| format!("≤ {}×", shown(goal))));
        println!("| *goal of treewal-journal* | {} |\n", cells.collect::<Vec<_>>().join(" | "));
        for (column, goal) in limits.iter().enumerate() {
            self.judge(column, *goal, goals);
        }
    }

    fn judge(&self, column: usize, goal: Option<f64>, goals: &mut Goals) {
        let workload = format!("{}, {}", self.title, self.columns[column]);
        let peers = self.of(Role::Peer).map(|row| (self.ratio(row, column), &*self.rows[row].0));
        let best = peers.filter(|(ratio, _)| ratio.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
        for row in self.of(Role::Ours) {
            goals.enter(&self.rows[row].0, &workload, self.ratio(row, column), goal, best);
        }
    }

    fn of(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(move |row| self.rows[*row].1 == role)
    }
}
