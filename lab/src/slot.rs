//! A place for a disk: a server, and two loop devices on it, so that a disk can come back under another device number.
//!
//! Nothing of it outlives the laboratory, however that ends. The mounts are in a namespace of its own, which goes with its
//! last process; the loop devices are set to go with their last user, a process of that namespace; and the server goes with
//! the laboratory itself, after which every access to the disk fails rather than waits.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, MountOption};
use rustix::mount::UnmountFlags;

use crate::explore::Knobs;
use crate::filesystem::Fs;
use crate::image::Image;
use crate::order::{Facts, Order, Task};
use crate::server::{Medium, Server};

/// How long a hand may take. A recovery takes a fraction of a second.
const HAND_TIME_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Slot {
    fs: Fs,
    dir: PathBuf,
    treewal: PathBuf,
    options: String,
    pub(crate) medium: Arc<Medium>,
    session: Option<BackgroundSession>,
    loops: [PathBuf; 2],
    holder: Child,
}

impl Slot {
    /// A slot for disks of the size of `blank`, in the empty directory `dir`.
    pub(crate) fn new(fs: Fs, dir: &Path, knobs: &Knobs, blank: Image) -> Self {
        for sub in ["fuse", "mnt"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let medium = Medium::new(blank);
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("treewal-lab".to_owned())];
        let session = fuser::spawn_mount(Server::new(&medium), dir.join("fuse"), &config);
        let session = session.expect("a FUSE file system can be mounted");
        let disk = dir.join("fuse/disk");
        let loops = [attach(&disk), attach(&disk)];
        let holder = Command::new("sleep")
            .arg("infinity")
            .stdin(File::open(&loops[0]).unwrap())
            .stdout(File::open(&loops[1]).unwrap())
            .spawn()
            .unwrap();
        // Of a device in use this means: when its last user is gone.
        for device in &loops {
            output("losetup", &["-d".as_ref(), device.as_ref()]);
        }
        let dir = dir.to_owned();
        let options = knobs.options.clone().unwrap_or_else(|| fs.options().to_owned());
        Self { fs, dir, treewal: knobs.treewal.clone(), options, medium, session: Some(session), loops, holder }
    }

    /// Lets a hand do a task with the disk that is in, through the first or the second loop device.
    ///
    /// # Errors
    /// The hand failed, or hung and was killed; then the slot is of no more use.
    pub(crate) fn run(&self, task: Task, through: usize) -> Result<Facts, String> {
        let facts = self.dir.join("facts");
        let order = Order {
            fs: self.fs,
            options: self.options.clone(),
            device: self.loops[through].clone(),
            aliases: vec![self.loops[1 - through].clone()],
            at: self.dir.join("mnt"),
            mark: self.dir.join("fuse/mark"),
            facts: facts.clone(),
            treewal: self.treewal.clone(),
            task,
        };
        let talk = File::create(self.dir.join("talk")).unwrap();
        let mut hand = Command::new(std::env::current_exe().unwrap())
            .arg("hand")
            .arg(serde_json::to_string(&order).unwrap())
            .stdin(Stdio::null())
            .stdout(talk.try_clone().unwrap())
            .stderr(talk)
            .spawn()
            .unwrap();
        let began = Instant::now();
        loop {
            match hand.try_wait().unwrap() {
                Some(status) if status.success() => break,
                Some(status) => return Err(self.failed(&format!("the hand ended with {status}"))),
                None if began.elapsed() > HAND_TIME_MAX => {
                    self.medium.give_up();
                    hand.kill().unwrap();
                    hand.wait().unwrap();
                    return Err(self.failed("the hand hung, and was killed"));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        let seen = fs::read(&facts).unwrap();
        Ok(serde_json::from_slice(&seen).unwrap())
    }

    fn failed(&self, how: &str) -> String {
        format!("{how}\n{}", fs::read_to_string(self.dir.join("talk")).unwrap_or_default())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Whatever is still mounted shall not wait for us.
        self.medium.give_up();
        rustix::mount::unmount(self.dir.join("mnt"), UnmountFlags::DETACH).ok();
        self.holder.kill().ok();
        self.holder.wait().ok();
        rustix::mount::unmount(self.dir.join("fuse"), UnmountFlags::DETACH).ok();
        drop(self.session.take());
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// A loop device on `disk`, without a cache of the kernel between the two.
fn attach(disk: &Path) -> PathBuf {
    let options = ["--find", "--show", "--direct-io=on"].map(AsRef::as_ref);
    let device = output("losetup", &[&options[..], &[disk.as_ref()]].concat());
    PathBuf::from(device.trim())
}

fn output(tool: &str, arguments: &[&std::ffi::OsStr]) -> String {
    let output: io::Result<_> = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{tool}: {error}"));
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
