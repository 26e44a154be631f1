//! `quarantine`: what recovery could not place.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use treewal::{Exported, QuarantineDetails, QuarantineItem, Quarantined, Retried, Retry};

use super::Context;
use super::snapshot::date;
use crate::args::{Purge, QuarantineAction};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BAD, DIM, GOOD, JsonPath, OLD, Report, shown};

pub(super) fn run(action: &QuarantineAction, context: &Context) -> Result<Exit, Failure> {
    match action {
        QuarantineAction::List => list(context),
        QuarantineAction::Show { id } => show(id, context),
        QuarantineAction::Retry { id, dry_run, force } => {
            retry(id, Retry::new().dry_run(*dry_run).force(*force), *dry_run, context)
        }
        QuarantineAction::Export { id, to } => export(id, to, context),
        QuarantineAction::Purge(which) => purge(which, context),
    }
}

/// An entry as a line of a list.
#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<u64>,
    label: String,
    reason: String,
    /// Seconds since 1970.
    since: u64,
    bytes: u64,
    has_report: bool,
    paths: Vec<JsonPath>,
}

impl From<Quarantined> for Listed {
    fn from(entry: Quarantined) -> Self {
        let Quarantined { id, kind, transaction, label, reason, since, bytes, has_report, paths, .. } = entry;
        let since = since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let paths = paths.into_iter().map(|path| JsonPath(if path == Path::new("") { ".".into() } else { path }));
        Self { id, kind, transaction, label, reason, since, bytes, has_report, paths: paths.collect() }
    }
}

impl Report for Listed {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { id, kind, since, bytes, paths, .. } = self;
        write!(out, "{}  {DIM}{kind}, {}, {bytes} bytes{DIM:#}", shown(Path::new(id)), date(*since))?;
        match paths.as_slice() {
            [] => writeln!(out),
            [path] => writeln!(out, "  {}", shown(&path.0)),
            [path, rest @ ..] => writeln!(out, "  {} and {} more", shown(&path.0), rest.len()),
        }
    }
}

#[derive(Debug, Serialize)]
struct List {
    quarantine: Vec<Listed>,
    bytes: u64,
}

impl Report for List {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.quarantine.iter().try_for_each(|entry| entry.human(out))
    }
}

#[derive(Debug, Serialize)]
struct Item {
    path: JsonPath,
    goal: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<JsonPath>,
}

#[derive(Debug, Serialize)]
struct Details {
    #[serde(flatten)]
    entry: Listed,
    tries: u32,
    items: Vec<Item>,
    report: String,
}

impl From<QuarantineDetails> for Details {
    fn from(details: QuarantineDetails) -> Self {
        let QuarantineDetails { entry, tries, items, report, .. } = details;
        let items = items.into_iter().map(|item| {
            let QuarantineItem { path, goal, reason, file, .. } = item;
            Item { path: JsonPath(path), goal, reason, file: file.map(JsonPath) }
        });
        Self { entry: entry.into(), tries, items: items.collect(), report }
    }
}

impl Report for Details {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.entry.human(out)?;
        if !self.entry.reason.is_empty() {
            writeln!(out, "{}: {}", plain(&self.entry.label), plain(&self.entry.reason))?;
        }
        for Item { path, goal, file, .. } in &self.items {
            write!(out, "{goal:<10} {}", shown(&path.0))?;
            match file {
                Some(file) => writeln!(out, "  {DIM}{}{DIM:#}", shown(&file.0))?,
                None => writeln!(out)?,
            }
        }
        // Anybody may have written it: it is shown, and changes nothing in a terminal.
        self.report.lines().try_for_each(|line| writeln!(out, "{DIM}|{DIM:#} {}", plain(line)))
    }
}

/// A text without anything that a terminal would act on.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let quarantine: Vec<Listed> = treewal::quarantine(&context.dir)?.into_iter().map(Listed::from).collect();
    let bytes = quarantine.iter().map(|entry| entry.bytes).sum();
    context.show(Exit::DONE, "unchanged", &List { quarantine, bytes })
}

fn show(id: &str, context: &Context) -> Result<Exit, Failure> {
    find(id, context)?;
    context.show(Exit::DONE, "unchanged", &Details::from(treewal::quarantined(&context.dir, id)?))
}

fn find(id: &str, context: &Context) -> Result<Quarantined, Failure> {
    let found = treewal::quarantine(&context.dir)?.into_iter().find(|entry| entry.id == id);
    let help = "run `treewal quarantine list` to see what there is";
    found.ok_or_else(|| Failure::new(Exit::REFUSED, format!("there is no {id:?} in quarantine")).help(help))
}

#[derive(Debug, Serialize)]
struct Change {
    path: JsonPath,
    what: &'static str,
}

