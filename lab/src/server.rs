//! The disk as the kernel sees it: a file system of two files, one of which is the disk, the other takes marks.
//!
//! One thread serves, so that the log has one order. A write is in the log before it is answered, and a flush is too.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use parking_lot::Mutex;

use crate::image::{Image, mix};
use crate::log::{Event, Mark, Recording, Write};

const DISK: INodeNo = INodeNo(2);
const MARK: INodeNo = INodeNo(3);
const TTL: Duration = Duration::from_secs(3600);
/// How long a write is on its way at most where writes are slow. A file system that sends its next flush only when the
/// write is done would wait for ever; any other has sent one by then, mostly.
const ON_ITS_WAY_MAX: Duration = Duration::from_millis(10);

/// What the server and the laboratory share.
pub(crate) struct Medium {
    state: Mutex<State>,
}

struct State {
    image: Image,
    /// `None` while nothing is recorded.
    events: Option<Vec<Event>>,
    /// Every second write, or thereabouts, is answered only when the next flush was.
    is_slow: bool,
    /// Everything fails from now on, so that whoever waits for the disk gets an answer.
    is_broken: bool,
}

impl Medium {
    pub(crate) fn new(image: Image) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { image, events: None, is_slow: false, is_broken: false }) })
    }

    /// Puts another disk in. Nothing may be mounted.
    pub(crate) fn insert(&self, image: Image) {
        self.state.lock().image = image;
    }

    pub(crate) fn image(&self) -> Image {
        self.state.lock().image.clone()
    }

    /// Starts a recording from what is on the disk now.
    pub(crate) fn record(&self, is_slow: bool) -> Image {
        let mut state = self.state.lock();
        state.image = state.image.clone().freeze();
        state.events = Some(Vec::new());
        state.is_slow = is_slow;
        state.image.clone()
    }

    /// Ends the recording that began with `base`.
    pub(crate) fn take(&self, base: Image) -> Recording {
        let mut state = self.state.lock();
        state.is_slow = false;
        Recording { base, events: state.events.take().expect("a recording was begun") }
    }

    /// Lets everything fail: the way out of a mount that hangs.
    pub(crate) fn give_up(&self) {
        self.state.lock().is_broken = true;
    }

    /// Takes a write; gives its place in the log, and whether its answer shall wait.
    fn write(&self, offset: u64, data: &[u8]) -> Result<Option<usize>, Errno> {
        let mut state = self.state.lock();
        if state.is_broken {
            return Err(Errno::EIO);
        }
        state.image.write(offset, data);
        let is_slow = state.is_slow;
        let Some(events) = &mut state.events else { return Ok(None) };
        let place = events.len();
        events.push(Event::Write(Write { offset, data: data.into() }));
        if is_slow && mix(place as u64) % 2 == 0 {
            return Ok(Some(place));
        }
        events.push(Event::Done(place));
        Ok(None)
    }

    fn note(&self, event: Event) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.is_broken {
            return Err(Errno::EIO);
        }
        if let Some(events) = &mut state.events {
            events.push(event);
        }
        Ok(())
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let state = self.state.lock();
        if state.is_broken {
            return Err(Errno::EIO);
        }
        state.image.read(offset, buf);
        Ok(())
    }
}

/// A write that is on its way: its place in the log, and the answer it waits for.
type OnItsWay = (usize, u32, ReplyWrite);

/// What the thread that answers late is told, in the order of the log.
enum Said {
    Write(OnItsWay),
    /// A flush was answered.
    Flushed,
}

/// Serves a medium.
pub(crate) struct Server {
    medium: Arc<Medium>,
    slow: Sender<Said>,
    disk_bytes: u64,
}

impl Server {
    pub(crate) fn new(medium: &Arc<Medium>) -> Self {
        let (slow, arriving) = channel();
        let disk_bytes = medium.image().bytes();
        let late = Arc::clone(medium);
        std::thread::spawn(move || answer_late(&late, &arriving));
        Self { medium: Arc::clone(medium), slow, disk_bytes }
    }

    fn attr(&self, ino: INodeNo) -> Option<FileAttr> {
        let (kind, size, perm) = match ino {
            INodeNo::ROOT => (FileType::Directory, 0, 0o700),
            DISK => (FileType::RegularFile, self.disk_bytes, 0o600),
            MARK => (FileType::RegularFile, 0, 0o600),
            _ => return None,
        };
        Some(FileAttr {
            ino,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

/// Answers writes when the next flush was answered, or when they have waited for long enough. Such a flush does not cover
/// them: an honest disk, of those that promise no more than that. Ends with the server.
fn answer_late(medium: &Medium, arriving: &Receiver<Said>) {
    let mut waiting: VecDeque<(Instant, OnItsWay)> = VecDeque::new();
    loop {
        let said = match waiting.front() {
            None => arriving.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((until, _)) => arriving.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match said {
            Ok(Said::Write(write)) => waiting.push_back((Instant::now() + ON_ITS_WAY_MAX, write)),
            Ok(Said::Flushed) => waiting.drain(..).for_each(|(_, write)| answer(medium, write)),
            Err(RecvTimeoutError::Timeout) => waiting.drain(..1).for_each(|(_, write)| answer(medium, write)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn answer(medium: &Medium, (place, bytes, reply): OnItsWay) {
    match medium.note(Event::Done(place)) {
        Ok(()) => reply.written(bytes),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Several writes on their way at once; without it there is one at a time, which is a disk too.
        config.add_capabilities(InitFlags::FUSE_ASYNC_DIO).ok();
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let ino = if name == "disk" { DISK } else { MARK };
        match self.attr(ino).filter(|_| name == "disk" || name == "mark") {
            Some(attr) => reply.entry(&TTL, &attr, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No cache of the kernel between the loop device and us.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let left = self.attr(ino).map_or(0, |attr| attr.size.saturating_sub(offset));
        let mut buf = vec![0; usize::try_from(left.min(u64::from(size))).unwrap()];
        match self.medium.read(offset, &mut buf) {
            Ok(()) => reply.data(&buf),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let bytes = u32::try_from(data.len()).unwrap();
        let written = if ino == MARK {
            let mark = Mark::parse(&String::from_utf8_lossy(data));
            mark.ok_or(Errno::EINVAL).and_then(|mark| self.medium.note(Event::Mark(mark))).map(|()| None)
        } else {
            self.medium.write(offset, data)
        };
        match written {
            Ok(None) => reply.written(bytes),
            Ok(Some(place)) => drop(self.slow.send(Said::Write((place, bytes, reply)))),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let noted = if ino == DISK { self.medium.note(Event::Flush) } else { Ok(()) };
        match noted {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
        if ino == DISK {
            drop(self.slow.send(Said::Flushed));
        }
    }

    /// What is discarded or zeroed without writing reads as zeros here, and is lost and torn like any other write.
    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const PIECE: u64 = 1 << 20;
        const PUNCH_OR_ZERO: i32 = 0x12;
        if mode & PUNCH_OR_ZERO == 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let end = (offset + length).min(self.disk_bytes);
        let mut at = offset;
        while at < end {
            let bytes = (end - at).min(PIECE);
            let zeros = vec![0; usize::try_from(bytes).unwrap()];
            match self.medium.write(at, &zeros) {
                Ok(None) => {}
                // Nobody waits for a zeroing alone.
                Ok(Some(place)) => drop(self.medium.note(Event::Done(place))),
                Err(errno) => return reply.error(errno),
            }
            at += bytes;
        }
        reply.ok();
    }
}
