//! Quarantine as people and programs use it: what went there is listed, shown, brought back, taken out and thrown away;
//! and what somebody planted there leads nowhere.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod export;
mod hostile;
mod limit;
mod nowhere;
mod purge;
mod retry;
mod world;
