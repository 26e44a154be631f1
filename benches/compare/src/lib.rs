//! What both programs need: random numbers and medians.

mod dice;
mod stats;

pub use dice::Dice;
pub use stats::{median, quantile, shown};
