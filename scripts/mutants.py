#!/usr/bin/env python3
"""Breaks one line of the protocol at a time and says which levels of the tests notice.

Usage: scripts/mutants.py [--check] [--levels LEVEL,..] [NAME ..]

Works in a copy of the tree, in $MUTANTS_DIR or a temporary directory. Each mutant meets every level, the fastest first, so
that a table says which catch it; --first ends a mutant at the first that does. --levels leaves the others out. --check
builds nothing and runs nothing: it says whether every line to be broken is there, once.

A mutant that every level lets pass is a missing test: the exit status is the number of those.
"""

import argparse
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
    ("recovery-checkpoint-unsynced", "recovery/src/recover.rs", '        self.home.disk.sync_all(&self.home.root).map_err(Error::io("sync", "."))?;\n        let mut records', "        let mut records"),
    ("owed-forgotten", "recovery/src/recover.rs", "records.extend(self.owed.iter().flat_map(Owed::records).cloned());", ""),
    ("torn-is-wanted", "recovery/src/redo/survey.rs", "Ok(torn.then_some(Seen::Torn(*meta)))", "Ok(torn.then_some(Seen::Wanted(*meta)))"),
    ("torn-is-foreign", "recovery/src/redo/survey.rs", "Ok(torn.then_some(Seen::Torn(*meta)))", "let _unused = torn; Ok(None)"),
    ("no-composing-beneath", "recovery/src/redo/compose.rs", "drop_beneath(&mut wishes, &wish.path, part.txn);", ""),
    ("composing-forgets-known", "recovery/src/redo/compose.rs", "    known.extend(later.known);\n", ""),
    ("foreign-overwritten", "recovery/src/redo/mod.rs", 'Seen::Foreign(_) => return self.supersede(wish, "somebody changed the path since"),', "Seen::Foreign(_) => None,"),
    ("attempts-uncounted", "recovery/src/recover.rs", "if attempts.is_empty() { Ok(()) } else { self.append(&attempts) }", "Ok(())"),
    ("never-give-up", "recovery/src/decide.rs", 'Facts { tries: Tries::Spent, .. } => ("undo-exhausted", Verdict::GiveUp),', ""),
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
    ("guesses-not-kept", "recovery/src/redo/mod.rs", "    redo.keep_guesses(home, kept_first)?;\n", ""),
    ("copies-not-noticed", "recovery/src/home/identity.rs", "Ok(differs(said(2, IN), &written_in(home)?) || differs(said(3, OF), &written_of(home)?))", "Ok(false)"),
    ("copies-for-ever", "recovery/src/recover.rs", "if copied && recovery.owed.is_empty() {", "if false {"),
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
    ("beside-forgets-owed", "src/engine/helper.rs", "owed.iter().flat_map(Owed::records)", "owed.iter().take(0).flat_map(Owed::records)"),
    ("owed-open-to-all", "src/engine/pending.rs", "for owed in &self.owed {", "for owed in self.owed.iter().take(0) {"),
    ("displaced-unseen", "recovery/src/redo/unseen.rs", "in self.stages.tops() {", "in self.stages.tops().into_iter().take(0) {"),
    ("older-is-foreign", "recovery/src/redo/older.rs", "if is_ours || !is_older ||", "if is_ours || is_older || !is_older ||"),
    ("kept-first-unsynced", "recovery/src/kept_first.rs", "    home.disk.sync_all(&home.root).map_err(Error::io(\"sync\", \".\"))?;\n", ""),
    ("queue-jumping", "recovery/src/home/lock.rs", "if !try_until(home, &self.queue, Lock::Exclusive, begun, wait, LONGEST_PAUSE)? {", "if false {"),
    ("guard-unsynced", "src/guard/mod.rs", "        hold.sync(lsn)?;\n        Ok((", "        Ok(("),
    ("guard-commit-unsynced", "src/guard/mod.rs", "self.engine.sync_guarded(&self.held, &self.report)?;", ""),
    ("guard-without-checkpoint", "src/guard/mod.rs", "if hold.is_unsettled() {", "if false {"),
    ("snapshot-unsynced", "snapshot/src/take.rs", "disk.sync_all(into)", "Ok::<(), std::io::Error>(())"),
    ("resume-unsynced", "journal/src/write/resume.rs", "        self.sync(&file, last)?;\n        self.sync_dir()?;\n", ""),
    ("reserve-unsynced", "journal/src/write/make.rs", "        disk.sync_file(&file).fatal(\"sync\", spare)?;\n", ""),
    ("barriers-among-others", "src/commit/materialize.rs", "self.material.is_barrier |=", "self.material.is_barrier &="),
    ("emptied-unchecked", "src/commit/check.rs", "emptied.iter().try_for_each(|dir| holds_no_more(ground, &Place::of(&dir.path), dir))", "let _unused = emptied; Ok(())"),
    ("emptied-unproved", "src/commit/apply.rs", "check::holds_no_more(ground, &place_after(&self.steps, Place::of(&dir.path)), dir)?;", "let _unused = place_after(&self.steps, Place::of(&dir.path));"),
    ("emptied-takes-theirs", "recovery/src/redo/emptied.rs", "let is_emptied = self.may_go_empty(wish, (spot, &found.identity()), all)?;", "let is_emptied = true; let _unused = all;"),
    ("replaced-must-be-empty", "recovery/src/redo/emptied.rs", "Some(since) if !is_last =>", "Some(since) if false && !is_last =>"),
    ("newer-work-goes-along", "recovery/src/redo/emptied.rs", "if is_newer && !renamed {", "if false && is_newer && !renamed {"),
    ("composing-beneath-emptied", "recovery/src/redo/compose.rs", "Goal::Kept | Goal::Emptied) {\n                drop", "Goal::Kept) {\n                drop"),
    # Not here, because nothing can notice it: the syncs of a new `.treewal` and of its identity. The model makes the name
    # of a new directory durable with the first sync inside it, and the identity stands in the journal as well.
]

