//! Entries by their inodes, for lists that are as long as a transaction.

use std::collections::HashMap;

use treewal_vfs::{Identity, Kind, Time};

/// Where in a list each inode comes first.
#[derive(Debug, Default)]
pub struct Inodes(HashMap<(Kind, u64, Time), usize>);

impl Inodes {
    /// Those of a list.
    pub fn of<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> Self {
        let mut inodes = HashMap::new();
        for (index, identity) in identities.into_iter().enumerate() {
            inodes.entry(key(identity)).or_insert(index);
        }
        Self(inodes)
    }

    /// The index of the first entry with this inode; see [`Identity::same_inode`].
    #[must_use]
    pub fn position(&self, identity: &Identity) -> Option<usize> {
        self.0.get(&key(identity)).copied()
    }
}

fn key(identity: &Identity) -> (Kind, u64, Time) {
    (identity.kind, identity.ino, identity.born)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_an_inode_is_found_whatever_was_written_to_it() {
        let identity = |kind, ino, secs, size| Identity {
            kind,
            ino,
            born: Time { secs, nanos: 0 },
            size,
            modified: Time { secs: size.cast_signed(), nanos: 0 },
        };
        let list = [
            identity(Kind::File, 1, 1, 1),
            identity(Kind::File, 1, 1, 2),
            identity(Kind::Dir, 1, 1, 0),
            identity(Kind::File, 1, 2, 1),
            identity(Kind::File, 2, 1, 1),
        ];
        let inodes = Inodes::of(&list);
        let all = list.into_iter().chain([identity(Kind::File, 3, 1, 1), identity(Kind::Dir, 2, 1, 0)]);
        for identity in all {
            assert_eq!(inodes.position(&identity), list.iter().position(|other| other.same_inode(&identity)));
        }
    }
}
