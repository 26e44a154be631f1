//! What a conversation is: three files of JSON in a directory, and whatever else people put there.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use treewal::Transaction;

pub(crate) const METADATA: &str = "metadata.json";
pub(crate) const EVENTS: &str = "events.json";
/// Written once; from then on it is the user's.
pub(crate) const CONFIG: &str = "base_config.json";
/// The files that the program writes. All others are the user's.
pub(crate) const MANAGED: [&str; 3] = [METADATA, EVENTS, CONFIG];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) metadata: Metadata,
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) number: String,
    pub(crate) title: String,
    /// What others have put there, and newer versions of this program.
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) text: String,
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

impl Event {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), others: Map::new() }
    }
}

/// Why a directory is no conversation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("{0} is damaged: {1}")]
    Damaged(&'static str, serde_json::Error),
    #[error("its name does not begin with {0:?}")]
    Name(String),
    /// This says nothing of the conversation.
    #[error(transparent)]
    Unreadable(#[from] treewal::Error),
}

impl Conversation {
    pub(crate) fn new(number: String, title: &str) -> Self {
        Self { metadata: Metadata { number, title: title.to_owned(), others: Map::new() }, events: Vec::new() }
    }

    /// Reads the conversation in a directory, as a transaction sees it.
    pub(crate) fn read(tx: &Transaction, dir: &Path) -> Result<Self, Invalid> {
        let conversation = Self { metadata: read_json(tx, dir, METADATA)?, events: read_json(tx, dir, EVENTS)? };
        let _: Value = read_json(tx, dir, CONFIG)?;
        Ok(conversation)
    }

    /// The name of its directory: the number finds it, the title is for people.
    pub(crate) fn dir_name(&self) -> String {
        let Metadata { number, title, .. } = &self.metadata;
        let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(8);
        let slug: String = words.collect::<Vec<_>>().join("-").to_lowercase().chars().take(60).collect();
        if slug.is_empty() { number.clone() } else { format!("{number}-{slug}") }
    }

    /// The files that the program writes every time.
    pub(crate) fn files(&self) -> Result<[(&'static str, Vec<u8>); 2], serde_json::Error> {
        Ok([(METADATA, to_json(&self.metadata)?), (EVENTS, to_json(&self.events)?)])
    }
}

/// JSON for people, and one line break at its end.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(json)
}

fn read_json<T: DeserializeOwned>(tx: &Transaction, dir: &Path, name: &'static str) -> Result<T, Invalid> {
    let bytes = match tx.read(dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Invalid::Missing(name)),
        read => read?,
    };
    serde_json::from_slice(&bytes).map_err(|error| Invalid::Damaged(name, error))
}