# Fastest first. A level is caught by whichever of its tests fails first.
LEVELS = [
    ("unit", [["-p", "treewal-recovery", "--lib"], ["-p", "treewal", "--lib"]]),
    ("api", [["-p", "treewal", "--test", name] for name in ["transaction", "operations", "levels", "checkpoints", "hand_over", "recovery"]]),
    ("protocol", [["-p", "treewal", "--test", "protocol"]]),
    ("crash", [["-p", "treewal", "--test", "crash"]]),
    ("model", [["-p", "treewal", "--test", "model"]]),
    ("faults", [["-p", "treewal", "--test", "faults"], ["-p", "treewal", "--test", "outcomes"]]),
    ("foreign", [["-p", "treewal", "--test", "foreign"]]),
    ("guards", [["-p", "treewal", "--test", "guards"]]),
    ("threads", [["-p", "treewal", "--test", "threads"]]),
    ("processes", [["-p", "treewal", "--test", "processes"]]),
    ("snapshot", [["-p", "treewal-snapshot"], ["-p", "treewal", "--test", "snapshots"]]),
    ("journal", [["-p", "treewal-journal"]]),
    ("kill", [["-p", "treewal", "--test", "kill"]]),
    ("calls", [["-p", "treewal-cli", "--test", "calls"]]),
    ("images", [["-p", "treewal", "--test", "images"]]),
]


def run(tree, args):
    command = ["cargo", "test", "-q", *args]
    done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("test ") and "FAILED" in line]
    failed += [line.strip() for line in done.stdout.splitlines() if line.startswith("    ") and "::" in line and not failed]
    if "could not compile" in done.stdout:
        return "does not compile", next((line for line in done.stdout.splitlines() if line.startswith("error")), "")
    return ("passed", "") if done.returncode == 0 else ("failed", ", ".join(failed[:2]) or done.stdout[-300:])


