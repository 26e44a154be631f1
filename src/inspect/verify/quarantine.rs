//! What waits in quarantine, and whether it is what its reports say.

use std::path::Path;

use treewal_recovery::home::Home;
use treewal_recovery::quarantine::is_purged;

use super::journal::names;
use super::{Findings, stays};
use crate::quarantine::{bytes, incomplete};
use crate::{Options, Result};

pub(super) fn check(home: &Home, options: &Options, findings: &mut Findings) -> Result<()> {
    for name in names(home, &home.quarantine, "quarantine")? {
        let path = Path::new("quarantine").join(&name);
        if is_purged(&name) {
            if stays(home, &home.quarantine, &name)? {
                let what = format!("{path:?} was thrown away, and is not gone yet");
                findings.add("quarantine-leftover", &path, what, "harmless: the next opening removes it");
            }
            continue;
        }
        let what = format!(".treewal/{} holds what recovery could not place", path.display());
        let advice = "`treewal quarantine show` tells what it is; retry it, or export it, and purge it";
        findings.damage("quarantined", &path, what, advice);
        for what in incomplete(home, &name)? {
            let advice = "look at its report.txt; what is there can be exported";
            findings.damage("quarantine-incomplete", &path, what, advice);
        }
    }
    let bytes = bytes(home)?;
    if bytes > options.quarantine_limit {
        let what = format!("quarantine takes {bytes} bytes, and its limit is {}", options.quarantine_limit);
        findings.add("quarantine-full", "quarantine", what, "purge what nobody needs; nothing goes by itself");
    }
    Ok(())
}
