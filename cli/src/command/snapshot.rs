//! `snapshot`: named snapshots.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use treewal::{
    GuardChange, Kind, Progress, Receipt, Sharing, Snapshot, SnapshotEntry, SnapshotOptions, SnapshotSummary,
};

use super::Context;
use crate::args::SnapshotAction;
use crate::changes::Line;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keeping::word;
use crate::output::{BAD, DIM, JsonPath, Report, shown};

pub(super) fn run(action: &SnapshotAction, context: &Context) -> Result<Exit, Failure> {
    match action {
        SnapshotAction::Create { name, path, exclude, keeping, hard_link } => {
            let progress = Progress::new();
            let mut options = keeping.snapshot(&progress);
            options = path.iter().fold(options, SnapshotOptions::path);
            options = exclude.iter().fold(options, SnapshotOptions::exclude);
            if *hard_link {
                options = options.sharing(Sharing::HardLink);
            }
            create(name, options, &progress, context)
        }
        SnapshotAction::List => list(context),
        SnapshotAction::Show { name, path: None } => show(&find(name, context)?, context),
        SnapshotAction::Show { name, path: Some(path) } => print(&find(name, context)?, path, context),
        SnapshotAction::Diff { name, later: None } => diff(find(name, context)?.diff()?, context),
        SnapshotAction::Diff { name, later: Some(later) } => {
            diff(find(name, context)?.diff_to(&find(later, context)?)?, context)
        }
        SnapshotAction::Restore { name, path, keep } => restore(name, path, keep.as_deref(), context),
        SnapshotAction::Remove { name } => remove(name, context),
    }
}

/// A snapshot as a line of a list.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    #[serde(flatten)]
    held: Held,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Held {
    Whole(Numbers),
    Unreadable { error: String },
}

#[derive(Debug, Serialize)]
struct Numbers {
    /// Seconds since 1970.
    taken: u64,
    entries: u64,
    files: u64,
    bytes: u64,
    reflinked: u64,
    hard_linked: u64,
    copied: u64,
    bytes_copied: u64,
    paths: Vec<JsonPath>,
    /// Where the files lie, for any program to read.
    lies: JsonPath,
}

impl Numbers {
    fn of(snapshot: &Snapshot, summary: SnapshotSummary) -> Self {
        let SnapshotSummary {
            taken, entries, files, bytes, reflinked, hard_linked, copied, bytes_copied, paths, ..
        } = summary;
        let taken = taken.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let paths = paths.into_iter().map(|path| JsonPath(if path == Path::new("") { ".".into() } else { path }));
        let (paths, lies) = (paths.collect(), JsonPath(snapshot.files()));
        Self { taken, entries, files, bytes, reflinked, hard_linked, copied, bytes_copied, paths, lies }
    }
}

impl Listed {
    fn of(snapshot: &Snapshot) -> Self {
        let held = match snapshot.summary() {
            Ok(summary) => Held::Whole(Numbers::of(snapshot, summary)),
            Err(error) => {
                let failure = Failure::from(error);
                let causes =
                    failure.causes.iter().fold(failure.message.clone(), |text, cause| format!("{text}: {cause}"));
                Held::Unreadable { error: causes }
            }
        };
        Self { name: snapshot.name().to_owned(), held }
    }
}

impl Report for Listed {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.held {
            Held::Whole(Numbers { taken, entries, bytes, .. }) => {
                writeln!(out, "{}  {DIM}{}, {entries} entries, {bytes} bytes{DIM:#}", self.name, date(*taken))
            }
            Held::Unreadable { error } => writeln!(out, "{}  {BAD}cannot be read:{BAD:#} {error}", self.name),
        }
    }
}

#[derive(Debug, Serialize)]
struct List {
    snapshots: Vec<Listed>,
}

impl Report for List {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.snapshots.iter().try_for_each(|snapshot| snapshot.human(out))
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    contents: Vec<JsonPath>,
    /// The same with what each is, and how it is kept.
    kept: Vec<Kept>,
}

#[derive(Debug, Serialize)]
struct Kept {
    path: JsonPath,
    kind: &'static str,
    bytes: u64,
    /// How the contents are kept; none for what has no contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
}

impl From<SnapshotEntry> for Kept {
    fn from(entry: SnapshotEntry) -> Self {
        let kind = match entry.kind {
            Kind::File => "file",
            Kind::Dir => "directory",
            Kind::Symlink => "symlink",
            Kind::Fifo => "fifo",
            Kind::Socket => "socket",
            Kind::CharDevice | Kind::BlockDevice => "device",
        };
        Self { path: JsonPath(entry.path), kind, bytes: entry.bytes, by: word(entry.mode) }
    }
}

impl Report for Shown {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.listed.human(out)?;
        self.contents.iter().try_for_each(|path| writeln!(out, "{}", shown(&path.0)))
    }
}

/// What is done, or was found, one change a line.
#[derive(Debug, Serialize)]
struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<u64>,
    changes: Vec<Line>,
}

impl Report for Changes {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.changes.iter().try_for_each(|line| line.human(out))
    }
}

