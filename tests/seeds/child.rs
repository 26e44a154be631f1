//! Other processes: this test binary, run once more, does what it is told and dies in the middle of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use treewal::{GuardOptions, Options, Sharing, Tree};

use crate::{base, batches, conversation_store, knowledge_base, restored, stories};

const WHAT: &str = "TREEWAL_SEEDS_WHAT";
const DIR: &str = "TREEWAL_SEEDS_DIR";
/// Arguments of a program, as JSON.
const ARGUMENTS: &str = "TREEWAL_SEEDS_ARGUMENTS";

type Act = fn(&Path);

/// What such a process can be told to do. Each ends in [`die`], or is killed.
const ACTS: [(&str, Act); 5] = [
    ("an add that is interrupted", base::interrupted_add),
    ("a batch that is prepared", batches::killed_batch),
    ("a transaction that is staged", batches::killed_stage),
    ("a database that is left open", restored::killed_maker),
    ("a database that is written to", restored::killed_writer),
];

fn command(what: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child::process", "--exact", "--nocapture", "--test-threads=1"])
        .env(WHAT, what)
        .env(DIR, dir)
        .stdin(Stdio::null());
    command
}

/// Lets a process do something, and waits until it has died of it.
pub(crate) fn dies_of(what: &str, dir: &Path) {
    let output = command(what, dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_none() && said.contains("dies here"), "{what}: {}: {said}", output.status);
}

/// One of the two programs, with its arguments.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = command(name, Path::new("/"));
    command.env(ARGUMENTS, serde_json::to_string(arguments).unwrap());
    command
}

pub(crate) fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends the process as a kill does: nothing is dropped.
pub(crate) fn die() -> ! {
    println!("dies here");
    std::process::abort()
}

/// No test unless the environment says what to do: then this is the other process.
#[test]
fn process() {
    let Ok(what) = std::env::var(WHAT) else { return };
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let arguments = || -> Vec<OsString> {
        let told: Vec<String> = serde_json::from_str(&std::env::var(ARGUMENTS).unwrap()).unwrap();
        std::iter::once("program".into()).chain(told.into_iter().map(OsString::from)).collect()
    };
    match what.as_str() {
        "conversation_store" | "knowledge_base" => {
            // What the harness has begun to say stands in this line.
            println!();
            let run = if what == "knowledge_base" { run_base } else { run_store };
            run(arguments());
        }
        what => {
            if let Some((_, act)) = ACTS.iter().find(|(name, _)| *name == what) {
                act(&dir);
            }
            let story = stories::STORIES.iter().find(|story| story.name == what).unwrap();
            guard(story, &dir, |_| {
                (story.change)(&dir);
                die()
            });
        }
    }
}

fn run_store(arguments: Vec<OsString>) {
    conversation_store::run(arguments).unwrap();
}

fn run_base(arguments: Vec<OsString>) {
    knowledge_base::run(arguments).unwrap();
}

/// Takes the guard of a story.
pub(crate) fn guard(story: &stories::Story, dir: &Path, then: impl FnOnce(treewal::Guard)) {
    let tree: Tree = Options::new().open(dir).unwrap();
    let sharing = if story.hard_links { Sharing::HardLink } else { Sharing::Auto };
    then(tree.guard_with(GuardOptions::new().sharing(sharing), story.guarded).unwrap());
}
