//! The order of a plan, and what it leaves alone.

use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::{Action, Plan, plan};
use crate::manifest::{Backup, Entry, Mode, Role};
use crate::restore::backups::BackupState;
use crate::restore::extract::Extract;
use crate::restore::survey::{Holds, Live, Survey};
use crate::{Error, Result};

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn meta(kind: Kind, ino: u64) -> Meta {
    let time = Time::default();
    let mode = if kind == Kind::Dir { 0o755 } else { 0o644 };
    let (uid, gid, size, allocated, links, dev, rdev) = (0, 0, 0, 0, 1, 0, 0);
    let (born, accessed, modified, changed) = (time, time, time, time);
    Meta {
        kind,
        mode,
        uid,
        gid,
        size,
        allocated,
        links,
        ino,
        dev,
        rdev,
        born,
        accessed,
        modified,
        changed,
        mounted: false,
    }
}

fn entry(path: &str, kind: Kind, ino: u64) -> Entry {
    let time = Time::default();
    let backup = Backup { number: ino, mode: Mode::Copy, ino: ino + 100, born: time, modified: time, checksum: None };
    Entry {
        path: rel(path),
        role: Role::Guarded,
        meta: meta(kind, ino),
        xattrs: Vec::new(),
        target: None,
        same_as: None,
        backup: (kind == Kind::File).then_some(backup),
    }
}

fn manifest(entries: Vec<Entry>) -> Extract {
    Extract::new(entries.into_iter().enumerate().collect(), Time { secs: 9, nanos: 0 }).unwrap()
}

fn live(kind: Kind, ino: u64, holds: Holds) -> Option<Live> {
    Some(Live { meta: meta(kind, ino), holds, settled: holds == Holds::Right })
}

fn planned(manifest: &Extract, survey: &Survey) -> Result<Plan> {
    plan(manifest, survey)
}

#[test]
fn nothing_differs_and_nothing_is_done() {
    let manifest = manifest(vec![entry("w", Kind::Dir, 1), entry("w/a", Kind::File, 2)]);
    let survey =
        Survey { live: vec![live(Kind::Dir, 1, Holds::Right), live(Kind::File, 2, Holds::Right)], ..Survey::default() };
    assert_eq!(planned(&manifest, &survey).unwrap(), Plan::default());
}

#[test]
fn newer_things_go_first_directories_come_before_what_is_in_them_and_attributes_last() {
    let entries = vec![
        entry("w", Kind::Dir, 1),
        entry("w/a", Kind::File, 2),
        entry("w/d", Kind::Dir, 3),
        entry("w/d/e", Kind::Dir, 4),
        entry("w/d/e/f", Kind::File, 5),
    ];
    let mut survey = Survey {
        // `w/a` was replaced by a directory; `w/d` is a file now, and all beneath it gone.
        live: vec![
            live(Kind::Dir, 1, Holds::Right),
            live(Kind::Dir, 7, Holds::Wrong),
            live(Kind::File, 8, Holds::Wrong),
            None,
            None,
        ],
        added: vec![
            (rel("w/a/inside"), meta(Kind::File, 9)),
            (rel("w/new"), meta(Kind::Dir, 10)),
            (rel("w/new/x"), meta(Kind::File, 11)),
        ],
        ..Survey::default()
    };
    survey.backups.insert(1, BackupState::Ready);
    survey.backups.insert(4, BackupState::Ready);
    let plan = planned(&manifest(entries), &survey).unwrap();
    let (dir, file) = (Some(Kind::Dir), Some(Kind::File));
    let wanted = [
        Action::Remove { path: rel("w/new/x"), dir: false },
        Action::Remove { path: rel("w/new"), dir: true },
        Action::MakeDir { place: 2, over: file },
        Action::MakeDir { place: 3, over: None },
        Action::Barrier,
        Action::Put { place: 1, backup: 2, over: dir },
        Action::Put { place: 4, backup: 5, over: None },
        Action::Attributes { place: 3 },
        Action::Attributes { place: 2 },
        Action::Attributes { place: 0 },
    ];
    assert_eq!(plan.actions, wanted);
}

#[test]
fn names_of_one_file_join_the_one_that_is_right() {
    let second = Entry { same_as: Some(1), backup: None, ..entry("w/b", Kind::File, 2) };
    let entries = vec![entry("w", Kind::Dir, 1), entry("w/a", Kind::File, 2), second];
    let manifest = manifest(entries);
    let dir = live(Kind::Dir, 1, Holds::Right);
    let mut survey = Survey { live: vec![dir, None, live(Kind::File, 2, Holds::Right)], ..Survey::default() };
    survey.backups.insert(1, BackupState::Ready);
    let wanted = [Action::Link { place: 1, of: 2, over: None }, Action::Attributes { place: 0 }];
    assert_eq!(planned(&manifest, &survey).unwrap().actions, wanted);

    // An earlier restore came as far as one name: the other joins it, not the other way round.
    let (old, put_back) = (live(Kind::File, 2, Holds::Right), live(Kind::File, 102, Holds::Right));
    let survey = Survey { live: vec![dir, old, put_back], ..Survey::default() };
    let wanted = [Action::Link { place: 1, of: 2, over: Some(Kind::File) }, Action::Attributes { place: 0 }];
    assert_eq!(planned(&manifest, &survey).unwrap().actions, wanted);
}

