//! Layers: what one does not say otherwise is that of the disk beneath, also of the questions that nobody counts.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use treewal_vfs::{
    Call, Dir, Disk, Fault, FaultDisk, File, Layer, Locker, MountId, Open, PowerLoss, RealDisk, RecordingDisk, Time,
    Verb, errno, write_all_vectored,
};

use crate::record::every_verb;
use crate::scratch::{Scratch, os};

/// A disk that answers each question that no layer counts as no other disk would.
#[derive(Debug)]
struct Odd;

const NOW: Time = Time { secs: -5, nanos: 7 };

impl Layer for Odd {
    fn inner(&self) -> &dyn Disk {
        &RealDisk
    }

    fn may_change_names(&self, _: &Dir, name: &OsStr) -> io::Result<bool> {
        Ok(name != "closed")
    }

    fn power_loss(&self, _: &Dir) -> io::Result<PowerLoss> {
        Ok(PowerLoss::Loses("it is odd"))
    }

    fn network(&self, _: &Dir) -> io::Result<Option<String>> {
        Ok(Some("odd".into()))
    }

    fn unwritten(&self) -> Option<u64> {
        Some(4711)
    }

    fn mount_id(&self, _: &Dir) -> io::Result<Option<MountId>> {
        Ok(Some(MountId([9; 24])))
    }

    fn now(&self) -> Time {
        NOW
    }

    fn overwrite_in_place(&self, _: &File) -> io::Result<bool> {
        Ok(true)
    }

    fn lockers(&self, _: &File) -> io::Result<Vec<Locker>> {
        Ok(vec![Locker { pid: 1, began: Some(2) }])
    }
}

/// A layer without an idea, that notes what it is told.
#[derive(Debug)]
struct Plain {
    inner: Arc<dyn Disk>,
    told: Mutex<Vec<Verb>>,
}

impl Plain {
    fn new(inner: Arc<dyn Disk>) -> Self {
        Self { inner, told: Mutex::default() }
    }
}

impl Layer for Plain {
    fn inner(&self) -> &dyn Disk {
        &*self.inner
    }

    fn after(&self, verb: Verb) {
        self.told.lock().unwrap().push(verb);
    }
}

#[test]
fn a_layer_answers_no_question_for_the_disk_beneath() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"12345");
    let odd = || -> Arc<dyn Disk> { Arc::new(Odd) };
    let layers: [Arc<dyn Disk>; 4] = [
        odd(),
        Arc::new(Plain::new(odd())),
        Arc::new(RecordingDisk::new(odd())),
        Arc::new(FaultDisk::new(odd(), Fault::None)),
    ];
    for disk in layers {
        let at = &scratch.root;
        assert!(!disk.may_change_names(at, os("closed")).unwrap(), "{disk:?}");
        assert_eq!(disk.power_loss(at).unwrap(), PowerLoss::Loses("it is odd"), "{disk:?}");
        assert_eq!(disk.network(at).unwrap().as_deref(), Some("odd"), "{disk:?}");
        assert_eq!(disk.unwritten(), Some(4711), "{disk:?}");
        assert_eq!(disk.mount_id(at).unwrap(), Some(MountId([9; 24])), "{disk:?}");
        assert_eq!(disk.now(), NOW, "{disk:?}");
        assert!(disk.overwrite_in_place(&file).unwrap(), "{disk:?}");
        assert_eq!(disk.lockers(&file).unwrap(), [Locker { pid: 1, began: Some(2) }], "{disk:?}");
        // The real disk sets the time, and says the one it was given; other disks say the one they know.
        assert_eq!(disk.stamp(&file, NOW).unwrap().modified, NOW, "{disk:?}");
        // And all of it at once is one write, which a disk that forgets the verb makes several of.
        let bufs = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(disk.write_vectored_at(&file, &bufs, 0).unwrap(), 5, "{disk:?}");
    }
}

#[test]
fn every_verb_is_passed_on_once_and_told_of_afterwards() {
    let scratch = Scratch::new();
    let recording = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
    let plain = Plain::new(recording.clone());
    let disk: &dyn Disk = &plain;
    every_verb(disk, &disk.open_root(&scratch.path("")).unwrap());
    disk.user();
    let passed: Vec<Verb> = recording.calls().iter().map(|call| call.verb).collect();
    assert_eq!((passed.len(), &passed), (38, &*plain.told.lock().unwrap()));
}

/// A disk that refuses one verb.
#[derive(Debug)]
struct Without {
    inner: Plain,
    verb: Verb,
}

impl Layer for Without {
    fn inner(&self) -> &dyn Disk {
        &self.inner
    }

    fn before(&self, call: Call) -> io::Result<()> {
        if call.verb == self.verb { Err(io::Error::from_raw_os_error(errno::EPERM)) } else { Ok(()) }
    }
}

#[test]
fn what_a_layer_refuses_never_reaches_the_disk() {
    let scratch = Scratch::new();
    let disk = |verb| Without { inner: Plain::new(Arc::new(RealDisk)), verb };
    let closed = disk(Verb::Create);
    let error = Disk::open(&closed, &scratch.root, os("new"), Open::CreateNew { mode: 0o600 }).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(errno::EPERM));
    assert_eq!((scratch.names().len(), closed.inner.told.lock().unwrap().len()), (0, 0));
    assert_eq!(Disk::user(&disk(Verb::User)), RealDisk.user(), "what cannot fail is passed on");
}

#[test]
fn half_of_a_write_from_several_buffers_is_half_of_all_of_them() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"");
    let disk = FaultDisk::new(Arc::new(RealDisk), Fault::ShortWrite { at: 1 });
    let bufs = || [IoSlice::new(b"abc"), IoSlice::new(b"defg")];
    assert_eq!(Disk::write_vectored_at(&disk, &file, &bufs(), 0).unwrap(), 4);
    assert_eq!((scratch.read("f"), disk.mutations()), (b"abcd".to_vec(), 1));
    disk.arm(Fault::ShortWrite { at: 1 });
    write_all_vectored(&disk, &file, &mut bufs(), 0).unwrap();
    assert_eq!((scratch.read("f"), disk.mutations()), (b"abcdefg".to_vec(), 2));
}
