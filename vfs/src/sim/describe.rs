//! An outcome in words, for the message of a test that failed.

use std::fmt::Write;

use super::image::{Id, ROOT};
use super::outcome::Outcome;
use super::state::State;
use crate::RelPath;

impl State {
    pub(super) fn describe(&self, outcome: &Outcome) -> String {
        let fate = |seq: &u64| if outcome.kept.contains(seq) { "kept" } else { "lost" };
        let mut lines: Vec<(u64, String)> = Vec::new();
        for (seq, change) in &self.names.pending {
            let both = if outcome.both.contains(seq) { ", under both names" } else { "" };
            let mut line = format!("{}{both}:", fate(seq));
            for edit in &change.edits {
                let entry = self.path(edit.dir).join(&edit.name);
                let [old, new] = [edit.old, edit.new].map(|id| id.map_or("nothing".to_string(), |id| self.number(id)));
                // Writing to a string cannot fail.
                write!(line, " {entry}: {old} -> {new};").ok();
            }
            lines.push((*seq, line));
        }
        for (id, log) in &self.metas {
            for change in &log.0 {
                lines.push((change.seq, format!("{}: {} {:?}", fate(&change.seq), self.number(*id), change.field)));
            }
        }
        for (id, log) in &self.files {
            let (Some(first), Some(torn)) = (log.0.first(), outcome.files.get(id)) else { continue };
            let (step, len) = (torn.step, torn.len);
            let (version, odd, of) = (torn.version, &torn.odd, log.0.len());
            let line = format!(
                "contents of {}: {len} bytes, step {step} of {of}, sectors {version:?} but {odd:?}",
                self.number(*id)
            );
            lines.push((first.seq, line));
        }
        lines.sort();
        lines.into_iter().map(|(seq, line)| format!("{seq:6} {line}\n")).collect()
    }

    fn number(&self, id: Id) -> String {
        self.durable.find(id).map_or("?".to_string(), |inode| format!("{:?} {}", inode.kind, inode.ino))
    }

    /// Where a directory is now, or was last.
    fn path(&self, dir: Id) -> RelPath {
        let mut parts = Vec::new();
        for pair in self.seen.ancestors(dir).windows(2) {
            let entries = self.seen.find(pair[1]).and_then(|inode| inode.entries().ok());
            let name = entries.and_then(|entries| entries.by_name.iter().find(|(_, id)| **id == pair[0]));
            parts.push(name.map_or_else(|| "?".into(), |(name, _)| name.to_os_string()));
        }
        if self.seen.find(dir).is_none() && dir != ROOT {
            parts.push("?".into());
        }
        parts.iter().rev().fold(RelPath::root(), |path, part| path.join(part))
    }
}
