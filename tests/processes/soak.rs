//! The soak: eight processes stage, commit, publish, guard, snapshot and read on one tree, and are killed in any number at
//! any moment. Every few seconds they end, in order or not; then the tree must hold what was acknowledged, and `.treewal`
//! must be as small as it was.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use treewal::{Options, Reader, SnapshotOptions, Tree};
use treewal_vfs::random;

use crate::child::{Process, say, start};
use crate::contents::{contents, generation};
use crate::judge::{allows, at_rest, judge};
use crate::readers::while_reading;
use crate::worker::{GUARDED, OWN, PUBLISHED, SHARED, Worker, options, own, prepare, record, stop};
use crate::{moment, work_dir};

const WORKERS: u64 = 8;
/// After so long everything ends, is judged, and begins anew on the same tree.
const ROUND: Duration = Duration::from_secs(4);
/// What `.treewal` may take at rest: three segments, a spare one, and small files.
const REST_BYTES: u64 = 4 * (128 << 10) + (64 << 10);

/// Others may take long on a machine that is busy; a wait that never ends is found out by the time that all of this takes.
fn patient(beside: bool) -> Options {
    options(beside).lock_wait(Duration::from_secs(120))
}

/// Where directories are prepared that are to be published: outside of the tree, on its file system.
fn sources(dir: &Path) -> PathBuf {
    dir.with_extension("sources")
}

/// The process.
pub(crate) fn work(dir: &Path, with: &str) {
    let (id, beside) = with.split_once(' ').unwrap();
    let mut worker = Worker::new(dir, id.parse().unwrap());
    let tree = patient(beside == "true").open(dir).unwrap();
    assert!(!tree.recovery().found_damage() && tree.recovery().pending().count() == 0, "{}", tree.recovery());
    worker.finds_what_was_acknowledged(&tree);
    say("open");
    while !stop(dir).exists() {
        match random() % 8 {
            0 => worker.reads(&tree),
            1 => worker.gives_up(&tree),
            2 => worker.publishes(&tree),
            3 if random() % 3 == 0 => worker.snapshots(&tree),
            4 => worker.drops_a_guard(&tree),
            _ => worker.act(&tree),
        }
    }
}

impl Worker<'_> {
    /// After the death of the one before: what it had been told is there, and what it had begun is there wholly or not at all.
    fn finds_what_was_acknowledged(&mut self, tree: &Tree) {
        let reader = tree.read().unwrap();
        for (kind, names) in [("own", &OWN[..]), ("guarded", &GUARDED), ("published", &PUBLISHED)] {
            let found = of_one(names, |name| reader.read(format!("{}/{name}", own(self.id))).unwrap());
            found.and_then(|found| allows(self.dir, self.id, kind, found)).unwrap();
        }
    }

    /// Nobody else's transaction, guard or death shows in the middle of this.
    fn reads(&mut self, tree: &Tree) {
        let number = self.number();
        let reader = tree.read().unwrap();
        if let Err(wrong) = whole(&reader) {
            self.write(&format!("wrong {wrong} {number}"));
            panic!("read {number}: {wrong}");
        }
        self.write(&format!("did read {number}"));
    }

    /// Stages, large contents among it, and does not commit.
    fn gives_up(&mut self, tree: &Tree) {
        let number = self.number();
        let mut tx = tree.begin();
        for name in OWN {
            tx.write(format!("{}/{name}", own(self.id)), contents("never", number)).unwrap();
        }
        std::io::Write::write_all(&mut tx.create(format!("{}/never", own(self.id))).unwrap(), &[b'n'; 100_000])
            .unwrap();
        if random() % 2 == 0 {
            tx.rollback();
        } else {
            drop(tx);
        }
        self.write(&format!("did roll-back {number}"));
    }

    fn publishes(&mut self, tree: &Tree) {
        let number = self.number();
        let source = sources(self.dir).join(format!("{}-{number}", self.id));
        fs::create_dir_all(&source).unwrap();
        for name in PUBLISHED {
            fs::write(source.join(name.strip_prefix("published/").unwrap()), contents(name, number)).unwrap();
        }
        self.note("published", number, |worker| {
            worker.transact(tree, |tx, dir| tx.publish(&source, format!("{dir}/published")).map(drop))
        });
    }

    /// Takes a snapshot of what is its own, and keeps it for a while.
    fn snapshots(&mut self, tree: &Tree) {
        let number = self.number();
        let name = format!("of-{}", self.id);
        if tree.find_snapshot(&name).is_ok() {
            tree.remove_snapshot(&name).unwrap();
        }
        let snapshot = tree.snapshot_with(SnapshotOptions::new().path(own(self.id)), &name).unwrap();
        let read = |name: &str| snapshot.read(format!("{}/{name}", own(self.id))).unwrap();
        if let Err(wrong) = of_one(&OWN, read) {
            self.write(&format!("wrong {wrong} {number}"));
            panic!("snapshot {number}: {wrong}");
        }
        self.write(&format!("did snapshot {number}"));
    }

    fn drops_a_guard(&mut self, tree: &Tree) {
        let number = self.number();
        self.write(&format!("undo guarded {number}"));
        let guard = tree.guard([format!("{}/guarded", own(self.id))]).unwrap();
        for name in GUARDED {
            fs::write(self.dir.join(own(self.id)).join(name), contents(name, number)).unwrap();
        }
        // So that many die here.
        std::thread::sleep(moment(Duration::from_millis(6)));
        drop(guard);
        self.write(&format!("did drop-guard {number}"));
    }
}

