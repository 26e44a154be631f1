//! The model: random operations through treewal, and the same with `std::fs` beside it. Answers, what a transaction sees
//! of its own changes, and the trees afterwards must be equal; and on the way no path may go missing that was there and
//! stays.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at trees from outside"
)]

mod crash;
mod faulty;
mod handles;
#[path = "../shared/hooked.rs"]
mod hooked;
mod ops;
mod random;
mod replay;
#[path = "../shared/seen.rs"]
mod seen;
