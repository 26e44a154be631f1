//! Taking a snapshot of the whole tree.

use std::ffi::OsStr;
use std::io;

use treewal_snapshot::{Check, Manifest, Sharing, TakeOptions, restore, take};
use treewal_vfs::{Dir, Disk, Kind, Open, RealDisk, RelPath};

use crate::Result;
use crate::home::{Home, KEPT, LIVE};
use crate::rounds::{Contestant, measure};

/// Ours: durable when it returns.
pub(crate) fn ours(home: &Home, sharing: Sharing) -> Result {
    let into = home.make_dir(&home.root, KEPT)?;
    let options = TakeOptions { sharing, ..TakeOptions::default() };
    let report = take(&RealDisk, &home.root, &[RelPath::new(LIVE)?], &into, &options)?;
    let kept = match sharing {
        Sharing::HardLink => report.hard_linked,
        Sharing::Reflink => report.reflinked,
        _ => report.files,
    };
    if home.files == 0 || kept == home.files as u64 { Ok(()) } else { Err(format!("{report:?}").into()) }
}

/// One `getdents64` and one `linkat` after the other.
fn bare_links(home: &Home) -> Result {
    bare(home, |from, name, to| RealDisk.hard_link(from, name, to, name))
}

/// The least that new files with shared extents take: open, make, share.
fn bare_clones(home: &Home) -> Result {
    bare(home, |from, name, to| {
        let from = RealDisk.open(from, name, Open::Read)?;
        let to = RealDisk.open(to, name, Open::CreateNew { mode: 0o600 })?;
        RealDisk.reflink(&from, &to)
    })
}

/// Lists each directory, and does something with each entry in a directory of its own.
fn bare(home: &Home, each: impl Fn(&Dir, &OsStr, &Dir) -> io::Result<()>) -> Result {
    let (live, kept) = (home.dir(LIVE)?, home.make_dir(&home.root, KEPT)?);
    for entry in RealDisk.list(&live)? {
        let from = RealDisk.open_dir(&live, &RelPath::root().join(&entry.name))?;
        RealDisk.create_dir(&kept, &entry.name, 0o755)?;
        let to = RealDisk.open_dir(&kept, &RelPath::root().join(&entry.name))?;
        for entry in RealDisk.list(&from)? {
            each(&from, &entry.name, &to)?;
        }
    }
    Ok(())
}

fn row<'a>(home: &'a Home, name: &'a str, timed: impl Fn() -> Result + 'a) -> Contestant<'a> {
    Contestant { name, ready: Box::new(|| home.flush()), timed: Box::new(timed), after: Box::new(|| home.clear()) }
}

fn title(home: &Home, how: &str) -> String {
    format!("snapshot of {} files by {how}", home.files)
}

pub(crate) fn link(home: &Home, rounds: usize) -> Result {
    let synced = |done: Result| done.and_then(|()| home.flush());
    let contestants = [
        row(home, "treewal (durable)", || ours(home, Sharing::HardLink)),
        row(home, "getdents + linkat", || bare_links(home)),
        row(home, "getdents + linkat, syncfs", || synced(bare_links(home))),
        row(home, "cp -al", || home.run("cp -al live kept")),
        row(home, "cp -al, syncfs", || synced(home.run("cp -al live kept"))),
    ];
    let bases = ["getdents + linkat", "getdents + linkat, syncfs", "cp -al", "cp -al, syncfs"];
    measure(&title(home, "hard link"), rounds, &bases, &contestants)
}

/// Whether the file system can make two files share their extents.
fn can_reflink(home: &Home) -> Result<bool> {
    let from = RealDisk.open(&home.root, OsStr::new("from"), Open::CreateNew { mode: 0o600 })?;
    let to = RealDisk.open(&home.root, OsStr::new("to"), Open::CreateNew { mode: 0o600 })?;
    let can = RealDisk.reflink(&from, &to).is_ok();
    for name in ["from", "to"] {
        RealDisk.remove_file(&home.root, OsStr::new(name))?;
    }
    Ok(can)
}

pub(crate) fn reflink(home: &Home, rounds: usize) -> Result {
    if !can_reflink(home)? {
        println!("No snapshot by reflink: the file system has none.\n");
        return Ok(());
    }
    let cp = "cp -a --reflink=always live kept";
    let contestants = [
        row(home, "treewal (durable)", || ours(home, Sharing::Reflink)),
        row(home, "getdents + open, open, FICLONE", || bare_clones(home)),
        row(home, "cp -a --reflink=always", || home.run(cp)),
        row(home, "cp -a --reflink=always, syncfs", || home.run(cp).and_then(|()| home.flush())),
    ];
    let bases = ["getdents + open, open, FICLONE", "cp -a --reflink=always", "cp -a --reflink=always, syncfs"];
    measure(&title(home, "reflink"), rounds, &bases, &contestants)
}

pub(crate) fn copy(home: &Home, rounds: usize) -> Result {
    let cp = "cp -a --reflink=never live kept";
    let contestants = [
        row(home, "treewal (durable)", || ours(home, Sharing::Copy)),
        row(home, "cp -a", || home.run(cp)),
        row(home, "cp -a, syncfs", || home.run(cp).and_then(|()| home.flush())),
    ];
    measure(&title(home, "copy"), rounds, &["cp -a", "cp -a, syncfs"], &contestants)
}

/// One of ours, to be looked at.
pub(crate) fn once(home: &Home, name: &str) -> Result {
    match name {
        "link" => ours(home, Sharing::HardLink),
        "reflink" => ours(home, Sharing::Reflink),
        "copy" => ours(home, Sharing::Copy),
        "restore" => {
            let from = home.dir(KEPT)?;
            let manifest = Manifest::load(&RealDisk, &from)?;
            let restored = restore(&RealDisk, &home.root, &from, &manifest, Check::Attributes)?;
            eprintln!("{restored:?}");
            Ok(())
        }
        "walk" => walk(home),
        _ => Err(format!("no {name:?}").into()),
    }
}

/// A look at every entry, one after the other.
pub(crate) fn walk(home: &Home) -> Result {
    let mut dirs = vec![RelPath::new(LIVE)?];
    while let Some(path) = dirs.pop() {
        let dir = RealDisk.open_dir(&home.root, &path)?;
        for entry in RealDisk.list(&dir)? {
            if RealDisk.stat(&dir, &entry.name)?.kind == Kind::Dir {
                dirs.push(path.join(&entry.name));
            }
        }
    }
    Ok(())
}
