//! The power goes in recovery, in the recovery from that, and in the one from that: three levels, for a few kinds of work.

use std::sync::Arc;

use treewal::Options;
use treewal_vfs::sim::{Profile, SimDisk};

use crate::seen::{Seen, differences, leftovers, look};
use crate::world::*;

const LEVELS: u32 = 3;

/// More tries than levels: each that is cut short is counted.
fn patient() -> Options {
    options().max_attempts(LEVELS + 3)
}

/// Which of two states a tree may be in; counts what was judged.
struct Judge<'a> {
    name: &'a str,
    allowed: Vec<Seen>,
    states: u64,
}

impl Judge<'_> {
    fn judge(&mut self, disk: &SimDisk, at: &str) {
        self.states += 1;
        let tree = patient().open_on(Arc::new(disk.clone()), "/").unwrap();
        let report = tree.recovery().clone();
        assert!(report.pending().count() == 0 && !report.found_damage(), "{}: {at}: {report}", self.name);
        drop(tree);
        let found = look(disk, "/");
        assert!(
            self.allowed.contains(&found),
            "{}: {at}: {report}\n{}",
            self.name,
            differences(&found, self.allowed.last().unwrap())
        );
        assert_eq!(leftovers(disk, "/"), Vec::<String>::new(), "{}: {at}", self.name);
    }

    /// Cuts the power at calls of the recovery of `disk`, and of the recoveries from that.
    fn descend(&mut self, disk: &SimDisk, level: u32, seed: u64, at: &str) {
        // Each level deeper looks at fewer calls, another selection each time.
        let stride = [1, 7, 13][usize::try_from(LEVELS - level).unwrap()];
        for cut in (1 + seed % stride..).step_by(usize::try_from(stride).unwrap()) {
            let cut_here = disk.remount();
            cut_here.cut_at(Some(cut));
            drop(patient().open_on(Arc::new(cut_here.clone()), "/"));
            if !cut_here.is_off() {
                break;
            }
            let profile = if (cut + seed) % 2 == 0 { Profile::Strict } else { Profile::Ordered };
            let all = cut_here.outcomes(profile);
            let mut outcomes = vec![all.nothing(), all.everything()];
            outcomes.extend(all.sample(seed + cut, 1));
            for (n, outcome) in (0..).zip(outcomes) {
                let lost = cut_here.after(&outcome).remount();
                let at = format!("{at}; cut {cut} of recovery {}, {profile:?} {n}", LEVELS - level + 1);
                self.judge(&lost.remount(), &at);
                if level > 1 && n != 1 {
                    self.descend(&lost, level - 1, seed + cut + n, &at);
                }
            }
        }
    }
}

const WORK: &[(&str, Body)] = &[
    ("files", owed),
    ("moves", |tx| {
        tx.rename("d/dx", "e/moved")?;
        tx.exchange("a", "e/ex")?;
        tx.rename("f", "g")?;
        tx.write("g/fx", "new")
    }),
    ("directories", |tx| {
        tx.create_dir_all("n/m")?;
        tx.write("n/m/file", "new")?;
        tx.remove_dir_all("d")?;
        tx.write("a", "new a")
    }),
];

#[test]
fn a_crash_in_recovery_in_recovery_in_recovery_changes_nothing_of_the_end() {
    let mut states = 0;
    for (name, body) in WORK {
        let base = base();
        let done = base.remount();
        open(&done).transaction(*body).unwrap();
        let mut judge = Judge { name, allowed: vec![look(&done, "/")], states: 0 };
        // Promised, and nothing of it done; or all of it done, and none of that durable.
        let promised = promised(&base, *body);
        judge.descend(&promised, LEVELS, 1, "promised");
        states += judge.states;
    }
    let base = base();
    let mut judge = Judge { name: "guard", allowed: vec![look(&base, "/")], states: 0 };
    let guarded = guarded(&base, &["d", "absent"], &["d/dx", "d/new", "absent"]);
    judge.descend(&guarded, LEVELS, 1, "guarded");
    states += judge.states;
    println!("three levels: {states} states judged");
    assert!(states > 1500, "{states}");
}

/// The same with something that is owed beside: a try that is cut short three times, and later work that stays.
#[test]
fn ro24_a_crash_in_a_later_try_leaves_what_was_committed_beside_it() {
    let base = base();
    let start = promised(&base, owed);
    let (tree, _) = stubborn(&start, OWED);
    tree.transaction(|tx| tx.write("e/ex", "later")).unwrap();
    tree.transaction(|tx| tx.write("d/other", "later")).unwrap();
    std::mem::forget(tree);
    let start = start.kill();
    let done = base.remount();
    let tree = open(&done);
    tree.transaction(owed).unwrap();
    tree.transaction(|tx| tx.write("e/ex", "later")).unwrap();
    tree.transaction(|tx| tx.write("d/other", "later")).unwrap();
    drop(tree);
    let mut judge = Judge { name: "beside", allowed: vec![look(&done, "/")], states: 0 };
    judge.descend(&start, 2, 1, "owed");
    println!("with later work beside: {} states judged", judge.states);
    assert!(judge.states > 80, "{}", judge.states);
}
