//! Where a store of conversations without transactions is weak: each weakness, and that it is none here.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use treewal::{Error, Options, Publish, Tree};
use treewal_vfs::Disk;
use treewal_vfs::sim::Profile;

use crate::child::program;
use crate::conversation::{said, simulated};
use crate::conversation_store::store::Store;
use crate::sim::{every_crash, open};
use crate::walk::{leftovers, work_dir};

#[test]
fn w_j1_what_was_saved_survives_a_power_loss_in_any_order_of_writing() {
    let mut outcomes = 0;
    for how in crate::conversation::HOWS {
        let (disk, number, _) = simulated();
        let store = Store::on(open(&disk).unwrap()).unwrap().with(how());
        store.say(&number, "second").unwrap();
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            let named = [all.nothing(), all.everything(), all.names_without_contents(), all.contents_without_names()];
            for outcome in named.into_iter().chain(all.sample(1, 60)) {
                assert_eq!(said(&disk.after(&outcome), &number), ["first", "second"], "{}", disk.describe(&outcome));
                outcomes += 1;
            }
        }
    }
    println!("{outcomes} outcomes of a power loss");
}

#[test]
fn w_j3_a_new_title_never_leaves_it_under_none_or_two() {
    let (base, number, _) = simulated();
    let judged = every_crash(
        &base,
        |disk| open(disk).is_ok_and(|tree| Store::on(tree).is_ok_and(|store| store.rename(&number, "Another").is_ok())),
        |disk, acknowledged| {
            // One directory, and whole: `said` sees to that.
            assert_eq!(said(disk, &number), ["first"]);
            let title = Store::on(open(disk).unwrap()).unwrap().find(&number).unwrap().1.metadata.title;
            assert!(title == "Another" || title == "A title" && !acknowledged, "{title}");
        },
    );
    println!("{judged} crashes of a new title");
}

#[test]
fn w_j5_a_process_that_starts_disturbs_no_other() {
    let at = work_dir();
    let store = at.path().join("store");
    let files: Vec<PathBuf> = (0..60).map(|n| at.path().join(format!("{n}.md"))).collect();
    for file in &files {
        fs::write(file, format!("# {}\n\nhello\n", file.display())).unwrap();
    }
    let mut arguments = vec![store.to_str().unwrap(), "--exchange", "import"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let mut child = program("conversation_store", &arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut starts = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let started = Store::open(&store).unwrap();
        for (dir, found) in started.conversations().unwrap() {
            found.unwrap_or_else(|reason| panic!("{}: {reason}", dir.display()));
        }
        starts += 1;
    };
    assert!(status.success());
    println!("{starts} starts beside a process at work");
    assert_eq!(Store::open(&store).unwrap().conversations().unwrap().len(), files.len());
    assert!(leftovers(&store).is_empty());
}

/// How often each of two writers says something.
const SAID: usize = 60;

#[test]
fn w_j6_two_writers_have_no_name_in_common() {
    let at = work_dir();
    let open = || Store::open(at.path()).unwrap();
    let number = open().begin("A title").unwrap();
    let stores = [open(), open().with(Publish::exchange())];
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                for n in 0..SAID {
                    // Who is too often too late may say it again.
                    let until = Instant::now() + Duration::from_secs(60);
                    while store.say(&number, &n.to_string()).is_err() {
                        assert!(Instant::now() < until);
                    }
                }
            });
        }
    });
    let events = stores[0].find(&number).unwrap().1.events;
    assert_eq!(events.len(), 2 * SAID, "each was said once, and none was lost");
    drop(stores);
    assert!(leftovers(at.path()).is_empty());
}

#[test]
fn w_j8_a_lock_file_that_comes_and_goes_never_has_two_holders() {
    let at = work_dir();
    drop(Tree::open(at.path()).unwrap());
    let (inside, turns, done) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    // A handle that has met the removal is of no use any more: each turn takes a new one.
                    let Ok(tree) = Options::new().lock_wait(Duration::from_millis(20)).open(at.path()) else {
                        continue;
                    };
                    match tree.guard(["f"]) {
                        Ok(guard) => {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            turns.fetch_add(1, Ordering::SeqCst);
                            drop(guard);
                        }
                        Err(Error::Locked { .. } | Error::Store { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(120);
        while turns.load(Ordering::SeqCst) < 40 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Ordering::SeqCst);
    });
    println!("{} turns", turns.load(Ordering::SeqCst));
    assert!(turns.into_inner() >= 40);
    // No holder ever unlinks it: that is what makes room for two.
    assert!(at.path().join(".treewal/lock").exists());
    assert!(treewal_vfs::RealDisk.open_root(at.path()).is_ok());
}
