//! What a transaction is to answer, and what it is to leave.

use std::collections::BTreeSet;
use std::path::Path;

use treewal::Transaction;

use crate::memory::{Memory, No, rel};
use crate::ops::Op;

/// An operation, and what it has to answer.
pub(crate) type Answered = (Op, Result<(), No>);

/// The paths that an operation names.
pub(crate) fn paths_of(op: &Op) -> Vec<&Path> {
    match op {
        Op::Copy(a, b) | Op::Rename(a, b) | Op::Exchange(a, b) | Op::Publish(a, b, _) | Op::HardLink(a, b) => {
            vec![a, b]
        }
        Op::Write(path, _)
        | Op::Append(path, _)
        | Op::Stream(path, ..)
        | Op::CreateDir(path)
        | Op::CreateDirAll(path)
        | Op::Symlink(path)
        | Op::RemoveFile(path)
        | Op::RemoveDir(path)
        | Op::RemoveDirAll(path)
        | Op::Chmod(path, _)
        | Op::Update(path, ..)
        | Op::SetTime(path, _)
        | Op::Xattr(path, _)
        | Op::Chown(path, _)
        | Op::Lchown(path, _) => vec![path],
    }
}

/// Whether it sets attributes of something that has several names, or times of a directory.
pub(crate) fn is_outside(memory: &Memory, op: &Op) -> bool {
    let path = match op {
        Op::SetTime(path, _) if memory.is_dir(&rel(path)) => return true,
        Op::Chmod(path, _) | Op::SetTime(path, _) | Op::Xattr(path, _) | Op::Chown(path, _) | Op::Lchown(path, _) => {
            path
        }
        Op::Publish(path, to, _) if memory.is_file(&rel(to)) => path,
        _ => return false,
    };
    memory.links(&rel(path)) > 1
}

/// What operations answer, one after another, and leave. One that sets attributes of a file with several names stands alone.
pub(crate) fn told(memory: &Memory, ops: &[Op]) -> (Memory, Vec<Answered>) {
    let (mut memory, mut answered) = (Memory { unset: BTreeSet::new(), ..memory.clone() }, Vec::new());
    for op in ops {
        let outside = is_outside(&memory, op);
        let alone = answered.is_empty() && !matches!(op, Op::Publish(..)) && !memory.is_dir(&rel(paths_of(op)[0]));
        if outside && !alone {
            continue;
        }
        let mut after = memory.clone();
        let answer = after.take(op);
        if answer.is_ok() {
            memory = after;
        }
        answered.push((op.clone(), answer));
        if outside {
            break;
        }
    }
    (memory, answered)
}

/// Stages; every answer must be the model's.
pub(crate) fn stage(tx: &mut Transaction, ops: &[Answered]) -> Result<(), String> {
    for (op, wanted) in ops {
        let found = op.stage(tx);
        let fits = match (wanted, &found) {
            (Ok(()), Ok(())) | (Err(No::Refused), Err(_)) => true,
            (Err(No::Because(kind)), Err(error)) => error.kind() == *kind,
            _ => false,
        };
        if !fits {
            return Err(format!("{op:?}: {found:?}, not {wanted:?}"));
        }
    }
    Ok(())
}
