//! Documents, index and log say the same, and each document is whole.

use std::collections::BTreeSet;
use std::fs;

use super::base::{Base, Result};
use super::prepare::hash_text;

impl Base {
    /// Says how many documents there are, or everything that is wrong.
    pub(crate) fn check(&self) -> Result<String> {
        self.look(|index| {
            let mut wrong = Vec::new();
            let integrity = index.integrity()?;
            if integrity != "ok" {
                wrong.push(format!("the index: {integrity}"));
            }
            let documents = index.documents()?;
            for document in &documents {
                let place = self.place(&document.name)?;
                match hash_text(&place.join("text.txt")) {
                    Ok(text) if text == document.text => {}
                    Ok(_) => wrong.push(format!("{}: its text is not the one that was added", document.name)),
                    Err(error) => wrong.push(format!("{}: cannot read its text: {error}", document.name)),
                }
                if !place.join("outline.md").is_file() {
                    wrong.push(format!("{}: it has no outline", document.name));
                }
            }
            let indexed: BTreeSet<String> = documents.into_iter().map(|document| document.name).collect();
            let told = [("lie in the base", self.lying()?), ("were added by the log", self.logged()?)];
            for (how, names) in told {
                let differ: Vec<_> = names.symmetric_difference(&indexed).collect();
                if !differ.is_empty() {
                    wrong.push(format!("those that {how} are not those of the index: {differ:?}"));
                }
            }
            if wrong.is_empty() {
                Ok(format!("{} documents, all sound", indexed.len()))
            } else {
                Err(wrong.join("\n").into())
            }
        })
    }

    fn lying(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(self.documents())? {
            names.insert(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn logged(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for line in self.log()? {
            match line.split_once(' ') {
                Some(("added", name)) => names.insert(name.to_owned()),
                Some(("removed", name)) => names.remove(name),
                _ => return Err(format!("the log has a line {line:?}").into()),
            };
        }
        Ok(names)
    }
}
