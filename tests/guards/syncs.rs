//! What the end of a guard costs.

use std::fs;
use std::sync::Arc;

use treewal::Options;
use treewal_vfs::{RealDisk, RecordingDisk, Verb};

#[test]
fn a_commit_syncs_what_changed_and_not_the_whole_file_system() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/deep")).unwrap();
    for n in 0..40 {
        fs::write(dir.path().join(format!("d/{n}")), "old").unwrap();
    }
    let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
    let tree = Options::new().open_on(disk.clone(), dir.path()).unwrap();
    let at = |path: &str| dir.path().join(path);
    for (name, change, alone) in [
        ("nothing", &(|| {}) as &dyn Fn(), true),
        (
            "two files",
            &|| {
                fs::write(at("d/1"), "new").unwrap();
                fs::write(at("d/deep/new"), "new").unwrap();
            },
            true,
        ),
        ("a name goes, another comes", &|| fs::rename(at("d/2"), at("d/deep/two")).unwrap(), true),
        ("many", &|| (0..40).for_each(|n| drop(fs::write(at(&format!("d/{n}")), "newer"))), false),
    ] {
        // What was written a moment before the snapshot could have been written after it as well.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let guard = tree.guard(["d"]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
        change();
        disk.take();
        guard.commit().unwrap();
        assert_eq!(disk.count(Verb::SyncAll) == 0, alone, "{name}: {:#?}", disk.calls());
        let files: Vec<_> = disk.calls().into_iter().filter(|call| call.verb == Verb::SyncFile).collect();
        assert!(name != "two files" || files.len() >= 2, "{files:?}");
        tree.checkpoint().unwrap();
    }
}
