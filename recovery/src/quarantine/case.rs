//! Filling a case.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;

use treewal_journal::record::{Body, Goal as Wanted, Intent, New};
use treewal_snapshot::Displaced;
use treewal_vfs::{Dir, Kind, Meta, Open, RelPath, Rename, copy_contents, errno, read_all, write_all};

use super::report::{Attributes, CaseReport, Entry, FORMAT, Found, Goal, Item, JSON, REPORT, Text, read_report};
use super::said::{Said, make_way, put, set_aside};
use crate::history::{Told, Work};
use crate::home::Home;
use crate::look::legible;
use crate::plan::{Area, Ground, Place};
use crate::redo::{Contents, Superseded, is_large};
use crate::{Error, Result};

/// A directory in quarantine that is being filled. Its reports name all that is in it.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    home: &'a Home,
    /// Its name below `quarantine`.
    pub(crate) name: String,
    dir: Dir,
    said: Said,
    report: CaseReport,
    /// Where the item of a path is, and apart from it that of what somebody else had there.
    items: HashMap<(Text, bool), usize>,
    /// What the transaction says of a path.
    intents: HashMap<Vec<u8>, &'a Intent>,
    /// Its stage.
    stage: &'a str,
    files: u32,
    /// Names that are spoken for.
    taken: HashSet<OsString>,
    /// What is to come in, and under which names.
    kept: Vec<(OsString, Contents)>,
    /// Directories of treewal's own that are to come in.
    dirs: Vec<(Dir, OsString, &'static str)>,
}

