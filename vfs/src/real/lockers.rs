//! Who holds a lock on a file, as the kernel lists all locks of the machine.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{fstat, major, minor};

use super::kernel;
use crate::Locker;

/// In which parts of a second the kernel tells when a process began: `USER_HZ`, the same on all that Linux runs on today.
const TICKS: u64 = 100;

/// The processes that hold a `flock` on a file. One that this process may not see is not among them, nor any where `/proc`
/// is not mounted.
pub(super) fn lockers(file: BorrowedFd<'_>) -> io::Result<Vec<Locker>> {
    let stat = fstat(file)?;
    let device = match kernel::mount_of(file)? {
        Some(mount) => mount.device,
        None => (major(stat.st_dev), minor(stat.st_dev)),
    };
    let pids = pids_in(&kernel::text_of(c"/proc/locks")?, device, stat.st_ino);
    Ok(pids.into_iter().map(|pid| Locker { pid, began: began(pid) }).collect())
}

/// A line: `1: FLOCK  ADVISORY  READ  1234 08:01:5678 0 EOF`, with `->` behind the number where somebody only waits.
fn pids_in(text: &str, (major, minor): (u32, u32), ino: u64) -> Vec<u32> {
    let file = format!("{major:02x}:{minor:02x}:{ino}");
    let holds = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, _, pid, of, ..] if *of == file => pid.parse().ok().filter(|pid| *pid != 0),
            _ => None,
        }
    };
    text.lines().filter_map(holds).collect()
}

/// When a process began, in seconds since 1970 by the clock of the wall.
fn began(pid: u32) -> Option<u64> {
    let path = std::ffi::CString::new(format!("/proc/{pid}/stat")).ok()?;
    let (stat, uptime) = (kernel::text_of(&path).ok()?, kernel::text_of(c"/proc/uptime").ok()?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.checked_sub(age(&stat, &uptime)?)?.as_secs())
}

/// How long ago a process began. Its name, in parentheses, may hold anything; behind it comes the third word.
fn age(stat: &str, uptime: &str) -> Option<Duration> {
    let (_, words) = stat.rsplit_once(')')?;
    let ticks: u64 = words.split_whitespace().nth(19)?.parse().ok()?;
    let (secs, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
    let up = Duration::from_secs(secs.parse().ok()?) + Duration::from_millis(10 * hundredths.parse::<u64>().ok()?);
    up.checked_sub(Duration::from_millis(ticks * 1000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_holds_nothing_and_other_files_are_other_files() {
        let text = "1: FLOCK  ADVISORY  READ  12 08:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 13 08:01:78 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 14 08:01:77 0 EOF\n3: POSIX  ADVISORY  READ  15 08:01:77 0 EOF\n\
                    4: FLOCK  ADVISORY  READ  16 08:01:77 0 EOF\n5: FLOCK  ADVISORY  READ  0 08:01:77 0 EOF\n";
        assert_eq!(pids_in(text, (8, 1), 77), [12, 16]);
        assert_eq!(pids_in(text, (8, 2), 77), []);
    }

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 2500 9 9";
        assert_eq!(age(stat, "125.50 99.00\n"), Some(Duration::from_millis(100_500)));
        assert_eq!(age("7 (a) S 1", "125.50 9\n"), None);
    }

    #[test]
    fn this_process_is_found_by_the_lock_it_holds() {
        use std::os::fd::AsFd;
        let scratch = tempfile::NamedTempFile::new().unwrap();
        assert!(super::super::lock::try_lock(scratch.as_file().as_fd(), crate::Lock::Shared).unwrap());
        let found = lockers(scratch.as_file().as_fd()).unwrap();
        // Where the list of the kernel is not to be seen, as in some sandboxes, there is nobody.
        if let Some(locker) = found.first() {
            assert_eq!(locker.pid, std::process::id());
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            assert!(locker.began.is_some_and(|began| began <= now + 1 && began + 3_600 > now), "{locker:?} at {now}");
        }
    }
}
