//! A recording, and the trials of the disks that it leads to.

use crate::count::Count;
use crate::cuts::{Bounds, Cut, Rules, enumerate, images, sample};
use crate::deaf;
use crate::explore::{Control, Job, Knobs};
use crate::filesystem::Fs;
use crate::image::{Image, PAGE_BYTES, SECTOR_BYTES, mix};
use crate::judge::{Failure, had_work, judge};
use crate::log::Recording;
use crate::order::{Facts, Kernel, Task};
use crate::slot::Slot;
use crate::walk::Walk;

/// Of every how many images one is cut again inside its recovery, and into how many.
const INSIDE_EVERY: usize = 7;
const INSIDE_IMAGES: usize = 4;
/// After how many images of one recording a long run says how far it has come.
const PROGRESS_EVERY: usize = 1000;

/// A slot, and the disk that every recording on it starts from.
pub(crate) struct Bench<'a> {
    fs: Fs,
    knobs: &'a Knobs,
    thread: usize,
    slots: usize,
    slot: Slot,
    prepared: Image,
}

/// What is cut: a recording of a workload, or of a recovery.
#[derive(Clone, Copy)]
struct Subject<'a> {
    job: &'a Job,
    states: &'a [Walk],
    /// The device number that the tree had.
    dev: u64,
    recording: &'a Recording,
    rules: Rules,
    /// For a recording of a recovery, the cut before it.
    outer: Option<&'a Cut>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(fs: Fs, thread: usize, knobs: &'a Knobs) -> Self {
        let dir = knobs.dir.join(format!("{}-{thread}", fs.name()));
        std::fs::create_dir_all(&dir).unwrap();
        let blank = fs.make(&dir);
        let slot = Slot::new(fs, &dir.join("0"), knobs, blank);
        match slot.run(Task::Prepare, 0) {
            Ok(Facts::Prepared) => {}
            other => panic!("{}: cannot prepare a tree: {other:?}", fs.name()),
        }
        let prepared = slot.medium.image().freeze();
        Self { fs, knobs, thread, slots: 1, slot, prepared }
    }

    /// Another slot in the place of one that is of no more use.
    fn renew(&mut self) {
        let dir = self.knobs.dir.join(format!("{}-{}/{}", self.fs.name(), self.thread, self.slots));
        self.slots += 1;
        self.slot = Slot::new(self.fs, &dir, self.knobs, self.prepared.clone());
    }

    /// Records a job and tries some of the disks that it leads to.
    pub(crate) fn explore(&mut self, job: &Job) -> Count {
        let (recording, states, dev) = self.record(job);
        let is_deaf = job.control == Control::DeafDisk;
        let (seed, mixed, whole) = (self.knobs.seed, self.knobs.mixed, self.fs.whole());
        let rules = Rules { seed, mixed, grain: SECTOR_BYTES, is_deaf, whole };
        let mut cuts = enumerate(&recording, rules, Bounds { least: 0, most: 0 }, None);
        if job.control != Control::None {
            // Where there is something to lose.
            cuts.retain(|cut| cut.bounds.least > 0);
        }
        let mut count = Count {
            recordings: 1,
            writes: recording.writes(),
            flushes: recording.flushes(),
            overtaking: recording.flushes_overtaking(),
            distinct: cuts.len(),
            ..Count::default()
        };
        let subject = Subject { job, states: &states, dev, recording: &recording, rules, outer: None };
        let chosen = sample(&cuts, job.images, seed);
        images(&recording, rules, &chosen, |cut, image| {
            let n = count.tried;
            count.tried += 1;
            let is_recorded = n % INSIDE_EVERY == 3 && job.control == Control::None;
            if let Some((found, Some(again))) = self.attempt(subject, cut, &image, n, is_recorded, &mut count) {
                count.flushes_inside += again.flushes();
                count.overtaking_inside += again.flushes_overtaking();
                let seed = mix(seed ^ cut.at as u64);
                let rules = Rules { seed, mixed: 2, ..rules };
                let subject = Subject { recording: &again, rules, outer: Some(cut), ..subject };
                self.explore_inside(subject, cut.bounds, found, &mut count);
            }
            if count.tried % PROGRESS_EVERY == 0 {
                self.tell_progress(job, &count, "so far");
            }
            true
        });
        count
    }

    /// Says on standard error how far a long run has come.
    pub(crate) fn tell_progress(&self, job: &Job, count: &Count, when: &str) {
        if self.knobs.is_long {
            let Count { distinct, tried, tried_inside, failed, refused, .. } = count;
            eprintln!(
                "{}, {}/{:?}, {:?}, {when}: tried {tried} of {distinct}, inside recovery {tried_inside}, \
                 failed {failed}, refused {refused}",
                self.knobs.label(self.fs),
                job.workload.name,
                job.kernel,
                job.control
            );
        }
    }

    /// Cuts the power in a recovery that made the tree be as after `found` steps.
    fn explore_inside(&mut self, subject: Subject<'_>, bounds: Bounds, found: usize, count: &mut Count) {
        let cuts = enumerate(subject.recording, subject.rules, bounds, Some(found));
        count.distinct_inside += cuts.len();
        let chosen = sample(&cuts, INSIDE_IMAGES, subject.rules.seed);
        images(subject.recording, subject.rules, &chosen, |cut, image| {
            count.tried_inside += 1;
            self.attempt(subject, cut, &image, count.tried_inside, false, count);
            true
        });
    }

    fn record(&mut self, job: &Job) -> (Recording, Vec<Walk>, u64) {
        self.slot.medium.insert(self.prepared.clone());
        let base = self.slot.medium.record(job.kernel == Kernel::Slow);
        let task = Task::Work {
            workload: job.workload.name.to_owned(),
            kernel: job.kernel,
            dropped: if let Control::Dropped(sync) = job.control { Some(sync) } else { None },
        };
        let facts = self.slot.run(task, 0);
        let recording = self.slot.medium.take(base);
        match facts {
            Ok(Facts::Worked { states, dev }) => (recording, states, dev),
            other => panic!("{}: {}: {other:?}", self.fs.name(), job.workload.name),
        }
    }

    /// Tries one disk, through the first or the second loop device as `n` is even or odd; gives the step that its tree is
    /// after, and the recording of its recovery where that was asked for. `None` where it failed.
    fn attempt(
        &mut self,
        subject: Subject<'_>,
        cut: &Cut,
        image: &Image,
        n: usize,
        is_recorded: bool,
        count: &mut Count,
    ) -> Option<(usize, Option<Recording>)> {
        let Subject { job, states, rules, .. } = subject;
        self.slot.medium.insert(image.clone());
        // A recovery that is recorded meets what the recording of the workload met.
        let kernel = if is_recorded { job.kernel } else { Kernel::Plain };
        let base = is_recorded.then(|| self.slot.medium.record(kernel == Kernel::Slow));
        let ran = self.slot.run(Task::Recover { workload: job.workload.name.to_owned(), kernel }, n % 2);
        let recording = base.map(|base| self.slot.medium.take(base));
        let judged = match &ran {
            Ok(facts) => judge(facts, job.workload, states, cut.bounds),
            Err(error) => Err(Failure::Broken(error.clone())),
        };
        let is_elsewhere = matches!(&ran, Ok(Facts::Recovered(seen)) if seen.dev != subject.dev);
        count.elsewhere += usize::from(is_elsewhere);
        count.with_work += usize::from(ran.as_ref().is_ok_and(had_work));
        if ran.is_err() {
            self.renew();
        }
        if job.control == Control::DeafDisk {
            let found = deaf::look(&ran, states);
            count.deaf.add_one(found.as_ref().ok().copied());
            if let Err(why) = found {
                self.tell(subject, cut, image, &Failure::Broken(why));
            }
        }
        let failure = match judged {
            Ok(step) => return Some((step, recording)),
            Err(failure) => failure,
        };
        let is_torn = cut.fate.may_tear() && rules.grain == SECTOR_BYTES;
        // Without flushes it may refuse any.
        let is_deaf = job.control == Control::DeafDisk;
        if matches!(failure, Failure::Refused(_)) && is_torn && !is_deaf && self.fs.may_refuse_torn_blocks() {
            count.refused_torn += 1;
            let rules = Rules { grain: PAGE_BYTES, ..rules };
            images(subject.recording, rules, &[*cut], |cut, image| {
                self.attempt(Subject { rules, ..subject }, cut, &image, n, false, count);
                true
            });
            return None;
        }
        count.failed += usize::from(!matches!(failure, Failure::Refused(_)));
        count.refused += usize::from(matches!(failure, Failure::Refused(_)));
        count.lost += usize::from(matches!(failure, Failure::Lost(_)));
        // What a control breaks is wanted.
        if job.control == Control::None {
            self.tell(subject, cut, image, &failure);
        }
        None
    }

    /// Tells of a failure, and keeps the disk where that was asked for.
    fn tell(&self, subject: Subject<'_>, cut: &Cut, image: &Image, failure: &Failure) {
        let Subject { job, outer, rules, .. } = subject;
        let (fs, name, kernel) = (self.fs.name(), job.workload.name, job.kernel);
        println!(
            "FAILED: {}, {name}/{kernel:?}, {:?}, seed {}:",
            self.knobs.label(self.fs),
            job.control,
            self.knobs.seed
        );
        if let Some(outer) = outer {
            println!("  in the recovery after {outer:?}:");
        }
        println!("  {cut:?}, torn at {} bytes\n{failure}", rules.grain);
        if let Some(dir) = &self.knobs.keep {
            let path = dir.join(format!("{fs}-{:016x}.img", image.sum()));
            image.save(&path);
            println!("  kept: {}", path.display());
        }
    }
}
