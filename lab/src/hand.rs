//! A hand: the process that mounts a disk and touches what is on it, and says what it saw.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Advice;
use rustix::mount::{MountFlags, UnmountFlags};
use treewal::Options;
use treewal_vfs::{Disk, RealDisk, Verb};

use crate::bent::Bent;
use crate::filesystem::Fs;
use crate::log::Mark;
use crate::order::{AFTERWARDS, Facts, Kernel, Order, Ran, Recovered, Sync, Task};
use crate::stir::{Stir, stirred, write_back_all_the_time};
use crate::walk::{leftovers, walk};
use crate::workloads::{FRESH, OPENED, Workload, World, find, prepare};

/// Does what `order` says, and gives what was seen.
pub(crate) fn obey(order: &Order) -> Facts {
    if let Err(error) = mount(order) {
        return Facts::Refused(format!("{error}\n{}", said_of(&order.device)));
    }
    let facts = match &order.task {
        Task::Prepare => {
            for dir in [OPENED, FRESH] {
                fs::create_dir(order.at.join(dir)).unwrap();
                prepare(&order.at.join(dir), dir == OPENED);
            }
            Facts::Prepared
        }
        Task::Work { workload, kernel, dropped } => work(order, known(workload), *kernel, *dropped),
        Task::Recover { workload, kernel } => recover(order, &order.at.join(known(workload).dir), *kernel),
    };
    rustix::mount::unmount(&order.at, UnmountFlags::empty()).expect("nobody is left on the mount");
    facts
}

/// The last that the kernel said of a device.
fn said_of(device: &Path) -> String {
    let name = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = Command::new("dmesg").output().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(&name)).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

fn mount(order: &Order) -> Result<(), String> {
    if order.fs == Fs::Btrfs {
        // It remembers where it saw a file system last, and refuses an older one elsewhere.
        let devices = order.aliases.iter().chain([&order.device]);
        let forget = Command::new("btrfs").args(["device", "scan", "--forget"]).args(devices).output();
        drop(forget.map_err(|error| error.to_string())?);
    }
    // The disk may have been changed behind the back of the kernel.
    let device = File::open(&order.device).map_err(|error| error.to_string())?;
    rustix::fs::fadvise(&device, 0, None, Advice::DontNeed).map_err(|error| error.to_string())?;
    drop(device);
    let options = std::ffi::CString::new(order.options.as_str()).unwrap();
    rustix::mount::mount(&order.device, &order.at, order.fs.name(), MountFlags::NOATIME, options.as_c_str())
        .map_err(|error| error.to_string())
}

fn known(workload: &str) -> &'static Workload {
    find(workload).expect("the workload is known")
}

fn mark(order: &Order, mark: Mark) {
    let file = File::options().write(true).open(&order.mark).unwrap();
    file.write_all_at(mark.text().as_bytes(), 0).unwrap();
}

/// Runs a workload. A look after each step is what the tree shall be like after it.
fn work(order: &Order, workload: &Workload, kernel: Kernel, dropped: Option<Sync>) -> Facts {
    let tree = &order.at.join(workload.dir);
    let mut states = vec![walk(tree).unwrap()];
    let root = RealDisk.open_root(tree).unwrap();
    let dev = RealDisk.stat_dir(&root).unwrap().dev;
    stirred(root, kernel, |stir| {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if workload.is_program && kernel != Kernel::Plain {
                scope.spawn(|| write_back_all_the_time(tree, &is_over));
            }
            let world = World::new(workload, bent(stir, dropped), tree, &order.treewal, &**stir);
            for (done, step) in workload.steps.iter().enumerate() {
                mark(order, Mark::Begin(done + 1));
                step(&world);
                mark(order, Mark::Ack(done + 1));
                states.push(walk(tree).unwrap());
            }
            drop(world);
            is_over.store(true, Ordering::Relaxed);
        });
    });
    Facts::Worked { states, dev }
}

/// The real disk, stirred after each call that changes something.
fn bent(stir: &Stir, dropped: Option<Sync>) -> Arc<dyn Disk> {
    let stir = Arc::clone(stir);
    let after = move |verb: Verb| {
        if verb.is_mutating() {
            stir();
        }
    };
    Arc::new(Bent { after, dropped })
}

/// Recovers a tree, and looks at it before and after.
///
/// Under [`Kernel::Plain`] the program recovers: what is shipped is what is tried, and most disks are tried so. The
/// others are for recoveries that are recorded. They must be written back between any two of their calls, and the calls of
/// another process cannot be followed from outside; a loop that writes back beside it would miss most of them. So the tree
/// is opened here, which is all that the program does.
fn recover(order: &Order, tree: &Path, kernel: Kernel) -> Facts {
    let look = || walk(tree).map_err(|error| error.to_string());
    let dev = RealDisk.open_root(tree).and_then(|root| RealDisk.stat_dir(&root)).map_or(0, |meta| meta.dev);
    let before = look();
    let recover = match kernel {
        Kernel::Plain => treewal(order, tree, &["recover", "--json"]),
        Kernel::Eager | Kernel::Slow => recover_here(tree, kernel),
    };
    mark(order, Mark::Recovered);
    let found = look();
    let leftovers = leftovers(tree).unwrap_or_else(|error| vec![error.to_string()]);
    let verify = treewal(order, tree, &["verify", "--json"]);
    let again = treewal(order, tree, &["recover", "--json"]);
    let tree_again = look();
    mark(order, Mark::Stop);
    let (path, text) = AFTERWARDS;
    let changes = serde_json::json!({"changes": [{"op": "write", "path": path, "text": text}]});
    let file = order.at.with_extension("changes");
    fs::write(&file, changes.to_string()).unwrap();
    let commit = treewal(order, tree, &["apply", file.to_str().unwrap()]);
    let tree_after_commit = look();
    Facts::Recovered(Box::new(Recovered {
        dev,
        before,
        recover,
        tree: found,
        leftovers,
        verify,
        again,
        tree_again,
        commit,
        tree_after_commit,
    }))
}

/// What `treewal recover --json` does, and how it would end.
fn recover_here(tree: &Path, kernel: Kernel) -> Ran {
    const IO: i32 = 3;
    const UNDECIDED: i32 = 4;
    const DAMAGE: i32 = 6;
    let failed = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
        Ran { code: Some(IO), out: String::new(), err: causes.collect::<Vec<String>>().join(": ") }
    };
    let root = match RealDisk.open_root(tree) {
        Ok(root) => root,
        Err(error) => return failed(&error),
    };
    stirred(root, kernel, |stir| match Options::new().open_on(bent(stir, None), tree) {
        Err(error) => failed(&error),
        Ok(tree) => {
            let report = tree.recovery();
            let is_open = report.pending().next().is_some();
            let code = if is_open { UNDECIDED } else { i32::from(report.found_damage()) * DAMAGE };
            Ran { code: Some(code), out: serde_json::json!({ "recovery": report }).to_string(), err: String::new() }
        }
    })
}

fn treewal(order: &Order, tree: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(&order.treewal).arg("-C").arg(tree).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}
