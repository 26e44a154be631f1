//! From the words of the command line to the command that runs.

use std::ffi::OsString;

use clap::{ColorChoice, CommandFactory as _, Parser as _};

use crate::args::{Cli, Global};
use crate::child::{LAUNCH, become_command};
use crate::command::{self, Context};
use crate::demo::{PART, play};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, again};

/// Runs the program.
pub(crate) fn start(words: &[OsString]) -> Exit {
    // Parts that this program plays for itself: no commands, so that no help and no completion knows them.
    let part = match words.get(1).and_then(|word| word.to_str()) {
        Some(LAUNCH) => become_command,
        Some(PART) => play,
        _ => return command(words),
    };
    match part(&words[2..]) {
        Ok(()) => Exit::DONE,
        Err(failure) => {
            Output::default().failure(&failure);
            failure.exit
        }
    }
}

fn command(words: &[OsString]) -> Exit {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return misused(words, &error),
    };
    let output = Output {
        command: cli.command.name().to_owned(),
        json: cli.global.json,
        quiet: cli.global.quiet,
        verbose: cli.global.verbose,
        color: choice(cli.global.color),
        again: again(&cli.global.dir),
    };
    let Global { dir, wait, allow_network, .. } = &cli.global;
    let context = Context { dir: dir.clone(), wait: *wait, allow_network: *allow_network, output };
    command::run(&cli, &context).unwrap_or_else(|failure| {
        context.output.failure(&failure);
        failure.exit
    })
}

fn choice(color: ColorChoice) -> anstream::ColorChoice {
    match color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
}

/// A command line that is no command, help that was asked for among it.
fn misused(words: &[OsString], error: &clap::Error) -> Exit {
    let asked = Asked::guess(words);
    let colored = Cli::command().color(asked.color).try_get_matches_from(words).err();
    // A reader that has gone away has read enough.
    drop(colored.as_ref().unwrap_or(error).print());
    if !error.use_stderr() {
        return Exit::DONE;
    }
    let exit = if asked.command == "run" { Exit::RUN_FAILED } else { Exit::BAD_INPUT };
    if asked.json {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let output = Output { command: asked.command, json: true, ..Output::default() };
        output.failure_as_data(&Failure::new(exit, message).help("see `treewal --help`"));
    }
    exit
}

/// What can be told of a command line that has mistakes.
struct Asked {
    command: String,
    json: bool,
    color: ColorChoice,
}

impl Asked {
    fn guess(words: &[OsString]) -> Self {
        let lenient = Cli::command().ignore_errors(true).disable_help_flag(true).disable_version_flag(true);
        let Ok(matches) = lenient.try_get_matches_from(words) else {
            return Self { command: String::new(), json: false, color: ColorChoice::Auto };
        };
        let inner = matches.subcommand().map_or(&matches, |(_, inner)| inner);
        let flag = |id: &str| inner.try_get_one::<bool>(id).ok().flatten().copied().unwrap_or_default();
        let color = inner.try_get_one::<ColorChoice>("color").ok().flatten().copied();
        let command = matches.subcommand_name().unwrap_or_default().to_owned();
        Self { command, json: flag("json"), color: color.unwrap_or_default() }
    }
}
