//! Running the decoder.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What the decoder says of each directory; `None` where there is no Python, which only CI may not do without.
pub(crate) fn decoded(dirs: &[&Path]) -> Option<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/decode.py");
    let output = match Command::new("python3").arg(script).args(dirs).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3 is missing: {error}");
            eprintln!("skipped: the decoder of tests/format needs python3, which is missing");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), dirs.len());
    Some(values)
}
