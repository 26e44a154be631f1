//! The same with real processes: three on one tree, each in a directory of its own, do random steps until they are killed, and
//! are started again. Each writes down outside of the tree what it tries and what it was told, a line each; what stands in the
//! tree must be what those lines make of the model.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use treewal::{Checkpoints, Options, RetryPolicy, SnapshotOptions, Tree};
use treewal_vfs::{Disk, RealDisk, RelPath, random};

use crate::cases;
use crate::child::{Process, say, start as start_process};
use crate::memory::{Memory, rel};
use crate::ops::{Op, op};
use crate::seen::{Seen, differences, leftovers, look};
use crate::told::{stage, told};

const PROCESSES: u64 = 3;

fn own(id: u64) -> String {
    format!("p{id}")
}

fn beside(dir: &Path, name: &str) -> PathBuf {
    dir.with_extension("told").join(name)
}

fn options(id: u64) -> Options {
    let options = Options::new().segment_bytes(128 << 10).inline_max(64).checkpoint_bytes(32 << 10);
    let options = options.lock_wait(Duration::from_secs(60));
    if id % 2 == 1 { options.checkpoints(Checkpoints::Beside) } else { options }
}

/// What stands in the directory of a process.
fn stands(dir: &Path, id: u64) -> Seen {
    let mut seen = look(&RealDisk, dir.join(own(id)));
    // Times of directories are nobody's.
    seen.values_mut().filter(|entry| entry.kind == treewal_vfs::Kind::Dir).for_each(|entry| entry.set = None);
    let at = rel(own(id).as_ref());
    seen.into_iter().map(|(path, entry)| (at.join_path(&path), entry)).collect()
}

fn empty(id: u64, owner: (u32, u32)) -> Memory {
    let entry = crate::seen::Entry {
        kind: treewal_vfs::Kind::Dir,
        mode: 0o755,
        contents: Vec::new(),
        target: None,
        owner,
        xattrs: Vec::new(),
        set: None,
    };
    let mut memory = Memory { user: owner, ..Memory::default() };
    memory.put(&RelPath::root(), entry.clone());
    memory.put(&rel(own(id).as_ref()), entry);
    memory
}

/// The lines of a process, and what they make of the model.
struct Told {
    path: PathBuf,
    memory: Memory,
    /// What may have come to be, but nobody was told.
    open: Option<Memory>,
    snapshot: Option<Memory>,
    acknowledged: usize,
}

impl Told {
    fn read(dir: &Path, id: u64) -> Self {
        let path = beside(dir, &id.to_string());
        let parent = fs::metadata(path.parent().unwrap()).unwrap();
        let owner = (parent.uid(), parent.gid());
        let mut told = Self { memory: empty(id, owner), path, open: None, snapshot: None, acknowledged: 0 };
        for line in fs::read_to_string(&told.path).unwrap_or_default().lines() {
            told.hear(line);
        }
        told
    }

    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap();
        match word {
            "try" => {
                let ops: Vec<Op> = serde_json::from_str(rest).unwrap();
                self.open = Some(self::told(&self.memory, &ops).0);
            }
            "restore" => self.open.clone_from(&self.snapshot),
            "yes" => {
                self.acknowledged += 1;
                self.memory = self.open.take().unwrap();
            }
            "no" => self.open = None,
            "snapshot" => self.snapshot = Some(self.memory.clone()),
            "forget" => self.snapshot = None,
            other => panic!("{other}"),
        }
    }

    /// Writes a line, on its way to the kernel before this returns.
    fn say(&mut self, line: &str) {
        use std::io::Write as _;
        let file = fs::OpenOptions::new().create(true).append(true).open(&self.path);
        file.unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
        self.hear(line);
    }

    fn last_lines(&self) -> String {
        let lines = fs::read_to_string(&self.path).unwrap_or_default();
        let lines: Vec<&str> = lines.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn own(memory: &Memory) -> Seen {
        memory.seen().into_iter().filter(|(path, _)| !path.is_root()).collect()
    }

    /// The directory is as the lines say, and what was open is decided.
    fn settle(&mut self, found: &Seen) {
        let Some(open) = &self.open else {
            let wanted = Self::own(&self.memory);
            assert!(
                *found == wanted,
                "{}: what was acknowledged:\n{}{}",
                self.path.display(),
                differences(found, &wanted),
                self.last_lines()
            );
            return;
        };
        let (before, after) = (Self::own(&self.memory), Self::own(open));
        if *found == after {
            self.say("yes -");
        } else {
            let (a, b) = (differences(found, &before), differences(found, &after));
            assert!(*found == before, "{}: neither\n{a}nor\n{b}{}", self.path.display(), self.last_lines());
            self.say("no -");
        }
    }
}

