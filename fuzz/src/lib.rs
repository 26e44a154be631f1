//! What the targets share: journals and trees on a disk in memory.

pub mod tree;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use treewal_journal::{Error, Log, LogOptions, Lsn, Reader, SEGMENT_BYTES_MIN, Scan, Tail, TreeId, repair};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Open, RelPath, read_all, write_all};

/// The tree of every journal here.
pub const TREE: TreeId = TreeId(*b"tree under fuzz!");

/// Segments as small as they may be.
#[must_use]
pub fn options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, ..LogOptions::new(TREE) }
}

/// The name of a segment.
#[must_use]
pub fn segment(seq: u64) -> String {
    format!("{seq:016x}.wal")
}

/// A record as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub lsn: u64,
    /// Its kind.
    pub kind: u8,
    /// Its mark.
    pub durable: u64,
    /// The segment it stands in.
    pub segment: u64,
    /// Where in it.
    pub offset: usize,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A journal in a directory of some disk, with a quarantine beside it.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory of the journal.
    pub dir: Dir,
    /// A directory beside it.
    pub quarantine: Dir,
}

impl Journal {
    /// In memory.
    #[must_use]
    pub fn in_memory() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let root = disk.open_root(Path::new("/")).unwrap();
        Self::beneath(disk, &root)
    }

    /// In new directories beneath this one.
    #[must_use]
    pub fn beneath(disk: Arc<dyn Disk>, root: &Dir) -> Self {
        let make = |name: &str| {
            disk.create_dir(root, OsStr::new(name), 0o700).unwrap();
            disk.open_dir(root, &RelPath::new(name).unwrap()).unwrap()
        };
        let (dir, quarantine) = (make("journal"), make("quarantine"));
        Self { disk, dir, quarantine }
    }

    /// Makes a file of these bytes in place of what there was.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.disk.open(&self.dir, OsStr::new(name), Open::Create { mode: 0o600 }).unwrap();
        self.disk.set_len(&file, 0).unwrap();
        write_all(&*self.disk, &file, bytes, 0).unwrap();
    }

    /// The bytes of a file.
    #[must_use]
    pub fn get(&self, name: &str) -> Vec<u8> {
        let file = self.disk.open(&self.dir, OsStr::new(name), Open::Read).unwrap();
        read_all(&*self.disk, &file, 1 << 30).unwrap()
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        self.disk.remove_file(&self.dir, OsStr::new(name)).unwrap();
    }

    /// The names of the segments, in order.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        let entries = self.disk.list(&self.dir).unwrap();
        let names = entries.into_iter().map(|entry| entry.name.into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".wal")).collect();
        names.sort();
        names
    }

    /// What the reader says.
    ///
    /// # Errors
    /// As [`Reader::scan`].
    pub fn scan(&self, tree: Option<TreeId>) -> Result<(Scan, Vec<Seen>), Error> {
        let mut seen = Vec::new();
        let scan = Reader::scan(&*self.disk, &self.dir, tree, &mut |frame| {
            seen.push(Seen {
                lsn: frame.lsn.0,
                kind: frame.kind,
                durable: frame.durable.0,
                segment: frame.segment,
                offset: usize::try_from(frame.offset).unwrap(),
                payload: frame.payload.to_vec(),
            });
            ControlFlow::Continue(())
        })?;
        assert!(seen.iter().all(|seen| seen.kind != 0 && seen.durable < seen.lsn && seen.lsn > 0));
        assert!(seen.windows(2).all(|pair| pair[0].lsn < pair[1].lsn));
        if let Some(last) = seen.last() {
            // A repair leaves out numbers behind the last record.
            assert!(scan.last >= Lsn(last.lsn));
        }
        Ok((scan, seen))
    }

    /// Goes on from a scan.
    ///
    /// # Errors
    /// As [`Log::resume`].
    pub fn resume(&self, options: LogOptions, scan: &Scan) -> Result<Log, Error> {
        Log::resume(Arc::clone(&self.disk), self.dir.clone(), options, scan)
    }

    /// Repairs what is damaged, goes on and appends: what was handed out before is still there then, and nothing else
    /// but what was appended. Gives the number that came next; `None` where the numbers are used up.
    pub fn mend_and_go_on(&self, options: LogOptions, found: &Scan, seen: &[Seen]) -> Option<u64> {
        let mut scan = found.clone();
        if let Tail::Corrupt { .. } = found.tail {
            let done = match repair(&*self.disk, &self.dir, &options, found, &self.quarantine) {
                Err(Error::Exhausted) => return None,
                done => done.unwrap(),
            };
            assert_eq!(done.kept, found.last);
            let (mended, kept) = self.scan(Some(options.tree)).unwrap();
            assert_eq!((mended.tail, kept.as_slice()), (Tail::Clean, seen), "after the repair");
            scan = mended;
        }
        let log = match self.resume(options, &scan) {
            Err(Error::Exhausted) => return None,
            log => log.unwrap(),
        };
        let next = match log.append(&[(1, b"and on")]) {
            Err(Error::Exhausted) => return None,
            next => next.unwrap(),
        };
        log.sync_to(next).unwrap();
        drop(log);
        let (after, then) = self.scan(Some(options.tree)).unwrap();
        assert_eq!(after.tail, Tail::Clean, "after going on");
        // A log in doubt is written anew, so only the place may be another.
        let told = |seen: &[Seen]| seen.iter().map(|s| (s.lsn, s.kind, s.payload.clone())).collect::<Vec<_>>();
        let mut expected = told(seen);
        expected.push((next.0, 1, b"and on".to_vec()));
        assert_eq!(told(&then), expected);
        Some(next.0)
    }
}
