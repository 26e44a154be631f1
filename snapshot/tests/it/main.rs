//! The snapshot from outside: what comes back, what survives a crash, and random trees against their own dumps.
#![cfg(test)]

mod bed;
mod choices;
mod cost;
mod crash;
mod differences;
mod exchange;
mod furnished;
#[path = "../../../tests/shared/hooked.rs"]
mod hooked;
mod hostile;
mod images;
mod kill;
mod lying;
mod model;
mod privilege;
mod real;
mod refused;
