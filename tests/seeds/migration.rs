//! A store that another program left, with what its crashes left in it, becomes one of ours; no only copy is lost.

use std::sync::Arc;

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Fault, FaultDisk, Verb, errno};

use crate::conversation_store::conversation::{CONFIG, Conversation, EVENTS, Event, METADATA};
use crate::conversation_store::store::Store;
use crate::sim::{every_crash, holds, mkdir, names, open, options, put};

/// What stands under one of the three names of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    /// As a power loss leaves what nobody synced.
    Broken,
    Sound,
}

const STATES: [State; 3] = [State::Absent, State::Broken, State::Sound];
const NAME: &str = "17-a-title";
const PREFIXES: [&str; 3] = ["", ".old-", ".staging-"];

/// The directories that such a crash has left, each with a file of the user that no other one has.
fn left(states: [State; 3]) -> SimDisk {
    let disk = SimDisk::new();
    mkdir(&disk, "conversations");
    mkdir(&disk, "conversations/18-another");
    fill(&disk, "conversations/18-another", State::Sound, "another");
    for (prefix, state) in PREFIXES.into_iter().zip(states) {
        let dir = format!("conversations/{prefix}{NAME}");
        if state != State::Absent {
            mkdir(&disk, &dir);
            fill(&disk, &dir, state, prefix);
            put(&disk, &format!("{dir}/user{prefix}.md"), &format!("the user's, {prefix}"));
            put(&disk, &format!("{dir}/notes.tmp"), "the user's, in all of them");
        }
    }
    treewal_vfs::Disk::sync_all(&disk, &crate::sim::dir(&disk, ".")).unwrap();
    disk.remount()
}

fn fill(disk: &SimDisk, dir: &str, state: State, text: &str) {
    let mut conversation = Conversation::new(
        dir.trim_start_matches("conversations/").chars().filter(char::is_ascii_digit).collect(),
        "A title",
    );
    conversation.events.push(Event::new(text));
    for (name, bytes) in conversation.files().unwrap() {
        let text = String::from_utf8(bytes).unwrap();
        let text = if state == State::Broken && name == EVENTS { "" } else { &text };
        put(disk, &format!("{dir}/{name}"), text);
    }
    put(disk, &format!("{dir}/{CONFIG}"), "{}");
}

/// Everywhere on the disk where these contents stand, treewal's own directory left out.
fn places(disk: &SimDisk, contents: &str) -> Vec<String> {
    let found = disk.dump().into_iter().filter(|(_, node)| node.contents == contents.as_bytes());
    found.map(|(path, _)| path.to_string()).filter(|path| !path.starts_with(".treewal")).collect()
}

/// What must be so once the store is open.
fn judge(disk: &SimDisk, states: [State; 3]) {
    let store = Store::on(open(disk).unwrap()).unwrap();
    let sound = states.iter().position(|state| *state == State::Sound);
    let found = store.find("17");
    match sound {
        // Of what is sound, the one in use comes first, then the one that was.
        Some(which) => assert_eq!(found.unwrap().1.events[0].text, PREFIXES[which], "{states:?}"),
        None => assert!(found.is_err(), "{states:?}"),
    }
    assert_eq!(store.find("18").unwrap().1.events[0].text, "another");
    let left = names(disk, "conversations").into_iter().filter(|name| name.starts_with('.'));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "{states:?}");
    for (prefix, state) in PREFIXES.into_iter().zip(states) {
        if state != State::Absent {
            assert_eq!(places(disk, &format!("the user's, {prefix}")).len(), 1, "{states:?}, {prefix:?}");
            let moved = sound.is_some() && state == State::Sound;
            let at = format!("conversations/{NAME}/user{prefix}.md");
            assert!(!moved || holds(disk, &at).is_some(), "{states:?}: {at} has not come along");
        }
    }
    if states != [State::Absent; 3] {
        assert!(!places(disk, "the user's, in all of them").is_empty(), "{states:?}");
    }
    assert!(store.conversations().unwrap().len() <= 2);
}

fn all() -> impl Iterator<Item = [State; 3]> {
    STATES.into_iter().flat_map(|x| STATES.into_iter().flat_map(move |old| STATES.map(|staging| [x, old, staging])))
}

