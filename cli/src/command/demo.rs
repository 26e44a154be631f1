//! `demo`: what a crash does, and what recovery makes of it.

use super::Context;
use crate::demo::{Demo, Work, trials};
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.output.talk("killing a process at every disk call of a commit, and of a command under a guard ..");
    let (commits, guards) = (trials(Work::Commit)?, trials(Work::Guard)?);
    let nothing = || Failure::new(Exit::REFUSED, "no kill left the tree half changed: there is nothing to show");
    let demo = Demo::new(&commits, &guards).ok_or_else(nothing)?;
    context.show(Exit::DONE, "unchanged", &demo)
}
