//! Files that are written piece by piece, beside `std::fs::File`.
#![expect(clippy::disallowed_types, reason = "the standard library is the oracle here")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, UNIX_EPOCH};

use treewal::FileTimes;

use crate::world::World;

/// What can be done to an open file, of the standard library or of a transaction.
trait Open: Read + Write + Seek {
    fn cut(&mut self, len: u64) -> std::io::Result<()>;
}

impl Open for File {
    fn cut(&mut self, len: u64) -> std::io::Result<()> {
        self.set_len(len)
    }
}

impl Open for treewal::StagedFile<'_> {
    fn cut(&mut self, len: u64) -> std::io::Result<()> {
        self.set_len(len)
    }
}

/// Writes, reads, seeks and cuts, at and beyond the end; tells what each call said.
fn work(file: &mut dyn Open) -> Vec<String> {
    let mut told = Vec::new();
    let mut seed = 7u64;
    for _ in 0..300 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let number = seed >> 33;
        let mut buf = [0; 40];
        let said = match number % 8 {
            0 => file.seek(SeekFrom::Start(number % 211)),
            1 => file.seek(SeekFrom::End(i64::try_from(number % 41).unwrap() - 20)),
            2 => file.seek(SeekFrom::Current(i64::try_from(number % 81).unwrap() - 40)),
            3 => file.write(b"").map(|len| len as u64),
            4 => file.cut(number % 181).map(|()| 0),
            5 | 6 => file.write(&[b'a'; 40][..usize::try_from(number % 41).unwrap()]).map(|len| len as u64),
            _ => file.read(&mut buf[..usize::try_from(number % 41).unwrap()]).map(|len| len as u64),
        };
        let said = said.map_err(|error| error.kind());
        told.push(format!("{} {number} {said:?} {buf:?} {:?}", number % 8, file.stream_position()));
    }
    told
}

#[test]
fn every_call_answers_as_with_a_file() {
    for inline_max in [0, 100, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let beside = dir.path().join("beside");
        let options = File::options().read(true).write(true).create_new(true).clone();
        let wanted = work(&mut options.open(&beside).unwrap());
        let tree = treewal::Options::new().inline_max(inline_max).open(dir.path()).unwrap();
        let mut tx = tree.begin();
        let told = work(&mut tx.create("f").unwrap());
        assert_eq!(told, wanted, "{inline_max}");
        let contents = fs::read(&beside).unwrap();
        assert_eq!(tx.read("f").unwrap(), contents);
        assert_eq!(tx.metadata("f").unwrap().len(), contents.len() as u64);
        tx.commit().unwrap();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), contents);
    }
}

#[test]
fn a_length_that_cannot_be_is_refused_and_the_file_goes_on() {
    let world = World::new();
    let mut tx = world.tree.begin();
    let mut file = tx.create("f").unwrap();
    file.write_all(b"some").unwrap();
    file.set_len(u64::MAX).unwrap_err();
    assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), 4);
    drop(file);
    assert_eq!(tx.metadata("f").unwrap().len(), 4);
    tx.append("f", " more").unwrap();
    tx.commit().unwrap();
    assert_eq!(fs::read(world.at("f")).unwrap(), b"some more");
    world.close();
}

#[test]
fn what_is_appended_after_a_time_was_set_has_a_time_of_its_own() {
    let world = World::new();
    let old = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(5));
    for contents in [10, 200_000] {
        let mut tx = world.tree.begin();
        tx.write("f", vec![b'x'; contents]).unwrap();
        tx.set_times("f", old).unwrap();
        tx.append("f", "more").unwrap();
        assert_eq!(tx.metadata("f").unwrap().modified(), None);
        tx.commit().unwrap();
        let age = fs::metadata(world.at("f")).unwrap().modified().unwrap().elapsed();
        assert!(age.is_ok_and(|age| age < Duration::from_secs(3600)));
    }
    world.close();
}
