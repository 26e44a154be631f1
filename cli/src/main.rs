//! treewal on the command line.
//!
//! [`args`] says what can be asked, [`command`] does it, a file each, and [`output`] says what came of it. Exit codes
//! stand in [`exit`], alone.

mod args;
mod changes;
mod child;
mod command;
mod demo;
mod exit;
mod failure;
mod keeping;
mod output;
mod preview;
mod start;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    start::start(&words).into()
}
