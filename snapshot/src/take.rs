//! Taking a snapshot: the walk, what is recorded of each entry, and cleaning up where that fails.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath, Time, remove_tree};

use crate::diff::has_names;
use crate::ladder::{CONTENTS, Hand, Kept, Ladder, Looked, Report, Sharing};
use crate::manifest::{Entry, MANIFEST, Role, Writer, from_entry};
use crate::mirror::{MIRROR, Mirror};
use crate::restore::WORK;
use crate::walk::{Names, Step, Threads, is_absent, open_parent, refused, stat, walk};
use crate::{Error, Progress, Result};

/// What to take, and how.
#[derive(Debug, Clone, Default)]
pub struct TakeOptions {
    /// How the contents of files are kept.
    pub sharing: Sharing,
    /// Paths that are left out with everything beneath them, and that a restore leaves alone: the directory that
    /// snapshots lie in, where the whole tree is guarded.
    pub exclude: Vec<RelPath>,
    /// Paths beneath which every writer replaces files by renaming, and never writes in place: what only treewal's own
    /// transactions change. There [`Sharing::Auto`] takes hard links where it can have no reflinks. That somebody wrote
    /// in place after all is noticed and named on restore, not undone.
    pub managed: Vec<RelPath>,
    /// Record a checksum of every file, which costs reading it. Then a hard-linked backup whose attributes alone were
    /// changed is told from one that was written to.
    pub digest: bool,
    /// Make a mirror of the guarded paths beside their backups, which [`exchange`](crate::exchange) puts into place whole.
    /// That is a second name for each backup, with its attributes set now. Nothing is then kept by hard link. Not where
    /// the whole tree is guarded, or something in a guarded path is excluded.
    pub exchange: bool,
    /// How many threads may work on it, the calling one among them; `None`: as many as the machine runs at once, and one
    /// where several would wait for each other: on btrfs, unless contents are copied or summed up. Never more than eight.
    pub threads: Option<NonZeroUsize>,
    /// Told how far it is, for whoever holds a clone of it.
    pub progress: Progress,
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
    let deceived = AtomicBool::new(false);
    let mut taken = write(disk, tree, paths, into, options, &deceived);
    if taken.is_err() {
        clear(disk, into);
        if deceived.load(Ordering::Relaxed) {
            // Once more, and no listing is believed.
            taken = write(disk, tree, paths, into, options, &deceived).inspect_err(|_| clear(disk, into));
        }
    }
    let report = taken?;
    tracing::debug!(entries = report.entries, files = report.files, "snapshot taken");
    Ok(report)
}

fn clear(disk: &dyn Disk, into: &Dir) {
    for name in [MANIFEST, CONTENTS, MIRROR, WORK] {
        if let Err(why) = remove_tree(disk, into, OsStr::new(name)) {
            tracing::warn!(%why, name, "part of a failed snapshot is left over");
        }
    }
}

fn write(
    disk: &dyn Disk,
    tree: &Dir,
    paths: &[RelPath],
    into: &Dir,
    options: &TakeOptions,
    deceived: &AtomicBool,
) -> Result<Report> {
    options.progress.begin();
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
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for path in &guarded {
        let found = exists(disk, tree, path)?;
        writer.guarded(path, found)?;
        if found { &mut present } else { &mut absent }.push(path);
    }
    for path in excluded.iter().copied() {
        writer.excluded(path)?;
    }
    let ladder = Ladder::new(disk, contents, options, deceived);
    let mut taker = Taker {
        tree,
        device,
        writer,
        links: HashMap::new(),
        latest: Time::default(),
        report: Report::default(),
        mirror: None,
        backups: HashMap::new(),
    };
    if options.exchange {
        taker.mirror = Some(Mirror::new(disk, into, (&guarded, &present), &options.exclude)?);
    }
    taker.ancestors(&ladder, &guarded)?;
    let mut names =
        Names::new(disk, tree, present.iter().map(|path| (*path).clone()), &options.exclude, false).inodes();
    let mut own = ladder.hand();
    let threads = threads(disk.keeps_one_tree(into).unwrap_or_default(), options);
    walk(
        &mut names,
        threads,
        &|| ladder.hand(),
        &|hand, step| look(&ladder, device, hand, step),
        &mut |step, found| taker.record(&mut own, step, found),
    )?;
    if let Some(path) = names.met.missing.pop() {
        return Err(Error::Changed { path });
    }
    // What came meanwhile is not recorded, and a restore would remove it.
    for path in absent {
        if exists(disk, tree, path)? {
            return Err(Error::Changed { path: path.clone() });
        }
    }
    let Taker { writer, mut report, latest, mirror, .. } = taker;
    mirror.map(Mirror::finish).transpose()?;
    let mount = disk.mount_id(tree).ok().flatten().map_or([0; 24], |mount| mount.0);
    report.entries = writer.finish(latest, mount)?;
    options.progress.syncs();
    disk.sync_all(into).map_err(Error::own("sync", MANIFEST))?;
    Ok(report)
}

