//! The one object that `--json` writes.

use std::io::{self, Write};

use serde::Serialize;

use super::JsonPath;
use crate::exit::Exit;
use crate::failure::Failure;

/// Version of the objects. It grows when a field goes away or changes its meaning; new fields may come at any time.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Answer<'a, R> {
    schema: u32,
    command: &'a str,
    exit: u8,
    outcome: &'a str,
    #[serde(flatten)]
    report: R,
}

#[derive(Serialize)]
struct Refusal<'a> {
    error: Said<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    message: &'a str,
    causes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<JsonPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<usize>,
}

pub(super) fn answer(
    out: &mut Vec<u8>,
    command: &str,
    exit: Exit,
    outcome: &str,
    report: &impl Serialize,
) -> io::Result<()> {
    let answer = Answer { schema: SCHEMA, command, exit: exit.code(), outcome, report };
    serde_json::to_writer_pretty(&mut *out, &answer)?;
    out.write_all(b"\n")
}

pub(super) fn failure(out: &mut Vec<u8>, command: &str, failure: &Failure, help: Option<&str>) -> io::Result<()> {
    let Failure { exit, outcome, message, causes, path, change, .. } = failure;
    let said =
        Said { message, causes, help, path: path.as_deref().map(|path| JsonPath(path.to_owned())), change: *change };
    answer(out, command, *exit, outcome, &Refusal { error: said })
}
