//! The rig: make a tree, let a program write into it under a guard, kill, recover, judge, count.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use treewal::Options;
use treewal_vfs::random;

use crate::holder::{Job, Said};
use crate::walk::{Walk, leftovers, walk};

/// How long one program is tried, at depth 1.
const BUDGET: Duration = Duration::from_millis(2200);
/// Rounds that are made however long they take.
const ROUNDS_MIN: u64 = 3;

/// A program that writes in place.
pub(crate) struct Writer {
    pub(crate) name: &'static str,
    /// Commands that end well where all it needs is there.
    pub(crate) needs: &'static [&'static [&'static str]],
    /// What is guarded: paths, and patterns where there is a star in it.
    pub(crate) guard: &'static [&'static str],
    /// Makes the tree that every round starts from.
    pub(crate) prepare: fn(&World),
    /// The program.
    pub(crate) command: fn(&World) -> Command,
    /// Asks the program about a copy of the tree; `true` where it must find what it had done to the end.
    pub(crate) check: fn(&World, copy: &Path, done: bool),
}

/// Where a round takes place.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// The tree.
    pub(crate) tree: PathBuf,
    /// What the program needs beside it.
    pub(crate) aside: PathBuf,
}

impl World {
    /// Runs a command to its end, in the tree.
    ///
    /// # Panics
    /// Where it fails.
    pub(crate) fn must(&self, program: &str, arguments: &[&str]) -> String {
        must(&mut self.calm(program, arguments), &self.tree)
    }

    /// A command that neither asks nor listens to this user's settings.
    pub(crate) fn calm(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("HOME", &self.aside)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .env_remove("GIT_DIR")
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null());
        command
    }
}

/// # Panics
/// Where the command fails.
pub(crate) fn must(command: &mut Command, within: &Path) -> String {
    let output = command.current_dir(within).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}: {said}{}", output.status, text(&output.stderr));
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    killed: u64,
    rolled_back: u64,
    committed: u64,
    /// Rounds after which the next opening had something to undo.
    recovered: u64,
}

/// Tries one program for its time.
pub(crate) fn run(writer: &'static Writer) {
    static TURN: Mutex<()> = Mutex::new(());
    let _one_at_a_time = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(missing) = writer.needs.iter().find(|needed| !works(needed)) {
        say(&format!("skipped: {}: {:?} is not installed, or does not work", writer.name, missing.join(" ")));
        return;
    }
    let dir = tempfile::tempdir_in(place()).unwrap();
    let world = World { tree: dir.path().join("tree"), aside: dir.path().join("aside") };
    let pristine = dir.path().join("pristine");
    for made in [&world.tree, &world.aside] {
        fs::create_dir(made).unwrap();
    }
    (writer.prepare)(&world);
    copy(&world.tree, &pristine);
    let trial = Trial { writer, world, pristine };
    let outcome = std::panic::catch_unwind(|| trial.rounds());
    match outcome {
        Ok(tally) => println!("{}: {tally:?}", writer.name),
        Err(panic) => {
            say(&format!("{}: kept for you to look at: {}", writer.name, dir.keep().display()));
            std::panic::resume_unwind(panic);
        }
    }
}

struct Trial {
    writer: &'static Writer,
    world: World,
    pristine: PathBuf,
}

