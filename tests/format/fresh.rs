//! The journal that a tree writes today.

use treewal::Options;

use crate::make::{every_record, segment};
use crate::python::decoded;
use crate::told::{hex, told};

/// A tree whose journal has staged and guarded transactions of many kinds, in several segments.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tree = Options::new().segment_bytes(64 << 10).inline_max(1 << 10).open(dir.path()).unwrap();
    tree.transaction(|tx| {
        tx.create_dir_all("a/b")?;
        tx.write("a/b/small", "text")?;
        tx.write("a/large", vec![7; 5000])?;
        tx.symlink("a/b", "link")?;
        tx.write("ü\n", "odd")
    })
    .unwrap();
    tree.transaction(|tx| {
        tx.set_permissions("a/b/small", std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        tx.remove_file("link")?;
        tx.rename("a/large", "large")
    })
    .unwrap();
    tree.guard(["a"]).unwrap().rollback().unwrap();
    tree.guard(["a", "large"]).unwrap().commit().unwrap();
    tree.transaction(|tx| tx.rename("a", "z")).unwrap();
    for n in 0..40 {
        tree.transaction(|tx| tx.write(format!("f{n}"), "x".repeat(1000))).unwrap();
        let log = treewal::log(dir.path()).unwrap();
        if log.segments.len() > 1 {
            break;
        }
    }
    // As after a kill: closing the tree would settle everything.
    std::mem::forget(tree);
    dir
}

#[test]
fn decoder_reader_and_log_say_the_same_of_a_fresh_journal() {
    let dir = tree();
    let journal = dir.path().join(".treewal/journal");
    let reader = told(&journal);
    if let Some(values) = decoded(&[&journal]) {
        assert_eq!(values[0], reader);
    }
    let records = reader["records"].as_array().unwrap();
    assert!(records.len() > 20 && records.iter().all(|record| !record["record"].is_null()), "{reader}");

    let log = serde_json::to_value(treewal::log(dir.path()).unwrap()).unwrap();
    assert_eq!((&log["tree"], &log["durable_lsn"]), (&reader["tree"], &reader["durable"]));
    for field in ["state", "segment", "offset", "lsn"] {
        assert_eq!(log["tail"][field], reader["tail"][field], "{field}");
    }
    assert_eq!(log["records"].as_array().unwrap().len(), records.len());
    for (listed, record) in log["records"].as_array().unwrap().iter().zip(records) {
        for field in ["lsn", "segment", "offset", "durable"] {
            assert_eq!(listed[field], record[field], "{field}");
        }
        assert_eq!(listed["kind"], record["record"]["is"]);
        assert_eq!(listed["bytes"].as_u64().unwrap() * 2, record["payload"].as_str().unwrap().len() as u64);
    }
}

/// Which records the fixtures cannot have forgotten.
#[test]
fn the_fixtures_hold_every_kind_of_record_and_form() {
    let text = std::fs::read_to_string(crate::fixtures::home().join("v1-clean.json")).unwrap();
    for record in every_record() {
        let payload = hex(&record.encode().unwrap());
        assert!(text.contains(&format!("\"payload\": \"{payload}\"")), "{record:?}");
    }
    assert_eq!(segment(0x2a), "000000000000002a.wal");
}
