//! The processes: this test binary, run once more with a job in its environment.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// Says what the process is to do; without it, this is a test like any other.
const JOB: &str = "TREEWAL_MODEL_JOB";
const TREE: &str = "TREEWAL_MODEL_TREE";

/// No test unless the environment says what to do.
#[test]
fn process() {
    let Ok(job) = std::env::var(JOB) else { return };
    let tree = std::env::var(TREE).unwrap();
    crate::work::work(Path::new(&tree), &job);
}

/// A process at work, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts one, which has the tree open when this returns.
    pub(crate) fn start(job: &str, tree: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child::process", "--exact", "--nocapture", "--test-threads=1"])
            .env(JOB, job)
            .env(TREE, tree)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, output };
        let said = process.hear();
        assert!(said.is_some(), "process {job} has not opened {}", tree.display());
        process
    }

    /// What the process says next; `None` where it died.
    fn hear(&mut self) -> Option<String> {
        for line in &mut self.output {
            // The first words stand behind those of the test harness.
            if let Some((_, said)) = line.unwrap().split_once("> ") {
                return Some(said.to_owned());
            }
        }
        None
    }

    /// Whether it has ended without anybody's doing.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a process that has ended, nothing is left to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One line to who started this process, on its way before this returns.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("> {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
