#!/usr/bin/env bash
# Everything that needs no GPU: format check and all tests of the workspace.
# The network is used for pinned packages, the pinned ONNX test data and NVIDIA's pinned assembler only.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

for tool in cargo python3; do
    command -v "$tool" >/dev/null || { echo "test.sh: $tool is needed and was not found" >&2; exit 1; }
done
tests/conformance/fetch.sh || exit 1
# Tests that assemble every kernel say that they are skipped where there is no assembler.
if [ -z "${PTXAS:-}" ] && [ "$(uname -sm)" = "Linux x86_64" ]; then
    PTXAS=$(tests/gpu/fetch_ptxas.sh) || exit 1
    export PTXAS
fi

locked=()
[ -e Cargo.lock ] && locked=(--locked)
if cargo nextest --version >/dev/null 2>&1; then
    tests=(cargo nextest run --workspace --no-fail-fast)
else
    tests=(cargo test --workspace --no-fail-fast)
fi

export CARGO_TERM_COLOR=never  # the log below is read again
# A build that runs once gains nothing from incremental files, and panics name their line without debug information: together they
# are four fifths of what would be written.
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}" CARGO_PROFILE_DEV_DEBUG="${CARGO_PROFILE_DEV_DEBUG:-0}"
mkdir -p target
log=target/test.log
fmt=ok
cargo fmt --check || fmt=FAILED
result=ok
"${tests[@]}" ${locked[@]+"${locked[@]}"} 2>&1 | tee "$log" || result=FAILED

# Both runners end in one line of the same form; `cargo test` has one result line a test binary, summed here.
counts=$(sed -n 's/^ *Summary \[[^]]*\] *//p' "$log" | tail -n 1)
[ -n "$counts" ] || counts=$(awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
    END { printf "%d tests run: %d passed, %d failed, %d skipped", passed + failed, passed, failed, skipped }' "$log")
printf '\nformat: %s\ntests: %s\nSummary [%9.3fs] %s\n' "$fmt" "$result" "$SECONDS" "$counts"
[ "$fmt" = ok ] && [ "$result" = ok ]
