//! What the laboratory needs of the machine, and how it leaves nothing behind.
//!
//! It runs in a mount and a process namespace of its own, as the first process there. Whatever ends it, the kernel then
//! ends every other process of the namespace, and the mounts go with the last of them.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::mount::MountFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The exit code of a run that could not be made.
pub(crate) const SKIPPED: u8 = 77;

const INSIDE: &str = "TREEWAL_LAB_INSIDE";
/// In memory, and in the namespace alone.
const SCRATCH: &str = "/mnt";
const TOOLS: [(&str, &str); 3] = [("unshare", "-V"), ("losetup", "-V"), ("sleep", "--version")];

/// What this machine lacks.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it mounts file systems, and needs root".to_owned());
    }
    for path in ["/dev/fuse", "/dev/loop-control", SCRATCH] {
        if !std::path::Path::new(path).exists() {
            return Some(format!("no {path}"));
        }
    }
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        return Some(format!("/dev/fuse: {error}"));
    }
    for (tool, version) in TOOLS {
        if Command::new(tool).arg(version).env("PATH", path()).output().is_err() {
            return Some(format!("{tool} is not installed"));
        }
    }
    let made = Command::new("unshare").args(NAMESPACES).arg("true").env("PATH", path()).output();
    match made {
        Ok(made) if made.status.success() => None,
        Ok(made) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&made.stderr).trim())),
        Err(error) => Some(format!("no namespaces: {error}")),
    }
}

const NAMESPACES: [&str; 5] = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Where tools are; those of file systems are not on the path of everybody.
fn path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Becomes the same program in namespaces of its own; comes back only where that fails.
pub(crate) fn go_inside(arguments: &[String]) -> ExitCode {
    let this = std::env::current_exe().unwrap();
    let error = Command::new("unshare")
        .args(NAMESPACES)
        .arg(this)
        .args(arguments)
        .env("PATH", path())
        .env(INSIDE, std::process::id().to_string())
        .exec();
    panic!("unshare: {error}");
}

/// A directory that goes with the namespace. It is named after the process that was started, so that whoever started it
/// can tell our loop devices from others.
pub(crate) fn scratch() -> PathBuf {
    rustix::mount::mount("treewal-lab", SCRATCH, "tmpfs", MountFlags::empty(), None).expect("a tmpfs can be mounted");
    let dir = PathBuf::from(SCRATCH).join(format!("lab-{}", std::env::var(INSIDE).unwrap_or_default()));
    std::fs::create_dir(&dir).unwrap();
    dir
}

/// Ends the process on a signal, which its first-process place would otherwise keep off, and after `time_max`.
#[expect(clippy::exit, reason = "the kernel cleans up after us, and whoever is in the middle of something may hang")]
pub(crate) fn end_with_us(time_max: Duration) {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).unwrap();
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            println!("FAILED: ended by signal {signal}");
            std::process::exit(128 + signal);
        }
    });
    std::thread::spawn(move || {
        std::thread::sleep(time_max);
        println!("FAILED: not done after {} minutes", time_max.as_secs() / 60);
        std::process::exit(1);
    });
}
