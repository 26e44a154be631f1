//! The calls of a program's first thread, as its trace tells them.

use std::collections::BTreeMap;
use std::path::Path;

/// Calls that change names, contents or metadata, make them durable, or lock.
pub(crate) const CHANGING: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "mknodat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "syncfs",
    "sync",
    "flock",
];

/// Calls that only look. Opening is one of them where it makes nothing and is not for writing.
const LOOKING: &[&str] = &[
    "read",
    "pread64",
    "preadv",
    "getdents64",
    "statx",
    "newfstatat",
    "fstat",
    "fstatfs",
    "statfs",
    "lseek",
    "readlink",
    "readlinkat",
    "faccessat",
    "faccessat2",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
];

const OPENING: &[&str] = &["open", "openat", "openat2"];

/// Calls whose first text is contents, or an answer.
const WITHOUT_NAMES: &[&str] =
    &["read", "pread64", "preadv", "write", "pwrite64", "writev", "pwritev", "pwritev2", "flistxattr"];

/// A call of the program.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The number of calls of this name so far, itself among them.
    pub(crate) nth: u64,
    /// The calls before it that change something.
    pub(crate) changes_before: usize,
    /// The entries that it names, without what is another at each run.
    pub(crate) about: Vec<String>,
    /// Whether it changes anything on the disk, or could.
    pub(crate) changes: bool,
    pub(crate) looks: bool,
    /// Whether the tracer had it fail.
    pub(crate) injected: bool,
    /// Whether anything before it, or itself, had to do with the tree.
    pub(crate) begun: bool,
}

impl Call {
    /// Whether the tracer knows the call by a name: one that is newer than the tracer can be counted, not disturbed.
    pub(crate) fn is_known(&self) -> bool {
        !self.name.starts_with("syscall_")
    }

    /// Whether this is that call of another run.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.nth == other.nth
            && self.changes_before == other.changes_before
            && self.about == other.about
    }
}

/// Reads a trace of all calls of a program in the tree `dir`.
pub(crate) fn read(log: &str, dir: &Path) -> Vec<Call> {
    let dir = dir.to_str().unwrap();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut begun, mut changes_before) = (false, 0);
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let nth = counts.entry(name).or_default();
        *nth += 1;
        begun |= name != "execve" && name != "chdir" && rest.contains(dir);
        let changes = changes(name, rest);
        let looks = !changes && (LOOKING.contains(&name) || OPENING.contains(&name));
        let names = (changes || looks) && !WITHOUT_NAMES.contains(&name);
        let about = if names { about(rest, dir) } else { Vec::new() };
        let injected = rest.ends_with("(INJECTED)");
        let name = name.to_owned();
        calls.push(Call { name, nth: *nth, changes_before, about, changes, looks, injected, begun });
        changes_before += usize::from(changes);
    }
    calls
}

/// What the program says to people is no change; opening is one where it makes or cuts a file, or is for writing.
fn changes(name: &str, rest: &str) -> bool {
    match name {
        "open" | "openat" | "openat2" => {
            ["O_CREAT", "O_TRUNC", "O_RDWR", "O_WRONLY"].into_iter().any(|flag| rest.contains(flag))
        }
        "ioctl" => rest.contains("FICLONE"),
        "write" | "writev" => !rest.starts_with("1,") && !rest.starts_with("2,"),
        _ => CHANGING.contains(&name),
    }
}

/// The first two names in the arguments; of what a call answers nothing.
fn about(rest: &str, dir: &str) -> Vec<String> {
    let arguments = rest.rsplit_once(" = ").map_or(rest, |(arguments, _)| arguments);
    let two_names = ["RENAME_", "AT_SYMLINK_FOLLOW"].into_iter().any(|flag| arguments.contains(flag));
    let names = arguments.split('"').skip(1).step_by(2).take(if two_names { 2 } else { 1 });
    names.map(|name| the_same_each_time(&name.replace(dir, "."))).collect()
}

/// Without random numbers, and without numbers of processes and handles in `/proc`.
fn the_same_each_time(name: &str) -> String {
    let least = if name.starts_with("/proc") { 1 } else { 7 };
    let mut text = String::new();
    let mut run = String::new();
    for letter in name.chars().chain(['\0']) {
        if letter.is_ascii_hexdigit() && (least == 7 || letter.is_ascii_digit()) {
            run.push(letter);
            continue;
        }
        text.push_str(if run.len() >= least { "#" } else { &run });
        run.clear();
        text.push(letter);
    }
    text.truncate(text.len() - 1);
    text
}
