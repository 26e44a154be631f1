//! The snapshot from outside: what comes back, what survives a crash, and random trees against their own dumps.
#![cfg(test)]

mod bed;
mod cost;
mod crash;
mod furnished;
mod hooked;
mod model;
mod privilege;
mod real;
mod refused;
