#!/usr/bin/env python3
"""Breaks one line of the protocol at a time and says which tests notice.

Usage: scripts/mutants.py [NAME ..]      works in a copy of the tree, in $MUTANTS_DIR or a temporary directory

A mutant that every test lets pass is a missing test: the exit status is the number of those.
"""

import os
import shutil
import subprocess
import sys
import tempfile

# name, file, what stands there, what stands there instead
MUTANTS = [
    ("promise-unsynced", "src/commit/flight.rs", "        hold.sync(lsn)?;\n", "        let _unused = lsn;\n"),
    ("checkpoint-unsynced", "src/engine/checkpoint.rs", "let synced = self.sync_tree(paths);", "let synced: Result<()> = Ok(()); let _unused = paths;"),
    ("entries-file-unsynced", "src/engine/sync.rs", "Ok(file) => self.home.disk.sync_file(&file).map_err(Error::io(\"sync\", path))?,", "Ok(file) => drop(file),"),
    ("entries-directories-unsynced", "src/engine/sync.rs", "Ok(dir) => self.home.disk.sync_dir(&dir).map_err(Error::io(\"sync\", path))?,", "Ok(dir) => drop(dir),"),
    ("entries-one-left-out", "src/engine/touched.rs", ".flat_map(|(_, claim)| claim.changes())", ".flat_map(|(_, claim)| claim.changes().iter().skip(1))"),
    ("entries-one-commit-left-out", "src/engine/touched.rs", "filter(|(lsn, _)| *lsn <= upto).flat_map(", "filter(|(lsn, _)| *lsn <= upto).skip(1).flat_map("),
    ("entries-without-those-above", "src/engine/touched.rs", "paths.extend(path.ancestors());", "paths.extend(path.parent());"),
    ("moves-by-entries", "src/commit/flight.rs", "if self.barrier { Changed::Anything }", "if false { Changed::Anything }"),
    ("deferred-over-durable", "src/commit/flight.rs", "if !hold.replaces_durable(&self.claim)? {", "if true {"),
    ("deferred-over-what-is-beneath", "src/engine/touched.rs", "beneath(path).any(|(_, oldest)| *oldest <= durable)", "self.index.get(path).is_some_and(|oldest| *oldest <= durable)"),
    ("deferred-over-a-sync-under-way", "src/engine/hold.rs", "self.log_of_promise()?.settling()", "self.log_of_promise()?.durable()"),
    ("deferred-unflushed", "src/commit/flight.rs", "            hold.flush()?;\n", ""),
    ("deferred-moves-unsynced", "src/commit/flight.rs", "if self.durability == Durability::Deferred && !self.barrier {", "if self.durability == Durability::Deferred {"),
    ("appended-is-unchanged", "src/engine/hold.rs", "self.log().map_err(|error| Error::Undecided { source: Box::new(error) })", "self.log()"),
    ("large-unsynced", "src/commit/materialize.rs", "if self.large.is_empty() && !self.nested && !all && !self.imaged {", "if !self.nested && !all && !self.imaged {"),
    ("stage-name-unsynced", "src/commit/materialize.rs", "        self.stage.sync_names().map_err(io)", "        Ok(())"),
    ("tree-contents-unsynced", "src/commit/materialize.rs", "let all = durability == Durability::Tree && !self.material.slots.is_empty();", "let all = false; let _unused = durability;"),
    ("tree-names-unsynced", "src/commit/flight.rs", "if self.durability == Durability::Tree {", "if false {"),
    ("no-check", "src/commit/flight.rs", "check::priors(&mut self.ground, self.claim.changes(), all(&self.intents))?;", ""),
    ("no-proof", "recovery/src/plan/ground.rs", "if found.is_some_and(|meta| meta.identity() == *expected) {", "if found.is_some() || found.is_none() {"),
    ("no-undo", "src/commit/apply.rs", "for step in self.steps[..self.taken[1]].iter().rev() {", "for step in self.steps[..0].iter().rev() {"),
    ("undo-forwards", "src/commit/apply.rs", "for step in self.steps[..self.taken[1]].iter().rev() {", "for step in self.steps[..self.taken[1]].iter() {"),
    ("no-checkpoint-before-barrier", "src/commit/flight.rs", "} else if hold.is_unsettled() {", "} else if false {"),
    ("no-checkpoint-after-barrier", "src/commit/flight.rs", "        if self.barrier {\n            hold.checkpoint_alone()", "        if false {\n            hold.checkpoint_alone()"),
    ("move-replaces", "recovery/src/plan/ground.rs", "self.rename(from, to, Rename::NoReplace)?;", "self.rename(from, to, Rename::Replace)?;"),
    ("no-filling-first", "recovery/src/plan/mod.rs", "while self.must_fill_first(&source, wanted) &&", "while false && self.must_fill_first(&source, wanted) &&"),
    ("displaced-directories-unsearched", "recovery/src/redo/scene.rs", "moves.entry(base.clone()).or_insert((*identity, &wish.path));", ""),
    ("parked-not-kept", "recovery/src/redo/carry.rs", "place.cloned().map(Contents::Staged).or(lost.contents.take());", "place.and(None).or(lost.contents.take());"),
    ("recovery-makes-unsynced", "recovery/src/redo/carry.rs", "if self.made_again {", "if false {"),
    ("recovery-checkpoint-unsynced", "recovery/src/recover.rs", 'self.home.disk.sync_all(&self.home.root).map_err(Error::io("sync", "."))?;', ""),
    ("torn-is-wanted", "recovery/src/redo/survey.rs", "Ok(torn.then_some(Seen::Torn(*meta)))", "Ok(torn.then_some(Seen::Wanted(*meta)))"),
    ("torn-is-foreign", "recovery/src/redo/survey.rs", "Ok(torn.then_some(Seen::Torn(*meta)))", "let _unused = torn; Ok(None)"),
    ("no-composing-beneath", "recovery/src/redo/compose.rs", "drop_beneath(&mut wishes, &wish.path, part.txn);", ""),
    ("composing-forgets-known", "recovery/src/redo/compose.rs", "    known.extend(later.known);\n", ""),
    ("foreign-overwritten", "recovery/src/redo/mod.rs", 'Seen::Foreign(_) => return self.supersede(wish, "somebody changed the path since"),', "Seen::Foreign(_) => None,"),
    ("attempts-uncounted", "recovery/src/recover.rs", "            self.count_attempts(&owed)?;\n", ""),
    ("never-give-up", "recovery/src/decide.rs", 'Facts { exhausted: true, .. } => ("undo-exhausted", Verdict::GiveUp),', ""),
    ("sweep-before-owner", "recovery/src/home/stage.rs", 'Ok(home.disk.try_lock(&lock, Lock::Exclusive).map_err(io("lock"))?.then_some(Some(lock)))', "Ok(Some(Some(lock)))"),
    ("no-rereading", "src/engine/hand_over.rs", "Taken::Changed => false,", "Taken::Changed => true,"),
    ("left-in-order-at-work", "recovery/src/home/lock.rs", 'write_all(&*home.disk, &self.file, &held, 0).map_err(Error::io("write", ".treewal/lock"))?;', 'if Sign::decode(&said, now).left.is_none() { write_all(&*home.disk, &self.file, &held, 0).map_err(Error::io("write", ".treewal/lock"))?; }'),
    ("left-in-order-by-a-panic", "src/engine/hold.rs", "if self.owes {", "if false {"),
    ("not-taken-over", "src/engine/hand_over.rs", "state.unsettled.max(unsettled)", "state.unsettled"),
    ("bytes-not-taken-over", "src/engine/hand_over.rs", "log.bytes().saturating_sub(left.bytes);", "log.bytes();"),
    ("image-unsynced", "src/commit/rewrites.rs", ".and_then(|_| disk.sync_file(&image))", ".map(drop)"),
    ("image-name-unsynced", "src/commit/materialize.rs", "&& !all && !self.imaged {", "&& !all {"),
    ("rewriting-alone-no-more", "src/commit/rewrites.rs", "        self.material.is_barrier = true;\n", ""),
    ("rewriting-not-undone", "src/commit/apply.rs", "        self.rewrites.iter().rev().try_for_each(|rewrite| rewrite.undo(ground))?;\n", ""),
    ("rewriting-over-others", "src/commit/rewrites.rs", "if found != self.prior {", "if false && found != self.prior {"),
    ("rewritten-unsynced", "recovery/src/rewrite.rs", "    disk.sync_file(&file)\n}", "    Ok(())\n}"),
    ("torn-rewrite-is-anything", "recovery/src/rewrite.rs", "                return Ok(Form::Other);\n            }\n            is_old", "                is_old = false;\n            }\n            is_old"),
    ("rewrite-not-redone", "recovery/src/redo/carry.rs", "self.rewrite_all()?", "0"),
    ("guesses-not-kept", "recovery/src/redo/mod.rs", "    redo.keep_guesses(home)?;\n", ""),
    ("copies-not-noticed", "recovery/src/home/identity.rs", "Ok(line != written_in(home)?)", "Ok(false)"),
    ("copies-for-ever", "recovery/src/recover.rs", "if copied && recovery.pending.is_empty() {", "if false {"),
    ("own-name-as-written", "src/path.rs", "is_some_and(home::is_own_name)", "is_some_and(|name| name == home::DIR_NAME)"),
    ("forked-guards", "src/engine/hold.rs", "    pub(crate) fn hold_beside_guards(&self) -> Result<Hold<'_>> {\n        // Before the lock of the state, which the other process may have held as it was forked.\n        self.prove_own_process()?;", "    pub(crate) fn hold_beside_guards(&self) -> Result<Hold<'_>> {"),
    ("closed-and-full-opened", "src/commit/permits.rs", "filter(|dir| dir.held.is_empty())", "filter(|_| true)"),
    ("age-not-taken-over", "src/engine/hand_over.rs", "before(Instant::now(), age)", "Instant::now()"),
    ("clock-not-taken-over", "src/engine/hand_over.rs", "            self.wanted.notify_one();\n", ""),
    ("garbage-before-a-checkpoint", "src/engine/hand_over.rs", "if state.unsettled <= Some(state.settled) {", "if true {"),
    ("garbage-kept-for-ever", "src/engine/hand_over.rs", "if state.unsettled <= Some(state.settled) {", "if false {"),
    ("killed-stages-kept", "src/engine/checkpoint.rs", "if (state.shared || state.closing) && state.guards.is_empty() {", "if false {"),
    ("living-guards-swept", "src/engine/checkpoint.rs", "if (state.shared || state.closing) && state.guards.is_empty() {", "if state.shared || state.closing {"),
    ("last-look-left-out", "src/engine/checkpoint.rs", "(true, false) => self.tidy(),", "(true, false) => {}"),
    ("rejoin-anywhere", "journal/src/write/rejoin.rs", "if end != (LogEnd { last: cursor.expected.before(), crc: cursor.chain }) {", "if false {"),
    ("rejoin-in-doubt", "journal/src/write/rejoin.rs", "Name::Doubt => return Ok(None),", "Name::Doubt => {}"),
    ("rejoin-not-at-rest", "journal/src/write/rejoin.rs", "let is_at_rest = tail.buffer.is_empty() && !tail.sealed && tail.last == durable;", "let is_at_rest = true; let _unused = durable;"),
    ("claims-never-meet", "src/engine/hold.rs", "|| self.seats.iter().any(|(_, other)| other.meets(claim))", ""),
    ("alone-among-others", "src/engine/hold.rs", "self.alone || self.beside || !self.seats.is_empty()", "self.alone || self.beside"),
    ("commits-before-checkpoint", "src/engine/hold.rs", "            || self.waiting_alone > 0\n", ""),
    ("rollback-forgets-others", "src/engine/hold.rs", "let lsn = self.append(&[Record::Rollback { txn }])?;", "let upto = self.log()?.last().0 + 1; let lsn = self.append(&[Record::Rollback { txn }, Record::Checkpoint { upto }])?;"),
    ("beside-covers-all", "src/engine/helper.rs", "if state.seats.is_empty() { log.last() } else { state.batch_floor }", "log.last()"),
    ("beside-unsynced", "src/engine/helper.rs", "self.sync_tree(paths.as_ref()).and_then(", "Ok::<(), Error>(drop(paths)).and_then("),
    ("queue-jumping", "recovery/src/home/lock.rs", "if !try_until(home, &self.queue, begun, wait, LONGEST_PAUSE)? {", "if false {"),
    ("guard-unsynced", "src/guard/mod.rs", "        hold.sync(lsn)?;\n        Ok((", "        Ok(("),
    ("guard-commit-unsynced", "src/guard/mod.rs", "self.engine.sync_guarded(&self.held, &self.report)?;", ""),
    ("guard-without-checkpoint", "src/guard/mod.rs", "if hold.is_unsettled() {", "if false {"),
    ("snapshot-unsynced", "snapshot/src/take.rs", "disk.sync_all(into)", "Ok::<(), std::io::Error>(())"),
    ("resume-unsynced", "journal/src/write/resume.rs", "        self.sync(&file, last)?;\n        self.sync_dir()?;\n", ""),
    ("reserve-unsynced", "journal/src/write/make.rs", "        disk.sync_file(&file).fatal(\"sync\", spare)?;\n", ""),
    ("barriers-among-others", "src/commit/materialize.rs", "self.material.is_barrier |=", "self.material.is_barrier &="),
    ("emptied-unchecked", "src/commit/check.rs", "emptied.iter().try_for_each(|dir| holds_no_more(ground, &Place::of(&dir.path), dir))", "let _unused = emptied; Ok(())"),
    ("emptied-unproved", "src/commit/apply.rs", "check::holds_no_more(ground, &place_after(&self.steps, Place::of(&dir.path)), dir)?;", "let _unused = place_after(&self.steps, Place::of(&dir.path));"),
    ("emptied-takes-theirs", "recovery/src/redo/mod.rs", "let is_emptied = self.is_emptied(wish, Some(spot), all)?;", "let is_emptied = true; let _unused = all;"),
    ("newer-work-goes-along", "recovery/src/redo/emptied.rs", "if is_newer && !renamed {", "if false && is_newer && !renamed {"),
    ("composing-beneath-emptied", "recovery/src/redo/compose.rs", "Goal::Kept | Goal::Emptied) {\n                drop", "Goal::Kept) {\n                drop"),
    # Not here, because nothing can notice it: the syncs of a new `.treewal` and of its identity. The model makes the name
    # of a new directory durable with the first sync inside it, and the identity stands in the journal as well.
]

