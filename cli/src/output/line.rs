//! Text of others on a line of ours.

/// A text as it may be shown: whoever names a file must not be able to add lines, or to write to a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
