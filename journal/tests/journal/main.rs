//! The log from outside: on simulated and real disks, through crashes, damage and failing calls.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod basics;
mod common;
mod damage;
