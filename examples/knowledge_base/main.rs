//! A knowledge base: documents are converted, many at a time, and added one after another. Each is a directory, a row of an
//! SQLite index and a line of a log, and all three are there or none is, whatever fails or is killed.
//!
//! ```console
//! $ cargo run --example knowledge_base -- BASE add docs src     # Markdown, Rust and text files
//! $ cargo run --example knowledge_base -- BASE list
//! $ cargo run --example knowledge_base -- BASE remove docs--design.md
//! $ cargo run --example knowledge_base -- BASE check            # documents, index and log agree
//! ```
//!
//! The index is a library that writes in place, with files that come and go beside its own. So a document is added under a
//! guard on everything that adding it touches: see `base`.
//!
//! | module | its one idea |
//! |---|---|
//! | `base` | whoever changes the base does it under a guard, and whoever looks holds it still |
//! | `prepare` | a file is hashed, and converted only where nobody has its hash yet; nothing of that is in the base |
//! | `add` | many are prepared at once, and added in the order in which they were found |
//! | `remove` | the same, backwards |
//! | `index` | the SQLite database, which knows nothing of treewal |
//! | `check` | documents, index and log say the same |
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example speaks, and reads files outside of the tree"
)]
#![expect(clippy::disallowed_types, reason = "under a guard, any code writes as it likes")]

pub(crate) mod add;
pub(crate) mod base;
mod check;
pub(crate) mod index;
mod prepare;
mod remove;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tracing_subscriber::fmt::format::FmtSpan;

use base::{Base, Result};
use index::Index;

/// Keeps documents with an index.
#[derive(Parser)]
struct Cli {
    /// The directory of the base; made where it is missing.
    base: PathBuf,
    /// Say on standard error how long each phase took.
    #[arg(long)]
    timing: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add all documents in these directories that are not there yet.
    Add {
        /// How many threads convert.
        #[arg(long)]
        threads: Option<usize>,
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
    /// Remove a document.
    Remove { name: String },
    /// List the documents.
    List,
    /// Read everything; fails where documents, index and log do not agree.
    Check,
}

pub(crate) fn main() -> Result<()> {
    run(std::env::args_os())
}

/// The program, with its arguments.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let Cli { base, timing, command } = Cli::parse_from(arguments);
    if timing {
        let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
        subscriber.with_max_level(tracing::Level::DEBUG).init();
    }
    let base = Base::open(&base)?;
    match command {
        Command::Add { threads, dirs } => {
            let report = base.add(&dirs, threads, |name, added| match added {
                Ok(added) => println!("{added} {name}"),
                Err(error) => println!("failed {name}: {error}"),
            })?;
            println!("{report}");
        }
        Command::Remove { name } => base.remove(&name)?,
        Command::List => {
            for document in base.look(Index::documents)? {
                println!("{} {}: {}", document.bytes, document.name, document.title);
            }
        }
        Command::Check => println!("{}", base.check()?),
    }
    Ok(())
}
