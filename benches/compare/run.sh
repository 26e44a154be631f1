#!/usr/bin/env bash
# Measures commits (-p commit, the default), the journal (-p wal) or snapshots (-p snapshot) on fresh images of ext4 (with
# a journal), xfs and btrfs, counts the system calls of one commit, and prints Markdown. Root only: it attaches loop
# devices and mounts them.
#
#   benches/compare/run.sh [-p PROGRAM] [-r ROUNDS] [-w WORKLOADS] [-c CONTESTANTS] [-f FILES]
#     [-d DIR] [-b BINARY] [FILE SYSTEM..]
#
# WORKLOADS are some of commits,sustained,inline,settling,publish,threads,size, of which the first is the default
# (sustained=500 makes so many commits, size=10000 leaves larger trees out); for the journal of W1,W2,W3a,W3b,rotation,memory; for snapshots of link,reflink,copy,rollback,exchange, and
# FILES (-f) numbers of files, as in 10000,100000. CONTESTANTS are beginnings of names, as in treewal,okaywal; limits
# always take part. DIR (default: $TMPDIR or /tmp) takes one image at a time: of 2 GiB, of 4 GiB for snapshots, or of
# 12 GiB for W3b and memory. Images, mounts and loop devices are gone at the end, however it ends. BINARY takes the place
# of a fresh build of the program.
set -euo pipefail

program=commit
rounds=
workloads=
contestants=
files=10000,100000
inodes=400000
dir=${TMPDIR:-/tmp}
binary=
usage() { sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
die() {
  printf 'run.sh: %s\n' "$*" >&2
  exit 1
}
while getopts p:r:w:c:f:d:b:h option; do
  case $option in
    p) program=$OPTARG ;;
    w) workloads=$OPTARG ;;
    c) contestants=$OPTARG ;;
    f) files=$OPTARG ;;
    r) rounds=$OPTARG ;;
    d) dir=$OPTARG ;;
    b) binary=$OPTARG ;;
    h) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
done
shift $((OPTIND - 1))
systems=("${@:-ext4}")
if [[ $# -eq 0 ]]; then systems=(ext4 xfs btrfs); fi

case $program in
  commit)
    rounds=${rounds:-9}
    workloads=${workloads:-commits}
    arguments=("$rounds" "$workloads" "$contestants")
    mebibytes=2048
    if [[ $workloads =~ inline|settling|size ]]; then mebibytes=3072; fi
    if [[ $workloads =~ size ]]; then inodes=1300000; fi
    ;;
  wal)
    rounds=${rounds:-5}
    workloads=${workloads:-W1,W2,W3a,W3b,rotation,memory}
    arguments=("$rounds" "$workloads" "$contestants")
    mebibytes=2048
    if [[ $workloads =~ W3b|memory ]]; then mebibytes=12288; fi
    ;;
  snapshot)
    [[ -z $contestants ]] || die "-c is for -p wal"
    rounds=${rounds:-5}
    arguments=("$rounds" "$files" "$workloads")
    mebibytes=4096
    ;;
  *) die "no program $program: commit, wal or snapshot" ;;
esac

[[ $(id -u) -eq 0 ]] || die "root only: it attaches loop devices and mounts them"
PATH=$PATH:/usr/sbin:/sbin
tools=(losetup mountpoint)
if [[ $program == commit ]]; then tools+=(strace); fi
for tool in "${tools[@]}"; do command -v "$tool" >/dev/null || die "$tool is missing"; done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -z $binary ]]; then
  cargo build --release --manifest-path "$here/Cargo.toml" >&2
  binary=${CARGO_TARGET_DIR:-$here/target}/release/$program
fi
[[ -x $binary ]] || die "no program at $binary"

# Before compilers and other ordinary processes where the machine allows it: a slice lost at each wake-up would hide what
# is measured.
first=(nice -n -10)
if chrt --fifo 1 true 2>/dev/null; then first=(chrt --fifo 1); fi
# What uses every processor must leave some of them to the threads of the file system, which have no such priority.
if [[ $program == snapshot ]]; then first=(nice -n 0); fi

work=$(mktemp -d "$dir/treewal-compare.XXXXXX")
image=$work/image
mnt=$work/mnt
loop=
mkdir "$mnt"

