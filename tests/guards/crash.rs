//! The power goes, or the process, at every call of a guard with a guard inside it, commits and checkpoints beside it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use treewal::{GuardOptions, Options, Tree};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Disk, Open, RelPath, write_all};

use crate::end;
use crate::seen::{Seen, leftovers, look};

pub(crate) fn open(disk: &SimDisk) -> treewal::Result<Tree> {
    let options = Options::new().segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO);
    options.open_on(Arc::new(disk.clone()), "/")
}

/// What a program does in place.
pub(crate) fn put(disk: &SimDisk, path: &str, text: &str) {
    let write = || {
        let path = RelPath::new(path).unwrap();
        let (parent, name) = path.split().unwrap();
        let dir = disk.open_dir(&disk.open_root("/".as_ref())?, &parent)?;
        let file = match disk.open(&dir, name, Open::ReadWrite) {
            Err(_) => disk.open(&dir, name, Open::CreateNew { mode: 0o644 })?,
            file => file?,
        };
        disk.set_len(&file, 0)?;
        write_all(disk, &file, text.as_bytes(), 0)
    };
    // After the power has gone nothing works any more, and nobody asks.
    drop(write());
}

fn remove(disk: &SimDisk, dir: &str, name: &str) {
    let gone = |root| disk.remove_file(&disk.open_dir(&root, &RelPath::new(dir).unwrap())?, OsStr::new(name));
    drop(disk.open_root("/".as_ref()).and_then(gone));
}

fn base() -> SimDisk {
    let disk = SimDisk::new();
    let tree = open(&disk).unwrap();
    tree.transaction(|tx| {
        tx.create_dir_all("guarded/d")?;
        tx.create_dir("free")?;
        tx.create_dir("side")?;
        tx.write("side/s", "old s")?;
        tx.write("free/at0", "moves")?;
        tx.write("guarded/g", "old g")?;
        tx.write("guarded/d/x", "old x")?;
        tx.write("guarded/d/y", vec![b'Y'; 5000])?;
        tx.write("free/f", "0")
    })
    .unwrap();
    drop(tree);
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    disk.remount()
}

/// How a story goes.
#[derive(Debug, Clone, Copy)]
struct Story {
    inner_commits: bool,
    outer_commits: bool,
    checkpoints: bool,
    /// The outer one is rolled back by exchange.
    exchanges: bool,
    /// What goes on beside it moves entries too, and has a guard of its own, which commits or not.
    company: Option<bool>,
}

/// What was said while it was told.
#[derive(Debug, Default)]
struct Said {
    /// The last value of `free/f` that was acknowledged, and the one that was being written.
    free: (u32, u32),
    /// The commit of the outer guard had begun.
    committing: bool,
    ended: bool,
    /// How far the guard beside came: its commit had begun, and had ended.
    side: (bool, bool),
}

impl Story {
    fn tell(self, tree: &Tree, disk: &SimDisk, said: &mut Said) -> treewal::Result<()> {
        let options = GuardOptions::new().exchange(self.exchanges);
        let outer = tree.guard_with(options, ["guarded", "absent"])?;
        put(disk, "guarded/g", "new g");
        self.beside(tree, said)?;
        // What the inner one brings back is newer than what the outer one does.
        put(disk, "guarded/d/x", "outer x");
        let inner = outer.guard(["guarded/d"])?;
        let side = self.company.map(|_| tree.guard(["side"])).transpose()?;
        if side.is_some() {
            put(disk, "side/s", "new s");
        }
        put(disk, "guarded/d/x", "inner x");
        remove(disk, "guarded/d", "y");
        self.beside(tree, said)?;
        end(inner, self.inner_commits)?;
        if self.checkpoints {
            tree.checkpoint()?;
        }
        put(disk, "guarded/d/new", "new");
        put(disk, "absent", "now there");
        self.beside(tree, said)?;
        if let Some(side) = side {
            said.side.0 = self.company == Some(true);
            end(side, said.side.0)?;
            said.side.1 = said.side.0;
            self.beside(tree, said)?;
        }
        if self.outer_commits {
            said.committing = true;
            outer.commit()?;
        } else {
            outer.rollback()?;
        }
        said.ended = true;
        self.beside(tree, said)
    }

    fn beside(self, tree: &Tree, said: &mut Said) -> treewal::Result<()> {
        said.free.1 = said.free.0 + 1;
        tree.transaction(|tx| {
            tx.write("free/f", said.free.1.to_string())?;
            tx.write("free/large", vec![b'0'; 4000 + 3000 * said.free.1 as usize])?;
            match self.company {
                Some(_) => tx.rename(format!("free/at{}", said.free.0), format!("free/at{}", said.free.1)),
                None => Ok(()),
            }
        })?;
        said.free.0 = said.free.1;
        if self.checkpoints {
            tree.checkpoint()?;
        }
        Ok(())
    }
}

