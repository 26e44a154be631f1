//! A run as text: a step to a line, as JSON. Empty lines and those that begin with `#` are for people.

use crate::step::Step;

pub(crate) fn write(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("{}\n", serde_json::to_string(step).unwrap())).collect()
}

/// The steps of a script.
pub(crate) fn read(text: &str) -> Vec<Step> {
    let told = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    told.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}
