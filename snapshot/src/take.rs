//! Taking a snapshot: the walk, what is recorded of each entry, and cleaning up where that fails.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, Time, remove_tree};

use crate::ladder::{CONTENTS, Kept, Ladder, Report, Sharing};
use crate::manifest::{Entry, MANIFEST, Role, Writer};
use crate::restore::WORK;
use crate::walk::{Step, Walk, open_parent, stat};
use crate::{Error, Result};

/// What to take, and how.
#[derive(Debug, Clone, Default)]
pub struct TakeOptions {
    /// How the contents of files are kept.
    pub sharing: Sharing,
    /// Paths that are left out with everything beneath them, and that a restore leaves alone: the directory that
    /// snapshots lie in, where the whole tree is guarded.
    pub exclude: Vec<RelPath>,
}

/// Takes a snapshot of `paths` beneath `tree` into the empty directory `into`, which must lie on the same file system.
///
/// A path may not exist yet: then a restore removes what came to be there. A path inside another, or given twice,
/// counts once; the root path is the whole tree. Symlinks are recorded themselves and never followed.
///
/// # What survives a crash
/// Nothing is promised before this returns `Ok`; the tree itself is never changed (a hard link moves the time of last
/// change and the count of names, no more). Then everything is durable, by one `syncfs`: it covers the contents, the
/// manifest, and the names of both in one call, where a sync of each file would cost one for every file. `into` itself
/// is covered too, its name in its parent included.
///
/// # Errors
/// What was made in `into` is removed again. [`Error::NotEmpty`], [`Error::NotADirectory`] where a path leads through a
/// symlink or a file, [`Error::OtherFileSystem`], [`Error::Changed`] where a file is written to each time it is copied,
/// [`Error::Excluded`], [`Error::TooLarge`], and what the disk says, with the path.
pub fn take(disk: &dyn Disk, tree: &Dir, paths: &[RelPath], into: &Dir, options: &TakeOptions) -> Result<Report> {
    let own = RelPath::root();
    if !disk.list(into).map_err(Error::io("list the snapshot for", &own))?.is_empty() {
        return Err(Error::NotEmpty);
    }
    match write(disk, tree, paths, into, options) {
        Ok(report) => {
            tracing::debug!(entries = report.entries, files = report.files, "snapshot taken");
            Ok(report)
        }
        Err(error) => {
            for name in [MANIFEST, CONTENTS, WORK] {
                if let Err(why) = remove_tree(disk, into, OsStr::new(name)) {
                    tracing::warn!(%why, name, "part of a failed snapshot is left over");
                }
            }
            Err(error)
        }
    }
}

fn write(disk: &dyn Disk, tree: &Dir, paths: &[RelPath], into: &Dir, options: &TakeOptions) -> Result<Report> {
    let guarded = outermost(paths);
    let excluded: BTreeSet<&RelPath> = options.exclude.iter().collect();
    let skip = |path: &RelPath| excluded.iter().any(|excluded| path.starts_with(excluded));
    if let Some(path) = guarded.iter().find(|path| skip(path)) {
        return Err(Error::Excluded { path: path.clone() });
    }
    let device = disk.stat_dir(tree).map_err(Error::io("describe", &RelPath::root()))?.dev;
    if disk.stat_dir(into).map_err(Error::own("describe", CONTENTS))?.dev != device {
        return Err(Error::OtherFileSystem { path: RelPath::root() });
    }
    // Made now, so that a restore on a full disk needs no room for it.
    for name in [CONTENTS, WORK] {
        disk.create_dir(into, OsStr::new(name), OWN_DIR).map_err(Error::own("create", CONTENTS))?;
    }
    let contents = disk.open_dir(into, &RelPath::root().join(CONTENTS)).map_err(Error::own("open", CONTENTS))?;
    let mut writer = Writer::create(disk, into)?;
    let mut present = Vec::new();
    for path in &guarded {
        let found = exists(disk, tree, path)?;
        writer.guarded(path, found)?;
        if found {
            present.push(path);
        }
    }
    for path in excluded.iter().copied() {
        writer.excluded(path)?;
    }
    let ladder = Ladder::new(disk, contents, options.sharing);
    let mut taker = Taker { disk, device, writer, ladder, links: HashMap::new(), latest: Time::default() };
    taker.ancestors(tree, &guarded)?;
    let walk = Walk { disk, tree, skip: &skip, unlock: false };
    for path in present {
        let mut seen = false;
        walk.run(path, &mut |step| {
            seen = true;
            taker.record(&step, Role::Guarded)
        })?;
        if !seen {
            return Err(Error::Changed { path: path.clone() });
        }
    }
    let Taker { writer, mut ladder, latest, .. } = taker;
    ladder.report.entries = writer.finish(latest)?;
    disk.sync_all(into).map_err(Error::own("sync", MANIFEST))?;
    Ok(ladder.report)
}

