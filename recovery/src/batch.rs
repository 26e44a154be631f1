//! Records on their way to the journal: many, in one buffer.

use treewal_journal::record::{Body, Goal, Record};
use treewal_journal::{Log, Lsn};

use crate::{Error, Result};

/// What a record takes beside its path and the contents of a file, in bytes: an estimate that is rarely exceeded.
const REST_BYTES: usize = 160;
/// A larger buffer is given back to the system.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Encoded records, one behind the other.
///
/// A buffer for each would be copied, and grown, once a record: with many small files that costs more than to write them.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Kind of each record, and where it ends.
    ends: Vec<(u8, usize)>,
}

impl Batch {
    /// Encodes records behind those that are here already.
    ///
    /// # Errors
    /// [`Error::Codec`] where one is too large.
    pub fn extend<'a>(&mut self, records: impl IntoIterator<Item = &'a Record, IntoIter: Clone>) -> Result<()> {
        let records = records.into_iter();
        self.bytes.reserve(records.clone().map(estimate).sum());
        for record in records {
            record.encode_into(&mut self.bytes).map_err(Error::Codec)?;
            self.ends.push((record.kind(), self.bytes.len()));
        }
        Ok(())
    }

    /// Kind and payload of each record.
    pub fn frames(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(kind, end)| (*kind, &self.bytes[std::mem::replace(&mut start, *end)..*end]))
    }

    /// The empty batch, with the memory of this one unless that is much.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            return Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
        self
    }
}

fn estimate(record: &Record) -> usize {
    let Record::Intent(intent) = record else { return REST_BYTES };
    let paths = 2 * intent.path.0.len();
    let contents = match &intent.goal {
        Goal::New(new) | Goal::Rewritten { new, .. } => match &new.body {
            Body::Inline(bytes) | Body::Symlink(bytes) => bytes.len(),
            Body::Link { from } => from.0.len(),
            Body::Dir | Body::Staged => 0,
        },
        _ => 0,
    };
    REST_BYTES + paths + contents
}

/// Appends records as one batch, and gives the LSN of the last. Nothing is synced.
///
/// # Errors
/// That a record is too large; any error of the log.
pub fn append(log: &Log, records: &[Record]) -> Result<Lsn> {
    let mut batch = Batch::default();
    batch.extend(records)?;
    Ok(log.append(&batch.frames().collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_records_one_by_one() {
        let records = [Record::Rollback { txn: 7 }, Record::Checkpoint { upto: 1 << 40 }, Record::Rollback { txn: 8 }];
        let mut batch = Batch::default();
        batch.extend(&records[..1]).unwrap();
        batch.extend(&records[1..]).unwrap();
        let decoded: Vec<Record> =
            batch.frames().map(|(kind, payload)| Record::decode(kind, payload).unwrap()).collect();
        assert_eq!(decoded, records);
        let mut again = batch.emptied();
        assert_eq!(again.frames().count(), 0);
        again.extend(&records[2..]).unwrap();
        assert_eq!(again.frames().next().unwrap().1, records[2].encode().unwrap());
    }
}