#[test]
fn a_file_without_a_backup_is_left_and_so_is_whatever_may_hold_its_bytes() {
    let manifest = manifest(vec![entry("w", Kind::Dir, 1), entry("w/a", Kind::File, 2)]);
    let mut survey = Survey {
        live: vec![live(Kind::Dir, 1, Holds::Right), live(Kind::Dir, 7, Holds::Wrong)],
        added: vec![
            (rel("w/a/inside"), meta(Kind::File, 9)),
            (rel("w/new"), meta(Kind::Dir, 10)),
            (rel("w/new/moved"), meta(Kind::File, 2)),
            (rel("w/other"), meta(Kind::File, 11)),
        ],
        ..Survey::default()
    };
    survey.backups.insert(1, BackupState::Lost);
    let plan = planned(&manifest, &survey).unwrap();
    assert_eq!((plan.lost, plan.in_place), (vec![rel("w/a")], vec![]));
    let wanted = [Action::Remove { path: rel("w/other"), dir: false }, Action::Attributes { place: 0 }];
    assert_eq!(plan.actions, wanted);
    survey.backups.insert(1, BackupState::Written);
    assert_eq!(planned(&manifest, &survey).unwrap().in_place, [rel("w/a")]);
}

#[test]
fn an_excluded_path_keeps_what_it_is_in_and_refuses_to_make_room() {
    let entries = vec![entry("w", Kind::Dir, 1), entry("w/a", Kind::File, 2)];
    let manifest = manifest(entries);
    let mut survey = Survey {
        live: vec![live(Kind::Dir, 1, Holds::Right), live(Kind::File, 2, Holds::Right)],
        added: vec![(rel("w/new"), meta(Kind::Dir, 10)), (rel("w/new/y"), meta(Kind::File, 11))],
        excluded: vec![rel("w/new/x")],
        ..Survey::default()
    };
    let plan = planned(&manifest, &survey).unwrap();
    assert_eq!(plan.actions, [Action::Remove { path: rel("w/new/y"), dir: false }]);
    survey.live[1] = live(Kind::Dir, 7, Holds::Wrong);
    survey.excluded.push(rel("w/a/x"));
    survey.backups.insert(1, BackupState::Ready);
    let error = planned(&manifest, &survey).unwrap_err();
    assert!(matches!(error, Error::Excluded { ref path } if *path == rel("w/a")), "{error}");
}

#[test]
fn directories_are_opened_for_as_long_as_it_takes() {
    let above = Entry { role: Role::Ancestor, ..entry("above", Kind::Dir, 1) };
    let mut locked = entry("above/w", Kind::Dir, 2);
    locked.meta.mode = 0o500;
    let extract = manifest(vec![above.clone(), locked, entry("above/w/a", Kind::File, 3)]);
    let mut dir = live(Kind::Dir, 2, Holds::Right);
    dir.as_mut().unwrap().meta.mode = 0o500;
    let mut survey =
        Survey { live: vec![live(Kind::Dir, 1, Holds::Right), dir, None], is_still: true, ..Survey::default() };
    survey.backups.insert(2, BackupState::Ready);
    let wanted = [
        Action::Unlock { path: rel("above/w"), mode: 0o700 },
        Action::Put { place: 2, backup: 3, over: None },
        Action::Attributes { place: 1 },
    ];
    assert_eq!(planned(&extract, &survey).unwrap().actions, wanted);

    // The directory above is made writable as well where names in it change, and gets its mode of now back.
    survey.live[0].as_mut().unwrap().meta.mode = 0o555;
    (survey.live[1], survey.is_still) = (None, false);
    let wanted = [
        Action::Unlock { path: rel("above"), mode: 0o755 },
        Action::MakeDir { place: 1, over: None },
        Action::Barrier,
        Action::Put { place: 2, backup: 3, over: None },
        Action::Attributes { place: 1 },
        Action::Ancestor { place: 0, times: true, mode: Some(0o555) },
    ];
    assert_eq!(planned(&extract, &survey).unwrap().actions, wanted);

    // What others did to it in the meantime is left to them.
    survey.live[0].as_mut().unwrap().meta.modified = Time { secs: 5, nanos: 5 };
    let theirs = Action::Ancestor { place: 0, times: false, mode: Some(0o555) };
    assert_eq!(planned(&extract, &survey).unwrap().actions.last(), Some(&theirs));

    // A restore that came to no end has left it open.
    let locked_above = Entry { meta: Meta { mode: 0o555, ..above.meta }, ..above };
    let mut entries = extract.entries().to_vec();
    entries[0] = locked_above;
    let extract = manifest(entries);
    survey.live = vec![live(Kind::Dir, 1, Holds::Right), live(Kind::Dir, 2, Holds::Right), None];
    let closed = Action::Ancestor { place: 0, times: false, mode: Some(0o555) };
    assert_eq!(planned(&extract, &survey).unwrap().actions.last(), Some(&closed));
}