const OWN_DIR: u32 = 0o700;

/// Sorted, each once, none inside another.
fn outermost(paths: &[RelPath]) -> Vec<RelPath> {
    let mut sorted = paths.to_vec();
    sorted.sort_unstable();
    // Sorting puts a directory right before everything beneath it.
    sorted.dedup_by(|later, kept| later.starts_with(kept));
    sorted
}

fn exists(disk: &dyn Disk, tree: &Dir, path: &RelPath) -> Result<bool> {
    let Some(parent) = path.parent() else { return Ok(true) };
    let Some(dir) = open_parent(disk, tree, &parent)? else { return Ok(false) };
    Ok(stat(disk, &dir, path)?.is_some())
}

struct Taker<'a> {
    disk: &'a dyn Disk,
    device: u64,
    writer: Writer<'a>,
    ladder: Ladder<'a>,
    /// The first entry of each inode that has several names, and what it was when it was kept.
    links: HashMap<(u64, Time), (usize, Meta)>,
    latest: Time,
}

impl Taker<'_> {
    /// The directories above the guarded paths, as far as they exist; the tree itself is none of ours.
    fn ancestors(&mut self, tree: &Dir, guarded: &[RelPath]) -> Result<()> {
        let above: BTreeSet<RelPath> = guarded.iter().flat_map(RelPath::ancestors).collect();
        for path in above {
            let Some((parent, name)) = path.split() else { continue };
            let Some(dir) = open_parent(self.disk, tree, &parent)? else { continue };
            let Some(meta) = stat(self.disk, &dir, &path)? else { continue };
            if meta.kind != Kind::Dir {
                return Err(Error::NotADirectory { path });
            }
            self.record(&Step { at: (&dir, name), path: &path, meta }, Role::Ancestor)?;
        }
        Ok(())
    }

    fn record(&mut self, step: &Step<'_>, role: Role) -> Result<()> {
        if step.meta.dev != self.device {
            return Err(Error::OtherFileSystem { path: step.path.clone() });
        }
        let mut entry = Entry {
            path: step.path.clone(),
            role,
            meta: step.meta,
            xattrs: Vec::new(),
            target: None,
            same_as: None,
            backup: None,
        };
        self.look(&mut entry, step.at.0, step.at.1)?;
        // The number of the device means nothing after a reboot, and says nothing that is not the same for all.
        entry.meta.dev = 0;
        self.latest = self.latest.max(entry.meta.changed);
        let place = self.writer.entry(&entry)?;
        if entry.same_as.is_none() && has_names(&step.meta) {
            self.links.insert((step.meta.ino, step.meta.born), (place, entry.meta));
        }
        Ok(())
    }

    /// Everything that `stat` does not say.
    fn look(&mut self, entry: &mut Entry, dir: &Dir, name: &OsStr) -> Result<()> {
        let changed = || Error::Changed { path: entry.path.clone() };
        let gone = |error: io::Error, verb| match error.kind() {
            io::ErrorKind::NotFound => changed(),
            _ => Error::io(verb, &entry.path)(error),
        };
        let first = Some((entry.meta.ino, entry.meta.born)).filter(|_| has_names(&entry.meta));
        let same_as = first.and_then(|inode| self.links.get(&inode).copied());
        if entry.meta.kind == Kind::File && same_as.is_none() {
            let Kept { meta, xattrs, backup } = self.ladder.keep(dir, name, &entry.path, &entry.meta)?;
            (entry.meta, entry.xattrs, entry.backup) = (meta, xattrs, Some(backup));
            return Ok(());
        }
        let xattrs = self.disk.xattrs(dir, name).map_err(|error| gone(error, "read attributes of"))?;
        if entry.meta.kind == Kind::Symlink {
            let target = self.disk.read_link(dir, name).map_err(|error| gone(error, "read"))?;
            entry.target = Some(target);
        }
        entry.xattrs = xattrs;
        if let Some((place, meta)) = same_as {
            // Keeping the first name by a hard link moved the time of last change after this name was looked at.
            (entry.same_as, entry.meta) = (Some(place), meta);
        }
        Ok(())
    }
}

/// Whether an inode may be met again under another name.
fn has_names(meta: &Meta) -> bool {
    meta.links > 1 && meta.kind != Kind::Dir
}