detach() {
  if mountpoint -q "$mnt"; then umount "$mnt"; fi
  if [[ -n $loop ]]; then losetup -d "$loop"; fi
  loop=
  rm -f "$image"
}
trap 'detach || true; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A fully written image: a sparse one, or one that mkfs or mount may discard again, would pay for its blocks when they
# are first written.
attach() {
  dd if=/dev/zero of="$image" bs=1M count="$mebibytes" oflag=direct conv=fsync status=none
  loop=$(losetup --find --show --direct-io=on "$image")
  [[ $(cat "/sys/block/${loop#/dev/}/loop/dio") == 1 ]] || die "$dir takes no direct I/O: give another with -d"
  case $1 in
    ext4) mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 -J size=64 -N "$inodes" "$loop" ;;
    xfs) mkfs.xfs -q -f -K "$loop" ;;
    btrfs) mkfs.btrfs -q -f -K "$loop" >/dev/null ;;
    *) die "no recipe for the file system $1" ;;
  esac
  mount -t "$1" -o "$([[ $1 == btrfs ]] && echo nodiscard,)noatime" "$loop" "$mnt"
}

# One row: how often one commit of a contestant calls what, by the number of its files.
counted() {
  local files=$1 name=$2 command=${3:-once} trace=$work/trace
  strace -f -o "$trace" "$binary" "$command" "$mnt" "$name" "$files"
  awk -v files="$files" -v name="$name" '
    /"trace-begins"/ { on = 1; next }
    /"trace-ends"/ { on = 0 }
    !on { next }
    { sub(/^[0-9]+ +/, "") }
    /^[a-z0-9_]+\(/ {
      call = $0; sub(/\(.*/, "", call); all++
      if (call ~ /^(fsync|fdatasync|syncfs|sync|msync|sync_file_range)$/) syncs[call]++
      if (call ~ /^rename(at2?)?$/) renames++
    }
    END {
      n = split("fdatasync fsync syncfs sync_file_range msync sync", kinds, " "); shown = ""
      for (k = 1; k <= n; k++) if (kinds[k] in syncs) { shown = shown (shown == "" ? "" : ", ") syncs[kinds[k]] " " kinds[k] }
      printf "| %s | %d | %s | %d | %d |\n", name, files, shown == "" ? "none" : shown, renames, all
    }' "$trace"
}

# Whether a contestant takes part: all do where none is named, and limits always.
takes_part() {
  [[ -z $contestants ]] && return
  local name=${1,,} start
  for start in limit ${contestants//,/ }; do
    if [[ $name == "${start,,}"* ]]; then return; fi
  done
  return 1
}

count() {
  printf '## System calls of one commit (%s)\n\n' "$1"
  printf '| | files | syncs | renames | all system calls |\n|---|--:|---|--:|--:|\n'
  "$binary" names | while read -r name; do
    takes_part "$name" || continue
    for files in 1 10 100 1000; do counted "$files" "$name" </dev/null; done
  done
  printf '\n'
}

# The syncs of many commits, with all checkpoints. Those that follow one another as fast as they can under a tracer.
count_sustained() {
  local commits=1000
  printf '## Syncs of %s commits of 10 files over 1000, and the checkpoint after them (%s)\n\n' "$commits" "$1"
  printf '| | commits | syncs | renames | all system calls |\n|---|--:|---|--:|--:|\n'
  "$binary" sustained-names | while read -r name; do
    takes_part "$name" || continue
    counted "$commits" "$name" sustain </dev/null
  done
  printf '\n'
}

load() { printf '%s, load average %s\n' "$1" "$(cut -d' ' -f1-3 /proc/loadavg)"; }

printf 'Linux %s, %s processors; %s rounds; images in %s; run with: %s\n\n' \
  "$(uname -r)" "$(nproc)" "$rounds" "$(findmnt -n -o FSTYPE,SOURCE --target "$dir" | tr -s ' ')" "${first[*]}"
for system in "${systems[@]}"; do
  attach "$system"
  printf '## %s\n\n' "$system"
  load "begun $(date -u +%H:%M)"
  printf '\n'
  "${first[@]}" "$binary" measure "$mnt" "${arguments[@]}"
  load "ended $(date -u +%H:%M)"
  printf '\n'
  if [[ $program == commit && $system == "${systems[0]}" ]]; then
    if [[ $workloads == *commits* ]]; then count "$system"; fi
    if [[ $workloads == *sustained* ]]; then count_sustained "$system"; fi
  fi
  detach
done
