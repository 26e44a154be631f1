//! What `strace` writes: which thread made which calls, and between which of them the work lies.

use std::collections::{BTreeMap, BTreeSet};

use crate::child::{BEGIN, END};

/// System calls that change names, contents or metadata, make them durable, or lock. A name with a question mark need
/// not be known to the tracer. Some also have uses that
/// change nothing: [`effect`] knows them.
pub(crate) const CALLS: &str = "open,openat,?openat2,creat,write,pwrite64,writev,pwritev,pwritev2,rename,renameat,renameat2,\
    unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,?fchmodat2,\
    chown,fchown,lchown,fchownat,utimensat,utimes,futimesat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,\
    fremovexattr,truncate,ftruncate,fallocate,copy_file_range,sendfile,ioctl,fsync,fdatasync,sync_file_range,syncfs,\
    sync,flock";

/// System calls that change nothing on a disk. Whatever is neither here nor in [`CALLS`] is unknown, and fails the test:
/// somebody must say on which side it belongs.
const HARMLESS: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "clock_nanosleep",
    "close",
    "dup",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fcntl",
    "fgetxattr",
    "flistxattr",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "gettid",
    "getuid",
    "getxattr",
    "lgetxattr",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "lseek",
    "lstat",
    "madvise",
    "membarrier",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "poll",
    "pread64",
    "preadv",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    // listxattrat, for a tracer that does not know it.
    "syscall_0x1d1",
    "uname",
];

/// A system call of the work: the `nth` of that name that its thread makes, the first being 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) nth: u64,
}

/// A trace, as far as it is needed here.
pub(crate) struct Trace {
    /// The calls of the work.
    pub(crate) points: Vec<Point>,
    /// The last call of the thread that works, and how many of that name it made.
    pub(crate) last: Option<Point>,
    /// Names of calls of the work of which nobody has said whether they change anything.
    pub(crate) unknown: BTreeSet<String>,
    /// How many calls of each name the other threads made.
    pub(crate) others: BTreeMap<String, u64>,
}

/// Reads a trace of the process of `child.rs`.
pub(crate) fn read(text: &str) -> Trace {
    let worker = text.lines().find(|line| line.contains(BEGIN) && name_of(line).is_some_and(is_removal));
    let worker = worker.and_then(|line| line.split_whitespace().next());
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut trace = Trace { points: Vec::new(), last: None, unknown: BTreeSet::new(), others: BTreeMap::new() };
    let mut working = false;
    for line in text.lines() {
        let Some(name) = name_of(line) else { continue };
        if line.split_whitespace().next() != worker {
            *trace.others.entry(name.to_owned()).or_default() += 1;
            continue;
        }
        let nth = counts.entry(name.to_owned()).or_default();
        *nth += 1;
        let point = Point { name: name.to_owned(), nth: *nth };
        trace.last = Some(point.clone());
        if is_removal(name) && line.contains(END) {
            working = false;
        }
        match effect(name, line) {
            _ if !working => {}
            Some(true) => trace.points.push(point),
            Some(false) => {}
            None => drop(trace.unknown.insert(name.to_owned())),
        }
        if is_removal(name) && line.contains(BEGIN) {
            working = true;
        }
    }
    trace
}

/// `1234  name(..` is the beginning of a call; signals, exits and the second half of a call are none.
fn name_of(line: &str) -> Option<&str> {
    let rest = line.split_once(' ')?.1.trim_start();
    let (name, _) = rest.split_once('(')?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

fn is_removal(name: &str) -> bool {
    matches!(name, "unlink" | "unlinkat")
}

/// Whether a call changes anything; `None` where nobody has said. Opening does only where it makes or cuts a file, and
/// of the many uses of `ioctl` only cloning does.
fn effect(name: &str, line: &str) -> Option<bool> {
    match name {
        "open" | "openat" | "openat2" => Some(line.contains("O_CREAT") || line.contains("O_TRUNC")),
        "ioctl" => Some(line.contains("FICLONE")),
        _ if CALLS.split(',').any(|call| call.trim_start_matches('?') == name) => Some(true),
        _ => HARMLESS.contains(&name).then_some(false),
    }
}

#[test]
fn a_trace_is_read_as_it_is_written() {
    let text = format!(
        "7  openat(AT_FDCWD, \"x\", O_RDONLY) = 3\n8  openat(AT_FDCWD, \"x\", O_RDONLY) = 3\n8  unlink(\"{BEGIN}\") = -1 \
         ENOENT\n8  openat(3, \"x\", O_RDWR) = 3\n8  openat(3, \"y\", O_RDWR|O_CREAT, 0600 <unfinished ...>\n7  <... futex \
         resumed>) = 0\n8  <... openat resumed>) = 4\n8  ioctl(1, TCGETS) = 0\n8  close(4) = 0\n8  newcall() = 0\n8  fsync(4) = 0\n8  unlink(\"{END}\") = -1\n8  \
         write(1, \"\", 0) = 0\n8  +++ killed by SIGKILL +++\n"
    );
    let trace = read(&text);
    let point = |name: &str, nth| Point { name: name.to_owned(), nth };
    assert_eq!(trace.points, [point("openat", 3), point("fsync", 1)]);
    assert_eq!(trace.unknown, BTreeSet::from(["newcall".to_owned()]));
    assert_eq!(trace.last, Some(point("write", 1)));
    assert_eq!(trace.others, BTreeMap::from([("openat".to_owned(), 1)]));
}
