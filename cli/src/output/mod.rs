//! What is said, and where: data on stdout, talk on stderr.

mod json;
mod line;
mod path;
mod progress;
mod stream;
mod style;

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
pub(crate) use line::one_line;
pub(crate) use path::{JsonPath, shown};
pub(crate) use stream::wait_on_reader;
pub(crate) use style::{BAD, DIM, GOOD, HEAD, OLD};

/// What a command has to report: the same for people and, by its `Serialize`, for programs.
pub(crate) trait Report: Serialize {
    /// Writes it for people. Styles are stripped where nobody sees them.
    fn human(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// The way out of one run of the program.
#[derive(Debug)]
pub(crate) struct Output {
    /// The command, as `--json` names it.
    pub(crate) command: String,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) color: ColorChoice,
    /// How to call this program for the same tree again: `treewal -C DIR`.
    pub(crate) again: String,
}

impl Default for Output {
    /// For people, on the tree in the working directory.
    fn default() -> Self {
        let (command, again) = (String::new(), "treewal".to_owned());
        Self { command, json: false, quiet: false, verbose: false, color: ColorChoice::Auto, again }
    }
}

impl Output {
    /// Writes a report to stdout. A reader that has gone away is no error: it has all it wanted.
    pub(crate) fn report(&self, exit: Exit, outcome: &str, report: &impl Report) -> io::Result<()> {
        let mut text = Vec::new();
        if self.json {
            json::answer(&mut text, &self.command, exit, outcome, report)?;
        } else {
            report.human(&mut text)?;
        }
        self.data(&text)
    }

    /// Writes bytes to stdout as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn data(&self, text: &[u8]) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.color);
        match out.write_all(text).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Tells of a failure: lines on stderr, and with `--json` an object on stdout.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            self.failure_as_data(failure);
        }
        let mut lines = format!("{BAD}error:{BAD:#} {}\n", failure.message);
        for cause in &failure.causes {
            lines.push_str(&format!("  {DIM}cause:{DIM:#} {cause}\n"));
        }
        if let Some(help) = self.help(failure) {
            lines.push_str(&format!("  {GOOD}help:{GOOD:#} {help}\n"));
        }
        self.say(&lines);
    }

    /// Tells of a failure on stdout alone.
    pub(crate) fn failure_as_data(&self, failure: &Failure) {
        let mut text = Vec::new();
        let written = json::failure(&mut text, &self.command, failure, self.help(failure).as_deref());
        // What cannot be said cannot be said: the exit code still tells.
        drop(written.and_then(|()| self.data(&text)));
    }

    /// The help of a failure, with the commands in it as they have to be typed.
    fn help(&self, failure: &Failure) -> Option<String> {
        failure.help.as_ref().map(|help| help.replace("`treewal ", &format!("`{} ", self.again)))
    }

    /// Tells what one should know although nothing failed. Silent with `-q`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let text = text.replace('\n', "\n      ");
            self.say(&format!("{OLD}note:{OLD:#} {text}\n"));
        }
    }

    /// Puts a question, at the end of which an answer is typed.
    pub(crate) fn ask(&self, question: &str) {
        self.say(question);
    }

    /// Tells how it goes: on a terminal or with `-v`, and never with `-q`.
    pub(crate) fn talk(&self, text: &str) {
        if self.talks() {
            self.say(&format!("{text}\n"));
        }
    }

    /// Whether anybody hears how it goes.
    pub(crate) fn talks(&self) -> bool {
        !self.quiet && (self.verbose || io::stderr().is_terminal())
    }

    fn say(&self, text: &str) {
        let mut out = AutoStream::new(io::stderr().lock(), self.color);
        // Where not even stderr listens, nobody is left to be told.
        drop(out.write_all(text.as_bytes()));
    }
}

/// How this program is called for the tree at `dir`, to be pasted into a shell.
pub(crate) fn again(dir: &Path) -> String {
    if dir == Path::new(".") {
        return "treewal".to_owned();
    }
    format!("treewal -C {}", quoted(dir.as_os_str()))
}

/// A word as a POSIX shell takes it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_next_time_can_be_pasted() {
        assert_eq!(again(Path::new(".")), "treewal");
        assert_eq!(again(Path::new("a/b-c")), "treewal -C a/b-c");
        assert_eq!(again(Path::new("it's here")), "treewal -C 'it'\\''s here'");
    }
}