const OWN_DIR: u32 = 0o700;

/// How many threads work, where nobody said.
///
/// On a file system that keeps everything in one tree, whoever makes names and shares extents waits for the others: two
/// threads take as long as one, and twice the time of processors. What reads and writes contents is worth several anywhere.
fn threads(serial: bool, options: &TakeOptions) -> Threads {
    let makes_names_alone = options.sharing != Sharing::Copy && !options.digest;
    let one = NonZeroUsize::MIN;
    Threads::new(options.threads.or((serial && makes_names_alone).then_some(one)))
}

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
    let Some(dir) = open_above(disk, tree, &parent)? else { return Ok(false) };
    Ok(stat(disk, &dir, path)?.is_some())
}

/// Opens a directory above what is guarded; `None` where there is nothing.
///
/// Where something else stands in the way, if only for a moment, what lies behind it is not absent. It must not be recorded so:
/// a restore would remove it.
fn open_above(disk: &dyn Disk, tree: &Dir, path: &RelPath) -> Result<Option<Dir>> {
    match disk.open_dir(tree, path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if is_absent(&error) => {
            for above in path.ancestors().chain([path.clone()]) {
                let Some(parent) = above.parent() else { continue };
                let Some(dir) = open_parent(disk, tree, &parent)? else { break };
                if stat(disk, &dir, &above)?.is_some_and(|meta| meta.kind != Kind::Dir) {
                    return Err(Error::NotADirectory { path: above });
                }
            }
            Err(Error::Changed { path: path.clone() })
        }
        Err(error) => Err(refused(error, path)),
    }
}

/// What a thread found out about an entry.
struct Found {
    entry: Entry,
    bytes_copied: u64,
}

/// Looks at an entry, from any thread, and keeps its contents unless it may have been kept under another name.
fn look(ladder: &Ladder<'_>, device: u64, hand: &mut Hand<'_>, step: &Step<'_>) -> Result<Found> {
    let disk = ladder.disk;
    let (dir, name) = step.at;
    if step.kind == Kind::File && !step.again {
        let found = file(ladder, hand, step, (dir, name), !ladder.looks_first)?;
        return on_device(found, device, step);
    }
    let found = on_device(found(step.meta(disk)?), device, step)?;
    let gone = |error: io::Error, verb| match error.kind() {
        io::ErrorKind::NotFound => Error::Changed { path: step.path() },
        _ => Error::Io { verb, path: step.path(), source: error },
    };
    let xattrs = disk.xattrs(dir, name).map_err(|error| gone(error, "read attributes of"))?;
    let target = match found.entry.meta.kind {
        Kind::Symlink => Some(disk.read_link(dir, name).map_err(|error| gone(error, "read"))?),
        _ => None,
    };
    Ok(Found { entry: Entry { xattrs, target, ..found.entry }, ..found })
}

fn file(
    ladder: &Ladder<'_>,
    hand: &mut Hand<'_>,
    step: &Step<'_>,
    (dir, name): (&Dir, &OsStr),
    several: bool,
) -> Result<Found> {
    let path = step.path();
    Ok(match hand.keep(dir, name, &path, several)? {
        Looked::Kept(Kept { meta, xattrs, backup, bytes_copied }) => {
            Found { entry: Entry { xattrs, backup: Some(backup), ..found(meta).entry }, bytes_copied }
        }
        Looked::Several(meta) => {
            let xattrs = ladder.disk.xattrs(dir, name).map_err(Error::io("read attributes of", &path))?;
            Found { entry: Entry { xattrs, ..found(meta).entry }, bytes_copied: 0 }
        }
    })
}

fn on_device(found: Found, device: u64, step: &Step<'_>) -> Result<Found> {
    if found.entry.meta.dev == device { Ok(found) } else { Err(Error::OtherFileSystem { path: step.path() }) }
}

fn found(meta: Meta) -> Found {
    let path = RelPath::root();
    let entry =
        Entry { path, role: Role::Guarded, meta, xattrs: Vec::new(), target: None, same_as: None, backup: None };
    Found { entry, bytes_copied: 0 }
}

/// Puts everything in order, and knows which names are one file.
struct Taker<'a> {
    tree: &'a Dir,
    device: u64,
    writer: Writer<'a>,
    /// The places of the first names of inodes that have several.
    links: HashMap<(u64, Time), u64>,
    latest: Time,
    report: Report,
    mirror: Option<Mirror<'a>>,
    /// For a mirror: the backup of each file that has several names, by its place.
    backups: HashMap<u64, u64>,
}

