"""All mutants in one build: each function that is to be broken has a body for each of its mutants, chosen as it runs.

The environment of a process says which mutant it is (`MUTANT`, a number that comes from its name), so one build serves all,
and each costs only its tests. Nothing of this is in the project: the copy alone gets `vfs/src/mutants.rs`, and in each function

    fn sync(&self) -> Result<()> {
        treewal_vfs::mutants::hit(17);
        if treewal_vfs::mutants::on(3) {
            .. the body with mutant 3 in it
        } else {
            .. the body as it is
        }
    }

`hit` notes in a file, where `MUTANT_REACH` names one, that the function was reached: a test that never reaches it cannot
notice what is broken there. Functions are found by how rustfmt puts them, no parser is needed. What lies outside of a
function, or in one that is `const` or gives an `impl Trait`, cannot be chosen as it runs: no mutant can lie there.
"""

import os
import re
import subprocess
import zlib

# What others depend on comes first: its functions keep their numbers when others get more, and it is not built anew.
CRATES = {"vfs": "crate", "journal": "treewal_vfs", "snapshot": "treewal_vfs", "recovery": "treewal_vfs", "": "treewal_vfs"}
FUNCTIONS_MAX = 1 << 16
OURS = ["treewal", "treewal-vfs", "treewal-journal", "treewal-snapshot", "treewal-recovery", "treewal-cli"]
FN = re.compile(r"^( *)(?:pub(?:\([^)]*\))? )?(?:unsafe )?fn \w")

SWITCH = """//! Which mutant this process is, and which functions it reaches.
#![allow(missing_docs, unsafe_code, unreachable_pub)]
use std::sync::OnceLock;
use std::{env, ffi::c_void, fs::OpenOptions, os::fd::AsRawFd};

unsafe extern "C" {
    fn mmap(at: *mut c_void, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> *mut c_void;
}

static STATE: OnceLock<(usize, usize)> = OnceLock::new();

/// Memory that is shared with the file: no call is made when a function is reached, or who counts calls would count it.
fn begin() -> (usize, usize) {
    let number = env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let Some(name) = env::var_os("MUTANT_REACH") else { return (number, 0) };
    let Ok(file) = OpenOptions::new().read(true).write(true).open(name) else { return (number, 0) };
    let at = unsafe { mmap(std::ptr::null_mut(), FUNCTIONS, 3, 1, file.as_raw_fd(), 0) };
    (number, if at as isize == -1 { 0 } else { at as usize })
}

#[inline]
pub fn on(number: usize) -> bool {
    STATE.get_or_init(begin).0 == number
}

#[inline]
pub fn hit(function: usize) {
    let map = STATE.get_or_init(begin).1;
    if map != 0 {
        unsafe { *((map as *mut u8).add(function)) = 1 };
    }
}

"""


class Function:
    """A function with a body: the lines of its header, where the body begins and where it ends, counted from zero."""

    def __init__(self, lines, header, opened, closed):
        self.header, self.opened, self.closed = header, opened, closed
        self.begin = sum(len(line) + 1 for line in lines[: opened + 1])
        self.end = self.begin + sum(len(line) + 1 for line in lines[opened + 1 : closed])
        self.mutants = []


def functions(text):
    """All functions with a body, in the order of the text."""
    lines = text.split("\n")
    found = []
    for header, line in enumerate(lines):
        match = FN.match(line)
        if not match:
            continue
        indent = match.group(1)
        opened = header
        while not lines[opened].endswith(("{", ";", "}")) or not (opened == header or re.match(indent + r"\S", lines[opened])):
            opened += 1
        if lines[opened].endswith("{"):
            closed = next(at for at in range(opened + 1, len(lines)) if lines[at] == indent + "}")
            found.append(Function(lines, header, opened, closed))
    return found


def differs(old, new):
    """How much two texts have in common at the beginning and at the end."""
    front = len(os.path.commonprefix([old, new]))
    back = len(os.path.commonprefix([old[front:][::-1], new[front:][::-1]]))
    return front, back


def sources(tree):
    for crate, vfs in CRATES.items():
        top = os.path.join(tree, crate, "src")
        for at, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                if name.endswith(".rs"):
                    yield os.path.relpath(os.path.join(at, name), tree), vfs


