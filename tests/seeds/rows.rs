//! Every row of the table has a test that begins with its name, and no test begins with the name of a row that is not there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Whether this is the name of a row: `rs1`, `ro11`, `w_j2`, `w_o3b`.
fn is_row(name: &str) -> bool {
    let rest = ["rs", "ro", "w_j", "w_o"].iter().find_map(|prefix| name.strip_prefix(prefix));
    let number = rest.map(|rest| rest.strip_suffix('b').unwrap_or(rest));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The row that a line with the head of a test is about.
fn row_of(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix("fn ")?;
    let mut ends = name.match_indices('_').map(|(at, _)| &name[..at]);
    ends.rfind(|name| is_row(name))
}

fn rows() -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/seeds.md")).unwrap();
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    page.lines().filter_map(cell).collect()
}

/// The rows that tests of the project are about.
fn tested() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let lines: Vec<&str> = text.lines().map(str::trim).collect();
                // A function is a test where the line before it says so.
                let tests = lines.windows(2).filter(|pair| pair[0] == "#[test]");
                found.extend(tests.filter_map(|pair| row_of(pair[1])).map(str::to_owned));
            }
        }
    }
    found
}

#[test]
fn every_row_has_a_test_and_every_such_test_a_row() {
    let listed = rows();
    let rows: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(rows.len(), listed.len(), "a row stands there twice");
    let counts = ["rs", "ro", "w_j", "w_o"].map(|kind| rows.iter().filter(|row| row.starts_with(kind)).count());
    assert_eq!(counts, [12, 26, 8, 18], "rows were lost from docs/seeds.md");
    assert!(rows.iter().all(|row| is_row(row)), "{rows:?}");
    let tested = tested();
    let missing: Vec<_> = rows.difference(&tested).collect();
    assert!(missing.is_empty(), "rows without a test: {missing:?}");
    let strays: Vec<_> = tested.difference(&rows).collect();
    assert!(strays.is_empty(), "tests of rows that docs/seeds.md does not have: {strays:?}");
}

#[test]
fn names_of_rows_are_told_from_others() {
    assert_eq!(row_of("fn rs1_a_file() {"), Some("rs1"));
    assert_eq!(row_of("    fn w_o3b_nor_does_it() {"), Some("w_o3b"));
    assert_eq!(row_of("fn ro11_tries_rs() {"), Some("ro11"));
    for none in ["fn rs_trash_1() {", "fn rows() {", "fn w_1_x() {", "// fn rs1_x", "fn rs1x_y() {"] {
        assert_eq!(row_of(none), None, "{none}");
    }
}
