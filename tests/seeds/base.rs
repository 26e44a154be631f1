//! The knowledge base of the example: adding, failing, removing, and being interrupted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::child::{die, dies_of, program};
use crate::knowledge_base::add::{Added, Report};
use crate::knowledge_base::base::Base;
use crate::knowledge_base::index::{Document, Index};
use crate::walk::{differences, leftovers, walk, work_dir};

/// A directory with files to add, and one for the base.
fn world(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = work_dir();
    let (input, at) = (dir.path().join("input"), dir.path().join("base"));
    for (path, text) in files {
        fs::create_dir_all(input.join(path).parent().unwrap()).unwrap();
        fs::write(input.join(path), text).unwrap();
    }
    (dir, input, at)
}

fn add(base: &Base, inputs: &[PathBuf], threads: usize) -> (Report, Vec<String>) {
    let mut ended = Vec::new();
    let report = base.add(inputs, Some(threads), |name, added| {
        ended.push(match added {
            Ok(Added::New) => format!("added {name}"),
            Ok(other) => format!("{other:?} {name}"),
            Err(_) => format!("failed {name}"),
        });
    });
    (report.unwrap(), ended)
}

#[test]
fn ro16_the_log_is_in_the_order_of_the_files_however_many_threads_convert() {
    // The first one takes longest.
    let lines = |n: usize| if n == 0 { 400_000 } else { n * 977 % 4000 };
    let text = |n: usize| (format!("{n:02}.md"), "x\n".repeat(lines(n)) + &n.to_string());
    let texts: Vec<(String, String)> = (0..40).map(text).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let logs = [1, 8].map(|threads| {
        let (_dir, input, at) = world(&files);
        let base = Base::open(&at).unwrap();
        let (report, ended) = add(&base, &[input], threads);
        assert_eq!(report.added, 40);
        let log = base.log().unwrap();
        assert_eq!(log, ended);
        log
    });
    assert!(logs[0].is_sorted());
    assert_eq!(logs[0], logs[1]);
}

#[test]
fn ro17_one_that_fails_is_undone_alone() {
    let (dir, input, at) = world(&[("a.md", "# A"), ("b.md", "# B"), ("d.md", "# D")]);
    fs::write(input.join("c.md"), [0xff, 0xfe, 0x00]).unwrap();
    let base = Base::open(&at).unwrap();
    let (report, ended) = add(&base, &[input], 2);
    assert_eq!(ended, ["added input--a.md", "added input--b.md", "failed input--c.md", "added input--d.md"]);
    assert_eq!((report.added, report.failed), (3, 1));
    base.check().unwrap();
    // Another one of that name is in its place before the index refuses it: then the first one is back.
    let before = walk(&at);
    let second = dir.path().join("second/input");
    fs::create_dir_all(&second).unwrap();
    fs::write(second.join("b.md"), "# Another B").unwrap();
    fs::write(second.join("e.md"), "# E").unwrap();
    let (report, ended) = add(&base, &[second], 2);
    assert_eq!((ended, report.failed), (vec!["failed input--b.md".to_owned(), "added input--e.md".to_owned()], 1));
    base.check().unwrap();
    let document = |path: &&PathBuf| path.starts_with("documents/input--b.md");
    let after = walk(&at);
    for path in before.keys().filter(document) {
        assert!(after[path] == before[path], "{path:?}: {}, not {}", after[path], before[path]);
    }
    assert_eq!(after.keys().filter(document).count(), 3);
}

#[test]
fn ro19_contents_that_are_known_are_not_converted() {
    let (dir, input, at) = world(&[("a.md", "# A"), ("b.md", "# B"), ("copy-of-a.md", "# A")]);
    let base = Base::open(&at).unwrap();
    let (report, _) = add(&base, std::slice::from_ref(&input), 2);
    assert_eq!(report, Report { added: 2, known: 0, twins: 1, failed: 0 });
    // Anybody's copy under any name is known by its contents alone, before it is converted.
    fs::rename(&input, dir.path().join("renamed")).unwrap();
    let before = walk(&at);
    let (report, _) = add(&base, &[dir.path().join("renamed")], 2);
    assert_eq!(report, Report { added: 0, known: 3, twins: 0, failed: 0 });
    assert_eq!(differences(&walk(&at), &before), Vec::<String>::new());
}

#[test]
fn ro20_phases_are_timed_where_somebody_listens() {
    let (_dir, input, at) = world(&[("a.md", "# A")]);
    let (at, input) = (at.to_str().unwrap(), input.to_str().unwrap());
    let listened = |arguments: &[&str]| {
        let output = program("knowledge_base", arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
    };
    let said = listened(&[at, "--timing", "add", "--threads", "2", input]);
    for phase in ["lock_wait{", "prepare{", "guard{", "publish:", "index:", "commit{", "checkpoint{"] {
        let timed = said.lines().any(|line| line.contains(phase) && line.contains("close time.busy="));
        assert!(timed, "{phase} is not timed: {said}");
    }
    let said = listened(&[at, "add", input]);
    assert!(!said.contains("time.busy") && !said.contains("DEBUG"), "{said}");
}

/// Dies with a document in its place and a row in the index, as the log is about to be written.
pub(crate) fn interrupted_add(dir: &Path) {
    let base = Base::open(&dir.join("base")).unwrap();
    let name = "more--c.md";
    base.change::<()>(name, |index| {
        fs::create_dir(base.place(name)?)?;
        fs::write(base.place(name)?.join("text.txt"), "# C")?;
        let (hash, text, title) = ("hash".to_owned(), "text".to_owned(), "C".to_owned());
        index.insert(&Document { name: name.to_owned(), hash, text, title, bytes: 3 })?;
        index.delete("input--b.md")?;
        die()
    })
    .unwrap();
}

#[test]
fn ro22_an_interrupted_add_and_then_a_removal() {
    let (dir, input, at) = world(&[("a.md", "# A"), ("b.md", "# B")]);
    fs::create_dir(dir.path().join("more")).unwrap();
    fs::write(dir.path().join("more/c.md"), "# C").unwrap();
    let base = Base::open(&at).unwrap();
    assert_eq!(add(&base, &[input], 2).0.added, 2);
    drop(base);
    dies_of("an add that is interrupted", dir.path());
    assert!(at.join("documents/more--c.md").exists(), "it died in the middle");
    let base = Base::open(&at).unwrap();
    base.remove("input--a.md").unwrap();
    let names: Vec<String> = base.look(Index::documents).unwrap().into_iter().map(|document| document.name).collect();
    assert_eq!(names, ["input--b.md"]);
    base.check().unwrap();
    drop(base);
    // Nothing comes back, and nothing is clobbered, however often it is opened.
    let before = walk(&at);
    for _ in 0..2 {
        let base = Base::open(&at).unwrap();
        base.check().unwrap();
        base.remove("input--a.md").unwrap_err();
    }
    assert_eq!(differences(&walk(&at), &before), Vec::<String>::new());
    assert!(leftovers(&at).is_empty());
    let base = Base::open(&at).unwrap();
    assert_eq!(add(&base, &[dir.path().join("more")], 1).0.added, 1);
}
