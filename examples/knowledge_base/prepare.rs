//! Before a document may touch the base: hashed, and converted where that is worth it.
//!
//! What a conversion gives is private until the document is added: memory, and beyond [`MEMORY_MAX`] a file without a name,
//! which goes with the process whatever ends it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::SpooledTempFile;

use super::base::Result;

/// How many bytes of a part are kept in memory.
const MEMORY_MAX: usize = 256 << 10;

/// A file that may become a document.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
}

pub(crate) struct Converted {
    pub(crate) hash: String,
    pub(crate) title: String,
    pub(crate) bytes: u64,
    /// The files of the document, by name.
    pub(crate) parts: [(&'static str, SpooledTempFile); 2],
}

/// Converts a file; `None` where the base has a document with its contents.
pub(crate) fn prepare(source: &Source, known: &HashSet<String>) -> Result<Option<Converted>> {
    let mut file = File::open(&source.file)?;
    let mut digest = Sha256::new();
    let bytes = io::copy(&mut file, &mut digest)?;
    let hash = hex(&digest.finalize());
    if known.contains(&hash) {
        return Ok(None);
    }
    file.rewind()?;
    let (outline, text) = convert(file)?;
    let title = outline.first().cloned().unwrap_or_else(|| source.name.clone());
    let mut listed = SpooledTempFile::new(MEMORY_MAX);
    outline.iter().try_for_each(|line| writeln!(listed, "- {line}"))?;
    Ok(Some(Converted { hash, title, bytes, parts: [("text.txt", text), ("outline.md", listed)] }))
}

/// The headings of a text, or the items of a program, and the text itself with plain ends of lines.
fn convert(file: File) -> Result<(Vec<String>, SpooledTempFile)> {
    let (mut outline, mut text) = (Vec::new(), SpooledTempFile::new(MEMORY_MAX));
    for line in BufReader::new(file).lines() {
        let line = line?;
        let line = line.trim_end();
        writeln!(text, "{line}")?;
        let heading = line.starts_with('#').then(|| line.trim_start_matches('#').trim());
        let item = ["pub fn ", "pub struct ", "pub enum ", "//! "].iter().find_map(|item| line.strip_prefix(item));
        outline.extend(heading.or(item).filter(|text| !text.is_empty()).map(str::to_owned));
    }
    Ok((outline, text))
}

/// The hash of a file of the base, to compare with what the index says.
pub(crate) fn hash_text(file: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(file)?, &mut digest)?;
    Ok(hex(&digest.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
