#!/usr/bin/env python3
"""Breaks one line of the protocol at a time and says which levels of the tests notice.

Usage: scripts/mutants.py [--check] [--first] [--levels LEVEL,..] [--tests BINARY,..] [--budget SECONDS] [--jobs N]
                          [--longest SECONDS] [--save] [--table] [NAME ..]

All mutants are in one build of a copy of the tree, behind a switch that the environment of a process sets; see
mutants/schema.py. Then every test runs once as it is, which tells how long it takes and which functions it reaches, and for
each mutant only those that reach what is broken run again, the quickest first, level by level, each level until the first of
its tests fails. What noticed a mutant the last time (mutants/noticed.json) is asked first.

--first    ends a mutant at the first test that catches it, the quickest of all levels first
--levels   leaves the other levels out; --tests leaves the other test binaries out, and does not build them (`treewal/crash`)
--budget   seconds of tests for each mutant and level (with --first, for each mutant), as long as these take without it; what is left
           is not asked
--longest  leaves out tests that take longer as they are, 600 seconds where nothing is said
--save     writes what was noticed to mutants/noticed.json
--table    builds and runs nothing: prints what that file says, level by level, as Markdown
--check    builds and runs nothing: says whether every line to be broken is there, once

The copy, and what was measured, stay in $MUTANTS_DIR, else in `target/mutants`, so another run builds only what has changed.

A mutant that every level lets pass is a missing test: the exit status is the number of those.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
from mutants import patches, report, schema, suite

NOTICED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mutants", "noticed.json")


def options():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ["check", "first", "save", "table"]:
        args.add_argument("--" + flag, action="store_true")
    args.add_argument("--levels", type=lambda text: text.split(","))
    args.add_argument("--tests", type=lambda text: text.split(","))
    args.add_argument("--budget", type=float, default=float("inf"))
    args.add_argument("--longest", type=float, default=600)
    args.add_argument("--jobs", type=int, default=os.cpu_count())
    args.add_argument("names", nargs="*")
    return args.parse_args()


def built(top, tree, binaries):
    """Builds the copy with all mutants that compile: what was written, programs by binary, and the mutants that do not."""
    broken = {}
    while True:
        written = schema.write(top, patches.MUTANTS, broken)
        schema.copy(top, tree, written.texts)
        programs, errors = suite.build(tree, os.environ.get("CARGO_TARGET_DIR") or os.path.join(top, "target"), binaries)
        if not errors:
            return written, programs, broken
        found = {}
        for text, path, line in errors:
            name = next((name for at, first, last, name in written.lines if at == path and first <= line <= last), None)
            if name is None:
                sys.exit(f"the copy does not compile: {path}:{line}: {text}")
            found[name] = text
        broken.update(found)


def outcome_of(test, mutant):
    """What a test makes of a mutant. It must notice twice: on a busy machine a test may fail once that has noticed nothing."""
    outcome = "failed"
    for _ in range(2):
        if outcome != "passed":
            outcome, _ = test.run(30 + 8 * test.seconds, MUTANT=str(schema.number_of(mutant)))
    return outcome


def as_told(test, outcome):
    return str(test) + (" (hangs)" if outcome == "hangs" else "")


def ask(mutant, tests, before, asked):
    """What each level makes of one mutant: the test that noticed, by level."""
    caught, left = {}, []
    for level in suite.LEVELS:
        hint = before.get(mutant[0], {}).get(level, "").removesuffix(" (hangs)")
        mine = [test for test in tests if test.level == level]
        mine.sort(key=lambda test: (str(test) != hint, test.seconds))
        spent = 0.0
        for test in mine:
            spent += test.seconds
            if spent > asked.budget and str(test) != hint:
                left.append(level)
                break
            outcome = outcome_of(test, mutant)
            if outcome != "passed":
                caught[level] = as_told(test, outcome)
                break
    told = "; ".join(f"{level} ({test})" for level, test in caught.items())
    told = told or ("SURVIVES" if tests else "SURVIVES: no test reaches it")
    unasked = f"; not all of {', '.join(left)}" if left else ""
    print(f"{mutant[0]}: {told}{unasked}", flush=True)
    return caught


def ask_for_one(mutant, tests, asked):
    """The first test that notices one mutant, the quickest of all levels first."""
    spent, left = 0.0, 0
    for at, test in enumerate(sorted(tests, key=lambda test: test.seconds)):
        spent += test.seconds
        if spent > asked.budget:
            left = len(tests) - at
            break
        outcome = outcome_of(test, mutant)
        if outcome != "passed":
            by = {test.level: as_told(test, outcome)}
            print(f"{mutant[0]}: {test.level} ({by[test.level]})", flush=True)
            return by
    told = f"; {left} of {len(tests)} tests were not asked" if left else ""
    print(f"{mutant[0]}: SURVIVES{told if tests else ': no test reaches it'}", flush=True)
    return {}


def noticed():
    if not os.path.exists(NOTICED):
        return {}
    with open(NOTICED, encoding="utf-8") as file:
        return json.load(file)


def ask_what_noticed(mutant, tests, before, asked):
    """With --first, the tests that noticed the last time are asked before all others."""
    by_name = {str(test): test for test in tests}
    for level, name in before.get(mutant[0], {}).items() if asked.first else ():
        test = by_name.get(name.removesuffix(" (hangs)"))
        if test and outcome_of(test, mutant) != "passed":
            print(f"{mutant[0]}: {level} ({name})", flush=True)
            return {level: name}
    return ask_for_one(mutant, tests, asked) if asked.first else ask(mutant, tests, before, asked)


def main():
    asked = options()
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True).stdout.strip()
    if asked.table:
        return report.table(noticed(), [name for name, *_ in patches.MUTANTS], list(suite.LEVELS))
    stale = patches.stale(top)
    if not stale:
        stale = [(name, "it lies outside of every function") for name in schema.write(top, patches.MUTANTS).outside]
    for name, why in stale:
        print(f"{name}: {why}")
    if asked.check or stale:
        return len(stale)
    where = os.environ.get("MUTANTS_DIR") or os.path.join(top, "target", "mutants")
    binaries = suite.chosen(top, asked.levels, asked.tests)
    begun = time.monotonic()
    written, programs, broken = built(top, os.path.join(where, "tree"), binaries)
    tests = suite.tests_of(programs)
    print(f"built in {time.monotonic() - begun:.0f} s, with {len(tests)} tests", flush=True)
    suite.measure(tests, written.functions, os.path.join(where, "measured.json"), asked.jobs, asked.longest)
    print(f"measured: {sum(test.seconds for test in tests):.0f} s of tests", flush=True)
    known, chosen = noticed(), []
    for mutant in patches.MUTANTS:
        if not asked.names or mutant[0] in asked.names:
            reached = [test for test in tests if test.passes and written.within[mutant[0]] in test.reaches]
            chosen.append((mutant, [] if mutant[0] in broken else reached))
    for name, text in broken.items():
        print(f"{name}: does not compile: {text}")
    caught = {}
    with ThreadPoolExecutor(asked.jobs) as pool:
        verdicts = pool.map(lambda one: ask_what_noticed(*one, known, asked), chosen)
        for (mutant, _), by in zip(chosen, verdicts):
            caught[mutant[0]] = by
            if asked.save:
                report.save(NOTICED, known, caught, [name for name, *_ in patches.MUTANTS])
    survivors = [name for name, by in caught.items() if not by]
    report.levels(caught, list(suite.LEVELS), alone=not asked.first)
    print(f"{len(survivors)} of {len(chosen)} survive: {', '.join(survivors) or 'none'}; {time.monotonic() - begun:.0f} s")
    return len(survivors)


if __name__ == "__main__":
    sys.exit(min(main() or 0, 100))
