//! What is said of file systems and power losses, beside what the kernel shows of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use treewal_vfs::{Disk, Fault, FaultDisk, PowerLoss, RealDisk, RecordingDisk};

/// What must be said of a mounted file system; `None` where this test knows nothing of it.
fn expected(kind: &str, device: &str) -> Option<bool> {
    match kind {
        "tmpfs" => Some(false),
        "xfs" | "btrfs" => Some(true),
        "ext4" => {
            let device = fs::canonicalize(device).ok()?;
            let name = device.file_name()?.to_str()?;
            let task = fs::read_to_string(Path::new("/sys/fs/ext4").join(name).join("journal_task")).ok()?;
            Some(task.trim() != "<none>")
        }
        _ => None,
    }
}

#[test]
fn every_mounted_file_system_is_told_as_it_is() {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut told = 0;
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let Some(expected) = expected(words[2], words[0]) else { continue };
        // What is mounted over cannot be seen, and some places are closed.
        let Ok(root) = disk.open_root(Path::new(words[1])) else { continue };
        let last = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(words[1]));
        if last != Some(line) {
            continue;
        }
        let said = disk.power_loss(&root).unwrap();
        assert_eq!(said == PowerLoss::Survives, expected, "{line}: {said:?}");
        assert_eq!(matches!(said, PowerLoss::Loses(_)), !expected, "{line}: {said:?}");
        for other in [
            Arc::new(RecordingDisk::new(Arc::clone(&disk))) as Arc<dyn Disk>,
            Arc::new(FaultDisk::new(Arc::clone(&disk), Fault::None)),
        ] {
            assert_eq!(other.power_loss(&root).unwrap(), said);
        }
        told += 1;
    }
    println!("{told} file systems told");
}
