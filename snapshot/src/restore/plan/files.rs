//! What is done about everything that is no directory: which inode its names have from now on.

use std::collections::BTreeMap;

use treewal_vfs::Time;

use super::{Action, Planner, inode_of};
use crate::Result;
use crate::restore::backups::BackupState;
use crate::restore::survey::Holds;

impl Planner<'_> {
    /// Everything that is no directory, all names of one inode together.
    pub(super) fn files(&mut self) -> Result<()> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, entry) in self.extract.entries().iter().enumerate().filter(|(_, entry)| !entry.is_dir()) {
            groups.entry(entry.same_as.unwrap_or(place)).or_default().push(place);
        }
        for (first, names) in groups {
            self.group(first, &names)?;
        }
        Ok(())
    }

    fn group(&mut self, first: usize, names: &[usize]) -> Result<()> {
        let entries = self.extract.entries();
        for &place in names {
            if self.live(place).is_some_and(|live| live.holds == Holds::Suspect) {
                self.in_place.insert(entries[place].path.clone());
            }
        }
        let Some(leader) = self.leader(first, names) else { return self.anew(first, names) };
        let (of, inode) = leader;
        let mut missing = Vec::new();
        for &place in names {
            match self.live(place) {
                Some(live) if inode_of(&live.meta) == inode => {}
                _ => missing.push(place),
            }
        }
        if self.live(of).is_some_and(|live| !live.settled) {
            self.attributes.push(Action::Attributes { place: of });
        }
        // A hard-linked backup is one name too many: it becomes the missing one, and the count of names is right again.
        let spare = entries[first].backup.as_ref().filter(|backup| (backup.ino, backup.born) == inode);
        let ready = self.survey.backups.get(&first) == Some(&BackupState::Ready);
        if let (Some(backup), true, [place, rest @ ..]) = (spare, ready, missing.as_slice()) {
            self.put(*place, backup.number)?;
            return self.links(of, rest);
        }
        self.links(of, &missing)
    }

    fn put(&mut self, place: usize, backup: u64) -> Result<()> {
        let over = self.displace(place, &self.extract.entries()[place])?;
        self.puts.push(Action::Put { place, backup, over });
        Ok(())
    }

    /// The name whose inode the others join, and that inode: the backup where an earlier restore has put it, else the
    /// inode of then.
    fn leader(&self, first: usize, names: &[usize]) -> Option<(usize, (u64, Time))> {
        let backup = self.extract.entries()[first].backup.as_ref().map(|backup| (backup.ino, backup.born));
        let right = names.iter().filter_map(|&place| {
            let live = self.live(place)?;
            matches!(live.holds, Holds::Right | Holds::Suspect).then(|| (place, inode_of(&live.meta)))
        });
        right.min_by_key(|(place, inode)| (Some(*inode) != backup, *place))
    }

    /// No name has the contents of then.
    fn anew(&mut self, first: usize, names: &[usize]) -> Result<()> {
        let entries = self.extract.entries();
        let Some((&place, rest)) = names.split_first() else { return Ok(()) };
        if let Some(backup) = &entries[first].backup {
            match self.survey.backups.get(&first) {
                Some(BackupState::Ready | BackupState::Copied) => self.put(place, backup.number)?,
                _ => {
                    self.give_up(first, names);
                    return Ok(());
                }
            }
        } else {
            let over = self.displace(place, &entries[place])?;
            self.puts.push(Action::Make { place, over });
        }
        self.links(place, rest)
    }

    fn links(&mut self, of: usize, places: &[usize]) -> Result<()> {
        for &place in places {
            let over = self.displace(place, &self.extract.entries()[place])?;
            self.puts.push(Action::Link { place, of, over });
        }
        Ok(())
    }

    /// Leaves everything as it is: what stands there may be all there is.
    fn give_up(&mut self, first: usize, names: &[usize]) {
        let entries = self.extract.entries();
        let written = self.survey.backups.get(&first) == Some(&BackupState::Written)
            || names.iter().any(|&place| self.live(place).is_some_and(|live| live.holds == Holds::Written));
        for &place in names {
            let path = &entries[place].path;
            if written { &mut self.in_place } else { &mut self.lost }.insert(path.clone());
            self.closed.insert(path.clone());
        }
        self.spared.insert(inode_of(&entries[first].meta));
        self.spared.extend(entries[first].backup.as_ref().map(|backup| (backup.ino, backup.born)));
    }
}
