//! A repository: its objects are new files, its references, index and packs are replaced, its logs grow in place.

use std::path::Path;
use std::process::Command;

use crate::rig::{World, Writer, must};

const NEEDS: &[&[&str]] = &[&["git", "--version"], &["sh", "-c", "true"]];

/// Commits, one after another, on the whole tree.
pub(crate) const COMMITS: Writer = Writer {
    name: "git commit",
    needs: NEEDS,
    guard: &["."],
    prepare,
    command: |world| shell(world, "for n in 1 2 3 4; do echo $n >> page$n; git add -A; git commit -qm more; done"),
    check,
};

/// A branch is rebased and merged, everything packed anew, and what nobody refers to removed.
pub(crate) const HOUSEKEEPING: Writer = Writer {
    name: "git rebase, merge, gc",
    needs: NEEDS,
    guard: &["."],
    prepare,
    command: |world| {
        shell(
            world,
            "git checkout -q topic; git rebase -q main; git checkout -q main; git merge -q --no-ff -m more topic
             git reflog expire --expire=now --all; git gc -q --prune=now",
        )
    },
    check,
};

fn shell(world: &World, script: &str) -> Command {
    let mut command = world.calm("sh", &["-ec", script]);
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Nobody").env(format!("GIT_{who}_EMAIL"), "nobody@example.org");
    }
    command
}

fn prepare(world: &World) {
    let script = "git init -q -b main; git config gc.auto 0; git config maintenance.auto false
        for n in 1 2 3 4 5 6 7 8; do echo page $n > page$n; git add -A; git commit -qm page$n; done
        git gc -q
        git checkout -q -b topic main~2; echo topic > topic; git add -A; git commit -qm topic
        git checkout -q main; git rev-parse HEAD > .git/was";
    must(&mut shell(world, script), &world.tree);
}

fn check(world: &World, copy: &Path, done: bool) {
    let script = "git fsck --full --strict --no-dangling > fsck 2>&1 || { cat fsck; exit 1; }; rm fsck
        test -z \"$(git status --porcelain)\"
        was=$(cat .git/was); is=$(git rev-parse HEAD)
        git merge-base --is-ancestor $was $is";
    must(&mut shell(world, script), copy);
    let same = if done { "!=" } else { "=" };
    must(&mut shell(world, &format!("test $(git rev-parse HEAD) {same} $(cat .git/was)")), copy);
}
