//! A store of conversations. Each is a directory of JSON files, people keep files of their own beside them, and every change
//! of a conversation is one transaction: whoever kills the program finds the conversation old or new.
//!
//! ```console
//! $ cargo run --example conversation_store -- STORE new "A title"     # prints its number
//! $ cargo run --example conversation_store -- STORE say NUMBER "Hello"
//! $ cargo run --example conversation_store -- STORE import docs/*.md  # a conversation for each file
//! $ cargo run --example conversation_store -- STORE check             # reads every one
//! ```
//!
//! | module | its one idea |
//! |---|---|
//! | `conversation` | what a conversation is, and when a directory is none |
//! | `store` | where conversations lie, and how one is found |
//! | `persist` | a conversation takes the place of its last version, in one exchange or file by file |
//! | `moves` | renaming, archiving and the trash are renames of directories |
//! | `import` | files become conversations, many in one transaction or each in its own |
//! | `migrate` | a store that was kept with temporary names, and what crashes have left of them |
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example speaks, and reads files outside of the tree"
)]

pub(crate) mod conversation;
mod import;
mod migrate;
mod moves;
mod persist;
pub(crate) mod store;

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use treewal::Publish;

use store::Store;

/// Keeps conversations as directories of JSON files.
#[derive(Parser)]
struct Cli {
    /// The directory of the store; made where it is missing.
    store: PathBuf,
    /// Exchange directories instead of changing what differs in them.
    #[arg(long)]
    exchange: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Begin a conversation, and print its number.
    New { title: String },
    /// Add to a conversation.
    Say { number: String, text: String },
    /// Make a conversation of each Markdown file: a paragraph is something that was said.
    Import {
        /// All of them or none, in one transaction.
        #[arg(long)]
        together: bool,
        files: Vec<PathBuf>,
    },
    /// List the conversations.
    List,
    /// Print a conversation.
    Show { number: String },
    /// Give a conversation another title.
    Rename { number: String, title: String },
    /// Move a conversation to the archive.
    Archive { number: String },
    /// Read every conversation; fails where one is none.
    Check,
    /// Move what is no conversation to the trash, with the reason.
    Trash,
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    run(std::env::args_os())
}

/// The program, with its arguments.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    let Cli { store, exchange, command } = Cli::parse_from(arguments);
    let how = if exchange { Publish::exchange() } else { Publish::merge() };
    let store = Store::open(&store)?.with(how);
    match command {
        Command::New { title } => println!("{}", store.begin(&title)?),
        Command::Say { number, text } => store.say(&number, &text)?,
        Command::Import { together, files } => import::import(&store, &files, together, |file, number| {
            println!("{number} {}", file.display());
        })?,
        Command::List => {
            for conversation in store.conversations()?.into_iter().filter_map(|(_, found)| found.ok()) {
                println!("{} {}", conversation.metadata.number, conversation.metadata.title);
            }
        }
        Command::Show { number } => {
            let (_, conversation) = store.find(&number)?;
            println!("# {}", conversation.metadata.title);
            conversation.events.iter().for_each(|event| println!("\n{}", event.text));
        }
        Command::Rename { number, title } => store.rename(&number, &title)?,
        Command::Archive { number } => store.archive(&number)?,
        Command::Check => check(&store)?,
        Command::Trash => {
            for (from, to) in store.trash_invalid()? {
                println!("{} -> {}", from.display(), to.display());
            }
        }
    }
    Ok(())
}

fn check(store: &Store) -> Result<(), Box<dyn Error>> {
    let found = store.conversations()?;
    let invalid = found.iter().filter_map(|(dir, found)| Some((dir, found.as_ref().err()?)));
    let invalid: Vec<String> = invalid.map(|(dir, reason)| format!("{}: {reason}", dir.display())).collect();
    println!("{} conversations, {} invalid", found.len(), invalid.len());
    if invalid.is_empty() { Ok(()) } else { Err(invalid.join("\n").into()) }
}
