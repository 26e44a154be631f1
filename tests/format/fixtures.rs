//! Journals of every released format, kept as files: they stay readable for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::make::FIXTURES;
use crate::pack::unpack;
use crate::python::decoded;
use crate::told::{hex, told};

pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/fixtures")
}

/// Long strings by their digest: so they are told apart, and the expected content stays small.
pub(crate) fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > 400 => {
            json!({ "characters": text.len(), "sha256": hex(&Sha256::digest(text.as_bytes())) })
        }
        Value::Array(values) => values.iter().map(shortened).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shortened(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_fixture_reads_as_it_always_did() {
    for (name, _) in FIXTURES {
        let dir = tempfile::tempdir().unwrap();
        unpack(&fs::read_to_string(home().join(format!("{name}.txt"))).unwrap(), dir.path());
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(home().join(format!("{name}.json"))).unwrap()).unwrap();
        assert_eq!(shortened(&told(dir.path())), expected, "the reader, of {name}");
        if let Some(values) = decoded(&[dir.path()]) {
            assert_eq!(shortened(&values[0]), expected, "the decoder, of {name}");
        }
    }
}

#[test]
fn every_file_among_the_fixtures_is_one() {
    let files: BTreeSet<String> =
        fs::read_dir(home()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let listed = FIXTURES.iter().flat_map(|(name, _)| [format!("{name}.json"), format!("{name}.txt")]);
    assert_eq!(files, listed.collect());
}
