//! This test binary, run once more: a process that is told things and says things, line by line, and is killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// A process at work, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts one with these variables in its environment: the test `child::process` of this binary, which looks for them.
    pub(crate) fn start(vars: &[(&str, &OsStr)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child::process", "--exact", "--nocapture", "--test-threads=1"])
            .envs(vars.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines() }
    }

    /// Tells the process something, and gives what it says to that; `None` where it died.
    pub(crate) fn ask(&mut self, line: &str) -> Option<String> {
        self.input.write_all(format!("{line}\n").as_bytes()).ok()?;
        self.hear()
    }

    /// What the process says next; `None` where it died.
    pub(crate) fn hear(&mut self) -> Option<String> {
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

/// The lines that this process is told.
pub(crate) fn told() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map(Result::unwrap)
}
