//! The rules of the house that no compiler knows: who may depend on whom, who may touch the disk, how long a file may
//! be, and that the documents name what is there.
//!
//! Each rule reads the workspace as it is and tells every place that breaks it. The rules that judge text have a test
//! of their own below: a rule that finds nothing because it looks for nothing would pass for ever.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "what is looked at is the source of the project, not a tree")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES_MAX: usize = 400;

/// The members, and which of the others each may name, for whatever purpose.
const ARROWS: [(&str, &[&str]); 7] = [
    ("treewal-vfs", &[]),
    ("treewal-journal", &["treewal-vfs"]),
    ("treewal-snapshot", &["treewal-vfs"]),
    ("treewal-recovery", &["treewal-vfs", "treewal-journal", "treewal-snapshot"]),
    ("treewal", &["treewal-vfs", "treewal-journal", "treewal-snapshot", "treewal-recovery"]),
    ("treewal-cli", &["treewal-vfs", "treewal"]),
    ("treewal-lab", &["treewal-vfs", "treewal"]),
];

// --- the workspace as it is ---------------------------------------------------------------------------------------------

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"))
}

/// A member of the workspace, as cargo reads it.
struct Member {
    name: String,
    version: String,
    manifest: PathBuf,
    dependencies: BTreeSet<String>,
}

fn members() -> Vec<Member> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let said = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| Member {
            name: said(&package["name"]),
            version: said(&package["version"]),
            manifest: said(&package["manifest_path"]).into(),
            dependencies: package["dependencies"].as_array().unwrap().iter().map(|dep| said(&dep["name"])).collect(),
        })
        .collect()
}

/// Every file of the project with this ending, relative to its root, in order.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(root().join(&dir)).unwrap() {
            let entry = entry.unwrap();
            let (name, path) = (entry.file_name(), dir.join(entry.file_name()));
            let hidden = name.to_string_lossy().starts_with('.') || name == "target";
            if entry.file_type().unwrap().is_dir() && !hidden {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{ending} file found: the walk is broken");
    found
}

fn is_none<T: std::fmt::Debug>(rule: &str, broken: impl IntoIterator<Item = T>) {
    let broken: Vec<T> = broken.into_iter().collect();
    assert!(broken.is_empty(), "{rule}: {broken:#?}");
}

// --- crates -------------------------------------------------------------------------------------------------------------

#[test]
fn the_arrows_between_crates_point_one_way() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let members = members();
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, arrows.keys().copied().collect(), "a new member needs its arrows here");
    for member in &members {
        let ours = member.dependencies.iter().filter(|name| names.contains(name.as_str()));
        // A crate may name itself for its tests, with more features.
        let strays = ours.filter(|name| **name != member.name && !arrows[&*member.name].contains(&name.as_str()));
        is_none(&format!("{} may not depend on", member.name), strays);
    }
}

#[test]
fn every_member_opts_into_the_lints_of_the_workspace() {
    let members = members();
    let opted = |member: &Member| {
        let manifest = fs::read_to_string(&member.manifest).unwrap();
        let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]");
        lines.nth(1) == Some("workspace = true")
    };
    is_none("members without the lints", members.iter().filter(|member| !opted(member)).map(|member| &member.name));
}

#[test]
fn every_direct_dependency_is_accounted_for_and_no_other() {
    let members = members();
    let ours: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let named = members.iter().flat_map(|member| &member.dependencies).map(String::as_str);
    let used: BTreeSet<String> = named.filter(|name| !ours.contains(name)).map(ToOwned::to_owned).collect();
    let document = text("docs/dependencies.md");
    let listed: BTreeSet<String> = first_cells(section(&document, "## Direct")).into_iter().collect();
    is_none("missing in docs/dependencies.md", used.difference(&listed));
    is_none("in docs/dependencies.md, but nobody depends on it", listed.difference(&used));
}

// --- source -------------------------------------------------------------------------------------------------------------

#[test]
fn no_source_file_is_too_long() {
    let long = files("rs").into_iter().map(|path| (text(&path).lines().count(), path));
    is_none("files longer than 400 lines", long.filter(|(lines, _)| *lines > FILE_LINES_MAX));
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    let paths = files("rs").into_iter().filter(|path| *path != Path::new("tests/tidy.rs"));
    let broken = paths.filter(|path| text(path).lines().any(|line| code(line).contains("[allow(")));
    is_none("files that allow a lint", broken);
}

#[test]
fn what_the_compiler_cannot_check_stands_in_two_places() {
    let unsafely = |path: &PathBuf| text(path).lines().filter(|line| is_unsafe(line)).count();
    // What is measured beside us maps files by itself.
    let ours = files("rs").into_iter().filter(|path| !is_test(path) && !path.starts_with("benches"));
    let places = ours.map(|path| (unsafely(&path), path));
    let mut found: Vec<_> = places.filter(|(blocks, _)| *blocks > 0).collect();
    found.sort();
    assert_eq!(found, ["listxattrat", "map"].map(|name| (1, format!("vfs/src/real/{name}.rs").into())));
}

fn is_unsafe(line: &str) -> bool {
    let bare: String = code(line).split('"').step_by(2).collect();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| bare.contains(word))
}

#[test]
fn only_the_vfs_names_the_disk() {
    let broken = files("rs").into_iter().filter(|path| {
        // What is measured beside us goes to the disk by itself, the laboratory is a test of disks, and an example is a
        // program of somebody else.
        let fenced = ["vfs", "benches", "lab", "examples"].iter().all(|dir| !path.starts_with(dir)) && !is_test(path);
        // Inline tests stand at the end of a file.
        fenced && text(path).lines().take_while(|line| *line != "#[cfg(test)]").any(names_the_disk)
    });
    is_none("files outside vfs that name std::fs or rustix::fs", broken);
}