impl Trial {
    fn rounds(&self) -> Tally {
        let depth: u32 = std::env::var("TREEWAL_FOREIGN_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
        let mut tally = Tally::default();
        let whole = Instant::now();
        self.round(&Job { writer_ms: None, kill_ms: None, rolls_back: false }, &mut tally);
        assert_eq!(tally.committed, 1, "{}: nobody disturbed it", self.writer.name);
        let length = whole.elapsed().as_millis();
        let length = u64::try_from(length).unwrap().max(20);
        let within = |from: u64, to: u64| from + random() % (to - from).max(1);
        let begun = Instant::now();
        while begun.elapsed() < BUDGET * depth || tally.rounds <= ROUNDS_MIN {
            let moment = match random() % 8 {
                0 => within(0, length / 4),
                _ => within(length / 5, length + length / 8),
            };
            // Every kind gets its turn, however few rounds there are.
            let job = match tally.rounds % 4 {
                1 | 3 => Job { writer_ms: None, kill_ms: Some(moment), rolls_back: false },
                2 => Job { writer_ms: Some(moment), kill_ms: None, rolls_back: true },
                // Killed while it rolls back, most of the time.
                _ => Job { writer_ms: Some(moment), kill_ms: Some(moment + within(0, length / 4)), rolls_back: true },
            };
            self.round(&job, &mut tally);
        }
        assert!(
            tally.rolled_back > 0 || tally.recovered > 0,
            "{}: nothing was ever undone: {tally:?}",
            self.writer.name
        );
        tally
    }

    fn round(&self, job: &Job, tally: &mut Tally) {
        self.begin();
        let tree = &self.world.tree;
        let before = walk(tree);
        let said = job.run(self.writer, &self.world);
        tally.rounds += 1;
        tally.killed += u64::from(said.killed);
        let rolled_back = said.has("rolled back");
        if rolled_back {
            self.same(&before, "after a rollback");
        }
        let tree = Options::new().lock_wait(Duration::from_secs(5)).open(tree).unwrap();
        tally.recovered += u64::from(!tree.recovery().transactions.is_empty());
        let report = tree.recovery().to_string();
        let lost = tree.recovery().transactions.iter().find(|told| told.error.is_some() || told.quarantine.is_some());
        assert!(lost.is_none(), "{report}");
        drop(tree);
        let is_old = self.differences(&before).is_empty();
        let committed = said.has("committed");
        assert!(!(committed && rolled_back), "{said:?}");
        let may_be_new = said.has("committing");
        if !may_be_new {
            self.same(&before, &format!("{job:?}: {said:?}: {report}"));
        }
        tally.rolled_back += u64::from(rolled_back);
        tally.committed += u64::from(committed);
        let (left, _) = leftovers(&self.world.tree);
        assert!(left.is_empty(), "left over: {left:?}");
        let asked = self.world.tree.with_file_name("asked");
        copy(&self.world.tree, &asked);
        fs::remove_dir_all(asked.join(".treewal")).unwrap();
        (self.writer.check)(&self.world, &asked, committed || !is_old);
        fs::remove_dir_all(&asked).unwrap();
    }

    /// A tree to begin with: a new one where the last round has changed it, or once in a while.
    fn begin(&self) {
        let tree = &self.world.tree;
        let differs = self.differences(&walk(&self.pristine)).is_empty();
        if !differs || random() % 8 == 0 {
            fs::remove_dir_all(tree).unwrap();
            copy(&self.pristine, tree);
        }
    }

    fn differences(&self, before: &Walk) -> String {
        let after = walk(&self.world.tree);
        let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let shown = |seen: Option<&crate::walk::Seen>| seen.map_or("absent".to_owned(), ToString::to_string);
        paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).fold(String::new(), |mut text, path| {
            let (was, is) = (shown(before.get(path)), shown(after.get(path)));
            writeln!(text, "{}: {is}, not {was}", path.display()).unwrap();
            text
        })
    }

    fn same(&self, before: &Walk, when: &str) {
        let differences = self.differences(before);
        assert!(differences.is_empty(), "{}: not as before, {when}:\n{differences}", self.writer.name);
    }
}

impl Job {
    fn run(&self, writer: &Writer, world: &World) -> Said {
        crate::holder::run(self, writer, world)
    }
}

/// Everything, with times, links and modes.
pub(crate) fn copy(from: &Path, to: &Path) {
    must(Command::new("cp").arg("-a").arg(from).arg(to), Path::new("/"));
}

pub(crate) fn works(command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

pub(crate) fn place() -> PathBuf {
    let named = std::env::var_os("TREEWAL_FOREIGN_DIR").map(PathBuf::from);
    let memory = PathBuf::from("/dev/shm");
    let fits = |dir: &Path| tempfile::tempdir_in(dir).is_ok();
    named.unwrap_or_else(|| if fits(&memory) { memory } else { std::env::temp_dir() })
}

/// To where nobody catches it: what is left out is told also where the test passes.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
