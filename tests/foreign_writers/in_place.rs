//! Tools that write into files where they stand.

use std::fs;
use std::process::Command;

use crate::rig::{World, Writer};

/// What a shell has at hand: overwriting, appending, cutting, a memory map, links, moved directories, modes and times.
pub(crate) const SHELL: Writer = Writer {
    name: "tools in place",
    needs: &[&["sh", "-c", "true"], &["dd", "--version"], &["truncate", "--version"], &["python3", "--version"]],
    guard: &["data", "fresh"],
    prepare: |world| {
        for dir in ["data/deep/deeper", "data/empty", "out"] {
            fs::create_dir_all(world.tree.join(dir)).unwrap();
        }
        for n in 0..30 {
            fs::write(world.tree.join(format!("data/deep/{n}")), vec![b'o'; 3000 * (n + 1)]).unwrap();
        }
        fs::write(world.tree.join("data/map"), vec![b'm'; 50_000]).unwrap();
        fs::write(world.tree.join("out/side"), "not guarded, and not touched").unwrap();
        world.must(
            "sh",
            &["-ec", "ln data/deep/3 data/three; ln -s deep/4 data/four; mkfifo data/pipe; chmod 600 data/deep/5"],
        );
    },
    command: |world| world.calm("sh", &["-ec", MESS]),
    check: |_, copy, done| {
        assert_eq!(copy.join("fresh/last").exists(), done);
        assert_eq!(copy.join("data/moved").exists(), done);
    },
};

const MESS: &str = r#"
cd data
for n in 0 1 2 3 4 5 6 7 8 9; do
    printf new | dd of=deep/$n bs=1 seek=100 conv=notrunc 2> /dev/null
    echo more >> deep/1$n
done
truncate -s 10 deep/20
truncate -s 1000000 deep/21
python3 -c '
import mmap
with open("map", "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as map:
        for at in range(0, len(map), 777):
            map[at] = 33
'
cp deep/22 deep/23
sed -i s/o/p/ deep/24
chmod 640 deep/5
touch -d 2001-01-01 deep/6
rm deep/7
mkdir deep/7
ln deep/8 deep/7/eight
ln -sfn deep/9 four
rm pipe
echo file > pipe
rmdir empty
mv deep moved
mkdir deep
echo back > deep/0
mkdir -p ../fresh/deep
cp -a moved ../fresh/deep
echo last > ../fresh/last
"#;

/// `rsync --inplace`, which changes blocks of the files that are there.
pub(crate) const RSYNC: Writer = Writer {
    name: "rsync --inplace",
    needs: &[&["rsync", "--version"]],
    guard: &["mirror"],
    prepare: |world| {
        for (root, byte) in [(world.aside.join("source"), b'n'), (world.tree.join("mirror"), b'o')] {
            fs::create_dir_all(root.join("deep")).unwrap();
            for n in 0..30 {
                let mut contents = vec![b'c'; 200_000];
                contents[n * 5000..n * 5000 + 3000].fill(byte);
                fs::write(root.join(format!("deep/{n}")), contents).unwrap();
            }
        }
        fs::write(world.tree.join("mirror/gone"), "to be deleted").unwrap();
    },
    command: rsync,
    check: |world, copy, done| {
        for n in 0..30 {
            let read = |path: std::path::PathBuf| fs::read(path.join(format!("deep/{n}"))).unwrap();
            assert_eq!(read(copy.join("mirror")) == read(world.aside.join("source")), done);
        }
        assert_eq!(copy.join("mirror/gone").exists(), !done);
    },
};

fn rsync(world: &World) -> Command {
    let from = format!("{}/", world.aside.join("source").display());
    world.calm("rsync", &["-a", "--inplace", "--no-whole-file", "--delete", "--ignore-times", &from, "mirror/"])
}