def is_there(tree, args):
    """Whether a test that is named is one of this tree."""
    if "--test" not in args:
        return True
    package = {"treewal": "", "treewal-cli": "cli"}[args[1]]
    path = os.path.join(tree, package, "tests", args[-1])
    return os.path.exists(path + ".rs") or os.path.isdir(path)


def level_of(tree, tests):
    """What a level makes of a tree: `None` where all of it passes, else what noticed."""
    for args in tests:
        try:
            outcome, detail = run(tree, args)
        except subprocess.TimeoutExpired:
            outcome, detail = "hangs", ""
        if outcome != "passed":
            return outcome, f"{args[-1]}: {detail}"
    return None


def stale(tree):
    """The mutants whose line is not there, or not once."""
    found = []
    for name, path, old, _ in MUTANTS:
        with open(os.path.join(tree, path), encoding="utf-8") as source:
            count = source.read().count(old)
        if count != 1:
            print(f"{name}: its line is {count} times in {path}")
            found.append(name)
    return found


def options():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--check", action="store_true")
    args.add_argument("--first", action="store_true")
    args.add_argument("--levels", type=lambda text: text.split(","))
    args.add_argument("names", nargs="*")
    return args.parse_args()


def try_one(tree, mutant, levels, first):
    """What each level makes of one mutant, by name; one that does not compile is said to be so and counts as a survivor."""
    name, path, old, new = mutant
    file = os.path.join(tree, path)
    with open(file, encoding="utf-8") as source:
        whole = source.read()
    with open(file, "w", encoding="utf-8") as source:
        source.write(whole.replace(old, new, 1))
    caught = {}
    try:
        for level, tests in levels:
            verdict = level_of(tree, tests)
            if verdict is None:
                continue
            outcome, detail = verdict
            if outcome == "does not compile":
                print(f"{name}: does not compile: {detail}", flush=True)
                return {}
            caught[level] = detail
            if first:
                break
    finally:
        with open(file, "w", encoding="utf-8") as source:
            source.write(whole)
    told = "; ".join(f"{level} ({detail})" for level, detail in caught.items())
    print(f"{name}: {told or 'SURVIVES'}", flush=True)
    return caught


def main():
    asked = options()
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True).stdout.strip()
    if asked.check:
        sys.exit(min(len(stale(top)), 100))
    where = os.environ.get("MUTANTS_DIR") or tempfile.mkdtemp(prefix="mutants-")
    tree = os.path.join(where, "tree")
    if not os.path.isdir(tree):
        subprocess.run(["git", "clone", "-q", top, tree], check=True)
    levels = [(level, [args for args in tests if is_there(tree, args)]) for level, tests in LEVELS]
    levels = [(level, tests) for level, tests in levels if tests and (not asked.levels or level in asked.levels)]
    for level, tests in levels:
        verdict = level_of(tree, tests)
        if verdict is not None:
            sys.exit(f"the unchanged tree {verdict[0]} in {level}: {verdict[1]}")
    missing = stale(tree)
    chosen = [mutant for mutant in MUTANTS if mutant[0] not in missing and (not asked.names or mutant[0] in asked.names)]
    caught = {mutant[0]: try_one(tree, mutant, levels, asked.first) for mutant in chosen}
    if not os.environ.get("MUTANTS_DIR"):
        shutil.rmtree(where, ignore_errors=True)
    for level, _ in levels:
        names = [name for name, by in caught.items() if level in by]
        alone = [name for name in names if len(caught[name]) == 1]
        print(f"{level}: catches {len(names)} of {len(caught)}" + (f", alone {', '.join(alone)}" if alone and not asked.first else ""))
    survivors = missing + [name for name, by in caught.items() if not by]
    print(f"{len(survivors)} survive: {', '.join(survivors) or 'none'}")
    sys.exit(min(len(survivors), 100))


if __name__ == "__main__":
    main()
