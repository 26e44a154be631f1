#!/usr/bin/env python3
"""Reads journals as docs/format.md says, and shares nothing with the program: python3 decode.py DIRECTORY..

Prints one JSON object a directory: how the log ends, and every record. Bytes are hexadecimal.
"""
import json, os, re, struct, sys, zlib


class Newer(Exception):
    """A segment of a version that is not known here."""


class Segment:
    HEADER = struct.Struct("<8sII16s16sQQQIIQQqIIQI")

    def __init__(self, path, number):
        self.number = number
        with open(path, "rb") as file:
            self.data = file.read((64 << 20) + 1)
        self.state = self.header(0)
        if self.state == "reserved" and any(self.data[512:636]):
            reserved = self.tree, self.bytes
            begun = self.header(512) == "begun" and (self.tree, self.bytes) == reserved
            self.state = "begun" if begun else None
        if self.state == "begun":
            self.data = self.data[:self.bytes]

    def header(self, at):
        """What the header here says of the segment: it is begun, it is reserved, or nothing that counts."""
        if len(self.data) < 4096:
            return None
        (magic, version, header_bytes, self.tree, boot, sequence, self.first, self.seed, self.previous_crc, zero_a,
         self.previous, self.bytes, _, _, zero_b, self.durable, crc) = self.HEADER.unpack_from(self.data, at)
        if magic != b"TREEWAL\0" or crc != zlib.crc32(self.data[at:at + 120]):
            return None
        if version != 1:
            raise Newer(version)
        if not (header_bytes == 4096 and sequence == self.number and zero_a == zero_b == 0
                and 64 << 10 <= self.bytes <= 64 << 20 and self.bytes % 4096 == 0):
            return None
        if boot == bytes(16) and not any([self.first, self.seed, self.previous, self.previous_crc, self.durable]):
            return "reserved"
        is_ordered = self.previous < self.first < 1 << 63 and self.durable < self.first
        return "begun" if is_ordered else None

    @property
    def valid(self):
        return self.state == "begun"

    def frame(self, at):
        """The frame at this offset, whatever its place in the chain: CRC, previous CRC, kind, LSN, mark, payload."""
        if at + 32 > len(self.data):
            return None
        crc, previous, length, kind, zero, lsn, mark = struct.unpack_from("<IIIB3sQQ", self.data, at)
        covered = self.data[at + 4:at + 32 + length]
        if kind == 0 or zero != bytes(3) or length > 1 << 20 or mark >= lsn or len(covered) < 28 + length:
            return None
        if zlib.crc32(covered, zlib.crc32(struct.pack("<Q", self.seed))) != crc:
            return None
        return crc, previous, kind, lsn, mark, covered[28:]


def behind(at, payload):
    return at + (32 + len(payload) + 7) // 8 * 8


def walk(segment, following, records):
    """Reads one segment: why its frames end, where, and the LSN and the CRC that are expected there."""
    at, expected, chain = 4096, segment.first, segment.previous_crc
    while True:
        if following and following.valid and following.previous_crc == chain:
            is_anew = at == 4096 and (following.previous, following.first) == (segment.previous, segment.first)
            if following.previous + 1 == expected or is_anew:
                return "handed over", at, expected
        if at + 32 > segment.bytes:
            return "full", at, expected
        head = segment.data[at:at + 32]
        if head == bytes(32):
            return "zero", at, expected
        frame = segment.frame(at)
        if not frame or frame[1] != chain or frame[3] != expected:
            return "bad", at, expected
        chain, _, kind, lsn, mark, payload = frame
        records.append({"lsn": lsn, "kind": kind, "segment": segment.number, "offset": at, "durable": mark,
                        "payload": payload.hex(), "record": record(kind, payload)})
        at, expected = behind(at, payload), lsn + 1


def later_frames(segment, at, expected):
    """The marks of frames that were written after the one that is missing."""
    lsn_max = expected + (segment.bytes - at) // 32
    while at < len(segment.data):
        frame = segment.frame(at)
        if frame and expected < frame[3] <= lsn_max:
            yield frame[4]
            at = behind(at, frame[5])
        else:
            at += 8


def judge(segment, later, end, at, expected):
    """How a log ends that ends in this segment: the table of docs/format.md."""
    marks = list(later_frames(segment, at, expected))
    quiet = end == "full" or end == "zero" and not marks
    is_next = later and later.valid and later.number == segment.number + 1
    if any(mark >= expected for mark in marks) or len(segment.data) < segment.bytes and end == "bad":
        state = "damaged here"
    elif not later:
        state = "clean" if quiet else "torn"
    else:
        state = "damaged there" if quiet and not (is_next and later.previous >= expected) else "damaged here"
    offset = 0 if state == "damaged there" else at
    return {"state": state, "segment": segment.number, "offset": offset, "lsn": expected}


