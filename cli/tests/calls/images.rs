//! Guards, named snapshots and restores on ext4, xfs and btrfs, each in an image behind a loop device: everything that is done to
//! the commands elsewhere, there.

use crate::calls::Call;
use crate::catalogue::{Case, work_in};
use crate::fault::{self, Point};
use crate::image::{Image, KINDS};
use crate::{ERRNOS, changing, every, sweep_of};

const TEST: &str = "guards_and_snapshots_on_loop_images";

#[test]
fn guards_and_snapshots_on_loop_images() {
    for (kind, bytes) in KINDS {
        let Some(image) = Image::in_memory(kind, bytes, TEST) else { continue };
        work_in(Some(image.at().to_owned()));
        sweep_of(kind, every(199), |case| case.is_about_kept(), all);
        work_in(None);
    }
}

/// Every kill, every failure of one call, and every failure of all calls from one on.
fn all(_: &Case, calls: &[Call]) -> Vec<(String, Point)> {
    let before = changing(calls).map(|(_, call)| ("killed before".to_owned(), call.killed()));
    let after =
        changing(calls).filter_map(|(at, _)| Some(("killed after".to_owned(), fault::killed_after(calls, at)?)));
    let once = |errno: &'static str| changing(calls).map(move |(_, call)| (errno.to_owned(), call.fails(errno)));
    let from = |errno: &'static str| {
        let named = format!("{errno} from one on");
        changing(calls).map(move |(at, _)| (named.clone(), fault::all_fail_from(calls, at, errno)))
    };
    // A call that is interrupted is made again, and no kernel interrupts one for ever.
    let lasting = ERRNOS.into_iter().filter(|errno| *errno != "EINTR");
    before.chain(after).chain(ERRNOS.into_iter().flat_map(once)).chain(lasting.flat_map(from)).collect()
}
