//! `verify`: every area has its finding, a tree in order has none, also beside somebody at work, and nothing changes.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests look at the tree from outside")]

mod areas;
mod beside;
mod unchanged;
