//! Parsing a change set, each change by itself, so that a bad one is named by its index.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;
use treewal::{Change, ChangeSet};

use crate::exit::Exit;
use crate::failure::Failure;

/// A change set whose elements have not been looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default)]
    changes: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    expect: Vec<&'a RawValue>,
}

/// Parses a change set. An unknown field, a repeated one, an unknown operation is an error that says its name.
pub(crate) fn parse(bytes: &[u8]) -> Result<ChangeSet, Failure> {
    let raw: Raw<'_> = object(bytes)
        .map_err(|error| Failure::new(Exit::BAD_INPUT, "the change set cannot be read as one").because(&error))?;
    let mut set = ChangeSet::default();
    for (index, text) in raw.changes.iter().enumerate() {
        let change: Result<Change, Failure> = element(text, &format!("change {index}"));
        set.changes.push(change.map_err(|failure| Failure { change: Some(index), ..failure })?);
    }
    for (index, text) in raw.expect.iter().enumerate() {
        set.expect.push(element(text, &format!("expectation {index}"))?);
    }
    Ok(set)
}

/// An object and nothing else: fields by position would be taken, too.
fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|first| *first != b'{') {
        return Err(serde_json::Error::custom("it is not an object"));
    }
    serde_json::from_slice(text)
}

fn element<T: DeserializeOwned>(text: &RawValue, name: &str) -> Result<T, Failure> {
    object(text.get().as_bytes()).map_err(|error| {
        let mut failure = Failure::new(Exit::BAD_INPUT, format!("{name} cannot be read as one"));
        // Its line and column count from the start of the element, and would mislead.
        let at = format!(" at line {} column {}", error.line(), error.column());
        failure.causes.push(error.to_string().replace(&at, ""));
        failure
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Option<usize>, String) {
        let failure = parse(text.as_bytes()).unwrap_err();
        assert_eq!(failure.exit, Exit::BAD_INPUT);
        (failure.change, format!("{}: {}", failure.message, failure.causes.join(": ")))
    }

    #[test]
    fn a_change_set_is_what_the_library_understands() {
        let set = parse(
            br#"{"changes": [{"op": "write", "path": "a", "text": "x"}, {"op": "remove", "path": "b"}],
                 "expect": [{"path": "a", "absent": true}]}"#,
        );
        let set = set.unwrap();
        assert_eq!((set.changes.len(), set.expect.len()), (2, 1));
        assert!(matches!(&set.changes[1], Change::Remove { recursive: false, .. }));
    }

    #[test]
    fn a_bad_change_is_named_by_its_index_and_what_is_wrong_with_it() {
        let good = r#"{"op": "remove", "path": "b"}"#;
        let (index, text) = refused(&format!(r#"{{"changes": [{good}, {{"op": "remove", "pth": "b"}}]}}"#));
        assert_eq!(index, Some(1));
        assert!(text.contains("change 1") && text.contains("`pth`"), "{text}");
        let (index, text) = refused(&format!(r#"{{"changes": [{good}, {good}, {{"op": "explode"}}]}}"#));
        assert_eq!(index, Some(2));
        assert!(text.contains("`explode`"), "{text}");
        let (_, text) = refused(r#"{"changes": [{"op": "remove", "path": "a", "path": "b"}]}"#);
        assert!(text.contains("duplicate field `path`"), "{text}");
        let (index, text) = refused(r#"{"changes": [], "expect": [{"path": "a", "sha": "b"}]}"#);
        assert_eq!(index, None);
        assert!(text.contains("expectation 0") && text.contains("`sha`"), "{text}");
    }

    #[test]
    fn what_is_no_change_set_says_where() {
        let (_, text) = refused(r#"{"chnages": []}"#);
        assert!(text.contains("`chnages`"), "{text}");
        let (_, text) = refused("{\"changes\": [}");
        assert!(text.contains("line 1 column 14"), "{text}");
        let (_, text) = refused("[]");
        assert!(text.contains("not an object"), "{text}");
        let (index, text) = refused(r#"{"changes": [["remove", "a", false]]}"#);
        assert!(index == Some(0) && text.contains("not an object"), "{text}");
        refused("");
        refused(r#"{"changes": []} trailing"#);
    }
}