impl Taker<'_> {
    /// The directories above the guarded paths, as far as they exist; the tree itself is none of ours.
    fn ancestors(&mut self, ladder: &Ladder<'_>, guarded: &[RelPath]) -> Result<()> {
        let disk = ladder.disk;
        let above: BTreeSet<RelPath> = guarded.iter().flat_map(RelPath::ancestors).collect();
        for path in above {
            let Some((parent, name)) = path.split() else { continue };
            let Some(dir) = open_above(disk, self.tree, &parent)? else { continue };
            let Some(meta) = stat(disk, &dir, &path)? else { continue };
            if meta.kind != Kind::Dir {
                return Err(Error::NotADirectory { path });
            }
            if meta.dev != self.device {
                return Err(Error::OtherFileSystem { path });
            }
            let xattrs = disk.xattrs(&dir, name).map_err(Error::io("read attributes of", &path))?;
            self.write(Entry { role: Role::Ancestor, xattrs, ..found(meta).entry }, path.to_bytes())?;
        }
        Ok(())
    }

    /// Records what was found, and keeps the contents of a file that may have been kept under another name and was not.
    fn record(&mut self, hand: &mut Hand<'_>, step: &Step<'_>, found: Found) -> Result<()> {
        hand.ladder().options.progress.entry();
        let Found { mut entry, mut bytes_copied } = found;
        let inode = (entry.meta.ino, entry.meta.born);
        let first = self.links.get(&inode).copied().filter(|_| !entry.is_dir());
        match (step.at, first) {
            (_, Some(_)) if entry.backup.is_some() => {
                // The listing told of another inode. Keeping it twice moved the time of last change after the first
                // name was recorded, so that one is wrong.
                hand.ladder().deceived.store(true, Ordering::Relaxed);
                return Err(Error::Changed { path: step.path() });
            }
            (at, None) if entry.meta.kind == Kind::File && entry.backup.is_none() => {
                let found = on_device(file(hand.ladder(), hand, step, at, true)?, self.device, step)?;
                (entry, bytes_copied) = (found.entry, found.bytes_copied);
            }
            (_, Some(place)) => {
                // Keeping the first name by a hard link moved the time of last change after this name was looked at.
                let meta = step.meta(hand.ladder().disk)?;
                if (meta.kind, meta.ino, meta.born) != (entry.meta.kind, inode.0, inode.1) {
                    return Err(Error::Changed { path: step.path() });
                }
                (entry.meta, entry.same_as) = (meta, usize::try_from(place).ok());
            }
            _ => {}
        }
        let backup = self.mirror(step, &mut entry)?;
        let several = match &entry.backup {
            Some(backup) => {
                self.report.count(backup.mode, bytes_copied);
                has_names(&entry.meta, backup)
            }
            None => !entry.is_dir() && entry.same_as.is_none() && entry.meta.links > 1,
        };
        let inode = (entry.meta.ino, entry.meta.born);
        let place = self.write(entry, step.bytes())?;
        if several {
            self.links.insert(inode, place);
            self.backups.extend(backup.map(|backup| (place, backup)));
        }
        Ok(())
    }

    /// Adds an entry to the mirror, if there is one. Gives the number of its backup.
    fn mirror(&mut self, step: &Step<'_>, entry: &mut Entry) -> Result<Option<u64>> {
        let Some(mirror) = &mut self.mirror else { return Ok(None) };
        let first = entry.same_as.and_then(|place| u64::try_from(place).ok());
        let own = entry.backup.as_ref().map(|backup| backup.number);
        let backup = own.or_else(|| first.and_then(|place| self.backups.get(&place).copied()));
        mirror.add(&step.bytes(), entry, backup)?;
        // The name in the mirror is one of the backup, which has the times of the file from now on.
        if let Some(backup) = &mut entry.backup {
            backup.modified = entry.meta.modified;
        }
        Ok(backup)
    }

    fn write(&mut self, entry: Entry, path: Vec<u8>) -> Result<u64> {
        self.latest = self.latest.max(entry.meta.changed);
        self.writer.entry(from_entry(entry, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_makes_names_where_several_would_wait() {
        let of = |sharing, digest, threads: usize| TakeOptions {
            sharing,
            digest,
            threads: NonZeroUsize::new(threads),
            ..TakeOptions::default()
        };
        let one = Threads::new(Some(NonZeroUsize::MIN));
        for sharing in [Sharing::Auto, Sharing::Reflink, Sharing::HardLink] {
            assert_eq!(threads(true, &of(sharing, false, 0)), one, "{sharing:?}");
            assert_eq!(threads(false, &of(sharing, false, 0)), Threads::new(None), "{sharing:?}");
            assert_eq!(threads(true, &of(sharing, true, 0)), Threads::new(None), "{sharing:?}");
        }
        assert_eq!(threads(true, &of(Sharing::Copy, false, 0)), Threads::new(None));
        assert_eq!(threads(true, &of(Sharing::Reflink, false, 3)), Threads::new(NonZeroUsize::new(3)));
    }
}