#[derive(Debug, Serialize)]
struct Conflict {
    path: JsonPath,
    why: String,
}

#[derive(Debug, Serialize)]
struct Brought {
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<u64>,
    changes: Vec<Change>,
    conflicts: Vec<Conflict>,
    purged: bool,
}

impl Report for Brought {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for Change { path, what } in &self.changes {
            writeln!(out, "{GOOD}{what}{GOOD:#} {}", shown(&path.0))?;
        }
        for Conflict { path, why } in &self.conflicts {
            writeln!(out, "{BAD}conflict{BAD:#} {}: {}", shown(&path.0), plain(why))?;
        }
        if self.purged {
            writeln!(out, "all of it is in the tree, and gone from quarantine")?;
        }
        Ok(())
    }
}

fn retry(id: &str, how: Retry, is_dry: bool, context: &Context) -> Result<Exit, Failure> {
    find(id, context)?;
    let tree = context.open()?;
    let Retried { receipt, steps, conflicts, purged, .. } = tree.retry_quarantine(id, how)?;
    let (exit, outcome) = match (&receipt, conflicts.is_empty()) {
        (Some(_), true) => (Exit::DONE, "committed"),
        (Some(_), false) => (Exit::DAMAGE, "committed"),
        (None, true) => (Exit::DONE, "unchanged"),
        (None, false) => (Exit::CONFLICT, "unchanged"),
    };
    let brought = Brought {
        transaction: receipt.map(|receipt| receipt.id),
        changes: steps.into_iter().map(|step| Change { path: JsonPath(step.path), what: step.what }).collect(),
        conflicts: conflicts.into_iter().map(|one| Conflict { path: JsonPath(one.path), why: one.why }).collect(),
        purged,
    };
    if exit == Exit::CONFLICT && !is_dry {
        context.output.note("nothing was done; --force does it all the same, where it can");
    }
    Ok(context.told(exit, outcome, &brought))
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Written(Exported);

impl Report for Written {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let Exported { placed, rest, left, .. } = &self.0;
        writeln!(out, "{placed} entries under their own paths, {rest} beneath .quarantine")?;
        left.iter().try_for_each(|line| writeln!(out, "{OLD}left:{OLD:#} {}", plain(line)))
    }
}

fn export(id: &str, to: &Path, context: &Context) -> Result<Exit, Failure> {
    find(id, context)?;
    let written = treewal::export_quarantine(&context.dir, id, to)?;
    let exit = if written.left.is_empty() { Exit::DONE } else { Exit::DAMAGE };
    Ok(context.told(exit, "exported", &Written(written)))
}

#[derive(Debug, Serialize)]
struct Purged {
    purged: Vec<String>,
    bytes: u64,
}

impl Report for Purged {
    fn human(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn purge(which: &Purge, context: &Context) -> Result<Exit, Failure> {
    let there = treewal::quarantine(&context.dir)?;
    let is_old =
        |entry: &Quarantined, age| SystemTime::now().duration_since(entry.since).is_ok_and(|since| since > age);
    let chosen: Vec<Quarantined> = match (which.all, which.older_than) {
        (true, _) => there,
        (_, Some(age)) => there.into_iter().filter(|entry| is_old(entry, age)).collect(),
        _ => which.id.iter().map(|id| find(id, context)).collect::<Result<_, _>>()?,
    };
    let bytes = chosen.iter().map(|entry| entry.bytes).sum();
    let mut ids: Vec<String> = chosen.into_iter().map(|entry| entry.id).collect();
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        return context.show(Exit::DONE, "unchanged", &Purged { purged: ids, bytes });
    }
    if !which.yes && !is_agreed(&ids, bytes, context)? {
        return Err(Failure::new(Exit::REFUSED, "nothing was thrown away"));
    }
    let tree = context.open()?;
    for id in &ids {
        tree.purge_quarantine(id)?;
    }
    Ok(context.told(Exit::DONE, "purged", &Purged { purged: ids, bytes }))
}

/// Asks, where there is somebody to be asked.
fn is_agreed(ids: &[String], bytes: u64, context: &Context) -> Result<bool, Failure> {
    let stdin = io::stdin();
    if context.output.json || !stdin.is_terminal() || !io::stderr().is_terminal() {
        let help = "say --yes to throw it away without being asked";
        return Err(Failure::new(Exit::BAD_INPUT, "nobody can be asked whether this may go for good").help(help));
    }
    let names: Vec<String> = ids.iter().map(|id| shown(Path::new(id))).collect();
    context.output.ask(&format!("throw {} away for good, {bytes} bytes? [y/N] ", names.join(", ")));
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(Exit::IO, "cannot read an answer").because(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
