//! How far a snapshot is, on a terminal, while it is being taken.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use treewal::Progress;

use super::Output;

/// What is over by then is not worth a line.
const FIRST: Duration = Duration::from_millis(300);
const NEXT: Duration = Duration::from_millis(200);

impl Output {
    /// Does `work`, and shows how far it is: on a terminal, and not with `-q`. The line goes when the work is done.
    pub(crate) fn watched<T>(&self, progress: &Progress, work: impl FnOnce() -> T) -> T {
        if self.quiet || !io::stderr().is_terminal() {
            return work();
        }
        let (working, over) = channel::<()>();
        std::thread::scope(move |scope| {
            scope.spawn(move || {
                let mut line = Line::default();
                let mut pause = FIRST;
                while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    line.show(&text(progress));
                    pause = NEXT;
                }
                line.show("");
            });
            let made = work();
            // Also where the work unwinds: then it goes with this closure.
            drop(working);
            made
        })
    }
}

fn text(progress: &Progress) -> String {
    let entries = progress.entries();
    if progress.is_syncing() {
        return format!("snapshot: {entries} entries, syncing");
    }
    match progress.bytes_copied() {
        0 => format!("snapshot: {entries} entries"),
        bytes => format!("snapshot: {entries} entries, {} copied", amount(bytes)),
    }
}

/// An amount of bytes as people say it.
fn amount(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut at = 0;
    while tenths >= 10_240 && at + 1 < units.len() {
        tenths /= 1024;
        at += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[at])
}

/// One line that is written over.
#[derive(Debug, Default)]
struct Line {
    columns: usize,
}

impl Line {
    /// With blanks behind it where the line before was longer: any terminal knows them.
    fn show(&mut self, text: &str) {
        let columns = text.chars().count();
        if columns == 0 && self.columns == 0 {
            return;
        }
        let rest = " ".repeat(self.columns.saturating_sub(columns));
        let back = if text.is_empty() { "\r" } else { "" };
        // Where nobody can be told, nobody is.
        drop(io::stderr().lock().write_all(format!("\r{text}{rest}{back}").as_bytes()));
        self.columns = columns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_said_with_one_decimal() {
        for (bytes, said) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(amount(bytes), said);
        }
    }

    #[test]
    fn nothing_is_said_of_bytes_where_none_are_copied() {
        assert_eq!(text(&Progress::new()), "snapshot: 0 entries");
    }
}
