//! The few styles, each for one meaning.

use anstyle::{AnsiColor, Style};

/// What failed, and what is gone.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is as it should be, and what is new.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What is as it was before.
pub(crate) const OLD: Style = AnsiColor::Yellow.on_default();
/// Headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
