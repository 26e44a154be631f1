//! The arguments of `resolve`.

use clap::Args;

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("choice").required(true).multiple(true)))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Resolve {
    /// The number of the transaction
    #[arg(value_name = "ID")]
    pub(crate) id: u64,
    /// Leave the tree as it is, and settle it; what a staged transaction holds goes to quarantine
    #[arg(long, group = "choice", conflicts_with_all = ["restore", "abandon"])]
    pub(crate) keep: bool,
    /// Bring back the state before it: all or nothing
    #[arg(long, group = "choice", conflicts_with = "abandon")]
    pub(crate) restore: bool,
    /// Give it up now: all it has goes to quarantine
    #[arg(long, group = "choice")]
    pub(crate) abandon: bool,
    /// Show what would be done, and change nothing
    #[arg(long, group = "choice")]
    pub(crate) dry_run: bool,
}
