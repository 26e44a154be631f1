//! Many documents are prepared at once, and added one after another in the order in which they were found.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use treewal::Batch;

use super::base::{Base, Result};
use super::index::{Document, Index};
use super::prepare::{Converted, Source, hash_text, prepare};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    /// The base had its contents, and it was not converted.
    Known,
    /// It was converted, and then found to have the contents of one that came before it.
    Twin,
}

/// How many ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) added: usize,
    pub(crate) known: usize,
    pub(crate) twins: usize,
    pub(crate) failed: usize,
}

impl Base {
    /// Adds what is in some directories and not in the base yet. A file that fails fails alone.
    pub(crate) fn add(
        &self,
        dirs: &[PathBuf],
        threads: Option<usize>,
        mut ended: impl FnMut(&str, &Result<Added>),
    ) -> Result<Report> {
        let known: HashSet<String> = self.look(Index::hashes)?;
        let mut sources = Vec::new();
        dirs.iter().try_for_each(|dir| find(dir, &mut sources))?;
        let batch = threads.map_or(Batch::new(), |threads| Batch::new().threads(threads));
        let mut report = Report::default();
        batch.run(
            sources,
            |source| prepare(source, &known),
            |source, prepared| {
                let added = prepared.and_then(|converted| match converted {
                    None => Ok(Added::Known),
                    Some(converted) => self.add_one(&source.name, converted),
                });
                report.count(&added);
                ended(&source.name, &added);
            },
        );
        Ok(report)
    }

    fn add_one(&self, name: &str, mut converted: Converted) -> Result<Added> {
        let place = self.place(name)?;
        self.change(name, |index| {
            if index.knows(&converted.hash)? {
                return Ok(Added::Twin);
            }
            publish(&mut converted, &place)?;
            let Converted { hash, title, bytes, .. } = converted;
            let text = hash_text(&place.join("text.txt"))?;
            index.insert(&Document { name: name.to_owned(), hash, text, title, bytes })?;
            self.note(&format!("added {name}"))?;
            Ok(Added::New)
        })
    }
}

/// Puts the files of a document in their place.
fn publish(converted: &mut Converted, place: &Path) -> Result<()> {
    let _span = tracing::debug_span!("publish").entered();
    fs::create_dir_all(place)?;
    for (name, part) in &mut converted.parts {
        part.rewind()?;
        io::copy(part, &mut File::create(place.join(name))?)?;
    }
    Ok(())
}

/// Finds all documents in a directory, in an order that does not depend on the disk.
fn find(dir: &Path, found: &mut Vec<Source>) -> Result<()> {
    let mut dirs = vec![dir.to_owned()];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() && is_text(&entry.path()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    let above = dir.parent().unwrap_or(Path::new(""));
    found.extend(files.into_iter().map(|file| {
        let below = file.strip_prefix(above).unwrap_or(&file).to_string_lossy().replace('/', "--");
        Source { file, name: below }
    }));
    Ok(())
}

fn is_text(file: &Path) -> bool {
    file.extension().is_some_and(|extension| ["md", "rs", "txt"].iter().any(|known| extension == *known))
}

impl Report {
    fn count(&mut self, added: &Result<Added>) {
        *match added {
            Ok(Added::New) => &mut self.added,
            Ok(Added::Known) => &mut self.known,
            Ok(Added::Twin) => &mut self.twins,
            Err(_) => &mut self.failed,
        } += 1;
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "added",
            Self::Known | Self::Twin => "known",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} added, {} known, {} failed", self.added, self.known + self.twins, self.failed)
    }
}
