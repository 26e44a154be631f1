//! Contents that say what they are: whoever sees a part of them, or parts of two, can tell.

/// What a file of this name holds in this generation. Large ones do not fit in a record of the journal.
pub(crate) fn contents(name: &str, generation: u64) -> Vec<u8> {
    let line = format!("generation {generation} of {name}\n");
    let lines = if name.ends_with("large") { 1_500 } else { 20 };
    line.repeat(lines).into_bytes()
}

/// The generation of a file; `None` where the bytes are not one whole generation of it.
pub(crate) fn generation(name: &str, bytes: &[u8]) -> Option<u64> {
    let line = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next()?).into_owned();
    let (number, of) = line.strip_prefix("generation ")?.split_once(" of ")?;
    let number = number.parse().ok()?;
    (of == name && contents(name, number) == bytes).then_some(number)
}

#[test]
fn a_part_of_a_generation_is_none() {
    let (one, two) = (contents("a", 1), contents("a", 2));
    assert_eq!((generation("a", &one), generation("b", &one)), (Some(1), None));
    assert_eq!((generation("a", &one[..one.len() - 1]), generation("a", b"")), (None, None));
    assert_eq!(generation("a", &[&one[..200], &two[200..]].concat()), None);
}
