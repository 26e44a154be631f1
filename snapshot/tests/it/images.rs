//! Reflinks on file systems that have them: images of xfs and btrfs, mounted. Root only, and where the tools are.

use std::path::{Path, PathBuf};
use std::process::Command;

use treewal_snapshot::{Check, Manifest, Mode, Sharing, TakeOptions, exchange, take};
use treewal_vfs::RealDisk;

use crate::bed::{Bed, PRIVATE, assert_same, rel};
use crate::furnished::{furnish, mutate};

/// A mounted image; gone with the value.
struct Image {
    dir: tempfile::TempDir,
    device: String,
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let out = Command::new(program).args(arguments).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

impl Image {
    /// `None` where that is not possible here.
    fn mounted(system: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        run("truncate", &["-s", "400M", &path(&image)])?;
        run(&format!("mkfs.{system}"), &["-q", &path(&image)])?;
        let device = run("losetup", &["--find", "--show", &path(&image)])?;
        let image = Self { dir, device };
        Bed::new(&RealDisk, image.dir.path()).dir("mounted");
        run("mount", &["-t", system, &image.device, &path(&image.home())])?;
        Some(image)
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let home = self.home();
        // Patiently: a child that another test is just starting holds all our handles until its `exec`.
        for _ in 0..100 {
            let is_mounted = run("mountpoint", &["-q", home.to_str().unwrap()]).is_some();
            if !is_mounted || run("umount", &[home.to_str().unwrap()]).is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(run("losetup", &["-d", &self.device]).is_some(), "{} stays attached", self.device);
    }
}

fn on(system: &str, test: impl Fn(&Bed<'_>)) {
    let Some(image) = Image::mounted(system) else {
        eprintln!("skipped on {system}: no privilege or no tools");
        return;
    };
    let bed = Bed::new(&RealDisk, &image.home());
    furnish(&bed);
    test(&bed);
}

fn reflinks(system: &str) {
    for sharing in [Sharing::Auto, Sharing::Reflink] {
        on(system, |bed| {
            let before = bed.dump();
            // A managed path is reflinked where that can be.
            let options =
                TakeOptions { sharing, exclude: vec![rel(PRIVATE)], managed: vec![rel("")], ..TakeOptions::default() };
            let report = take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
            assert_eq!((report.files, report.reflinked, report.bytes_copied), (8, 8, 0), "{report:?}");
            assert_eq!(bed.entry("w/plain").unwrap().mode(), Mode::Reflink);
            bed.write("w/secret", b"in place");
            bed.write_at("w/sparse", b"more", 9 << 20);
            mutate(bed);
            assert_eq!(bed.manifest().check(bed.disk, &bed.tree), Check::Attributes);
            bed.restore(Check::Attributes).unwrap();
            assert_same(&before, &bed.dump(), &format!("{system} {sharing:?}"));
            let again = bed.restore(Check::Contents).unwrap();
            assert_eq!((again.restored, again.removed, again.metadata), (0, 0, 0));
        });
    }
    on(system, |bed| {
        let before = bed.dump();
        let options = TakeOptions { sharing: Sharing::Reflink, exchange: true, ..TakeOptions::default() };
        take(bed.disk, &bed.tree, &[rel("w")], &bed.private, &options).unwrap();
        mutate(bed);
        let manifest = Manifest::load(bed.disk, &bed.private).unwrap();
        exchange(bed.disk, &bed.tree, &bed.private, &manifest).unwrap();
        assert_same(&before, &bed.dump(), &format!("{system}, exchanged"));
    });
}

#[test]
fn reflinks_of_xfs_come_back() {
    reflinks("xfs");
}

#[test]
fn reflinks_of_btrfs_come_back() {
    reflinks("btrfs");
}
