//! The most memory that a scan of 1 GiB takes, each in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use treewal_compare::shown;

use crate::Result;
use crate::goals::Goals;
use crate::rounds::Run;
use crate::scans::{Reader, Whole};

const RECORD: usize = 4 << 10;
const BYTES: usize = 1 << 30;
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) fn measure(run: &mut Run, _: &mut Goals) -> Result {
    println!("| memory during a scan of 1 GiB of 4 KiB, most at a time | resident, MB | of that not of files, MB |");
    println!("|---|--:|--:|");
    for reader in Reader::ALL.into_iter().filter(|reader| run.wants(reader.name())).collect::<Vec<_>>() {
        eprintln!("memory, {}", reader.name());
        let home = reader.write(run, Whole::new(RECORD, BYTES))?;
        let mut child = Command::new(std::env::current_exe()?);
        child.arg("peak").arg(&home.path).arg(reader.name()).arg(BYTES.to_string()).stderr(Stdio::inherit());
        let output = child.output()?;
        if !output.status.success() {
            return Err(format!("{}: {}", reader.name(), output.status).into());
        }
        println!("| {} | {} |", reader.name(), String::from_utf8(output.stdout)?.trim_end());
        home.remove()?;
    }
    println!();
    Ok(())
}

/// Scans the log in `dir` once and prints two cells.
pub(crate) fn peak(dir: &Path, name: &str, bytes: usize) -> Result {
    let reader = Reader::ALL.into_iter().find(|reader| reader.name() == name).ok_or("no such reader")?;
    let done = AtomicBool::new(false);
    let own = std::thread::scope(|scope| {
        let looks = scope.spawn(|| -> Result<f64> {
            let mut most = status("RssAnon:")?;
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_EVERY);
                most = most.max(status("RssAnon:")?);
            }
            Ok(most)
        });
        let read = reader.read(dir, Whole::new(RECORD, bytes));
        done.store(true, Ordering::Relaxed);
        let own = looks.join().map_err(|_| "the thread that looks panicked")?;
        read.and(own)
    })?;
    println!("{} | {}", shown(status("VmHWM:")?), shown(own));
    Ok(())
}

/// A line of what the kernel says about this process, in MB.
#[expect(clippy::disallowed_methods, reason = "what is read is the kernel, not a disk")]
fn status(key: &str) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or("the kernel does not say")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}
