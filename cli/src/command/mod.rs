//! The commands, one a file.

mod apply;
mod completions;
mod demo;
mod log;
mod man;
mod quarantine;
mod recover;
mod resolve;
mod run;
mod snapshot;
mod status;
mod verify;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use treewal::{Options, Tree};

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, Report};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) dir: PathBuf,
    pub(crate) wait: Duration,
    pub(crate) allow_network: bool,
    pub(crate) output: Output,
}

impl Context {
    pub(crate) fn options(&self) -> Options {
        Options::new().lock_wait(self.wait).allow_network(self.allow_network)
    }

    /// Opens the tree, and tells what opening it had to mend.
    pub(crate) fn open(&self) -> Result<Tree, Failure> {
        let tree = self.options().open(&self.dir)?;
        if !tree.recovery().is_clean() {
            self.output.note(&tree.recovery().to_string());
        }
        Ok(tree)
    }

    /// Reports what only looks: where the report cannot be written, nothing was done.
    pub(crate) fn show(&self, exit: Exit, outcome: &str, report: &impl Report) -> Result<Exit, Failure> {
        self.output.report(exit, outcome, report).map_err(|error| unwritten(&error))?;
        Ok(exit)
    }

    /// Reports what was done: it stays done, and the exit code says so, even where the report cannot be written.
    pub(crate) fn told(&self, exit: Exit, outcome: &str, report: &impl Report) -> Exit {
        if let Err(error) = self.output.report(exit, outcome, report) {
            self.output.note(&format!("it is done, but the report cannot be written: {error}"));
        }
        exit
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new(Exit::IO, "cannot write to standard output").because(error)
}

/// Runs a command.
pub(crate) fn run(cli: &Cli, context: &Context) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Apply(args) => apply::run(args, context),
        Command::Run(args) => run::run(args, context).map_err(|failure| failure.exits(Exit::RUN_FAILED)),
        Command::Snapshot { action } => snapshot::run(action, context),
        Command::Quarantine { action } => quarantine::run(action, context),
        Command::Status(look) => status::run(look, context),
        Command::Recover => recover::run(context),
        Command::Resolve(args) => resolve::run(args, context),
        Command::Log(args) => log::run(args, context),
        Command::Verify(look) => verify::run(look, context),
        Command::Demo => demo::run(context),
        Command::Completions { shell } => completions::run(*shell, context),
        Command::Man => man::run(context),
    }
}

/// A text that is the whole report.
#[derive(Debug, serde::Serialize)]
struct Text {
    text: String,
}

impl Report for Text {
    fn human(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(self.text.as_bytes())
    }
}
