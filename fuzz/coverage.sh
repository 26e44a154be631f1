#!/usr/bin/env bash
# What the inputs that are kept and found reach of each target: fuzz/coverage.sh [TARGET..]. Needs a nightly compiler and
# cargo-fuzz. Edges are counted by the target itself, of all that is linked into it; lines by file need llvm-cov and
# llvm-profdata (rustup component add --toolchain nightly llvm-tools), and are left out by name without them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | tail -n +2); fi

host=$(rustc +nightly -vV | sed -n 's/^host: //p')
tools="$(rustc +nightly --print sysroot)/lib/rustlib/$host/bin"

printf '%-12s %8s %8s %8s %9s\n' target inputs edges of features
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  log="artifacts/$target.coverage.log"
  cargo +nightly fuzz run --sanitizer none "$target" "corpus/$target" "seeds/$target" -- -runs=0 -max_len=8192 >"$log" 2>&1 ||
    { tail -n 40 "$log"; printf '%s failed: fuzz/%s\n' "$target" "$log" >&2; exit 1; }
  rm -rf target/real-*
  of=$(sed -n 's/.*Loaded [0-9]* modules *(\([0-9]*\) inline.*/\1/p' "$log" | head -n 1)
  inputs=$(sed -n 's/.*seed corpus: files: \([0-9]*\).*/\1/p' "$log" | head -n 1)
  read -r edges features < <(sed -n 's/.*INITED *cov: \([0-9]*\) ft: \([0-9]*\).*/\1 \2/p' "$log" | tail -n 1) || true
  printf '%-12s %8s %8s %8s %9s\n' "$target" "${inputs:-?}" "${edges:-?}" "${of:-?}" "${features:-?}"
done

if [[ ! -x "$tools/llvm-cov" || ! -x "$tools/llvm-profdata" ]]; then
  printf 'skipped, not installed: llvm-cov and llvm-profdata of the nightly compiler: lines by file\n' >&2
  exit 0
fi
for target in "${targets[@]}"; do
  printf '\n== lines of %s\n' "$target"
  cargo +nightly fuzz coverage --sanitizer none "$target" "corpus/$target" "seeds/$target" >"artifacts/$target.coverage.log" 2>&1
  binary=$(find . ../target -path "*coverage/$host/release/$target" -type f 2>/dev/null | head -n 1)
  "$tools/llvm-cov" report "$binary" -instr-profile="coverage/$target/coverage.profdata" \
    --ignore-filename-regex='(\.cargo|rustc|fuzz)/' | sed -n '1p;/src\//p;/^TOTAL/p'
done