/// What the outer guard is about.
fn guarded(seen: &Seen) -> Seen {
    let own = |path: &RelPath| !["free", "side"].iter().any(|other| path.starts_with(&RelPath::new(other).unwrap()));
    seen.iter().filter(|(path, _)| own(path)).map(|(path, entry)| (path.clone(), entry.clone())).collect()
}

fn explore(story: Story) -> u64 {
    let depth: usize = std::env::var("TREEWAL_CRASH_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
    let base = base();
    let before = guarded(&look(&base, "/"));
    let done = {
        let disk = base.remount();
        let tree = open(&disk).unwrap();
        story.tell(&tree, &disk, &mut Said::default()).unwrap();
        drop(tree);
        guarded(&look(&disk, "/"))
    };
    assert_eq!(done == before, !story.outer_commits);
    let mut states = 0;
    for cut in 1.. {
        let disk = base.remount();
        let tree = open(&disk).unwrap();
        disk.cut_at(Some(cut));
        let mut said = Said::default();
        let told = story.tell(&tree, &disk, &mut said);
        let off = disk.is_off();
        assert!(told.is_err() || said.ended);
        drop(tree);
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            let mut outcomes = vec![all.nothing(), all.everything(), all.names_without_contents()];
            outcomes.extend([all.contents_without_names(), all.names_and_lengths()]);
            outcomes.extend(all.sample(cut, 3 * depth).collect::<Vec<Outcome>>());
            for outcome in outcomes {
                states += 1;
                let at_what =
                    format!("{story:?}, cut before call {cut}, {profile:?}, {said:?}: {}", disk.describe(&outcome));
                let crashed = disk.after(&outcome).remount();
                let tree = open(&crashed).unwrap();
                assert!(!tree.recovery().found_damage(), "{at_what}: {}", tree.recovery());
                drop(tree);
                let seen = look(&crashed, "/");
                let value = String::from_utf8(seen[&RelPath::new("free/f").unwrap()].contents.clone()).unwrap();
                let value: u32 = value.parse().unwrap();
                assert!(value == said.free.0 || value == said.free.1, "{at_what}: {value}");
                let has = |path: &str| seen.get(&RelPath::new(path).unwrap()).map(|entry| entry.contents.as_slice());
                let at = |n| has(&format!("free/at{n}")) == Some(b"moves");
                let stays = if story.company.is_some() { value } else { 0 };
                assert!((0..9).all(|n| at(n) == (n == stays)), "{at_what}: {seen:#?}");
                let side = has("side/s");
                let (is_old, is_new) = (side == Some(b"old s"), side == Some(b"new s"));
                assert!(is_old && !said.side.1 || is_new && said.side.0, "{at_what}: {side:?}");
                let found = guarded(&seen);
                let (is_old, is_new) = (found == before, found == done);
                assert!(
                    is_old && !(said.ended && story.outer_commits) || is_new && said.committing,
                    "{at_what}: {found:#?}"
                );
                assert_eq!(leftovers(&crashed, "/"), Vec::<String>::new(), "{at_what}");
            }
        }
        if !off {
            assert!(cut > 40, "{cut} calls are too few to be true");
            break;
        }
    }
    states
}

const PLAIN: Story =
    Story { inner_commits: false, outer_commits: false, checkpoints: false, exchanges: false, company: None };

#[test]
fn guards_in_guards_and_commits_beside_them_end_as_was_said() {
    let mut states = 0;
    for n in 0..8 {
        let bit = |bit: u8| n & (1 << bit) != 0;
        states += explore(Story { inner_commits: bit(0), outer_commits: bit(1), checkpoints: bit(2), ..PLAIN });
    }
    assert!(states > 5000, "{states}");
}

#[test]
fn a_guard_that_is_rolled_back_by_exchange_ends_as_was_said() {
    let mut states = 0;
    for outer_commits in [false, true] {
        states += explore(Story { exchanges: true, outer_commits, ..PLAIN });
    }
    assert!(states > 1000, "{states}");
}

#[test]
fn guards_beside_guards_and_commits_that_move_end_as_was_said() {
    let mut states = 0;
    for n in 0..4 {
        let bit = |bit: u8| n & (1 << bit) != 0;
        states += explore(Story { outer_commits: bit(0), checkpoints: bit(1), company: Some(n % 3 == 0), ..PLAIN });
    }
    assert!(states > 3000, "{states}");
}
