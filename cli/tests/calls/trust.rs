//! The tests of the tests: what is wrong is refused, and what strikes elsewhere is not taken for a hit.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use treewal_vfs::{Disk, RealDisk};

use crate::calls::Call;
use crate::catalogue::{Case, named, prepare};
use crate::fault::{Fault, Point, all_fail_from};
use crate::judge::{Run, judge};
use crate::look::Look;
use crate::{changing, say, strace};

/// A run that nobody disturbs leads to the tree after; else nothing else here would prove anything.
#[test]
fn the_judge_refuses_what_is_wrong() {
    let case = named("write over");
    let look = Look::of(case);
    assert_eq!(judge(case, &look, &strace::plain(case)), Ok(()));
    // Acknowledged, and not there.
    let wrong = Look { before: look.before.clone(), after: look.before.clone() };
    refused(case, &wrong, &strace::plain(case), "acknowledged, and not done");
    for name in ["write over", "run", "snapshot create", "snapshot restore", "snapshot remove"] {
        let case = named(name);
        let said = |code, stdout: &str| Run { code: Some(code), stdout: stdout.to_owned(), ..strace::plain(case) };
        let look = Look::of(case);
        refused(case, &look, &said(3, r#""outcome": "rolled-back""#), "denied, and not as before");
        refused(case, &look, &said(3, r#""outcome": "undecided""#), "the code says one thing");
        refused(case, &look, &said(0, r#""outcome": "rolled-back""#), "the code says one thing");
        assert_eq!(judge(case, &look, &said(4, r#""outcome": "undecided""#)), Ok(()), "{name}");
    }
}

type Harm = fn(&Path);

#[test]
fn the_judge_sees_owners_attributes_names_and_what_a_snapshot_holds() {
    let harm: [(&str, Harm); 6] = [
        ("write over", |dir| fs::set_permissions(dir.join("a"), PermissionsExt::from_mode(0o604)).unwrap()),
        ("write over", |dir| lchown(dir.join("link"), Some(7), None).unwrap()),
        ("write over", |dir| {
            let root = RealDisk.open_root(dir).unwrap();
            RealDisk.set_xattr(&root, "d".as_ref(), "user.more".as_ref(), b"1").unwrap();
        }),
        ("write over", |dir| {
            fs::File::options().write(true).open(dir.join("b")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("hard link", |dir| {
            fs::copy(dir.join("a"), dir.join("other")).unwrap();
            fs::rename(dir.join("other"), dir.join("a")).unwrap();
        }),
        ("snapshot create", |dir| {
            let kept = dir.join(".treewal/snapshots/s/contents/0");
            let of_a = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path());
            let of_a = of_a.into_iter().find(|path| fs::read(path).unwrap() == b"old a").unwrap();
            fs::write(of_a, "not a").unwrap();
        }),
    ];
    for (name, harm) in harm {
        let case = named(name);
        let look = Look::of(case);
        let run = strace::plain(case);
        harm(run.dir.path());
        refused(case, &look, &run, "acknowledged, and not done");
    }
}

/// An undo that does nothing, and one that says it is done.
#[test]
fn the_judge_wants_a_recovery_to_do_its_work() {
    if let Err(why) = strace::probe() {
        return say(&format!("skipped: recoveries that do nothing: {why}"));
    }
    for name in ["recover, redo", "recover, undo"] {
        let case = named(name);
        let look = Look::of(case);
        assert_eq!(judge(case, &look, &strace::plain(case)), Ok(()), "{name}");
        let nothing = |code| Run { dir: prepare(case), code, stdout: String::new(), stderr: String::new() };
        refused(case, &look, &nothing(Some(0)), "at once: acknowledged, and not done");
        assert_eq!(judge(case, &look, &nothing(None)), Ok(()), "{name}");
        // As if a recovery ended where the kill left the tree.
        let unfinished = crate::look::walk(prepare(case).path());
        let wrong = Look { before: unfinished.clone(), after: unfinished };
        refused(case, &wrong, &nothing(None), "neither before nor after");
    }
}

#[test]
fn what_strikes_elsewhere_is_no_hit() {
    if let Err(why) = strace::probe() {
        return say(&format!("skipped: faults that strike elsewhere: {why}"));
    }
    let case = named("several");
    let calls = strace::survey(case);
    let renames: Vec<usize> = changing(&calls).filter(|(_, call)| call.name == "renameat2").map(|(at, _)| at).collect();
    let (first, second) = (&calls[renames[0]], &calls[renames[1]]);
    for (fault, meant, hits) in [
        (first.killed().fault, first, true),
        (first.killed().fault, second, false),
        (first.fails("EIO").fault, first, true),
        (second.fails("EIO").fault, first, false),
        (all_fail_from(&calls, renames[0], "EIO").fault, first, true),
        (all_fail_from(&calls, renames[1], "EIO").fault, first, false),
        (sooner(all_fail_from(&calls, renames[0], "EIO").fault, "openat"), first, false),
    ] {
        let point = Point { fault, meant: Some(Call::clone(meant)) };
        assert_eq!(strace::run(case, &point).1, hits, "{point}");
    }
}

/// A call that is counted from another place than where the tracer counts from.
fn sooner(mut fault: Fault, name: &str) -> Fault {
    if let Fault::FailFrom { from, .. } = &mut fault {
        *from.get_mut(name).unwrap() -= 4;
    }
    fault
}

/// Once a commit is promised, and the disk fails for good: undecided, and said so.
#[test]
fn what_fails_for_good_after_the_promise_stays_open() {
    if let Err(why) = strace::probe() {
        return say(&format!("skipped: a commit that fails after its promise: {why}"));
    }
    let case = named("several");
    let calls = strace::survey(case);
    let look = Look::of(case);
    for errno in ["EIO", "ENOSPC"] {
        let (at, _) = changing(&calls).find(|(_, call)| call.name == "renameat2").unwrap();
        let point = all_fail_from(&calls, at, errno);
        let (run, hit) = strace::run(case, &point);
        assert!(hit, "{point}");
        assert_eq!(run.code, Some(4), "{point}: {}", run.stdout);
        assert_eq!(judge(case, &look, &run), Ok(()), "{point}");
    }
}

fn refused(case: &Case, look: &Look, run: &Run, why: &str) {
    let error = judge(case, look, run).unwrap_err();
    assert!(error.contains(why), "{}: {error}", case.name);
}