/// Whether what belongs together is of one generation.
fn of_one(names: &[&str], read: impl Fn(&str) -> Vec<u8>) -> Result<u64, String> {
    let mut found = None;
    for name in names {
        let bytes = read(name);
        let this = generation(name, &bytes).ok_or_else(|| format!("{name} is torn: {} bytes", bytes.len()))?;
        if *found.get_or_insert(this) != this {
            return Err(format!("{names:?} are of generations {found:?} and {this}"));
        }
    }
    Ok(found.unwrap_or_default())
}

fn whole(reader: &Reader) -> Result<(), String> {
    for id in 0..WORKERS {
        for names in [&OWN[..], &GUARDED, &PUBLISHED] {
            of_one(names, |name| reader.read(format!("{}/{name}", own(id))).unwrap())
                .map_err(|wrong| format!("process {id}: {wrong}"))?;
        }
    }
    for n in 0..SHARED {
        let read = |name: String| reader.read_to_string(format!("shared/{name}")).unwrap();
        let (count, log) = (read(format!("count{n}")), read(format!("log{n}")));
        if count != log.lines().count().to_string() {
            return Err(format!("counter {n} is {count}, and {} have counted", log.lines().count()));
        }
    }
    Ok(())
}

/// What came of it all.
#[derive(Default)]
struct Tally {
    rounds: u64,
    kills: u64,
    acknowledged: usize,
    outside: u64,
    /// Published directories whose process was killed between taking them in and its commit: kept whole, for a person.
    kept: usize,
    /// How often which deed is in the records.
    deeds: BTreeMap<String, u64>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, kills, acknowledged, outside, kept, deeds } = self;
        let deed = |name: &str| deeds.get(name).copied().unwrap_or(0);
        write!(
            f,
            "{rounds} rounds, {kills} kills, {acknowledged} acknowledged ({} published, {} guards committed), {} guards undone, \
             {} transactions rolled back, {} snapshots, {} reads of the whole tree and {outside} from outside, 0 of them \
             wrong, {kept} publications of the killed kept whole, 0 leaks, 0 losses",
            deed("ack published"),
            deed("ack guarded"),
            deed("undo guarded"),
            deed("did roll-back"),
            deed("did snapshot"),
            deed("did read"),
        )
    }
}

/// The processes.
struct Crowd<'a> {
    dir: &'a Path,
    beside: bool,
    processes: Vec<Option<Process>>,
}

impl Crowd<'_> {
    fn start(&mut self, id: usize) {
        let mut process = start("soak", self.dir, &format!("{id} {}", self.beside && id % 2 == 0));
        // Also a process that only opens may be killed.
        if random() % 8 != 0 {
            assert_eq!(process.hear().as_deref(), Some("open"), "{:?}", process.wait());
        }
        self.processes[id] = Some(process);
    }

    fn kill(&mut self, id: usize) -> u64 {
        let Some(mut process) = self.processes[id].take() else { return 0 };
        assert!(!process.has_ended(), "process {id} failed: {}", process.wait());
        process.kill();
        1
    }

    /// Kills one, a few, or all, until time is over.
    fn go_on(&mut self, time: Duration) -> u64 {
        let begun = Instant::now();
        let mut kills = 0;
        while begun.elapsed() < time {
            std::thread::sleep(moment(Duration::from_millis(120)));
            let share = [1, 1, 1, 2, 4, 8][usize::try_from(random() % 6).unwrap()];
            for id in 0..self.processes.len() {
                if random() % 8 < share {
                    kills += self.kill(id);
                }
            }
            // For a while, the others are among themselves.
            std::thread::sleep(moment(Duration::from_millis(60)));
            for id in 0..self.processes.len() {
                if self.processes[id].is_none() {
                    self.start(id);
                }
            }
        }
        kills
    }

    fn end(&mut self, killed: bool) -> u64 {
        if killed {
            return (0..self.processes.len()).map(|id| self.kill(id)).sum();
        }
        fs::write(stop(self.dir), "").unwrap();
        for process in self.processes.iter_mut().flatten() {
            let status = process.wait();
            assert!(status.success(), "a process failed: {status}");
        }
        0
    }
}

