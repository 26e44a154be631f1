//! Times between the standard library and the disk.

use std::time::{SystemTime, UNIX_EPOCH};

use treewal_vfs::Time;

/// A time as the disk has it; `None` beyond what it can say.
pub(super) fn to_time(time: SystemTime) -> Option<Time> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Some(Time { secs: i64::try_from(since.as_secs()).ok()?, nanos: since.subsec_nanos() }),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).ok()?.checked_neg()?;
            match before.subsec_nanos() {
                0 => Some(Time { secs: whole, nanos: 0 }),
                nanos => Some(Time { secs: whole.checked_sub(1)?, nanos: 1_000_000_000 - nanos }),
            }
        }
    }
}

/// A time of the disk as the standard library has it; `None` beyond what that can say.
pub(crate) fn to_system_time(time: Time) -> Option<SystemTime> {
    use std::time::Duration;
    let whole = Duration::from_secs(time.secs.unsigned_abs());
    let base = if time.secs < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base?.checked_add(Duration::from_nanos(time.nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_come_back_as_they_were_also_from_before_1970() {
        for (secs, nanos) in [(0, 0), (0, 1), (5, 999_999_999), (1, 0)] {
            let step = Duration::new(secs, nanos);
            for time in [UNIX_EPOCH + step, UNIX_EPOCH - step] {
                assert_eq!(to_system_time(to_time(time).unwrap()), Some(time));
            }
        }
        assert_eq!(to_time(UNIX_EPOCH - Duration::from_nanos(1)), Some(Time { secs: -1, nanos: 999_999_999 }));
    }
}
