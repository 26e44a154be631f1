//! Data that goes out bit by bit, to somebody who may stop reading.

use std::io::{self, Write as _};
use std::time::Duration;

use anstream::AutoStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Output;

impl Output {
    /// Writes a part of the data to stdout, at once; `false` where nobody reads any more.
    pub(crate) fn stream(&self, text: &[u8]) -> io::Result<bool> {
        let mut out = AutoStream::new(io::stdout().lock(), self.color);
        match out.write_all(text).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true),
        }
    }
}

/// Waits, but not for longer than there is somebody who reads stdout; `false` where there is not.
pub(crate) fn wait_on_reader(pause: Duration) -> bool {
    let stdout = io::stdout();
    // Asked for nothing, the kernel tells of nothing but the other end of a pipe that is gone.
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
    match poll(&mut ends, Some(&timeout)) {
        Ok(0) => true,
        Ok(_) => false,
        Err(_) => {
            std::thread::sleep(pause);
            true
        }
    }
}
