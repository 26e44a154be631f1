//! What can happen to a file or a directory, and which there are.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    FlipFirst,
    FlipMiddle,
    Newer,
    CutHalf,
    Empty,
    Zero,
    Duplicate,
    Swap,
    Delete,
    Directory,
    File,
    Symlink,
    Fifo,
    Unreadable,
    Foreign,
}

/// A file or directory, by where it is and not by what it is called: names are random.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its directory and its place in that, level by level.
    places: Vec<usize>,
    shown: String,
    pub(crate) is_dir: bool,
}

impl Target {
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The same place of another tree.
    pub(crate) fn find(&self, tree: &Path) -> Option<PathBuf> {
        let mut path = tree.join(".treewal");
        for place in &self.places {
            path = sorted(&path).into_iter().nth(*place)?;
        }
        (fs::symlink_metadata(&path).ok()?.is_dir() == self.is_dir).then_some(path)
    }
}

/// In order; names that are random have an order as well, which says little: each of them is a target.
fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Everything beneath `.treewal`, and itself.
pub(crate) fn targets(tree: &Path) -> Vec<Target> {
    let own = tree.join(".treewal");
    let mut found = vec![Target { places: Vec::new(), shown: ".treewal".to_owned(), is_dir: true }];
    let mut todo = vec![(own.clone(), Vec::new())];
    while let Some((dir, places)) = todo.pop() {
        for (place, path) in sorted(&dir).into_iter().enumerate() {
            let mut places: Vec<usize> = places.clone();
            places.push(place);
            let is_dir = fs::symlink_metadata(&path).unwrap().is_dir();
            let shown = path.strip_prefix(&own).unwrap().to_string_lossy().into_owned();
            // Deeper than that lies what somebody asked to be kept, file by file alike.
            if is_dir && places.len() < 5 {
                todo.push((path.clone(), places.clone()));
            }
            found.push(Target { places, shown, is_dir });
        }
    }
    found
}

impl Damage {
    /// What can happen to it.
    pub(crate) fn of(target: &Target) -> impl Iterator<Item = Self> + use<> {
        use Damage::{
            CutHalf, Delete, Directory, Duplicate, Empty, Fifo, File, FlipFirst, FlipMiddle, Foreign, Newer, Swap,
            Symlink, Unreadable, Zero,
        };
        let list: &[Self] = match (target.is_dir, target.shown.as_str()) {
            (true, "journal") => &[Delete, File, Symlink, Fifo, Unreadable, Empty, Foreign],
            (true, _) => &[Delete, File, Symlink, Fifo, Unreadable, Empty],
            (false, _) => &[
                FlipFirst, FlipMiddle, Newer, CutHalf, Empty, Zero, Duplicate, Swap, Delete, Directory, Symlink, Fifo,
                Unreadable,
            ],
        };
        list.iter().copied()
    }

    /// Does it; `false` where it cannot be done to this one.
    pub(crate) fn apply(self, path: &Path, outside: &Path) -> bool {
        let is_dir = fs::symlink_metadata(path).unwrap().is_dir();
        match self {
            Self::FlipFirst | Self::FlipMiddle | Self::Newer | Self::CutHalf | Self::Zero => {
                return rewrite(self, path);
            }
            Self::Empty if !is_dir => fs::write(path, "").unwrap(),
            Self::Empty => {
                remove(path, is_dir);
                fs::create_dir(path).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            }
            Self::Duplicate => return duplicate(path),
            Self::Swap => return swap(path),
            Self::Delete => remove(path, is_dir),
            Self::Directory => {
                remove(path, is_dir);
                fs::create_dir(path).unwrap();
                fs::write(path.join("inside"), "x").unwrap();
            }
            Self::File => {
                remove(path, is_dir);
                fs::write(path, "in the way").unwrap();
            }
            Self::Symlink => {
                remove(path, is_dir);
                symlink(if is_dir { outside.to_owned() } else { outside.join("secret") }, path).unwrap();
            }
            Self::Fifo => {
                remove(path, is_dir);
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }
            // Of which root takes no notice.
            Self::Unreadable => fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap(),
            Self::Foreign => {
                let other = tempfile::tempdir().unwrap();
                let tree = crate::states::options().open(other.path()).unwrap();
                for n in 0..20 {
                    tree.transaction(|tx| tx.write("foreign", format!("{n}"))).unwrap();
                }
                drop(tree);
                remove(path, true);
                fs::rename(other.path().join(".treewal/journal"), path).unwrap();
            }
        }
        true
    }
}

fn remove(path: &Path, is_dir: bool) {
    if is_dir { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

fn rewrite(damage: Damage, path: &Path) -> bool {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    if bytes.is_empty() {
        return false;
    }
    // The middle of what was written, and not of the zeros behind it.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
    match damage {
        Damage::FlipFirst => bytes[0] ^= 0x10,
        Damage::FlipMiddle => bytes[end / 2] ^= 0x01,
        Damage::Newer => match bytes.windows(8).position(|window| window == b"format 1") {
            Some(at) => bytes[at + 7] = b'9',
            // The version of segments and manifests stands behind their magic.
            None if bytes.len() > 12 => bytes[8] = 9,
            None => return false,
        },
        Damage::CutHalf => bytes.truncate(bytes.len() / 2),
        _ => bytes.fill(0),
    }
    fs::write(path, bytes).unwrap();
    true
}

/// Another of the same contents beside it, under the name that would come next.
fn duplicate(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    let digits: String = name.chars().take_while(char::is_ascii_hexdigit).collect();
    let next = match (u64::from_str_radix(&digits, 16), digits.len()) {
        (Ok(number), 16..) => {
            format!("{:0width$x}{}", number.wrapping_add(1), &name[digits.len()..], width = digits.len())
        }
        _ => format!("{name}2"),
    };
    let to = path.with_file_name(next);
    !to.exists() && fs::copy(path, to).is_ok()
}

/// Changes places with another file beside it, or with one of another directory.
fn swap(path: &Path) -> bool {
    let parent = path.parent().unwrap();
    let beside = sorted(parent).into_iter().find(|other| other != path && other.is_file());
    let Some(other) = beside else { return false };
    let parked = parent.join("parked");
    fs::rename(path, &parked).unwrap();
    fs::rename(&other, path).unwrap();
    fs::rename(parked, other).unwrap();
    true
}
