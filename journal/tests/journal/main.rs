//! The log from outside: on simulated and real disks, through crashes, damage and failing calls.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test")]

mod basics;
mod bent;
mod common;
mod crash;
mod damage;
mod excerpt;
mod failure;
mod hostile;
mod medium;
mod mending;
mod model;
mod product;
mod sources;
mod threads;
mod turns;
