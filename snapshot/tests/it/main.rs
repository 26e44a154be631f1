//! The snapshot from outside: what comes back, what survives a crash, and random trees against their own dumps.
#![cfg(test)]

mod bed;
mod choices;
mod cost;
mod crash;
mod differences;
mod exchange;
mod furnished;
mod hooked;
mod hostile;
mod images;
mod kill;
mod model;
mod privilege;
mod real;
mod refused;
