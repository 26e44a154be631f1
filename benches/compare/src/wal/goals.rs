//! What treewal's journal set out to reach, beside what it reached.

use treewal_compare::shown;

#[derive(Default)]
pub(crate) struct Goals(Vec<String>);

impl Goals {
    /// Enters a figure of ours, its goal where there is one, and the best peer's figure.
    pub(crate) fn enter(&mut self, who: &str, workload: &str, ours: f64, goal: Option<f64>, best: Option<(f64, &str)>) {
        if !ours.is_finite() {
            return;
        }
        let (goal, met) = match goal {
            None => ("–".to_owned(), "–"),
            Some(goal) => (format!("≤ {}", shown(goal)), if ours <= goal { "yes" } else { "**no**" }),
        };
        let best = best.map_or_else(|| "–".to_owned(), |(ratio, name)| format!("{} ({name})", shown(ratio)));
        self.0.push(format!("| {workload} | {who} | {} | {goal} | {met} | {best} |", shown(ours)));
    }

    pub(crate) fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        println!("| as a multiple of the limit | | | goal | met | best other |\n|---|---|--:|--:|---|---|");
        self.0.iter().for_each(|row| println!("{row}"));
        println!();
    }
}
