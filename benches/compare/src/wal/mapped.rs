//! The limit of reading: the whole log mapped with its pages in place, and one pass over its frames.

use std::path::Path;

use memmap2::{Mmap, MmapOptions};

use crate::Result;
use crate::limit::{FRAME_BYTES, NAME};
use crate::scans::Seen;

/// Reads every record of the log that [`Limit`](crate::limit::Limit) wrote in `dir`, frames and all.
pub(crate) fn scan(dir: &Path) -> Result<Seen> {
    let mut seen = Seen::default();
    let map = map(&dir.join(NAME))?;
    let mut rest = &map[..];
    while let Some((head, behind)) = rest.split_first_chunk::<FRAME_BYTES>() {
        let bytes = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if bytes == 0 {
            break;
        }
        let Some((payload, next)) = behind.split_at_checked(usize::try_from(bytes)?) else { break };
        if crc32fast::hash(payload) != checksum {
            return Err("the log of the limit does not hold what was written".into());
        }
        seen.visit(payload);
        rest = next;
    }
    Ok(seen)
}

#[expect(clippy::disallowed_types, reason = "a mapping wants a file of the standard library")]
#[expect(unsafe_code, reason = "a mapping is what the limit is; nobody writes this file while it is read")]
fn map(path: &Path) -> Result<Mmap> {
    let file = std::fs::File::open(path)?;
    // SAFETY: the file is ours alone, and its writer is gone.
    Ok(unsafe { MmapOptions::new().populate().map(&file)? })
}
