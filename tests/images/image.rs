//! A file system in a file, behind a loop device.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The file systems, with the smallest image that each takes.
pub(crate) const KINDS: [(&str, u64); 3] = [("ext4", 64 << 20), ("xfs", 300 << 20), ("btrfs", 128 << 20)];

/// An image that is mounted while this lives, and gone afterwards.
pub(crate) struct Image {
    home: TempDir,
    mounted: Option<(PathBuf, String)>,
}

/// To where nobody catches it: what is left out is told also where the test passes.
pub(crate) fn skipped(test: &str, why: &str) {
    io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
}

fn run(command: &mut Command) -> Result<String, String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let shown = format!("{command:?}");
    match command.env("PATH", path).output() {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(String::from_utf8_lossy(&stdout).trim().to_owned()),
        Ok(Output { stderr, .. }) => Err(format!("{shown}: {}", String::from_utf8_lossy(&stderr).trim())),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

impl Image {
    /// A new file system, mounted; `None`, said by name, where this machine does not let us.
    pub(crate) fn new(kind: &str, bytes: u64, with: &[&str], test: &str) -> Option<Self> {
        Self::new_in(tempfile::tempdir().unwrap(), kind, bytes, with, test)
    }

    /// The same, the image in memory where there is some: a kill loses nothing that the kernel was told.
    pub(crate) fn in_memory(kind: &str, bytes: u64, test: &str) -> Option<Self> {
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self::new_in(home, kind, bytes, &[], test)
    }

    fn new_in(home: TempDir, kind: &str, bytes: u64, with: &[&str], test: &str) -> Option<Self> {
        let file = home.path().join("image");
        File::create(&file).unwrap().set_len(bytes).unwrap();
        let mut image = Self { home, mounted: None };
        let quiet = if kind == "ext4" { "-Fq" } else { "-fq" };
        let made = run(Command::new(format!("mkfs.{kind}")).arg(quiet).args(with).arg(&file));
        match made.and_then(|_| image.mount("first")) {
            Ok(()) => Some(image),
            Err(why) => {
                skipped(&format!("{test}, {kind}"), &why);
                None
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn at(&self) -> &Path {
        &self.mounted.as_ref().unwrap().0
    }

    /// The block device that it is on.
    pub(crate) fn device(&self) -> &str {
        &self.mounted.as_ref().unwrap().1
    }

    /// Unmounts it, and mounts it again.
    pub(crate) fn again(&mut self) {
        self.unmount();
        self.mount("first").unwrap();
    }

    fn mount(&mut self, name: &str) -> Result<(), String> {
        let at = self.home.path().join(name);
        std::fs::create_dir_all(&at).unwrap();
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(self.home.path().join("image")))?;
        let mounted = run(Command::new("mount").arg(&device).arg(&at));
        if mounted.is_err() {
            run(Command::new("losetup").args(["--detach", &device])).ok();
        }
        mounted.map(|_| self.mounted = Some((at, device)))
    }

    fn unmount(&mut self) {
        if let Some((at, device)) = self.mounted.take() {
            if let Err(why) = run(Command::new("umount").arg(&at)) {
                skipped("unmounting in order", &why);
                run(Command::new("umount").arg("--lazy").arg(&at)).ok();
            }
            run(Command::new("losetup").args(["--detach", &device])).ok();
        }
    }

    /// Unmounts it, and mounts it at another place, behind another device number.
    pub(crate) fn elsewhere(&mut self) {
        let was = std::fs::metadata(self.at()).unwrap().dev();
        self.unmount();
        // Other tests take and free numbers, too: whatever has the old one is kept until it is another.
        let (mut taken, mut mounts) = (Vec::new(), Vec::new());
        for n in 0..16 {
            let (other, anonymous) = (self.home.path().join(format!("o{n}")), self.home.path().join(format!("a{n}")));
            File::create(&other).unwrap().set_len(1 << 20).unwrap();
            taken.push(run(Command::new("losetup").args(["--find", "--show"]).arg(&other)).unwrap());
            // And a number of those that stand for no device, as btrfs has one.
            std::fs::create_dir_all(&anonymous).unwrap();
            run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&anonymous)).unwrap();
            mounts.push(anonymous);
            self.mount("second").unwrap();
            if std::fs::metadata(self.at()).unwrap().dev() != was {
                break;
            }
            self.unmount();
        }
        for device in taken {
            run(Command::new("losetup").args(["--detach", &device])).unwrap();
        }
        for mount in mounts {
            run(Command::new("umount").arg(mount)).unwrap();
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.unmount();
    }
}
