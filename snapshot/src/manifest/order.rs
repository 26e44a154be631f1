//! The order of paths as bytes: the same as that of [`RelPath`](treewal_vfs::RelPath), without making one.

use std::cmp::Ordering;

/// Compares two normal paths by their components, so that `a/b` comes before `a-b` and everything beneath `a` directly
/// after it. No name has a zero byte, so a separator that counts as one is less than every byte of a name.
pub(crate) fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(at) => key(&a[at]).cmp(&key(&b[at])),
        None => a.len().cmp(&b.len()),
    }
}

/// The part of a path before its last component; `None` for the root.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(path.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |at| &path[..at]))
}

/// Whether `path` is `other` or lies beneath it.
pub(crate) fn is_within(path: &[u8], other: &[u8]) -> bool {
    other.is_empty() || path.strip_prefix(other).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use treewal_vfs::RelPath;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_in_the_order_of_paths(a in "([ab!/~]{0,6})", b in "([ab!/~]{0,6})") {
            let path = |text: &str| RelPath::new(text.trim_matches('/')).unwrap();
            let (a, b) = (path(&a), path(&b));
            let (of_a, of_b) = (a.to_bytes(), b.to_bytes());
            assert_eq!(compare_paths(&of_a, &of_b), a.cmp(&b));
            assert_eq!(is_within(&of_a, &of_b), a.starts_with(&b));
            assert_eq!(parent(&of_a).map(<[u8]>::to_vec), a.parent().map(|parent| parent.to_bytes()));
        }
    }
}
