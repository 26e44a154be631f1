//! The store of conversations of the example: what it promises to those who use it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use treewal::{Error, Options, Publish, Tree};
use treewal_vfs::sim::SimDisk;

use crate::child::{dies_of, program};
use crate::conversation_store::conversation::{CONFIG, EVENTS, METADATA};
use crate::conversation_store::store::Store;
use crate::sim::{every_crash, holds, leftovers as left_on, mkdir, names, open, prepared, put};
use crate::walk::{walk, work_dir};

pub(crate) const HOWS: [fn() -> Publish; 2] = [Publish::exchange, Publish::merge];

/// A store with one conversation, and where that lies.
pub(crate) fn one(how: Publish) -> (tempfile::TempDir, Store, String, PathBuf) {
    let dir = work_dir();
    let store = Store::open(dir.path()).unwrap().with(how);
    let number = store.begin("A title").unwrap();
    let at = dir.path().join(store.find(&number).unwrap().0);
    (dir, store, number, at)
}

/// A simulated disk with a store and one conversation, in which the user has a file.
pub(crate) fn simulated() -> (SimDisk, String, String) {
    let mut found = (String::new(), String::new());
    let disk = prepared(|disk| {
        let store = Store::on(open(disk).unwrap()).unwrap();
        let number = store.begin("A title").unwrap();
        store.say(&number, "first").unwrap();
        let at = store.find(&number).unwrap().0.to_str().unwrap().to_owned();
        put(disk, &format!("{at}/QUERY.md"), "the user's");
        found = (number, at);
    });
    (disk, found.0, found.1)
}

/// What was said in the only conversation there is; it must be whole.
pub(crate) fn said(disk: &SimDisk, number: &str) -> Vec<String> {
    let store = Store::on(open(disk).unwrap()).unwrap();
    assert_eq!(names(disk, "conversations").len(), 1);
    let (at, conversation) = store.find(number).unwrap();
    assert_eq!(holds(disk, at.join("QUERY.md").to_str().unwrap()).as_deref(), Some("the user's"));
    conversation.events.into_iter().map(|event| event.text).collect()
}

#[test]
fn rs1_a_file_is_old_or_new_and_never_has_a_companion() {
    let base = prepared(|disk| {
        mkdir(disk, "d");
        put(disk, "d/events.json", "old");
    });
    let judged = every_crash(
        &base,
        |disk| open(disk).and_then(|tree| tree.transaction(|tx| tx.write("d/events.json", "new"))).is_ok(),
        |disk, said| {
            assert_eq!(names(disk, "d"), ["events.json"], "before recovery");
            drop(open(disk).unwrap());
            let found = holds(disk, "d/events.json").unwrap();
            assert!(found == "new" || found == "old" && !said, "{found}");
            assert_eq!((names(disk, "d"), left_on(disk)), (vec!["events.json".to_owned()], Vec::new()));
        },
    );
    println!("{judged} crashes of a file that is written");
}