def read(directory):
    names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"[0-9a-f]{16}\.wal", name))
    try:
        segments = [Segment(os.path.join(directory, name), int(name[:16], 16)) for name in names]
    except Newer as version:
        return {"newer": version.args[0]}
    if segments and not any(segments[-1].data):
        segments.pop()  # never begun
    tree = next((segment.tree for segment in segments if segment.state), None)
    for segment in segments:
        segment.state = segment.state if segment.state and segment.tree == tree else None
    # Gaps among them, and what a lost header at 512 leaves in them, are not looked for here.
    reserved = [segment.number for segment in segments if segment.state == "reserved"]
    segments = [segment for segment in segments if segment.state != "reserved"]
    records, durable = [], 0
    tail = {"state": "clean", "segment": 0, "offset": 0, "lsn": 1}
    if not segments and reserved and reserved[0] > 1:
        tail = {"state": "damaged here", "segment": reserved[0], "offset": 0, "lsn": 0}
    for segment, later in zip(segments, segments[1:] + [None]):
        if not segment.valid:  # the oldest: every other one was looked at before
            tail = {"state": "damaged here", "segment": segment.number, "offset": 0, "lsn": 0}
            break
        durable = max(durable, segment.durable)
        end, at, expected = walk(segment, later, records)
        if end != "handed over":
            tail = judge(segment, later, end, at, expected)
            break
    durable = max([durable] + [record["durable"] for record in records])
    return {"tree": tree and tree.hex(), "tail": tail, "durable": durable, "records": records}


# --- the payloads ---

class Payload:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise ValueError("it ends early")
        self.at += length
        return self.data[self.at - length:self.at]

    def unsigned(self, bits=64):
        first = self.take(1)[0]
        width = {0xFB: 2, 0xFC: 4, 0xFD: 8}.get(first, 1 if first < 251 else 99)
        if width * 8 > bits:
            raise ValueError("an integer of a form that its type does not have")
        return first if width == 1 else int.from_bytes(self.take(width), "little")

    def value(self, kind):
        if isinstance(kind, int):
            return self.unsigned(kind)
        if isinstance(kind, list):  # a list of what stands in it
            return [self.value(kind[0]) for _ in range(self.unsigned())]
        if isinstance(kind, tuple):  # an optional value
            return self.value(kind[0]) if self.value("boolean") else None
        if isinstance(kind, dict):
            return {name: self.value(field) for name, field in kind.items()}
        if kind == "signed":
            number = self.unsigned()
            return number // 2 if number % 2 == 0 else -(number + 1) // 2
        if kind == "boolean":
            return {0: False, 1: True}[self.take(1)[0]]
        if kind == "bytes":
            return self.take(self.unsigned()).hex()
        if kind == "string":
            return self.take(self.unsigned()).decode("utf-8")
        name, fields = VARIANTS[kind][self.unsigned(32)]
        return {"is": name, **self.value(fields)}


TIME = {"seconds": "signed", "nanoseconds": 32}
IDENTITY = {"kind": "file kind", "inode": 64, "born": TIME, "size": 64, "modified": TIME}
OWNER = {"user": 32, "group": 32}
TIMES = {"accessed": TIME, "modified": TIME}
NEW = {"slot": 64, "inner": "bytes", "identity": IDENTITY, "mode": 32, "owner": 32, "group": 32,
       "xattrs": [{"name": "bytes", "value": "bytes"}], "times": ({"new": TIMES, "old": TIMES},), "body": "body"}
LOOK = {"mode": ({"new": 32, "old": 32},), "owner": ({"new": OWNER, "old": OWNER},),
        "times": ({"new": TIMES, "old": TIMES},),
        "xattrs": [{"name": "bytes", "new": ("bytes",), "old": ("bytes",)}]}
FILE_KINDS = ["file", "directory", "symlink", "fifo", "socket", "character device", "block device"]
VARIANTS = {
    "file kind": [(name, {}) for name in FILE_KINDS],
    "body": [("directory", {}), ("inline", {"bytes": "bytes"}), ("staged", {}), ("symlink", {"target": "bytes"}),
             ("link", {"from": "bytes"})],
    "goal": [("absent", {}), ("new", NEW), ("moved", {"from": "bytes", "identity": IDENTITY}), ("kept", {}), ("emptied", {}),
             ("rewritten", {"new": NEW, "image": 64})],
    "record": [
        ("begin", {"transaction": 64, "stage": "string", "barrier": "boolean"}),
        ("intent", {"path": "bytes", "base": ("bytes",), "prior": (IDENTITY,), "goal": "goal",
                    "look": (LOOK,)}),
        ("commit", {"transaction": 64, "intents": 32, "at": TIME}),
        ("rollback", {"transaction": 64}),
        ("attempt", {"transaction": 64, "number": 32, "reason": "string"}),
        ("checkpoint", {"upto": 64}),
        ("quarantine", {"transaction": 64, "name": "string", "reason": "string"}),
        ("guard", {"transaction": 64, "snapshot": "string", "paths": ["bytes"]}),
    ],
}


def record(kind, payload):
    """The record that a frame of this kind carries; nothing where it carries none that is known here."""
    reader = Payload(payload)
    try:
        told = reader.value("record")
    except (ValueError, LookupError):
        return None
    names = [name for name, _ in VARIANTS["record"]]
    return told if reader.at == len(payload) and names.index(told["is"]) + 1 == kind else None


if __name__ == "__main__":
    for directory in sys.argv[1:]:
        print(json.dumps(read(directory)))