#[test]
fn rs9_whatever_was_left_becomes_a_store() {
    for states in all() {
        let disk = left(states);
        judge(&disk, states);
        let once = disk.dump();
        judge(&disk, states);
        let names = |dump: &std::collections::BTreeMap<treewal_vfs::RelPath, treewal_vfs::sim::Node>| {
            dump.keys().map(ToString::to_string).filter(|path| !path.starts_with(".treewal")).collect::<Vec<_>>()
        };
        assert_eq!(names(&disk.dump()), names(&once), "a second opening changed something");
    }
}

#[test]
fn rs9_a_migration_that_is_interrupted_goes_on() {
    use State::{Absent, Broken, Sound};
    let mut judged = 0;
    for states in [[Absent, Sound, Sound], [Sound, Sound, Sound], [Broken, Sound, Broken], [Absent, Absent, Sound]] {
        judged += every_crash(
            &left(states),
            |disk| open(disk).is_ok_and(|tree| Store::on(tree).is_ok()),
            |disk, _| judge(disk, states),
        );
    }
    println!("{judged} crashes of migrations");
}

#[test]
fn w_j2_a_clean_up_that_fails_half_way_deletes_no_only_copy() {
    use State::{Absent, Sound};
    for verb in [Verb::Rename, Verb::RemoveDir, Verb::RemoveFile, Verb::Create, Verb::SyncData] {
        for at in 1.. {
            // X is missing; what was X is `.old-X`, and the disk refuses, for this opening and every other one.
            let disk = left([Absent, Sound, Sound]);
            let fault = Fault::ErrorFrom { at, errno: errno::EPERM };
            let refuses = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(verb));
            let opened = options().open_on(refuses.clone(), "/");
            let failed = opened.is_err() || opened.is_ok_and(|tree| Store::on(tree).is_err());
            let disk = disk.kill();
            let before = PREFIXES
                .iter()
                .filter(|prefix| holds(&disk, &format!("conversations/{prefix}{NAME}/{METADATA}")).is_some());
            assert!(before.count() > 0, "{verb:?} {at}: no copy is left");
            judge(&disk, [Absent, Sound, Sound]);
            if !failed && refuses.mutations() < at {
                break;
            }
        }
    }
    // The only copy that is left, by whatever clean-up.
    judge(&left([Absent, Sound, Absent]), [Absent, Sound, Absent]);
    judge(&left([Absent, Absent, Sound]), [Absent, Absent, Sound]);
}

#[test]
fn w_j7_what_only_the_old_directory_holds_is_not_lost() {
    use State::{Absent, Broken, Sound};
    for states in [[Absent, Sound, Absent], [Sound, Sound, Absent], [Broken, Sound, Broken], [Absent, Broken, Sound]] {
        let disk = left(states);
        mkdir(&disk, &format!("conversations/.old-{NAME}/attached"));
        put(&disk, &format!("conversations/.old-{NAME}/attached/only"), "the only copy");
        judge(&disk, states);
        let found = places(&disk, "the only copy");
        assert_eq!(found.len(), 1, "{states:?}: {found:?}");
        let in_trash = states[1] == Broken;
        assert!(found[0].starts_with(if in_trash { "trash/" } else { "conversations/17-" }), "{states:?}: {found:?}");
    }
}

#[test]
fn w_j6_a_temporary_file_of_the_other_program_goes_only_where_it_is_one() {
    use State::{Absent, Sound};
    let disk = left([Sound, Absent, Absent]);
    let at = |name: &str| format!("conversations/{NAME}/{name}");
    let another = |name: &str| format!("conversations/18-another/{name}");
    put(&disk, &at("events.json.tmp"), "[ half wri");
    put(&disk, &at("sub.tmp"), "the user's");
    let whole = holds(&disk, &another(METADATA)).unwrap();
    put(&disk, &another("metadata.json.tmp"), &whole);
    treewal_vfs::Disk::remove_file(&disk, &crate::sim::dir(&disk, "conversations/18-another"), METADATA.as_ref())
        .unwrap();
    judge(&disk, [Sound, Absent, Absent]);
    assert_eq!(holds(&disk, &at("events.json.tmp")), None);
    assert_eq!(holds(&disk, &at("sub.tmp")).as_deref(), Some("the user's"));
    // The only copy of a file takes its place.
    assert_eq!((holds(&disk, &another(METADATA)), holds(&disk, &another("metadata.json.tmp"))), (Some(whole), None));
}
