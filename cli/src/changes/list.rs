//! What a transaction changes, one line a change.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use treewal::{GuardChange, GuardChangeKind, How, PathChange};

use crate::output::{BAD, DIM, GOOD, JsonPath, OLD, shown};

/// One change: a letter, a word for it, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    letter: char,
    change: &'static str,
    path: JsonPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<JsonPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

impl Line {
    fn new(letter: char, change: &'static str, path: PathBuf) -> Self {
        Self { letter, change, path: JsonPath(path), from: None, mode: None }
    }

    /// Writes it for people.
    pub(crate) fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = match self.letter {
            'A' => GOOD,
            'D' => BAD,
            _ => OLD,
        };
        write!(out, "{style}{}{style:#} ", self.letter)?;
        if let Some(from) = &self.from {
            write!(out, "{} -> ", shown(&from.0))?;
        }
        write!(out, "{}", shown(&self.path.0))?;
        if let Some(mode) = &self.mode {
            write!(out, " {DIM}{mode}{DIM:#}")?;
        }
        writeln!(out)
    }
}

/// How many changes there are of each kind, in words.
pub(crate) fn summary(lines: &[Line]) -> String {
    let counted =
        [('A', "added"), ('M', "modified"), ('m', "of other attributes"), ('T', "of another kind"), ('D', "removed")];
    let counts = counted.iter().filter_map(|(letter, word)| {
        let count = lines.iter().filter(|line| line.letter == *letter).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let text = counts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nothing changed".to_owned() } else { text }
}

/// The changes of a transaction. A name that something was moved away from is told by where it went.
pub(crate) fn lines(changes: Vec<PathChange>) -> Vec<Line> {
    let moved: BTreeSet<PathBuf> = changes
        .iter()
        .filter_map(|change| match &change.how {
            How::Moved { from } => Some(from.clone()),
            _ => None,
        })
        .collect();
    let told = |change: &PathChange| change.how != How::Removed || !moved.contains(&change.path);
    changes.into_iter().filter(told).map(Line::from).collect()
}

impl From<PathChange> for Line {
    fn from(change: PathChange) -> Self {
        let PathChange { path, how, .. } = change;
        match how {
            How::Added => Self::new('A', "added", path),
            How::Removed => Self::new('D', "removed", path),
            How::Moved { from } => Self { from: Some(JsonPath(from)), ..Self::new('R', "renamed", path) },
            How::Mode { mode } => Self { mode: Some(format!("{mode:04o}")), ..Self::new('m', "mode", path) },
            How::Linked { original } => Self { from: Some(JsonPath(original)), ..Self::new('A', "linked", path) },
            How::Attributes => Self::new('m', "attributes", path),
            _ => Self::new('M', "modified", path),
        }
    }
}

impl From<GuardChange> for Line {
    fn from(change: GuardChange) -> Self {
        let (letter, word) = match change.kind {
            GuardChangeKind::Added => ('A', "added"),
            GuardChangeKind::Modified => ('M', "modified"),
            GuardChangeKind::Metadata => ('m', "metadata"),
            GuardChangeKind::Removed => ('D', "removed"),
            GuardChangeKind::TypeChanged => ('T', "type"),
        };
        Self::new(letter, word, change.path.to_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_its_letter() {
        let (_dir, tree) = crate::testing::tree(&[("old", "1"), ("gone", "1"), ("here", "1"), ("mode", "1")]);
        let mut tx = tree.begin();
        tx.write("new", "2").unwrap();
        tx.write("old", "2").unwrap();
        tx.remove_file("gone").unwrap();
        tx.rename("here", "there").unwrap();
        let set: treewal::ChangeSet =
            serde_json::from_str(r#"{"changes": [{"op": "chmod", "path": "mode", "mode": "0600"}]}"#).unwrap();
        set.stage(&mut tx).unwrap();
        let mut text = Vec::new();
        for line in lines(tx.changes()) {
            line.human(&mut text).unwrap();
        }
        let text = anstream::adapter::strip_str(std::str::from_utf8(&text).unwrap()).to_string();
        assert_eq!(summary(&lines(tx.changes())), "1 added, 1 modified, 1 of other attributes, 1 removed");
        assert_eq!(summary(&[]), "nothing changed");
        assert_eq!(text, "D gone\nm mode 0600\nA new\nM old\nR here -> there\n");
    }
}
