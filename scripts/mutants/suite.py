"""The tests: what there is to run, at which level each stands, how long it takes and which functions it reaches."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from mutants import schema

# Fastest first. A test binary is named by its package and itself; the tests within a library are `PACKAGE/lib`.
LEVELS = {
    "unit": ["treewal/lib", "treewal-recovery/lib", "treewal-snapshot/lib", "treewal-vfs/lib", "treewal-journal/lib"],
    "api": [
        f"treewal/{name}"
        for name in "transaction operations levels checkpoints hand_over recovery changeset refusals limits follow "
        "format verify quarantine segments unsound unprivileged readers".split()
    ],
    "snapshot": ["treewal-snapshot/*", "treewal/snapshots"],
    "journal": ["treewal-journal/*"],
    "protocol": ["treewal/protocol"],
    "crash": ["treewal/crash"],
    "model": ["treewal/model", "treewal/machine"],
    "exhaustive": ["treewal/exhaustive"],
    "faults": ["treewal/faults", "treewal/outcomes"],
    "owed": ["treewal/owed"],
    "foreign": ["treewal/foreign", "treewal/planted", "treewal/foreign_writers"],
    "guards": ["treewal/guards"],
    "damage": ["treewal/damage"],
    "threads": ["treewal/threads"],
    "processes": ["treewal/processes", "treewal/worlds", "treewal/seeds", "treewal/crowd"],
    "kill": ["treewal/kill"],
    "program": ["treewal-cli/*"],
    "images": ["treewal/images", "treewal/mounted"],
}
# They look at the sources, which are not what they were, or at the clock.
LEFT_OUT = {"treewal/tidy", "treewal-journal/speed"}


def level_of(binary):
    for level, names in LEVELS.items():
        if binary in names:
            return level
    for level, names in LEVELS.items():
        if binary.split("/")[0] + "/*" in names:
            return level
    return None


class Test:
    def __init__(self, binary, program, cwd, name):
        self.binary, self.program, self.cwd, self.name = binary, program, cwd, name
        self.level = level_of(binary)
        self.seconds, self.reaches, self.passes = None, None, True

    def __str__(self):
        return f"{self.binary} {self.name}"

    def run(self, limit, **environment):
        """How it ends: `passed`, `failed` or `hangs`, and the seconds that it took."""
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as scratch:
            os.chmod(scratch, 0o755)  # tests that become another user go in there
            with open(os.path.join(scratch, "said"), "w+", encoding="utf-8", errors="replace") as said:
                child = subprocess.Popen(
                    ["nice", "-n", "5", self.program, "--exact", self.name, "--test-threads=1"],
                    cwd=self.cwd,
                    env={**os.environ, "TMPDIR": scratch, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    outcome = "passed" if child.wait(limit) == 0 else "failed"
                except subprocess.TimeoutExpired:
                    outcome = "hangs"
                try:
                    os.killpg(child.pid, signal.SIGKILL)  # also what it has left behind
                except ProcessLookupError:
                    pass
                child.wait()
                said.seek(0)
                self.said = said.read()
        return outcome, time.monotonic() - begun


def chosen(top, levels, binaries):
    """The test binaries of some levels, or some of them; all where nothing is said."""
    found = []
    for level, names in LEVELS.items():
        if not levels or level in levels:
            found += [one for name in names for one in (every_one(top, name) if name.endswith("/*") else [name])]
    return [name for name in found if name not in LEFT_OUT and (not binaries or name in binaries)]


def every_one(top, name):
    """The test binaries of a package."""
    package = name.removesuffix("/*")
    listed = sorted(os.listdir(os.path.join(top, package.removeprefix("treewal-"), "tests")))
    return [f"{package}/{entry.removesuffix('.rs')}" for entry in listed]


def arguments(binaries):
    """What cargo is told to build: all at once, so that each crate is built with the same features for all."""
    packages, targets = {}, {}
    for binary in binaries:
        package, name = binary.split("/")
        packages[package] = ["-p", package]
        targets[name] = ["--lib"] if name == "lib" else ["--test", name]
    return [part for parts in [*targets.values(), *packages.values()] for part in parts]


def build(tree, target, binaries):
    """Builds the test binaries, and gives programs by binary, or the places (text, path, line) where the compiler stopped."""
    command = ["nice", "-n", "5", "cargo", "test", "--no-run", "--message-format=json", *arguments(binaries)]
    done = subprocess.run(command, cwd=tree, env={**os.environ, "CARGO_TARGET_DIR": target}, capture_output=True)
    programs, errors = {}, []
    for line in done.stdout.decode().splitlines():
        said = json.loads(line)
        if said["reason"] == "compiler-message" and said["message"]["level"] == "error":
            for span in said["message"]["spans"]:
                if span["is_primary"]:
                    errors.append((said["message"]["message"], span["file_name"], span["line_start"]))
        elif said["reason"] == "compiler-artifact" and said["profile"]["test"] and said["executable"]:
            package = said["package_id"].split("#")[-1].split("@")[0] if "@" in said["package_id"] else None
            top = os.path.dirname(said["manifest_path"])
            package = package or os.path.basename(top)
            kind = "lib" if "lib" in said["target"]["kind"] else said["target"]["name"]
            if said["target"]["kind"] != ["example"]:
                programs[f"{package}/{kind}"] = (said["executable"], top)
    if done.returncode != 0 and not errors:
        raise SystemExit(done.stderr.decode()[-2000:])
    return programs, errors


def tests_of(programs):
    """Every test of these programs that stands at a level."""
    found = []
    for binary, (program, cwd) in sorted(programs.items()):
        if binary in LEFT_OUT or level_of(binary) is None:
            continue
        listed = subprocess.run([program, "--list", "--format", "terse"], cwd=cwd, stdout=subprocess.PIPE, check=True)
        names = [line[: -len(": test")] for line in listed.stdout.decode().splitlines() if line.endswith(": test")]
        found += [Test(binary, program, cwd, name) for name in names]
    return found


def measure(tests, functions, store, jobs, limit):
    """Runs each test as it is once: its time, and what it reaches. What was measured with the same sources is kept."""
    stamp = hashlib.sha256(json.dumps(functions).encode()).hexdigest()
    known = {}
    if os.path.exists(store):
        with open(store, encoding="utf-8") as file:
            stored = json.load(file)
        known = stored["tests"] if stored["stamp"] == stamp else {}

    def one(test):
        if str(test) in known and (known[str(test)][1] or known[str(test)][0] >= limit):
            test.seconds, test.passes, reaches = known[str(test)]
            test.reaches = set(reaches)
            test.passes &= test.seconds <= limit
            return
        with tempfile.NamedTemporaryFile(prefix="reach-") as reach:
            reach.write(bytes(schema.FUNCTIONS_MAX))
            reach.flush()
            os.chmod(reach.name, 0o666)  # tests that become another user write to it
            outcome, test.seconds = test.run(limit, MUTANT_REACH=reach.name)
            reach.seek(0)
            test.reaches = {at for at, byte in enumerate(reach.read()) if byte}
        test.passes = outcome == "passed"
        if outcome == "hangs":
            print(f"{test} takes longer than {limit:.0f} s, and is left out", flush=True)
            known[str(test)] = (limit, False, [])
            return
        if not test.passes:
            print(f"{test} fails as it is, and is left out\n{test.said[-600:]}", flush=True)
        known[str(test)] = (round(test.seconds, 3), test.passes, sorted(test.reaches))

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, tests))
    with open(store, "w", encoding="utf-8") as file:
        json.dump({"stamp": stamp, "tests": known}, file)