/// The same operation in a directory.
fn inside(op: &Op, dir: &str) -> Op {
    let mut value = serde_json::to_value(op).unwrap();
    let parts = value.as_object_mut().unwrap().values_mut().next().unwrap();
    let one = |path: &mut serde_json::Value| {
        if let Some(text) = path.as_str() {
            *path = if text == "." { dir.into() } else { format!("{dir}/{text}").into() };
        }
    };
    match parts {
        serde_json::Value::Array(parts) => parts.iter_mut().for_each(one),
        single => one(single),
    }
    serde_json::from_value(value).unwrap()
}

/// What a process does, until it is told to stop or killed.
pub(crate) fn work(dir: &Path, with: &str) {
    let id: u64 = with.parse().unwrap();
    let mut told = Told::read(dir, id);
    let tree = options(id).open(dir).unwrap();
    let report = tree.recovery();
    assert!(!report.found_damage() && report.pending().count() == 0, "{report}");
    told.settle(&stands(dir, id));
    // One that was just being taken is there, or not.
    if told.snapshot.is_none() && tree.find_snapshot(&own(id)).is_ok() {
        tree.remove_snapshot(&own(id)).unwrap();
    }
    say("open");
    let mut runner = TestRunner::default();
    while !beside(dir, "stop").exists() {
        let ops: Vec<Op> = (0..1 + random() % 4).map(|_| op().new_tree(&mut runner).unwrap().current()).collect();
        let ops: Vec<Op> = ops.into_iter().map(|op| inside(&op, &own(id))).collect();
        let ops = if RealDisk.user() == 0 { ops } else { without_owners(ops) };
        act(&tree, &mut told, (dir, id), &ops);
    }
    told.settle(&stands(dir, id));
}

fn without_owners(ops: Vec<Op>) -> Vec<Op> {
    ops.into_iter().filter(|op| !matches!(op, Op::Chown(..) | Op::Lchown(..))).collect()
}

fn act(tree: &Tree, told: &mut Told, (dir, id): (&Path, u64), ops: &[Op]) {
    match random() % 24 {
        0 => tree.checkpoint().unwrap(),
        1 => tree.sync().unwrap(),
        2 => {
            let reader = tree.read().unwrap();
            let found = stands(dir, id);
            drop(reader);
            told.settle(&found);
        }
        3 => guarded(tree, told, (dir, id)),
        4 => snapshot(tree, told, id),
        5 if told.snapshot.is_some() => {
            told.say("restore -");
            tree.restore(&tree.find_snapshot(&own(id)).unwrap()).unwrap();
            told.say("yes -");
        }
        _ => commit(tree, told, ops),
    }
}

fn commit(tree: &Tree, told: &mut Told, ops: &[Op]) {
    let levels = [treewal::Durability::Journal, treewal::Durability::Tree, treewal::Durability::Deferred];
    let level = levels[usize::try_from(random() % 3).unwrap()];
    let (_, answered) = self::told(&told.memory, ops);
    told.say(&format!("try {}", serde_json::to_string(ops).unwrap()));
    let rolls_back = random() % 8 == 0;
    let done = tree.transaction_with(RetryPolicy::new().tries_max(20), |tx| {
        tx.set_durability(level);
        stage(tx, &answered).unwrap_or_else(|wrong| panic!("{wrong}"));
        if rolls_back { Err(treewal::Error::Input("on purpose".to_owned())) } else { Ok(()) }
    });
    match done {
        Ok(()) => told.say("yes -"),
        Err(treewal::Error::Input(_)) if rolls_back => told.say("no -"),
        Err(error) => panic!("{ops:?}: {error:?}"),
    }
}

