//! A sync fails within a recovery, and all that it should have covered is dropped: names, contents, what they look like. The next
//! sync says that all is well, and covers none of it.

use std::sync::Arc;

use treewal_vfs::sim::{Lose, Profile, SimDisk};

use crate::seen::{differences, leftovers, look};
use crate::world::*;

/// Two transactions that touch nothing in common, acknowledged; of their changes in the tree nothing is on the disk.
fn only_promised() -> SimDisk {
    let disk = base();
    let tree = open(&disk);
    tree.transaction(|tx| tx.write("d/dx", "new dx")).unwrap();
    tree.transaction(|tx| {
        tx.write("e/made", "new made")?;
        tx.remove_file("e/ex")
    })
    .unwrap();
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    drop(tree);
    lost
}

/// Where the first try of both together fails at its sync, a second try of one alone would be as if nothing had been: its steps
/// hang on names that will never be durable.
#[test]
fn what_was_promised_outlives_a_recovery_in_which_a_sync_failed() {
    let promised = only_promised();
    let wanted = {
        let disk = promised.remount();
        drop(open(&disk));
        look(&disk, "/")
    };
    let mut refused = 0;
    for at in 1.. {
        let disk = promised.remount();
        let syncs = disk.syncs();
        disk.fail_sync_at(Some(at));
        let opened = options().open_on(Arc::new(disk.clone()), "/");
        if disk.syncs() - syncs < at {
            break;
        }
        let said = format!("sync {at} fails: {:?}", opened.as_ref().map(|tree| tree.recovery().to_string()));
        refused += u32::from(opened.is_err());
        for outcome in [disk.outcomes(Profile::Strict).nothing(), disk.outcomes(Profile::Strict).everything()] {
            let lost = disk.after(&outcome);
            drop(open(&lost));
            let found = look(&lost, "/");
            assert!(found == wanted, "{said}:\n{}", differences(&found, &wanted));
            assert_eq!(leftovers(&lost, "/"), Vec::<String>::new(), "{said}");
        }
    }
    assert!(refused > 1, "{refused}");
}

/// A recovery that cannot do what is owed leaves the doubt where it was: what the kernel gave up is still shown, and on no disk.
#[test]
fn the_doubt_stays_as_long_as_something_is_owed() {
    let disk = base();
    let tree = open(&disk);
    tree.transaction(owed).unwrap();
    disk.set_failed_syncs(Lose::Contents);
    disk.fail_sync_at(Some(1));
    tree.checkpoint().unwrap_err();
    drop(tree);
    let (tree, _) = stubborn(&disk, OWED);
    assert_eq!(tree.recovery().pending().count(), 1, "{}", tree.recovery());
    drop(tree);
    // Now it can; still on the same boot.
    let tree = open(&disk);
    assert_eq!(tree.recovery().pending().count(), 0, "{}", tree.recovery());
    drop(tree);
    for outcome in disk.outcomes(Profile::Strict).named() {
        let lost = disk.after(&outcome);
        drop(open(&lost));
        let found = ["d/dx", "d/made", "d/dy"].map(|path| at(&lost, path));
        assert_eq!(
            found,
            [Some("new dx".to_owned()), Some("new made".to_owned()), None],
            "{}",
            disk.describe(&outcome)
        );
    }
}