# Fastest first; the first that fails ends a mutant.
TESTS = [
    ["-p", "treewal-recovery", "--lib"],
    ["-p", "treewal", "--test", "transaction"],
    ["-p", "treewal", "--test", "operations"],
    ["-p", "treewal", "--test", "threads"],
    ["-p", "treewal", "--test", "hand_over"],
    ["-p", "treewal", "--test", "checkpoints"],
    ["-p", "treewal", "--test", "processes"],
    ["-p", "treewal", "--test", "levels"],
    ["-p", "treewal", "--test", "outcomes"],
    ["-p", "treewal", "--test", "crash"],
    ["-p", "treewal", "--test", "model"],
    ["-p", "treewal", "--test", "faults"],
    ["-p", "treewal", "--test", "foreign"],
    ["-p", "treewal", "--test", "recovery"],
    ["-p", "treewal-snapshot"],
    ["-p", "treewal-journal"],
    ["-p", "treewal", "--test", "kill"],
]


def run(tree, args):
    command = ["cargo", "test", "-q", *args]
    done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("test ") and "FAILED" in line]
    failed += [line.strip() for line in done.stdout.splitlines() if line.startswith("    ") and "::" in line and not failed]
    if "could not compile" in done.stdout:
        return "does not compile", next((line for line in done.stdout.splitlines() if line.startswith("error")), "")
    return ("passed", "") if done.returncode == 0 else ("failed", ", ".join(failed[:2]) or done.stdout[-300:])