#[derive(Debug, Serialize)]
struct Restored {
    transaction: u64,
    /// How many paths are not as they were before.
    changed: usize,
}

impl Report for Restored {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} paths restored", self.changed)
    }
}

#[derive(Debug, Serialize)]
struct Removed<'a> {
    removed: &'a [String],
}

impl Report for Removed<'_> {
    fn human(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// The contents of a file: themselves for people, and for programs as text where they are text.
#[derive(Debug, Serialize)]
struct Contents {
    path: JsonPath,
    #[serde(flatten)]
    body: Body,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Body {
    Text(String),
    Base64(String),
}

impl Report for Contents {
    fn human(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn find(name: &str, context: &Context) -> Result<Snapshot, Failure> {
    let mut found = treewal::snapshots(&context.dir)?.into_iter().filter(|snapshot| snapshot.name() == name);
    let help = "run `treewal snapshot list` to see which there are";
    found.next().ok_or_else(|| Failure::new(Exit::REFUSED, format!("there is no snapshot {name:?}")).help(help))
}

fn create(name: &str, options: SnapshotOptions, progress: &Progress, context: &Context) -> Result<Exit, Failure> {
    let tree = context.open()?;
    context.output.talk(&format!("taking the snapshot {name}"));
    let snapshot = context.output.watched(progress, || tree.snapshot_with(options, name))?;
    let listed = Listed::of(&snapshot);
    if let Held::Whole(numbers) = &listed.held {
        let Numbers { entries, files, bytes, reflinked, hard_linked, copied, .. } = numbers;
        let how = format!("{reflinked} reflinked, {hard_linked} hard-linked, {copied} copied");
        context.output.talk(&format!("kept {entries} entries; of {files} files with {bytes} bytes {how}"));
    }
    Ok(context.told(Exit::DONE, "created", &Quiet(listed)))
}

/// Nothing for people, unless they ask.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Quiet<R>(R);

impl<R: Serialize> Report for Quiet<R> {
    fn human(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let snapshots: Vec<Listed> = treewal::snapshots(&context.dir)?.iter().map(Listed::of).collect();
    let damaged = snapshots.iter().any(|listed| matches!(listed.held, Held::Unreadable { .. }));
    context.show(if damaged { Exit::DAMAGE } else { Exit::DONE }, "unchanged", &List { snapshots })
}

fn show(snapshot: &Snapshot, context: &Context) -> Result<Exit, Failure> {
    let contents = snapshot.entries()?.into_iter().map(JsonPath).collect();
    let kept = snapshot.kept()?.into_iter().map(Kept::from).collect();
    context.show(Exit::DONE, "unchanged", &Shown { listed: Listed::of(snapshot), contents, kept })
}

fn print(snapshot: &Snapshot, path: &Path, context: &Context) -> Result<Exit, Failure> {
    use base64::Engine as _;
    let bytes = snapshot.read(path)?;
    if !context.output.json {
        return context.output.raw(&bytes).map(|()| Exit::DONE).map_err(|error| super::unwritten(&error));
    }
    let body = match String::from_utf8(bytes) {
        Ok(text) => Body::Text(text),
        Err(error) => Body::Base64(base64::engine::general_purpose::STANDARD.encode(error.as_bytes())),
    };
    context.show(Exit::DONE, "unchanged", &Contents { path: JsonPath(path.to_owned()), body })
}

fn diff(changes: Vec<GuardChange>, context: &Context) -> Result<Exit, Failure> {
    let changes = changes.into_iter().map(Line::from).collect();
    context.show(Exit::DONE, "unchanged", &Changes { transaction: None, changes })
}

fn restore(name: &str, paths: &[PathBuf], keep: Option<&str>, context: &Context) -> Result<Exit, Failure> {
    find(name, context)?;
    let tree = context.open()?;
    let snapshot = tree.find_snapshot(name)?;
    if let Some(keep) = keep {
        let progress = Progress::new();
        let options = SnapshotOptions::new().progress(&progress);
        context.output.watched(&progress, || tree.snapshot_with(options, keep))?;
        context.output.talk(&format!("kept the tree as it was as {keep}"));
    }
    let Receipt { id, changes, .. } =
        if paths.is_empty() { tree.restore(&snapshot)? } else { tree.restore_paths(&snapshot, paths)? };
    let outcome = if id == 0 { "unchanged" } else { "committed" };
    Ok(context.told(Exit::DONE, outcome, &Restored { transaction: id, changed: changes }))
}

fn remove(names: &[String], context: &Context) -> Result<Exit, Failure> {
    for name in names {
        find(name, context)?;
    }
    let tree = context.open()?;
    for name in names {
        tree.remove_snapshot(name)?;
    }
    Ok(context.told(Exit::DONE, "removed", &Removed { removed: names }))
}

/// A time in UTC, as `2026-11-21 10:30:00`.
pub(super) fn date(secs: u64) -> String {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let from_march = days + 719_468;
    let (era, of_era) = (from_march / 146_097, from_march % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_one_of_the_calendar() {
        for (secs, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_795_257_300, "2026-11-21 10:35:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(date(secs), text);
        }
    }
}