/// What the killed had taken in to publish is in quarantine, complete; here nobody wants it any more.
fn clear_kept(dir: &Path) -> Result<usize, String> {
    let mut kept = 0;
    for entry in fs::read_dir(dir.join(".treewal/quarantine")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("publish-") {
            let read =
                |name: &str| fs::read(path.join("entry").join(name.strip_prefix("published/").unwrap())).unwrap();
            of_one(&PUBLISHED, read).map_err(|wrong| format!("{path:?}: {wrong}"))?;
            fs::remove_dir_all(&path).unwrap();
            kept += 1;
        }
    }
    Ok(kept)
}

/// Every snapshot that is there is whole, and goes.
fn clear_snapshots(tree: &Tree) -> Result<(), String> {
    for snapshot in tree.snapshots().unwrap() {
        let id = snapshot.name().strip_prefix("of-").unwrap().to_owned();
        of_one(&OWN, |name| snapshot.read(format!("p{id}/{name}")).unwrap())
            .map_err(|wrong| format!("snapshot of {id}: {wrong}"))?;
        tree.remove_snapshot(snapshot.name()).unwrap();
    }
    Ok(())
}

fn bytes_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { bytes_of(&entry.path()) } else { meta.len() }
        })
        .sum()
}

/// Everything has ended: what was acknowledged is there, and nothing else.
fn judged(dir: &Path, tally: &mut Tally) -> Result<(), String> {
    // Recovers, if the last ones were killed.
    let tree = patient(false).open(dir).map_err(|error| format!("cannot open: {error:?}"))?;
    whole(&tree.read().map_err(|error| format!("cannot read: {error:?}"))?)?;
    clear_snapshots(&tree)?;
    drop(tree);
    tally.kept += clear_kept(dir)?;
    at_rest(dir)?;
    let left: Vec<_> = fs::read_dir(dir.join(".treewal/snapshots"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let bytes = bytes_of(&dir.join(".treewal"));
    if !left.is_empty() || bytes > REST_BYTES {
        return Err(format!("left over: {left:?}, {bytes} bytes in .treewal"));
    }
    tally.acknowledged += judge(dir, 0..WORKERS)?;
    for id in 0..WORKERS {
        for line in fs::read_to_string(record(dir, id)).unwrap_or_default().lines() {
            let (deed, _) = line.rsplit_once(' ').unwrap();
            *tally.deeds.entry(deed.to_owned()).or_default() += 1;
        }
    }
    Ok(())
}

/// The tree as it was at first, and what `.treewal` has become.
fn begin_anew(dir: &Path) {
    let records = record(dir, 0).parent().unwrap().to_owned();
    for outside in [records, sources(dir)] {
        drop(fs::remove_dir_all(outside));
    }
    prepare(dir, 0..WORKERS);
}

fn round(dir: &Path, tally: &mut Tally) {
    begin_anew(dir);
    let mut crowd = Crowd { dir, beside: tally.rounds % 2 == 1, processes: (0..WORKERS).map(|_| None).collect() };
    let (kills, outside) = while_reading(dir, 0..WORKERS, || {
        (0..crowd.processes.len()).for_each(|id| crowd.start(id));
        crowd.go_on(ROUND) + crowd.end(tally.rounds % 2 == 0)
    });
    tally.rounds += 1;
    tally.kills += kills;
    tally.outside += outside;
}

#[test]
fn the_soak() {
    let seconds = std::env::var("TREEWAL_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let home = tempfile::tempdir_in(work_dir()).unwrap();
    let dir = home.path().join("tree");
    fs::create_dir(&dir).unwrap();
    drop(patient(false).open(&dir).unwrap());
    let (begun, mut tally) = (Instant::now(), Tally::default());
    while begun.elapsed() < Duration::from_secs(seconds) {
        round(&dir, &mut tally);
        if let Err(error) = judged(&dir, &mut tally) {
            let kept = home.keep();
            panic!("round {}: {error}; the tree is kept at {kept:?}", tally.rounds);
        }
    }
    println!("{:.0} s: {tally}", begun.elapsed().as_secs_f64());
    let reads = tally.deeds.get("did read").copied().unwrap_or(0);
    assert!(tally.kills > 20 && tally.acknowledged > 100 && reads > 20, "{tally} prove nothing");
}
