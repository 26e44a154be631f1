//! Exit codes: what they are, what is said about them, and which error gives which.

use std::io::ErrorKind;
use std::process::{ExitCode, ExitStatus};

use std::os::unix::process::ExitStatusExt as _;

use treewal::{Error, Outcome};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(u8);

impl Exit {
    pub(crate) const DONE: Self = Self(0);
    pub(crate) const REFUSED: Self = Self(1);
    pub(crate) const BAD_INPUT: Self = Self(2);
    pub(crate) const IO: Self = Self(3);
    pub(crate) const UNDECIDED: Self = Self(4);
    pub(crate) const CONFLICT: Self = Self(5);
    pub(crate) const DAMAGE: Self = Self(6);
    pub(crate) const BUSY: Self = Self(75);
    pub(crate) const RUN_FAILED: Self = Self(125);
    pub(crate) const RUN_NOT_EXECUTABLE: Self = Self(126);
    pub(crate) const RUN_NOT_FOUND: Self = Self(127);

    /// That of a process that a signal ended, as shells say it.
    pub(crate) fn of_signal(signal: i32) -> Self {
        Self(u8::try_from(signal).map_or(u8::MAX, |signal| signal.saturating_add(128)))
    }

    /// That of a command that ended.
    pub(crate) fn of_command(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, Some(signal)) => Self::of_signal(signal),
            (None, None) => Self::RUN_FAILED,
        }
    }

    /// That of an error of treewal.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error {
            Error::Conflict { .. } => Self::CONFLICT,
            Error::Locked { .. } => Self::BUSY,
            Error::InvalidPath { .. } | Error::Reserved { .. } | Error::Input(_) => Self::BAD_INPUT,
            Error::ThroughSymlink { .. }
            | Error::OtherFileSystem { .. }
            | Error::NetworkFileSystem { .. }
            | Error::Store { .. } => Self::REFUSED,
            Error::Undecided { .. } | Error::Poisoned | Error::Pending { .. } => Self::UNDECIDED,
            Error::Change { source, .. } => Self::of_error(source),
            // Somebody changed a path between the check and its turn: as good as if the check had found it.
            Error::RolledBack { source, .. } if matches!(**source, Error::Conflict { .. }) => Self::CONFLICT,
            _ => match error.outcome() {
                Outcome::Undecided => Self::UNDECIDED,
                Outcome::RolledBack => Self::IO,
                _ => Self::of_kind(error),
            },
        }
    }

    /// Before the commit point nothing has changed; what is left to say is whether the tree refuses, or the disk fails.
    fn of_kind(error: &Error) -> Self {
        use ErrorKind::*;
        let is_stored = matches!(error, Error::Journal(_) | Error::Snapshot(_) | Error::Recovery(_));
        match error.kind() {
            InvalidData if is_stored => Self::DAMAGE,
            NotFound | AlreadyExists | PermissionDenied | NotADirectory | IsADirectory | DirectoryNotEmpty
            | ReadOnlyFilesystem | InvalidInput | InvalidData | ExecutableFileBusy | ResourceBusy | CrossesDevices
            | TooManyLinks | FileTooLarge | Unsupported => Self::REFUSED,
            _ => Self::IO,
        }
    }

    pub(crate) fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// What every exit code says, for `--help` and the manual page.
pub(crate) const TABLE: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "refused; the tree is unchanged"),
    ("2", "wrong usage or bad input; the tree is unchanged"),
    ("3", "I/O error; what was begun is rolled back"),
    ("4", "undecided: run `treewal recover`"),
    ("5", "conflict: the tree is not what was expected, and is unchanged"),
    ("6", "damage found; what has no place in the tree is in quarantine"),
    ("75", "the tree is locked by somebody else; try again later"),
    ("125", "run: treewal itself failed"),
    ("126", "run: the command cannot be executed"),
    ("127", "run: the command was not found"),
    ("130, 143", "interrupted by SIGINT or SIGTERM; run has restored the tree"),
    ("any other", "run: the command's own; 128 + n where signal n killed it"),
];

/// The table as lines of text.
pub(crate) fn table_text() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in TABLE {
        text.push_str(&format!("  {code:<10} {meaning}\n"));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests;
