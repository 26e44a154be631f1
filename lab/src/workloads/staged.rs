//! Staged transactions.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::World;

/// Several files in several directories; new ones, a removed one, a link, bits.
pub(super) fn small(world: &World<'_>) {
    let done = world.tree().transaction(|tx| {
        tx.write("a", "new a")?;
        tx.write("b", "new b".repeat(500))?;
        tx.write("d/x", "new x")?;
        tx.create_dir_all("new/deep")?;
        tx.write("new/deep/1", "one")?;
        tx.write("new/2", "two")?;
        tx.symlink("../a", "new/link")?;
        tx.remove_file("d/y")?;
        tx.set_permissions("d/deep/z", fs::Permissions::from_mode(0o600))
    });
    done.expect("a commit");
}

/// Over what the first has left.
pub(super) fn small_again(world: &World<'_>) {
    let done = world.tree().transaction(|tx| {
        tx.append("a", ", and more")?;
        tx.write("new/deep/1", "one".repeat(1000))?;
        tx.copy("b", "new/b")?;
        tx.remove_file("new/2")?;
        tx.remove_file("new/link")?;
        tx.write("new/link", "a file now")
    });
    done.expect("a commit");
}

/// Contents that no journal holds.
pub(super) fn large(world: &World<'_>) {
    let done = world.tree().transaction(|tx| {
        tx.write("large", vec![b'N'; 120_000])?;
        tx.create_dir_all("new")?;
        tx.write("new/large", vec![b'M'; 50_000])?;
        let mut stream = tx.create("stream")?;
        for _ in 0..10 {
            stream.write_all(&[b'S'; 9_000]).unwrap();
        }
        drop(stream);
        tx.write("aside", "small beside large")
    });
    done.expect("a commit");
}

/// Directories that move, logs that rotate, names that change places.
pub(super) fn moves(world: &World<'_>) {
    let done = world.tree().transaction(|tx| {
        tx.rename("d", "moved")?;
        tx.write("moved/x", "new x")?;
        tx.rename("moved/y", "y")?;
        tx.rename("log.1", "log.2")?;
        tx.rename("log", "log.1")?;
        tx.write("log", "tomorrow")?;
        tx.exchange("a", "b")?;
        tx.remove_dir_all("e")?;
        tx.write("e", "a file now")?;
        tx.write("large", vec![b'N'; 40_000])
    });
    done.expect("a commit");
}

/// Builds a directory and puts it in the place of one that has entries of the same names.
pub(super) fn publish(world: &World<'_>) {
    replace(world, "d");
}

/// The same, once it has moved.
pub(super) fn publish_back(world: &World<'_>) {
    replace(world, "moved");
}

fn replace(world: &World<'_>, dir: &str) {
    let done = world.tree().transaction(|tx| {
        let times = tx.read(format!("{dir}/x"))?.len();
        tx.create_dir_all("next/deep")?;
        tx.write("next/x", "x".repeat(times + 1))?;
        tx.write("next/deep/z", "new z")?;
        tx.write("next/deep/x too", vec![b'X'; 20_000])?;
        tx.write("next/y", "new y")?;
        tx.remove_dir_all(dir)?;
        tx.rename("next", dir)
    });
    done.expect("a commit");
}

/// So little that a checkpoint syncs it entry by entry.
pub(super) fn removal(world: &World<'_>) {
    world.tree().transaction(|tx| tx.remove_file("b")).expect("a commit");
}

/// Fills a third of the journal, so that a few of these make a checkpoint due. Another content each time.
pub(super) fn filling(world: &World<'_>) {
    let time = fs::read(world.at("log")).unwrap().len();
    let done = world.tree().transaction(|tx| {
        tx.write("log", vec![b'l'; time + 1])?;
        tx.write("log.1", vec![b'y'; 8_000 + time])?;
        tx.write(format!("n{time}"), vec![b'n'; 8_000])
    });
    done.expect("a commit");
}

pub(super) fn checkpoint(world: &World<'_>) {
    world.tree().checkpoint().expect("a checkpoint");
}