fn snapshot(tree: &Tree, told: &mut Told, id: u64) {
    if told.snapshot.is_some() {
        told.say("forget -");
        tree.remove_snapshot(&own(id)).unwrap();
    }
    tree.snapshot_with(SnapshotOptions::new().path(own(id)), &own(id)).unwrap();
    told.say("snapshot -");
}

/// Files are written in place under a guard, which is committed or rolled back.
fn guarded(tree: &Tree, told: &mut Told, (dir, id): (&Path, u64)) {
    let plain = |path: &&RelPath| told.memory.is_file(path) && told.memory.links(path) == 1;
    let files: Vec<PathBuf> = told.memory.names.keys().filter(plain).map(RelPath::to_path).collect();
    let ops: Vec<Op> = files.into_iter().map(|path| Op::Write(path, vec![b'g'; 90])).collect();
    told.say(&format!("try {}", serde_json::to_string(&ops).unwrap()));
    let guard = tree.guard([own(id)]).unwrap();
    for op in &ops {
        if let Op::Write(path, bytes) = op {
            fs::write(dir.join(path), bytes).unwrap();
        }
    }
    if random() % 2 == 0 {
        guard.commit().unwrap();
        told.say("yes -");
    } else {
        guard.rollback().unwrap();
        told.say("no -");
    }
}

fn round(at: &Path, kills: u32) -> (usize, u32) {
    let temp = tempfile::tempdir_in(at).unwrap();
    let dir = temp.path().join("tree");
    fs::create_dir_all(beside(&dir, "")).unwrap();
    for id in 0..PROCESSES {
        fs::create_dir_all(dir.join(own(id))).unwrap();
    }
    let start = |id: u64| start_process(&id.to_string(), &dir);
    let mut crowd: Vec<Process> = (0..PROCESSES).map(start).collect();
    let mut killed = 0;
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(10 + random() % 150));
        let id = random() % PROCESSES;
        let process = &mut crowd[usize::try_from(id).unwrap()];
        assert!(!process.has_ended(), "process {id} ended by itself: {}", temp.keep().display());
        process.kill();
        killed += 1;
        *process = start(id);
    }
    fs::write(beside(&dir, "stop"), "").unwrap();
    for (id, process) in crowd.iter_mut().enumerate() {
        assert!(process.wait().success(), "process {id} failed");
    }
    let mut acknowledged = 0;
    for id in 0..PROCESSES {
        let mut told = Told::read(&dir, id);
        assert!(told.open.is_none());
        told.settle(&stands(&dir, id));
        acknowledged += told.acknowledged;
    }
    assert_eq!(leftovers(&RealDisk, &dir), Vec::<String>::new());
    assert_eq!(treewal::verify(&dir).unwrap(), []);
    let report = Tree::open(&dir).unwrap().recovery().clone();
    assert!(report.is_clean() && report.transactions.is_empty(), "{report}");
    (acknowledged, killed)
}

#[test]
fn processes_that_are_killed_leave_what_they_were_told() {
    let named = std::env::var("TREEWAL_MODEL_DIR").unwrap_or_default();
    let mut places: Vec<PathBuf> = named.split(':').filter(|place| !place.is_empty()).map(PathBuf::from).collect();
    if places.is_empty() {
        places.push(std::env::temp_dir());
    }
    for place in places {
        let rounds: Vec<(usize, u32)> = (0..cases(50).div_ceil(50)).map(|_| round(&place, 12)).collect();
        let acknowledged: usize = rounds.iter().map(|(acknowledged, _)| acknowledged).sum();
        let killed: u32 = rounds.iter().map(|(_, killed)| killed).sum();
        eprintln!("{}: {} rounds, {killed} killed, {acknowledged} acknowledged", place.display(), rounds.len());
        assert!(acknowledged > 0);
    }
}
