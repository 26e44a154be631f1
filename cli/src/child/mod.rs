//! The command of `run`: a child process that does not outlive us, and the signals that we share with it.

mod launch;
mod signals;

use std::process::Child;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

pub(crate) use launch::{LAUNCH, become_command, start};
pub(crate) use signals::Signals;

use crate::exit::Exit;

/// Waits until a child has ended, and gives its exit code.
///
/// # Errors
/// That the system does not let us wait.
pub(crate) fn wait(child: &mut Child, signals: &Signals) -> std::io::Result<Exit> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::InvalidInput)?;
    signals.forward_to(pid);
    // Seen first and reaped later, so that no signal is ever sent to a number that is somebody else's by then.
    while let Err(error) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    signals.forward_no_more();
    Ok(Exit::of_command(child.wait()?))
}
