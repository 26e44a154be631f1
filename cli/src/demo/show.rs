//! The trials that tell the most, file by file, and the count of all.

use std::io::{self, Write};

use anstyle::Style;
use serde::Serialize;

use super::picture::Picture;
use super::story::{FILES, after, before};
use super::trial::Trial;
use crate::output::{BAD, DIM, GOOD, HEAD, OLD, Report};

/// The whole demonstration.
#[derive(Debug, Serialize)]
pub(crate) struct Demo {
    scenes: Vec<Scene>,
    kills: Vec<Kills>,
}

/// One kill, file by file.
#[derive(Debug, Serialize)]
struct Scene {
    title: &'static str,
    /// Number of the disk call at which the process was killed.
    killed_at: u64,
    files: Vec<Row>,
    verdict: &'static str,
    recovery: String,
}

#[derive(Debug, Serialize)]
struct Row {
    file: &'static str,
    before: Option<String>,
    crash: Option<String>,
    after: Option<String>,
}

/// How many kills there were, and what they came to.
#[derive(Debug, Serialize)]
struct Kills {
    work: &'static str,
    kills: usize,
    as_before: usize,
    as_after: usize,
}

impl Demo {
    /// Chooses what to show. `None` where no kill left the tree half changed, so that there is nothing to see.
    pub(crate) fn new(commits: &[Trial], guards: &[Trial]) -> Option<Self> {
        let committed = commits.iter().rfind(|trial| trial.done && is_telling(trial))?;
        let unpromised = commits.iter().rfind(|trial| !trial.done)?;
        let guarded = guards.iter().rfind(|trial| !trial.done && is_telling(trial))?;
        let scenes = vec![
            Scene::new(
                "A commit is killed half way",
                committed,
                "all new: the commit was in the journal, so recovery finished it",
            ),
            Scene::new(
                "A commit is killed just before it is in the journal",
                unpromised,
                "all old: nothing was promised, and nothing was touched",
            ),
            Scene::new(
                "A command that changes files in place is killed half way, under a guard",
                guarded,
                "all old: the guard was never committed, so recovery restored its snapshot",
            ),
        ];
        let kills = vec![Kills::count("commit", commits), Kills::count("command under a guard", guards)];
        Some(Self { scenes, kills })
    }
}

/// Alice has paid, and Bob has got nothing: the state that must not last.
fn is_telling(trial: &Trial) -> bool {
    let new = after();
    let is_new = |file: &str| trial.crash.get(file) == new.get(file);
    is_new("alice.txt") && !is_new("bob.txt")
}

impl Scene {
    fn new(title: &'static str, trial: &Trial, verdict: &'static str) -> Self {
        let get = |picture: &Picture, file: &str| picture.get(file).cloned();
        let last = if trial.done { after() } else { before() };
        let row = |(file, old, _): &(&'static str, Option<&str>, Option<&str>)| Row {
            file,
            before: old.map(ToOwned::to_owned),
            crash: get(&trial.crash, file),
            after: get(&last, file),
        };
        let files = FILES.iter().map(row).collect();
        Self { title, killed_at: trial.at, files, verdict, recovery: trial.report.clone() }
    }
}

impl Kills {
    fn count(work: &'static str, trials: &[Trial]) -> Self {
        let as_after = trials.iter().filter(|trial| trial.done).count();
        Self { work, kills: trials.len(), as_before: trials.len() - as_after, as_after }
    }
}

impl Report for Demo {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Alice pays Bob: four files must change together, or not at all.\n")?;
        for (number, scene) in self.scenes.iter().enumerate() {
            writeln!(out, "{HEAD}{}. {}{HEAD:#}", number + 1, scene.title)?;
            write!(out, "{DIM}   {:<10} {:<18} {:<18} ", "file", "before", "at the crash")?;
            writeln!(out, "after recovery{DIM:#}")?;
            for row in &scene.files {
                write!(out, "   {:<10} {OLD}{:<18}{OLD:#} ", row.file, cell(row.before.as_ref()))?;
                let crash = row.style(row.crash.as_ref());
                write!(out, "{crash}{:<18}{crash:#} ", cell(row.crash.as_ref()))?;
                let last = row.style(row.after.as_ref());
                writeln!(out, "{last}{}{last:#}", cell(row.after.as_ref()))?;
            }
            writeln!(out, "   {GOOD}ok{GOOD:#} {}\n", scene.verdict)?;
        }
        for Kills { work, kills, as_before, as_after } in &self.kills {
            writeln!(
                out,
                "The {work} was killed at each of its {kills} disk calls: {as_before} times all old, {as_after} times all new, 0 times in between."
            )?;
        }
        Ok(())
    }
}

impl Row {
    /// Old, new, or neither.
    fn style(&self, text: Option<&String>) -> Style {
        let new = FILES.iter().find(|(name, ..)| *name == self.file).and_then(|(_, _, new)| *new);
        match text.map(String::as_str) {
            text if text == self.before.as_deref() => OLD,
            text if text == new => GOOD,
            _ => BAD,
        }
    }
}

fn cell(text: Option<&String>) -> &str {
    match text.map(String::as_str) {
        None => "-",
        Some("") => "(empty)",
        Some(text) => text,
    }
}
