//! Readers, and what a person decides where something is owed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Error, Options, Reader, Resolution};
use treewal_vfs::{Disk, Fault, FaultDisk, Kind, RelPath, Verb, errno};

use crate::call::Call;
use crate::lost::Dead;
use crate::memory::Memory;
use crate::seen::differences;
use crate::step::MOUNTED;
use crate::world::{Checked, ROOT, World, is_own, must, options};

/// Kind, contents, target.
type Body = (Kind, Vec<u8>, Option<Vec<u8>>);

fn bodies(memory: &Memory) -> BTreeMap<RelPath, Body> {
    let body = |id: &u64| {
        let entry = &memory.nodes[id];
        (entry.kind, entry.contents.clone(), entry.target.clone())
    };
    memory.names.iter().map(|(path, id)| (path.clone(), body(id))).collect()
}

fn read(reader: &Reader) -> treewal::Result<BTreeMap<RelPath, Body>> {
    let mut found = BTreeMap::from([(RelPath::root(), (Kind::Dir, Vec::new(), None))]);
    let mut dirs = vec![RelPath::root()];
    while let Some(dir) = dirs.pop() {
        for entry in reader.read_dir(dir.to_path())? {
            let path = dir.join(entry.file_name());
            let at = path.to_path();
            let kind = reader.metadata(&at)?.kind();
            let contents = if kind == Kind::File { reader.read(&at)? } else { Vec::new() };
            let link = (kind == Kind::Symlink).then(|| reader.read_link(&at)).transpose()?;
            if kind == Kind::Dir {
                dirs.push(path.clone());
            }
            found.insert(path, (kind, contents, link.map(|link| link.into_os_string().into_encoded_bytes())));
        }
    }
    found.retain(|path, _| !is_own(path));
    Ok(found)
}

impl World {
    /// A reader sees the tree, and nobody writes meanwhile.
    pub(crate) fn read(&mut self, who: usize, only: bool) -> Checked {
        let wanted = bodies(&self.state.memory);
        let guarded = self.holder().is_some();
        let (_, faulty) = self.process();
        let Some(handle) = self.handle(who)? else { return Ok(()) };
        let tree = handle.tree.clone();
        let reader = if only { options().open_read_only_on(faulty, ROOT) } else { tree.read_within(Duration::ZERO) };
        let reader = match reader {
            Ok(reader) => reader,
            Err(Error::Locked { .. }) if guarded => return Ok(()),
            // Something is not settled, which a reader that changes nothing cannot do.
            Err(Error::Store { .. }) if only => return Ok(()),
            Err(error) => return Err(format!("cannot read: {error:?}")),
        };
        must(!guarded, || "reads under a guard".to_owned())?;
        let found = read(&reader).map_err(|error| format!("cannot read: {error:?}"))?;
        must(found == wanted, || format!("the reader sees {found:?}, not {wanted:?}"))?;
        self.counts.add(if only { "read only" } else { "read" });
        self.snapshots_differ(&tree)?;
        let kept_out = tree.transaction(|tx| tx.write("a", "meanwhile").or_else(|_| tx.write("kept-out", "x")));
        must(matches!(kept_out, Err(Error::Locked { .. })), || format!("beside a reader: {kept_out:?}"))?;
        drop(reader);
        self.becomes(vec![self.state.clone()])
    }

    /// The process dies in a commit, and the next disk cannot rename: a person has it put back, or mends the disk.
    pub(crate) fn owed(&mut self, who: usize, ops: &[Call], at: u64, keep: bool) -> Checked {
        let Some(Dead { acknowledged, mut after, .. }) = self.dies_in_a_commit(who, ops, at)? else { return Ok(()) };
        let pending = self.refused_by_the_disk(&options())?.first().copied();
        if pending.is_some() {
            self.counts.add(if keep { "owed, kept" } else { "owed, restored" });
        }
        after.outside = self.state.outside.clone();
        let mut allowed = vec![after];
        if !acknowledged {
            allowed.insert(0, self.state.clone());
        }
        if let (Some(txn), false) = (pending, keep) {
            let (_, faulty) = self.process();
            let disk: Arc<dyn Disk> = faulty;
            let resolved = options().resolve_on(&disk, ROOT, txn, Resolution::Restore);
            must(resolved.is_ok(), || format!("cannot resolve: {resolved:?}"))?;
            return self.put_back();
        }
        self.somebody_goes_on()?;
        self.becomes(allowed)?;
        self.settled();
        Ok(())
    }

    /// The numbers of what is owed, on a disk that refuses to rename.
    pub(crate) fn refused_by_the_disk(&self, options: &Options) -> Checked<Vec<u64>> {
        let process = self.disk.another_process();
        let fault = Fault::ErrorFrom { at: 1, errno: errno::ENODATA };
        let faulty = FaultDisk::new(Arc::new(process.clone()), fault).only(Verb::Rename).with_busy(MOUNTED);
        let pending = match options.open_on(Arc::new(faulty), ROOT) {
            Ok(tree) => {
                let owed: Vec<u64> = tree.recovery().pending().map(|line| line.txn).collect();
                let reads = tree.read().map(drop);
                let told = matches!(reads, Err(Error::Pending { .. }));
                must(owed.is_empty() || told, || format!("reads what is owed: {reads:?}"))?;
                owed
            }
            Err(error) => return Err(format!("cannot open: {error:?}")),
        };
        drop(process.kill());
        Ok(pending)
    }

    /// The state before the transaction is back. Times that were set before it are no part of what a person gets back.
    fn put_back(&mut self) -> Checked {
        self.somebody_goes_on()?;
        let found = self.found();
        let without_times = |memory: &Memory| {
            let mut seen = memory.seen();
            seen.values_mut().for_each(|entry| entry.set = None);
            seen
        };
        let (stands, wanted) = (without_times(&found), without_times(&self.state.memory));
        must(stands == wanted, || format!("not put back:\n{}", differences(&stands, &wanted)))?;
        self.state.memory = found;
        let outside = self.outside(&self.state);
        self.state.outside = outside.ok_or("what is outside is not as it should be")?;
        self.settled();
        // What stood in the way.
        self.admit_all();
        Ok(())
    }
}
