//! `completions`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Context, Text};
use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) fn run(shell: Shell, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "treewal", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    context.show(Exit::DONE, "unchanged", &Text { text })
}