#[test]
fn bytes_at_rest_are_made_in_one_module() {
    let calls = ["bincode::config", "bincode::encode", "bincode::decode", "bincode::serde"];
    let paths = files("rs").into_iter().filter(|path| *path != Path::new("tests/tidy.rs"));
    let with_calls =
        paths.filter(|path| text(path).lines().any(|line| calls.iter().any(|call| code(line).contains(call))));
    assert_eq!(with_calls.collect::<Vec<_>>(), [PathBuf::from("vfs/src/codec.rs")]);
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| ["tests", "tests.rs", "testing.rs"].map(OsStr::new).contains(&part.as_os_str()))
}

/// The line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether a line uses what only `vfs` may. `Permissions` does nothing to a disk, a string literal names nothing, and
/// processes and terminals, which rustix knows as well, are no disk.
fn names_the_disk(line: &str) -> bool {
    let bare: String = code(line).split('"').step_by(2).collect();
    let bare = bare.replace("std::fs::Permissions", "");
    let grouped = ["use std::{", "use rustix::{"].iter().any(|group| bare.contains(group))
        && bare.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "fs");
    bare.contains("std::fs") || bare.contains("rustix::fs") || grouped
}

#[test]
fn the_rules_of_source_find_what_they_look_for() {
    for bad in [
        "use std::fs;",
        "  std::fs::read(path)",
        "use std::{fs, io};",
        "rustix::fs::stat(y);",
        "use rustix::{fs::stat};",
    ] {
        assert!(names_the_disk(bad), "{bad}");
    }
    let permissions = "fn set(permissions: std::fs::Permissions) {";
    let terminal = "use rustix::termios::isatty;";
    for good in ["/// As `std::fs::read`.", "use std::{io, fmt};", terminal, permissions, r#"reason = "as std::fs""#] {
        assert!(!names_the_disk(good), "{good}");
    }
    assert!(is_unsafe("    unsafe { x() }") && !is_unsafe("// unsafe { x() }") && !is_unsafe("\"unsafe fn\""));
    assert!(code("#![allow(dead_code)] // why").contains("[allow("));
    assert!(is_test(Path::new("vfs/src/sim/tests/crash.rs")) && !is_test(Path::new("src/tree.rs")));
}

// --- documents ----------------------------------------------------------------------------------------------------------

#[test]
fn the_document_of_recovery_has_the_rows_of_the_decision_table() {
    let source = text("recovery/src/decide.rs");
    let decided: BTreeSet<String> = labels(&source).into_iter().collect();
    assert!(decided.len() > 4, "{decided:?}: the reading of decide.rs is broken");
    let commented: String = source.lines().filter_map(|line| line.strip_prefix("//! ")).fold(String::new(), join);
    assert_eq!(first_cells(&commented).into_iter().collect::<BTreeSet<_>>(), decided, "the comment in decide.rs");

    let document = text("docs/recovery.md");
    let tabled = first_cells(section(&document, "## The decision table"));
    assert_eq!(tabled.into_iter().collect::<BTreeSet<_>>(), decided, "the table in docs/recovery.md");
    let explained = document.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let explained: BTreeSet<String> = explained.map(ToOwned::to_owned).collect();
    is_none("labels without a paragraph in docs/recovery.md", decided.difference(&explained));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in files("md") {
        let dir = document.parent().unwrap_or(Path::new(""));
        for link in links(&text(&document)) {
            if !root().join(dir).join(&link).exists() {
                broken.push(format!("{} -> {link}", document.display()));
            }
        }
    }
    is_none("links to nothing", broken);
}

#[test]
fn the_readme_and_the_gate_run_the_same_recipe() {
    for file in ["README.md", ".ci/run"] {
        assert!(text(file).contains("./check"), "{file} does not name ./check");
    }
    assert!(text("README.md").contains("cargo run --release -p treewal-cli -- demo"));
}

#[test]
fn the_changelog_tells_of_this_version() {
    let members = members();
    let facade = members.iter().find(|member| member.name == "treewal").unwrap();
    let changelog = text("CHANGELOG.md");
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    assert!(headings.any(|heading| heading == "Unreleased" || heading.starts_with(&facade.version)));
}

fn join(mut all: String, line: &str) -> String {
    all.push_str(line);
    all.push('\n');
    all
}

/// The part of a document under a heading, up to the next of its kind.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(heading).unwrap_or_else(|| panic!("no heading {heading:?}")) + heading.len();
    let rest = &document[start..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// What stands in backticks in the first cell of each row of the tables.
fn first_cells(document: &str) -> Vec<String> {
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    document.lines().filter_map(cell).collect()
}

/// The labels that `decide` gives: the first of each pair on the right of an arrow.
fn labels(source: &str) -> Vec<String> {
    let label = |line: &str| Some(line.split_once("=> (\"")?.1.split_once('"')?.0.to_owned());
    source.lines().filter_map(label).collect()
}

/// Where the links of a document lead, but for those that leave the project or stay on the page.
fn links(document: &str) -> Vec<String> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let paths = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    paths.filter(|path| !path.is_empty() && !path.contains("://")).map(ToOwned::to_owned).collect()
}

#[test]
fn the_rules_of_documents_find_what_they_look_for() {
    assert_eq!(links("[a](b.md#c), [d](https://e), [f](#g) and [h](../i)"), ["b.md", "../i"]);
    assert_eq!(first_cells("| label |\n|---|\n| `one` | x |\n| `two`, `three` |\nfour"), ["one", "two"]);
    assert_eq!(section("# T\n## A\nx\n### B\ny\n## C\nz", "## A"), "\nx\n### B\ny");
    assert_eq!(labels("    Facts { .. } => (\"undo\", Verdict::Undo),\n    other => 1,"), ["undo"]);
}
