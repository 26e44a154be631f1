//! Another process on the same tree: this test binary, run once more, which does what it is told line by line.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use treewal::{Guard, Options, Reader, Tree};

const TREE: &str = "TREEWAL_WORLDS_TREE";

/// No test unless the environment names a tree.
#[test]
fn process() {
    let Ok(dir) = std::env::var(TREE) else { return };
    let mut other = Other {
        tree: Options::new().lock_wait(Duration::from_secs(20)).open(&dir).unwrap(),
        readers: Vec::new(),
        guard: None,
    };
    say("open");
    for line in std::io::stdin().lines() {
        let words = line.unwrap();
        let said = match other.act(&words.split(' ').collect::<Vec<_>>()) {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("error {error}"),
        };
        say(&said);
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("> {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

struct Other {
    tree: Tree,
    readers: Vec<Reader>,
    guard: Option<Guard>,
}

impl Other {
    fn act(&mut self, words: &[&str]) -> treewal::Result<()> {
        match words {
            ["read"] => self.readers.push(self.tree.read()?),
            ["drop"] => drop(self.readers.pop()),
            ["write", path, text] => self.tree.transaction(|tx| tx.write(path, text))?,
            ["guard", path] => self.guard = Some(self.tree.guard([path])?),
            ["end"] => self.guard.take().map_or(Ok(()), Guard::commit)?,
            ["checkpoint"] => self.tree.checkpoint()?,
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

/// A process at work, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn on(tree: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child::process", "--exact", "--nocapture", "--test-threads=1"])
            .env(TREE, tree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut process = Self { child, input, output: BufReader::new(output).lines() };
        assert_eq!(process.hear(), "open");
        process
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells the process to do something, and waits until it has.
    pub(crate) fn does(&mut self, line: &str) {
        self.begins(line);
        assert_eq!(self.hear(), "done", "{line}");
    }

    pub(crate) fn begins(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// What the process says next.
    pub(crate) fn hear(&mut self) -> String {
        for line in &mut self.output {
            if let Some((_, said)) = line.unwrap().split_once("> ") {
                return said.to_owned();
            }
        }
        panic!("the process died");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a process that has ended, nothing is left to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
