//! Starting the command.
//!
//! If treewal is killed, its command must not go on writing into a tree that somebody opens and restores. The kernel
//! kills a child with its parent if the child asks for it, between `fork` and `exec`. To run code there takes `unsafe`;
//! so the child is this program again, which asks and then becomes the command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::exit::Exit;
use crate::failure::Failure;

/// The first argument of the program that becomes a command; the process id of its parent and the command follow.
pub(crate) const LAUNCH: &str = "__launch";

/// This program, even if its file was replaced since.
const MYSELF: &str = "/proc/self/exe";

/// Starts a command in the tree. With `to_stderr` its standard output goes to our standard error, and ours is left for
/// data.
///
/// # Errors
/// That the system cannot start a process. A command that cannot be run ends with 126 or 127 instead.
pub(crate) fn start(command: &[OsString], dir: &Path, to_stderr: bool) -> io::Result<Child> {
    let myself = if Path::new(MYSELF).exists() { MYSELF.into() } else { env::current_exe()? };
    let mut launcher = Command::new(myself);
    launcher.arg(LAUNCH).arg(std::process::id().to_string()).args(command).current_dir(dir);
    if to_stderr {
        launcher.stdout(Stdio::from(io::stderr()));
    }
    launcher.spawn()
}

/// Becomes the command; comes back only if it cannot.
///
/// # Errors
/// Always.
pub(crate) fn become_command(args: &[OsString]) -> Result<(), Failure> {
    let [parent, program, args @ ..] = args else {
        return Err(Failure::new(Exit::BAD_INPUT, "this is for treewal's own use"));
    };
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::new(Exit::RUN_FAILED, "cannot have the command end with treewal").because(&error))?;
    // Whoever died before that was set did not take us along.
    let parent_now = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent_now.as_deref().map(OsStr::new) != Some(parent) {
        return Err(Failure::new(Exit::RUN_FAILED, "treewal was killed before its command started"));
    }
    let error = Command::new(program).args(args).exec();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::RUN_NOT_FOUND,
        _ => Exit::RUN_NOT_EXECUTABLE,
    };
    Err(Failure::new(exit, format!("cannot run {program:?}")).because(&error))
}
