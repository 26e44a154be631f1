//! The process that holds the guard: what this binary does when it is run once more.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use treewal::{GuardOptions, Options};
use treewal_vfs::random;

use crate::WRITERS;
use crate::rig::{World, Writer};

const TREE: &str = "TREEWAL_FOREIGN_TREE";
const ASIDE: &str = "TREEWAL_FOREIGN_ASIDE";
const WRITER: &str = "TREEWAL_FOREIGN_WRITER";
const WRITER_MS: &str = "TREEWAL_FOREIGN_WRITER_MS";
const ROLLS_BACK: &str = "TREEWAL_FOREIGN_ROLLS_BACK";
/// By this in its environment, every process of a round is found, whatever it did to its group and session.
const MARK: &str = "TREEWAL_FOREIGN_MARK";

/// What a round is about.
#[derive(Debug)]
pub(crate) struct Job {
    /// When the program is killed, in milliseconds from its start.
    pub(crate) writer_ms: Option<u64>,
    /// When everything is killed, in milliseconds from the start of the holder.
    pub(crate) kill_ms: Option<u64>,
    /// Whether the guard is rolled back at the end.
    pub(crate) rolls_back: bool,
}

/// What the holder said before it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) killed: bool,
    lines: Vec<String>,
}

impl Said {
    pub(crate) fn has(&self, word: &str) -> bool {
        self.lines.iter().any(|line| line == word)
    }
}

/// Runs a holder to its end, and everything that it started.
pub(crate) fn run(job: &Job, writer: &Writer, world: &World) -> Said {
    let mark = format!("{:016x}", random());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["holder::process", "--exact", "--nocapture", "--test-threads=1"])
        .envs([(TREE, &world.tree), (ASIDE, &world.aside)])
        .env(WRITER, writer.name)
        .env(MARK, &mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if let Some(ms) = job.writer_ms {
        command.env(WRITER_MS, ms.to_string());
    }
    if job.rolls_back {
        command.env(ROLLS_BACK, "1");
    }
    let mut child = command.spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).collect::<Vec<_>>());
    if let Some(ms) = job.kill_ms {
        std::thread::sleep(Duration::from_millis(ms));
        // The guard's process first, or the program first.
        if random() % 2 == 0 {
            child.kill().unwrap();
        }
        kill_all(&mark);
    }
    let status = child.wait().unwrap();
    kill_all(&mark);
    let lines = reader.join().unwrap();
    let killed = status.code().is_none();
    assert!(killed || status.success(), "the holder: {status}: {lines:?}");
    assert!(!killed || job.kill_ms.is_some(), "nobody killed the holder: {status}: {lines:?}");
    Said { killed, lines }
}

/// Kills every process with this mark, and waits until all are gone.
fn kill_all(mark: &str) {
    // A process that is just becoming another program shows no environment, so none is seen several times in a row.
    let mut unseen = 0;
    while unseen < 5 {
        let found = marked(mark);
        if found.is_empty() {
            unseen += 1;
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        unseen = 0;
        // That one of them has ended meanwhile is no failure.
        Command::new("sh").args(["-c", "kill -9 \"$@\" 2> /dev/null", "sh"]).args(&found).status().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every living process with this mark but this one.
fn marked(mark: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let wanted = format!("{MARK}={mark}");
    let found = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok())?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        (pid != own && environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())).then_some(pid)
    });
    found.collect()
}

/// No test unless the environment says what to do: then this is the process that holds the guard.
#[test]
fn process() {
    let Ok(name) = std::env::var(WRITER) else { return };
    let told = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let world = World { tree: told(TREE), aside: told(ASIDE) };
    let writer = WRITERS.iter().find(|writer| writer.name == name).unwrap();
    let tree = Options::new().open(&world.tree).unwrap();
    let (patterns, paths): (Vec<&str>, Vec<&str>) = writer.guard.iter().partition(|path| path.contains('*'));
    let options = patterns.into_iter().fold(GuardOptions::new(), GuardOptions::matching);
    let guard = tree.guard_with(options, paths).unwrap();
    say("guarded");
    let log = fs::File::create(world.aside.join("writer.log")).unwrap();
    let mut command = (writer.command)(&world);
    command.current_dir(&world.tree).stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = command.spawn().unwrap();
    let done = match std::env::var(WRITER_MS).ok().map(|ms| ms.parse().unwrap()) {
        None => child.wait().unwrap().success(),
        Some(ms) => {
            std::thread::sleep(Duration::from_millis(ms));
            end(&mut child);
            false
        }
    };
    if std::env::var_os(ROLLS_BACK).is_some() {
        guard.rollback().unwrap();
        say("rolled back");
    } else {
        assert!(done, "the writer failed: {}", fs::read_to_string(world.aside.join("writer.log")).unwrap());
        say("committing");
        guard.commit().unwrap();
        say("committed");
    }
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    kill_all(&std::env::var(MARK).unwrap());
}

/// One line, on its way before this returns: from here on it is a promise.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