class Schema:
    """What was written: how many functions there are, which of them each mutant is in, and the lines of each mutant."""

    def __init__(self):
        self.functions = []  # (path, line of the header, name as it is written)
        self.within = {}  # mutant -> number of its function
        self.outside = []  # mutants that cannot be chosen as the code runs
        self.lines = []  # (path, first line, last line, mutant)
        self.texts = {}  # path -> text


def number_of(mutant):
    """By its name, so that it stays the same whatever comes and goes before it in the list."""
    return zlib.crc32(mutant[0].encode())


def write(tree, mutants, left_out=()):
    """The texts of a tree in which every mutant waits behind a switch."""
    schema = Schema()
    by_path = {}
    for mutant in mutants:
        by_path.setdefault(mutant[1], []).append((number_of(mutant), mutant))
    for path, vfs in sources(tree):
        with open(os.path.join(tree, path), encoding="utf-8") as source:
            text = source.read()
        schema.texts[path] = with_switches(schema, path, text, by_path.get(path, []), vfs, left_out)
    library = "vfs/src/lib.rs"
    schema.texts[library] = schema.texts[library] + "\npub mod mutants;\n"
    with open(os.path.join(tree, "Cargo.toml"), encoding="utf-8") as source:
        manifest = source.read().replace(' = "deny"\n', ' = "allow"\n')
    # The crates of others are as they are built for any test. Ours are built anew for each change of the list, and that takes
    # longer than the tests: so fast, and without lines in backtraces.
    for name in OURS:
        manifest += f"\n[profile.test.package.{name}]\ndebug = false\nopt-level = 0\n"
    schema.texts["Cargo.toml"] = manifest
    schema.texts["vfs/src/mutants.rs"] = SWITCH + f"const FUNCTIONS: usize = {FUNCTIONS_MAX};\n"
    return schema


def with_switches(schema, path, text, mutants, vfs, left_out):
    found = functions(text)
    for number, (name, _, old, new) in mutants:
        front, back = differs(old, new)
        begin = text.index(old) + front
        end = begin + len(old) - front - back
        around = [one for one in found if one.begin <= begin and end <= one.end]
        if not around:
            schema.outside.append(name)
            continue
        one = max(around, key=lambda one: one.begin)
        if name not in left_out:
            body = text[one.begin : begin] + new[front : len(new) - back] + text[end : one.end]
            one.mutants.append((number, name, body))
        schema.within[name] = len(schema.functions) + found.index(one)
    return put_together(schema, path, text, found, vfs)


def put_together(schema, path, text, found, vfs):
    lines = text.split("\n")
    out, count = [], len(schema.functions)
    opens = {one.opened: (count + at, one) for at, one in enumerate(found)}
    closes = {one.closed: one for one in found}
    for at, line in enumerate(lines):
        if at in closes and closes[at].mutants:
            out.append("}")
        out.append(line)
        if at in opens:
            number, one = opens[at]
            out.append(f"{vfs}::mutants::hit({number});")
            for mutant, name, body in one.mutants:
                out.append(f"if {vfs}::mutants::on({mutant}) {{")
                first = len(out) + 1
                out.extend(body.rstrip("\n").split("\n"))
                schema.lines.append((path, first, len(out), name))
                out.append("} else")
            if one.mutants:
                out.append("{")
    schema.functions.extend((path, lines[one.header].strip()) for one in found)
    return "\n".join(out)


def copy(top, tree, texts):
    """Makes the copy: all files of the project, with these texts, and no others. What is there and the same is left, for who builds."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=top, capture_output=True, check=True
    )
    wanted = {}
    for path in filter(None, listed.stdout.decode().split("\0")):
        if os.path.isfile(os.path.join(top, path)):
            with open(os.path.join(top, path), "rb") as source:
                wanted[path] = (source.read(), os.stat(source.fileno()).st_mode)
    for path, text in texts.items():
        wanted[path] = (text.encode(), 0o644)
    for path, (contents, mode) in wanted.items():
        put(os.path.join(tree, path), contents, mode)
    for at, _, names in os.walk(tree):
        for file in (os.path.join(at, name) for name in names):
            if os.path.relpath(file, tree) not in wanted:
                os.remove(file)


def put(file, contents, mode=0o644):
    if os.path.isfile(file):
        with open(file, "rb") as source:
            if source.read() == contents:
                return
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, "wb") as target:
        target.write(contents)
    os.chmod(file, mode & 0o777)