impl<'a> Case<'a> {
    /// Opens the case of a transaction, making it where it is missing. Where an earlier try was interrupted, its report
    /// and its files stay, and more comes to them.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn open(home: &'a Home, txn: u64, told: Option<&'a Told>) -> Result<Self> {
        let own = format!("txn-{txn}");
        let io = |verb| Error::io(verb, format!(".treewal/quarantine/{own}"));
        let (name, dir) = open_dir(home, &own).map_err(io("open"))?;
        make_way(&*home.disk, &dir).map_err(io("clear"))?;
        let said = Said::read(&*home.disk, &dir).map_err(io("read"))?;
        let mut report = read_report(&*home.disk, &dir).map_err(io("read"))?.unwrap_or_default();
        let (kind, stage, intents) = match told.map(|told| &told.work) {
            Some(Work::Staged(begin, intents)) => ("staged", begin.stage.as_str(), &intents[..]),
            Some(Work::Guarded(_)) => ("guarded", "", &[][..]),
            None => ("staged", "", &[][..]),
        };
        report = CaseReport {
            format: FORMAT,
            kind: kind.to_owned(),
            transaction: Some(txn),
            tries: told.map_or(report.tries, Told::attempts),
            quarantined: home.disk.now().into(),
            committed: told.and_then(|told| told.committed.map(|_| told.at.into())).or(report.committed),
            ..report
        };
        let items = report.items.iter().enumerate().map(|(at, item)| (key(item), at)).collect();
        let taken = report.items.iter().filter_map(|item| item.file.as_ref().map(OsString::from)).collect();
        let intents = intents.iter().map(|intent| (intent.path.0.clone(), intent)).collect();
        let (kept, dirs) = (Vec::new(), Vec::new());
        Ok(Self { home, name, dir, said, report, items, intents, stage, files: 0, taken, kept, dirs })
    }

    /// Says why it is here.
    pub(crate) fn because(&mut self, label: &str, reason: &str) {
        label.clone_into(&mut self.report.label);
        reason.clone_into(&mut self.report.reason);
    }

    /// Adds a line to the report, unless an interrupted try has.
    pub(crate) fn say(&mut self, line: &str) {
        self.said.say(line);
    }

    /// Says what a guard was about.
    pub(crate) fn guarded(&mut self, paths: impl Iterator<Item = Vec<u8>>) {
        self.report.snapshot = Some(SNAPSHOT.to_owned());
        self.report.guarded = paths.map(|path| Text::of(&path)).collect();
    }

    /// Keeps what could not be placed, once the case is closed.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn keep(&mut self, lost: &Superseded) -> Result<()> {
        let at = format!(".treewal/quarantine/{}", self.name);
        let io = |verb| Error::io(verb, at);
        let bytes = lost.path.to_bytes();
        let intent = self.intents.get(&bytes).copied();
        let mut item = item(lost, intent);
        let contents = lost.contents.clone().or_else(|| self.in_stage(intent));
        let mut line = format!("{:?}: {}", lost.path, lost.reason);
        if let Some(contents) = contents {
            let name = self.name_for(&key(&item), contents).map_err(io("look through"))?;
            line = format!("{line}; its contents are in {name:?}");
            item.file = Some(name.to_string_lossy().into_owned());
        }
        let there = self.look(&lost.path);
        let stands = |new: &New| there.as_ref().is_ok_and(|meta| is_large(new, &meta.identity()));
        item.stands = matches!(intent.map(|intent| &intent.goal), Some(Wanted::New(new)) if stands(new));
        item.found = Found::of(&there);
        self.said.say(&if item.stands { format!("{line}; it stands there") } else { line });
        self.add(item);
        Ok(())
    }

    /// Keeps a copy of what stands in the tree, once the case is closed, with its looks. What is neither file, directory nor
    /// symlink has nothing to copy: the report for people names it.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn keep_found(&mut self, found: &Displaced, reason: &str) -> Result<()> {
        let (path, meta) = (&found.path, &found.meta);
        let attributes_only = found.attributes_only && meta.kind != Kind::Dir;
        let goal = match meta.kind {
            _ if attributes_only => Goal::Attributes,
            Kind::File => Goal::File,
            Kind::Symlink => Goal::Symlink,
            Kind::Dir => Goal::Dir,
            Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {
                self.say(&format!("{path:?}: {reason}; it is a {:?} of device number {}", meta.kind, meta.rdev));
                return Ok(());
            }
        };
        let mut line = format!("{path:?}: {reason}");
        let text = Text::of(&path.to_bytes());
        let key = key_of(&text, &goal);
        let mut file = None;
        let has_contents = matches!(goal, Goal::File | Goal::Symlink);
        if !has_contents && self.items.contains_key(&key) {
            // What an interrupted try has found counts: since then that try itself may have been at work here.
            return Ok(());
        }
        if has_contents {
            let io = Error::io("look through", format!(".treewal/quarantine/{}", self.name));
            let name = self.name_for(&key, Contents::Copied(Place::tree(path.clone()))).map_err(io)?;
            line = format!("{line}; a copy of it is in {name:?}");
            file = Some(name.to_string_lossy().into_owned());
        }
        self.say(&line);
        let attributes = Some(Attributes::of(meta, &found.xattrs));
        let found = Some(Found::Entry(Entry::from(meta)));
        self.add(Item {
            path: text,
            reason: reason.to_owned(),
            goal,
            file,
            from: None,
            attributes,
            found,
            stands: false,
        });
        Ok(())
    }

    /// An item takes the place of that of an interrupted try. What that one has kept is there still.
    fn add(&mut self, mut item: Item) {
        match self.items.get(&key(&item)) {
            Some(at) => {
                let before = &mut self.report.items[*at];
                item.file = item.file.or(before.file.take());
                *before = item;
            }
            None => {
                self.items.insert(key(&item), self.report.items.len());
                self.report.items.push(item);
            }
        }
    }

    /// What stands at a path of the tree. Whoever cannot look says nothing.
    fn look(&self, path: &RelPath) -> io::Result<Meta> {
        let (parent, name) = path.split().ok_or(io::ErrorKind::InvalidInput)?;
        let disk = &*self.home.disk;
        disk.open_dir(&self.home.root, &parent).and_then(|dir| disk.stat(&dir, name))
    }

    /// A large file that still stands where it was staged, and is the one that the transaction made.
    fn in_stage(&self, intent: Option<&Intent>) -> Option<Contents> {
        let Wanted::New(new) = &intent?.goal else { return None };
        let (Body::Staged, Ok(inner)) = (&new.body, new.inner.to_path()) else { return None };
        let place = Place::slot(self.stage, new.slot, &inner);
        let (parent, name) = place.path.split()?;
        let disk = &*self.home.disk;
        let dir = disk.open_dir(&self.home.stage, &RelPath::root().join(self.stage).join_path(&parent)).ok()?;
        let is_it = disk.stat(&dir, name).is_ok_and(|meta| meta.identity() == new.identity);
        is_it.then_some(Contents::Staged(place))
    }

    /// The name under which contents are kept: that under which an interrupted try has kept these very bytes, or a free
    /// one.
    fn name_for(&mut self, key: &(Text, bool), contents: Contents) -> io::Result<OsString> {
        let before = self.items.get(key).and_then(|at| self.report.items[*at].file.clone()).map(OsString::from);
        if let (Some(before), Contents::Bytes(bytes)) = (before, &contents) {
            if self.holds(&before, bytes)? {
                return Ok(before);
            }
        }
        loop {
            self.files += 1;
            let name = OsString::from(format!("{:04}", self.files));
            match self.home.disk.stat(&self.dir, &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.taken.insert(name.clone()) {
                        self.kept.push((name.clone(), contents));
                        return Ok(name);
                    }
                }
                found => drop(found?),
            }
            if let Contents::Bytes(bytes) = &contents {
                if !self.taken.contains(&name) && self.holds(&name, bytes)? {
                    self.taken.insert(name.clone());
                    return Ok(name);
                }
            }
        }
    }

    /// Whether a file of the case holds these bytes.
    fn holds(&self, name: &OsStr, bytes: &[u8]) -> io::Result<bool> {
        let disk = &*self.home.disk;
        match disk.stat(&self.dir, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => {
                let found = found?;
                if found.kind != Kind::File || found.size != bytes.len() as u64 {
                    return Ok(false);
                }
            }
        }
        let file = disk.open(&self.dir, name, Open::Read)?;
        Ok(read_all(disk, &file, bytes.len() as u64)? == bytes)
    }

    /// Moves a directory of treewal's own, such as the snapshot of a guard, into the case, once that is closed.
    pub(crate) fn take_dir(&mut self, from: &Dir, name: &OsStr, as_name: &'static str) {
        self.dirs.push((from.clone(), name.to_owned(), as_name));
    }

    /// Writes the reports, durably, and then brings in what they name: so nothing is ever in the case that no report tells
    /// of. The caller syncs the file system before it records that the transaction is given up.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(crate) fn close(self) -> Result<String> {
        let io = |verb| Error::io(verb, format!(".treewal/quarantine/{}", self.name));
        let disk = &*self.home.disk;
        let mut json = serde_json::to_vec_pretty(&self.report).map_err(|error| io("write to")(error.into()))?;
        json.push(b'\n');
        put(disk, &self.dir, JSON, &json).map_err(io("write to"))?;
        put(disk, &self.dir, REPORT, self.said.text().as_bytes()).map_err(io("write to"))?;
        disk.sync_dir(&self.dir).map_err(io("sync"))?;
        for (name, contents) in &self.kept {
            match contents {
                Contents::Bytes(bytes) => {
                    let file = disk.open(&self.dir, name, Open::CreateNew { mode: 0o600 }).map_err(io("write to"))?;
                    write_all(disk, &file, bytes, 0).map_err(io("write to"))?;
                }
                Contents::Copied(place) => {
                    if let Err(error) = copy(self.home, place, &self.dir, name) {
                        self.drop_copies();
                        return Err(io("copy into")(error));
                    }
                }
                Contents::Staged(place) => self.take_over(place, name).map_err(io("move into"))?,
            }
        }
        for (from, name, as_name) in &self.dirs {
            match set_aside(disk, (from, name), &self.dir, as_name) {
                // An interrupted try has moved it already.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => drop(moved.map_err(io("move into"))?),
            }
        }
        Ok(self.name)
    }

    /// Removes the copies of this try, the originals of which stand in the tree: no later try takes them up, and where the disk
    /// is full, each would leave some more.
    fn drop_copies(&self) {
        for (name, _) in self.kept.iter().filter(|(_, contents)| matches!(contents, Contents::Copied(_))) {
            match self.home.disk.remove_file(&self.dir, name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(%error, ?name, "a copy in quarantine cannot be removed");
                }
                _ => {}
            }
        }
    }

    fn take_over(&self, place: &Place, name: &OsStr) -> io::Result<()> {
        let Area::Stage(stage) = &place.area else { return Err(io::ErrorKind::InvalidInput.into()) };
        let (parent, inner) = place.path.split().ok_or(io::ErrorKind::InvalidInput)?;
        let disk = &*self.home.disk;
        let dir = disk.open_dir(&self.home.stage, &RelPath::root().join(stage).join_path(&parent))?;
        match disk.rename(&dir, inner, &self.dir, name, Rename::NoReplace) {
            // An interrupted try has moved it already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// The name of the snapshot of a guard in a case.
pub(crate) const SNAPSHOT: &str = "snapshot";
/// The same of a stage.
const STAGE: &str = "stage";

/// The directory of a case. Where something else has its name, there is another name.
fn open_dir(home: &Home, own: &str) -> io::Result<(String, Dir)> {
    let mut name = own.to_owned();
    for number in 2_u32.. {
        match home.disk.create_dir(&home.quarantine, OsStr::new(&name), 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match home.disk.open_dir(&home.quarantine, &RelPath::root().join(&name)) {
            Err(error) if matches!(error.raw_os_error(), Some(errno::ENOTDIR | errno::ELOOP)) => {
                name = format!("{own}-{number}");
            }
            opened => return opened.map(|dir| (name, dir)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// What an item is about: of one path there can be ours, and what somebody else had there.
fn key(item: &Item) -> (Text, bool) {
    key_of(&item.path, &item.goal)
}

fn key_of(path: &Text, goal: &Goal) -> (Text, bool) {
    (path.clone(), *goal == Goal::Moved)
}

/// What is told of a path: by what became of it, and by what the transaction says.
fn item(lost: &Superseded, intent: Option<&Intent>) -> Item {
    let text = |path: &[u8]| Some(Text::of(path));
    let (goal, from, attributes) = match intent.map(|intent| &intent.goal) {
        Some(Wanted::New(new)) => {
            let (goal, from) = match &new.body {
                Body::Dir => (Goal::Dir, None),
                Body::Inline(_) | Body::Staged => (Goal::File, None),
                Body::Symlink(_) => (Goal::Symlink, None),
                Body::Link { from } => (Goal::Link, text(&from.0)),
            };
            (goal, from, Some(Attributes::from(new)))
        }
        // A file that is rewritten in place is one to be written.
        Some(Wanted::Rewritten { new, .. }) => (Goal::File, None, Some(Attributes::from(new))),
        Some(Wanted::Moved { from, .. }) => (Goal::Moved, text(&from.0), None),
        Some(Wanted::Kept) => (Goal::Attributes, None, None),
        Some(Wanted::Absent | Wanted::Emptied) => (Goal::Absent, None, None),
        // Something that somebody put beneath a directory that was to go.
        None => (Goal::Moved, None, None),
    };
    let (path, reason) = (Text::of(&lost.path.to_bytes()), lost.reason.to_owned());
    Item { path, reason, goal, file: None, from, attributes, found: None, stands: false }
}

/// Moves what is left of the stage of a transaction that was given up into its case. `NotFound` is no error: an interrupted
/// try, or another transaction of the same stage, has taken it.
///
/// # Errors
/// Any error of the disk.
pub(crate) fn take_stage(home: &Home, stage: &str, case: &str) -> Result<()> {
    let io = |verb| Error::io(verb, format!(".treewal/quarantine/{case}"));
    let dir = home.disk.open_dir(&home.quarantine, &RelPath::root().join(case)).map_err(io("open"))?;
    match set_aside(&*home.disk, (&home.stage, OsStr::new(stage)), &dir, STAGE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.map(drop).map_err(io("move into")),
    }
}

/// Copies a file of the tree, or what a symlink points to.
fn copy(home: &Home, place: &Place, to: &Dir, name: &OsStr) -> io::Result<()> {
    let disk = &*home.disk;
    let (dir, from) = Ground::new(disk, home.root.clone()).split(place)?;
    let copied = disk.open(to, name, Open::CreateNew { mode: 0o600 })?;
    if disk.stat(&dir, from)?.kind == Kind::Symlink {
        return write_all(disk, &copied, disk.read_link(&dir, from)?.as_encoded_bytes(), 0);
    }
    let file = legible(disk, &dir, from, None, || disk.open(&dir, from, Open::Read))?;
    copy_contents(disk, &file, &copied).map(drop)
}
