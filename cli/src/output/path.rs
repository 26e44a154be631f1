//! Paths, which are bytes, as text.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// A path for a person: plain where it is plain, quoted and escaped where it would disturb the line or is not UTF-8.
pub(crate) fn shown(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(|c| c.is_control() || c == '"') && text.trim() == text => text.to_owned(),
        _ => format!("{path:?}"),
    }
}

/// A path for a program: a string, or where it is not UTF-8 an object with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JsonPath(pub(crate) std::path::PathBuf);

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Bytes {
            lossy: String,
            base64: String,
        }
        match self.0.to_str() {
            Some(text) => text.serialize(serializer),
            None => {
                let base64 = STANDARD.encode(self.0.as_os_str().as_bytes());
                Bytes { lossy: self.0.to_string_lossy().into_owned(), base64 }.serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_path_that_is_no_text_is_not_lost() {
        let path = PathBuf::from(OsStr::from_bytes(b"a\xff"));
        assert_eq!(shown(&path), "\"a\\xFF\"");
        let json = serde_json::to_string(&JsonPath(path)).unwrap();
        assert_eq!(json, "{\"lossy\":\"a\u{fffd}\",\"base64\":\"Yf8=\"}");
        assert_eq!(shown(Path::new("a b/ü")), "a b/ü");
        assert_eq!(shown(Path::new("two\nlines")), "\"two\\nlines\"");
        assert_eq!(serde_json::to_string(&JsonPath("two\nlines".into())).unwrap(), "\"two\\nlines\"");
    }
}
