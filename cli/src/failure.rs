//! What a command says when it fails: what, why, what next, and in which state it leaves the tree.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::path::Path;

use treewal::{Error, Outcome};

use crate::exit::Exit;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// State of the tree, as `--json` says it.
    pub(crate) outcome: &'static str,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    /// What to do next; a command of ours stands in it as `treewal NAME`.
    pub(crate) help: Option<Box<str>>,
    pub(crate) path: Option<Box<Path>>,
    /// Index of the change that failed.
    pub(crate) change: Option<usize>,
}

impl Failure {
    /// A failure that left the tree alone.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            outcome: "unchanged",
            message: message.into(),
            causes: Vec::new(),
            help: None,
            path: None,
            change: None,
        }
    }

    pub(crate) fn because(mut self, cause: &dyn StdError) -> Self {
        self.causes.push(cause.to_string());
        self.causes.extend(chain(cause));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with another exit code, for `run`, whose own failures must not look like those of its command.
    pub(crate) fn exits(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: Exit::of_error(&error),
            outcome: match error.outcome() {
                Outcome::Unchanged => "unchanged",
                Outcome::RolledBack => "rolled-back",
                _ => "undecided",
            },
            message: error.to_string(),
            causes: chain(&error),
            help: next(&error).map(Into::into),
            path: error.path().map(Into::into),
            change: match &error {
                Error::Change { index, .. } => Some(*index),
                _ => None,
            },
        }
    }
}

/// Everything beneath an error, outermost first. A cause that repeats the line above it is left out.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
        cause = error.source();
    }
    lines
}

/// What a person can do about it.
fn next(error: &Error) -> Option<&'static str> {
    match error {
        Error::Undecided { .. } | Error::Poisoned => {
            Some("run `treewal recover`: it finishes the transaction or undoes it, wholly")
        }
        Error::Pending { .. } => {
            Some("run `treewal status` to see why; `treewal recover` tries again, `treewal resolve` decides by hand")
        }
        Error::Locked { .. } => Some("run `treewal status` to see who holds it, or wait longer with --wait SECONDS"),
        Error::NetworkFileSystem { .. } => {
            Some("use a disk of this machine; or --allow-network, where no other machine uses the tree meanwhile")
        }
        Error::Conflict { .. } => Some("look at what is there now, and start again from that"),
        Error::InvalidPath { .. } | Error::Reserved { .. } => {
            Some("name a path in the tree, relative to it; another tree is chosen with -C DIR")
        }
        Error::OtherFileSystem { .. } => {
            Some("a tree is one file system; open that one as a tree of its own with -C DIR")
        }
        Error::Change { source, .. } if is_missing(source) => {
            Some("if a directory above it is missing, say \"parents\": true in the change")
        }
        Error::Change { source, .. } | Error::RolledBack { source, .. } => next(source),
        Error::Journal(_) | Error::Snapshot(_) if error.kind() == ErrorKind::InvalidData => {
            Some("run `treewal verify` to see what is damaged")
        }
        _ => match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("make room on the file system, and try again"),
            ErrorKind::ReadOnlyFilesystem => Some("mount the file system for writing, and try again"),
            _ => None,
        },
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { verb, .. } if *verb != "read") && error.kind() == ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_its_index_its_path_and_all_causes() {
        let source = std::io::Error::from(ErrorKind::NotFound);
        let inner = Error::Io { verb: "write", path: "a/b".into(), source };
        let failure = Failure::from(Error::Change { index: 2, source: Box::new(inner) });
        assert_eq!((failure.exit, failure.outcome), (Exit::REFUSED, "unchanged"));
        assert_eq!((failure.change, failure.path), (Some(2), Some(Path::new("a/b").into())));
        assert_eq!(failure.causes, ["cannot write \"a/b\"", "entity not found"]);
        assert!(failure.help.unwrap().contains("parents"));
    }

    #[test]
    fn what_is_undecided_names_the_command_that_decides_it() {
        let failure = Failure::from(Error::Undecided { source: Box::new(Error::Poisoned) });
        assert_eq!((failure.exit, failure.outcome), (Exit::UNDECIDED, "undecided"));
        assert!(failure.help.unwrap().contains("`treewal recover`"));
    }
}