#[test]
fn rs2_a_directory_is_replaced_in_one_exchange_and_the_users_files_stay() {
    let (_dir, store, number, at) = one(Publish::exchange());
    fs::create_dir_all(at.join("images/deep")).unwrap();
    fs::write(at.join("images/deep/one.png"), "image").unwrap();
    fs::write(at.join("QUERY.md"), "the user's").unwrap();
    fs::write(at.join(CONFIG), "{ \"style\": \"the user's\" }").unwrap();
    let inode = |path: &str| fs::metadata(at.join(path)).unwrap().ino();
    let (directory, query) = (inode("."), inode("QUERY.md"));
    store.say(&number, "hello").unwrap();
    assert_ne!(inode("."), directory, "another directory took its place");
    assert_eq!(inode("QUERY.md"), query);
    assert_eq!(fs::read(at.join("images/deep/one.png")).unwrap(), b"image");
    assert_eq!(fs::read_to_string(at.join(CONFIG)).unwrap(), "{ \"style\": \"the user's\" }");
    let events = fs::read_to_string(at.join(EVENTS)).unwrap();
    assert!(events.contains("hello") && events.ends_with("]\n") && !events.ends_with("\n\n"), "{events:?}");
    assert_eq!(fs::read_dir(at.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn rs3_readers_find_the_whole_directory_at_every_moment() {
    for how in HOWS {
        let (_dir, store, number, at) = one(how());
        let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    for name in [METADATA, CONFIG] {
                        let text = fs::read(at.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
                        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
                    }
                    let events: Vec<serde_json::Value> =
                        serde_json::from_slice(&fs::read(at.join(EVENTS)).unwrap()).unwrap();
                    assert!(events.len() >= most, "what was said is unsaid");
                    most = events.len();
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
            let until = Instant::now() + Duration::from_secs(30);
            let mut said = 0;
            while (said < 60 || looks.load(Ordering::Relaxed) < 60) && Instant::now() < until {
                store.say(&number, &said.to_string()).unwrap();
                said += 1;
            }
            done.store(true, Ordering::Relaxed);
        });
        println!("{looks:?} looks of a reader");
        assert!(looks.into_inner() >= 60);
    }
}

#[test]
fn rs4_staging_of_the_dead_goes_and_of_the_living_stays() {
    let at = work_dir();
    let dir = at.path();
    let living = Tree::open(dir).unwrap();
    let mut tx = living.begin();
    tx.write("large", vec![b'x'; 1 << 20]).unwrap();
    dies_of("a transaction that is staged", dir);
    let count = || {
        fs::read_dir(dir.join(".treewal/stage"))
            .unwrap()
            .filter(|entry| !entry.as_ref().unwrap().file_name().to_string_lossy().contains('.'))
            .count()
    };
    assert_eq!(count(), 2);
    let other = Tree::open(dir).unwrap();
    assert_eq!((other.recovery().stages_reclaimed, count()), (1, 1), "{}", other.recovery());
    tx.commit().unwrap();
    assert_eq!(other.begin().read("large").unwrap().len(), 1 << 20);
    assert!(!dir.join("never").exists());
}

#[test]
fn rs5_displaced_versions_go_whenever_it_was_killed() {
    let (base, number, _) = simulated();
    every_crash(
        &base,
        |disk| {
            open(disk).is_ok_and(|tree| {
                Store::on(tree).is_ok_and(|store| store.with(Publish::exchange()).say(&number, "second").is_ok())
            })
        },
        |disk, _| {
            drop(open(disk).unwrap());
            assert_eq!(left_on(disk), Vec::<String>::new());
            assert_eq!((names(disk, "conversations").len(), names(disk, "trash").len()), (1, 0));
        },
    );
}

#[test]
fn rs6_an_interrupted_swap_ends_old_or_new_also_without_an_exchange() {
    for how in HOWS {
        for exchange in [true, false] {
            let (base, number, _) = simulated();
            base.set_exchange(exchange);
            let judged = every_crash(
                &base,
                |disk| {
                    disk.set_exchange(exchange);
                    let said = open(disk)
                        .map(|tree| Store::on(tree).and_then(|store| store.with(how()).say(&number, "second")));
                    matches!(said, Ok(Ok(())))
                },
                |disk, acknowledged| {
                    disk.set_exchange(exchange);
                    let found = said(disk, &number);
                    assert!(found == ["first", "second"] || found == ["first"] && !acknowledged, "{found:?}");
                },
            );
            println!("{judged} crashes of a swap, exchange of names: {exchange}");
        }
    }
}

#[test]
fn rs7_a_users_file_that_ends_like_a_temporary_one_stays() {
    for how in HOWS {
        let (dir, store, number, at) = one(how());
        for name in ["notes.tmp", "events.json.tmp", ".old-me", ".staging-me"] {
            fs::write(at.join(name), "the user's").unwrap();
        }
        store.say(&number, "hello").unwrap();
        drop(store);
        Store::open(dir.path()).unwrap().with(how()).say(&number, "again").unwrap();
        for name in ["notes.tmp", "events.json.tmp", ".old-me", ".staging-me"] {
            assert_eq!(fs::read(at.join(name)).unwrap(), b"the user's", "{name}");
        }
    }
}

#[test]
fn rs8_many_conversations_are_one_transaction_or_one_each() {
    let dir = work_dir();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["a.md", "b.md"] {
        fs::write(file(name), format!("# {name}\n\nhello\n")).unwrap();
    }
    let store = file("store");
    let import = |together: bool| {
        let files = [file("a.md"), file("b.md"), file("missing.md")];
        let mut arguments = vec![store.as_str(), "import"];
        arguments.extend(together.then_some("--together"));
        arguments.extend(files.iter().map(String::as_str));
        assert!(!program("conversation_store", &arguments).output().unwrap().status.success());
        fs::read_dir(dir.path().join("store/conversations")).unwrap().count()
    };
    assert_eq!(import(true), 0, "all of them, or none");
    assert_eq!(import(false), 2, "those before the one that failed");
}

#[test]
fn rs10_a_merge_keeps_the_directory_and_all_that_is_the_same() {
    let (dir, store, number, at) = one(Publish::merge());
    let look = |path: &str| {
        let meta = fs::metadata(at.join(path)).unwrap();
        (meta.ino(), meta.mtime(), meta.mtime_nsec())
    };
    let before = [METADATA, CONFIG, EVENTS].map(look);
    let directory = look(".").0;
    std::thread::sleep(Duration::from_millis(20));
    store.say(&number, "hello").unwrap();
    assert_eq!([METADATA, CONFIG].map(look), before[..2]);
    assert_ne!(look(EVENTS), before[2]);
    assert_eq!(look(".").0, directory);
    // A new title is one rename of the same directory.
    fs::write(at.join("QUERY.md"), "the user's").unwrap();
    store.rename(&number, "Another").unwrap();
    let moved = dir.path().join(store.find(&number).unwrap().0);
    assert_eq!(fs::metadata(&moved).unwrap().ino(), directory);
    assert_eq!(fs::read(moved.join("QUERY.md")).unwrap(), b"the user's");
    assert!(!at.exists());
    // What others have put among ours is theirs.
    let metadata = fs::read_to_string(moved.join(METADATA)).unwrap();
    fs::write(moved.join(METADATA), metadata.replacen('{', "{ \"pinned\": true,", 1)).unwrap();
    store.rename(&number, "Another one").unwrap();
    let moved = dir.path().join(store.find(&number).unwrap().0);
    assert!(fs::read_to_string(moved.join(METADATA)).unwrap().contains("\"pinned\": true"));
    // Identical bytes are not written again.
    let tree = Tree::open(dir.path()).unwrap();
    let path = store.find(&number).unwrap().0.join(EVENTS);
    let bytes = tree.begin().read(&path).unwrap();
    let modified = fs::metadata(moved.join(EVENTS)).unwrap().modified().unwrap();
    assert!(!tree.transaction(|tx| tx.write_if_changed(&path, &bytes)).unwrap());
    assert_eq!(fs::metadata(moved.join(EVENTS)).unwrap().modified().unwrap(), modified);
}

#[test]
fn rs11_whoever_opens_the_store_removes_nothing_of_others_at_work() {
    let at = work_dir();
    let dir = at.path();
    let first = Tree::open(dir).unwrap();
    let mut tx = first.begin();
    tx.write("a", vec![b'a'; 1 << 20]).unwrap();
    for n in 0..5 {
        let store = Store::open(dir).unwrap();
        store.begin(&n.to_string()).unwrap();
    }
    dies_of("a transaction that is staged", dir);
    assert!(Tree::open(dir).unwrap().recovery().stages_reclaimed == 1);
    tx.commit().unwrap();
    assert_eq!(fs::read(dir.join("a")).unwrap().len(), 1 << 20);
}

#[test]
fn rs12_a_lock_file_that_is_removed_makes_no_second_holder() {
    let at = work_dir();
    let dir = at.path();
    let open = || Options::new().lock_wait(Duration::ZERO).open(dir);
    let first = open().unwrap();
    let guard = first.guard(["f"]).unwrap();
    guard.commit().unwrap();
    assert!(dir.join(".treewal/lock").exists(), "it is not unlinked by its holder");
    fs::remove_file(dir.join(".treewal/lock")).unwrap();
    let second = open().unwrap();
    let guard = second.guard(["f"]).unwrap();
    let refused = first.transaction(|tx| tx.write("g", "x"));
    assert!(matches!(refused, Err(Error::Store { .. } | Error::Locked { .. })), "{refused:?}");
    let refused = first.guard(["f"]).map(drop);
    assert!(matches!(refused, Err(Error::Store { .. } | Error::Locked { .. })), "{refused:?}");
    guard.commit().unwrap();
}

#[test]
fn w_j4_what_is_kept_stays_what_it_is() {
    for how in HOWS {
        let (_dir, store, number, at) = one(how());
        fs::create_dir_all(at.join("attached/deep")).unwrap();
        fs::write(at.join("attached/deep/f"), "the user's").unwrap();
        symlink("attached/deep/f", at.join("link")).unwrap();
        symlink("nowhere", at.join("dangling")).unwrap();
        let of_user = |at: &Path| {
            let mut found = walk(at);
            found.retain(|path, _| path.components().count() > 1 || !path.to_string_lossy().ends_with(".json"));
            // Directories are made anew by an exchange, with what is in them.
            found.retain(|path, _| path != Path::new("attached"));
            found
        };
        let before = of_user(&at);
        assert_eq!(before.len(), 4);
        store.say(&number, "hello").unwrap();
        assert_eq!(crate::walk::differences(&of_user(&at), &before), Vec::<String>::new());
    }
}

#[test]
fn the_trash_keeps_what_is_no_conversation_and_says_why() {
    let (dir, store, number, at) = one(Publish::merge());
    fs::write(at.join(METADATA), "{ damaged").unwrap();
    fs::write(at.join("QUERY.md"), "the user's").unwrap();
    assert!(store.find(&number).is_err());
    let moved = store.trash_invalid().unwrap();
    assert_eq!(moved.len(), 1);
    let trashed = dir.path().join(&moved[0].1);
    assert_eq!(fs::read(trashed.join("QUERY.md")).unwrap(), b"the user's");
    assert!(fs::read_to_string(trashed.join("TRASHED.md")).unwrap().contains(METADATA));
    assert!(store.conversations().unwrap().is_empty());
    // The same name again.
    fs::create_dir(&at).unwrap();
    let again = store.trash_invalid().unwrap();
    assert!(again[0].1.to_str().unwrap().ends_with("-1"), "{again:?}");
    let number = store.begin("Archived").unwrap();
    store.archive(&number).unwrap();
    store.say(&number, "hello").unwrap();
    assert!(store.find(&number).unwrap().0.starts_with("archive"));
}