def main():
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True).stdout.strip()
    where = os.environ.get("MUTANTS_DIR") or tempfile.mkdtemp(prefix="mutants-")
    tree = os.path.join(where, "tree")
    if not os.path.isdir(tree):
        subprocess.run(["git", "clone", "-q", top, tree], check=True)
    tests = [args for args in TESTS if "--test" not in args or os.path.exists(os.path.join(tree, "tests", args[-1] + ".rs")) or os.path.isdir(os.path.join(tree, "tests", args[-1]))]
    for args in tests:
        outcome, detail = run(tree, args)
        if outcome != "passed":
            sys.exit(f"the unchanged tree {outcome} in {' '.join(args)}: {detail}")
    survivors = []
    for name, path, old, new in MUTANTS:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        file = os.path.join(tree, path)
        with open(file, encoding="utf-8") as source:
            whole = source.read()
        if old not in whole:
            print(f"{name}: STALE, its line is not in {path}", flush=True)
            survivors.append(name)
            continue
        with open(file, "w", encoding="utf-8") as source:
            source.write(whole.replace(old, new, 1))
        try:
            verdict = "SURVIVES"
            for args in tests:
                outcome, detail = run(tree, args)
                if outcome != "passed":
                    verdict = f"{outcome} in {' '.join(args)}: {detail}"
                    break
        except subprocess.TimeoutExpired:
            verdict = "caught: the tests hang"
        finally:
            with open(file, "w", encoding="utf-8") as source:
                source.write(whole)
        if verdict == "SURVIVES" or "does not compile" in verdict:
            survivors.append(name)
        print(f"{name}: {verdict}", flush=True)
    if not os.environ.get("MUTANTS_DIR"):
        shutil.rmtree(where, ignore_errors=True)
    print(f"{len(survivors)} survive: {', '.join(survivors) or 'none'}")
    sys.exit(min(len(survivors), 100))


if __name__ == "__main__":
    main()
