//! Operations as a set of changes.

use base64::Engine as _;
use serde_json::{Value, json};
use treewal::ChangeSet;

use crate::call::{Call, More, Relied, Told};
use crate::ops::{Op, TARGET, XATTR};

/// The set; `None` where one of them cannot be told so, or is to fail.
pub(crate) fn set(all: &[Told]) -> Option<ChangeSet> {
    let (mut changes, mut expect) = (Vec::new(), Vec::new());
    for told in all {
        if !told.answer.is_ok() {
            return None;
        }
        match &told.call {
            Call::Op(op) => changes.push(change(op)?),
            Call::More(More::WriteIfChanged(path, bytes)) => {
                let bytes = bytes.as_ref()?;
                changes.push(json!({ "op": "write", "path": path, "base64": base64(bytes), "if_changed": true }));
            }
            Call::More(More::Merge(from, to, keep)) => {
                changes.push(json!({
                    "op": "publish", "from": from, "to": to, "merge": true, "keep_unmanaged": keep
                }));
            }
            Call::More(More::Outside(outer)) => changes.push(outer.as_change(told.source.as_ref()?)),
            Call::More(More::Expect(path, Relied::Absent)) => expect.push(json!({ "path": path, "absent": true })),
            Call::More(More::Expect(path, Relied::Unchanged)) => {
                expect.push(json!({ "path": path, "unchanged": true }));
            }
            Call::More(More::Expect(path, _)) => {
                let digest: String = told.digest.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
                expect.push(json!({ "path": path, "sha256": digest }));
            }
        }
    }
    Some(serde_json::from_value(json!({ "changes": changes, "expect": expect })).unwrap())
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn change(op: &Op) -> Option<Value> {
    Some(match op {
        Op::Write(path, bytes) => json!({ "op": "write", "path": path, "base64": base64(bytes) }),
        Op::Append(path, bytes) => json!({ "op": "append", "path": path, "base64": base64(bytes) }),
        Op::Update(path, at, bytes) => json!({ "op": "patch", "path": path, "offset": at, "base64": base64(bytes) }),
        Op::Copy(from, to) => json!({ "op": "copy", "from": from, "to": to }),
        Op::CreateDir(path) => json!({ "op": "mkdir", "path": path }),
        Op::CreateDirAll(path) => json!({ "op": "mkdir", "path": path, "parents": true }),
        Op::Symlink(path) => json!({ "op": "symlink", "target": TARGET, "path": path }),
        Op::Rename(from, to) => json!({ "op": "rename", "from": from, "to": to }),
        Op::Exchange(a, b) => json!({ "op": "exchange", "a": a, "b": b }),
        Op::Publish(from, to, keep) => json!({ "op": "publish", "from": from, "to": to, "keep_unmanaged": keep }),
        Op::RemoveFile(path) | Op::RemoveDir(path) => json!({ "op": "remove", "path": path }),
        Op::RemoveDirAll(path) => json!({ "op": "remove", "path": path, "recursive": true }),
        Op::HardLink(from, to) => json!({ "op": "hard_link", "from": from, "to": to }),
        Op::Chmod(path, mode) => json!({ "op": "chmod", "path": path, "mode": format!("{mode:o}") }),
        Op::Lchown(path, id) => json!({ "op": "chown", "path": path, "uid": id }),
        Op::SetTime(path, secs) => {
            let modified = json!({ "secs": secs, "nanos": 999_999_999 });
            json!({ "op": "set_times", "path": path, "modified": modified })
        }
        Op::Xattr(path, Some(value)) => {
            json!({ "op": "set_xattr", "path": path, "name": XATTR, "base64": base64(&[*value]) })
        }
        Op::Xattr(path, None) => json!({ "op": "remove_xattr", "path": path, "name": XATTR }),
        // Follows a symlink, or is written in pieces.
        Op::Chown(..) | Op::Stream(..) => return None,
    })
}
