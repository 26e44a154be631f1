//! Rolling back after some files of the tree were replaced.

use std::cell::RefCell;
use std::ffi::OsStr;

use treewal_snapshot::{Check, Manifest, Sharing, TakeOptions, restore, take};
use treewal_vfs::{Disk, RealDisk, RelPath, Rename};

use crate::Result;
use crate::home::{Home, KEPT, LIVE, has};
use crate::rounds::{Contestant, measure};
use crate::takes::{ours, walk};

fn row<'a>(
    home: &'a Home,
    name: &'a str,
    ready: impl Fn() -> Result + 'a,
    timed: impl Fn() -> Result + 'a,
) -> Contestant<'a> {
    let ready = move || {
        ready()?;
        home.flush()
    };
    let after = || {
        home.check()?;
        home.clear()
    };
    Contestant { name, ready: Box::new(ready), timed: Box::new(timed), after: Box::new(after) }
}

/// A look at every entry and a rename for each file that changed: the bare loop that knows what changed.
struct Bare<'a> {
    home: &'a Home,
    replaced: RefCell<Vec<(treewal_vfs::Dir, String)>>,
}

impl Bare<'_> {
    fn ready(&self, count: usize) -> Result {
        self.home.run("cp -al live kept")?;
        *self.replaced.borrow_mut() = self.home.replace(count)?;
        Ok(())
    }

    fn roll_back(&self) -> Result {
        walk(self.home)?;
        for (dir, name) in self.replaced.borrow().iter() {
            let number: usize = name[1..].parse()?;
            let kept = self.home.dir(&format!("{KEPT}/d{:05}", number / 100))?;
            RealDisk.rename(&kept, OsStr::new(name), dir, OsStr::new(name), Rename::Replace)?;
        }
        Ok(())
    }
}

fn put_back(home: &Home) -> Result {
    let from = home.dir(KEPT)?;
    let manifest = Manifest::load(&RealDisk, &from)?;
    restore(&RealDisk, &home.root, &from, &manifest, Check::Attributes)?;
    Ok(())
}

pub(crate) fn rollback(home: &Home, rounds: usize) -> Result {
    for count in [1, 100] {
        let bare = Bare { home, replaced: RefCell::default() };
        let linked = || home.run("cp -al live kept").and_then(|()| home.replace(count).map(drop));
        let copied = || home.run("cp -a live kept").and_then(|()| home.replace(count).map(drop));
        let ready = |sharing| move || ours(home, sharing).and_then(|()| home.replace(count).map(drop));
        let again = |cp| move || home.run("rm -rf live").and_then(|()| home.run(cp));
        let mut contestants = vec![
            row(home, "treewal, hard links", ready(Sharing::HardLink), || put_back(home)),
            row(home, "treewal, copies", ready(Sharing::Copy), || put_back(home)),
            row(home, "stat walk + renames", || bare.ready(count), || bare.roll_back()),
            row(home, "rm -rf, cp -al", linked, again("cp -al kept live")),
            row(home, "rm -rf, cp -a", copied, again("cp -a kept live")),
        ];
        if has("rsync") {
            contestants.push(row(home, "rsync -a --delete", copied, || home.run("rsync -a --delete kept/ live/")));
        } else {
            println!("No rsync on this machine.\n");
        }
        let bases = ["stat walk + renames", "rm -rf, cp -al", "rm -rf, cp -a", "rsync -a --delete"];
        let title = format!("rollback of {count} of {} files", home.files);
        measure(&title, rounds, &bases, &contestants)?;
    }
    Ok(())
}

/// A rollback in one step beside the bare rename, and what keeping the mirror costs.
pub(crate) fn exchange(home: &Home, rounds: usize) -> Result {
    let mirrored = || {
        let into = home.make_dir(&home.root, KEPT)?;
        let options = TakeOptions { exchange: true, ..TakeOptions::default() };
        take(&RealDisk, &home.root, &[RelPath::new(LIVE)?], &into, &options)?;
        home.replace(1).map(drop)
    };
    let ours = || {
        let from = home.dir(KEPT)?;
        treewal_snapshot::exchange(&RealDisk, &home.root, &from, &Manifest::load(&RealDisk, &from)?)?;
        Ok(())
    };
    let copied = || home.run("cp -a live kept").and_then(|()| home.replace(1).map(drop));
    let (live, kept) = (OsStr::new(LIVE), OsStr::new(KEPT));
    let bare = || Ok(RealDisk.rename(&home.root, live, &home.root, kept, Rename::Exchange)?);
    let contestants = [row(home, "treewal", mirrored, ours), row(home, "renameat2, RENAME_EXCHANGE", copied, bare)];
    let title = format!("rollback of {} files by one exchange", home.files);
    measure(&title, rounds, &["renameat2, RENAME_EXCHANGE"], &contestants)
}
