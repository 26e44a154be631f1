//! A directory of segments as a text that is small: bytes in hexadecimal, zeros left out, repeated ones counted.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const LINE_BYTES: usize = 48;
const REPEATED_MIN: usize = 16;

/// The text of the files of a directory.
pub(crate) fn pack(dir: &Path) -> String {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let bytes = fs::read(dir.join(&name)).unwrap();
        writeln!(text, "file {} {}", name.to_str().unwrap(), bytes.len()).unwrap();
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            let run = bytes[at..].iter().take_while(|byte| **byte == first).count();
            if run >= REPEATED_MIN {
                if first != 0 {
                    writeln!(text, "{at:x} {first:02x}*{run}").unwrap();
                }
                at += run;
                continue;
            }
            let mut end = at + run;
            while end < bytes.len() && end - at < LINE_BYTES {
                let run = bytes[end..].iter().take_while(|byte| **byte == bytes[end]).count();
                if run >= REPEATED_MIN {
                    break;
                }
                end += run;
            }
            writeln!(text, "{at:x} {}", crate::told::hex(&bytes[at..end])).unwrap();
            at = end;
        }
    }
    text
}

/// Makes the files of a text; lines that start with `#` are for people.
pub(crate) fn unpack(text: &str, dir: &Path) {
    let mut file: Option<(String, Vec<u8>)> = None;
    let write = |file: Option<(String, Vec<u8>)>| {
        if let Some((name, bytes)) = file {
            fs::write(dir.join(name), bytes).unwrap();
        }
    };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["file", name, bytes] = words[..] {
            write(file.replace((name.to_owned(), vec![0; bytes.parse().unwrap()])));
            continue;
        }
        let [at, content] = words[..] else { panic!("{line:?}") };
        let at = usize::from_str_radix(at, 16).unwrap();
        let content = match content.split_once('*') {
            Some((byte, times)) => vec![byte_of(byte); times.parse().unwrap()],
            None => (0..content.len()).step_by(2).map(|n| byte_of(&content[n..n + 2])).collect(),
        };
        let (_, bytes) = file.as_mut().unwrap();
        bytes[at..at + content.len()].copy_from_slice(&content);
    }
    write(file);
}

fn byte_of(digits: &str) -> u8 {
    u8::from_str_radix(digits, 16).unwrap()
}

#[test]
fn what_is_packed_comes_back() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut bytes = vec![0; 5000];
    bytes[10..300].copy_from_slice(&(0..290u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>());
    bytes[4000..4900].fill(0x41);
    bytes[4950] = 7;
    fs::write(from.path().join("a"), &bytes).unwrap();
    fs::write(from.path().join("b"), b"").unwrap();
    unpack(&pack(from.path()), to.path());
    assert_eq!(fs::read(to.path().join("a")).unwrap(), bytes);
    assert_eq!(fs::read(to.path().join("b")).unwrap(), b"");
}
