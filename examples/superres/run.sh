#!/usr/bin/env bash
# From a fresh clone: compiles superres.onnx to a crate and doubles the size of an image with it (another one: run.sh IMAGE.png).
# Fails if the result is not ONNX Runtime's. TARGET=native takes this machine's GPU.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo >/dev/null || { echo "run.sh: cargo is needed and was not found" >&2; exit 1; }
here=examples/superres
generated=$here/generated
python=$(examples/python.sh $here/requirements.txt)
"$python" $here/prepare.py $generated
cargo run --release --locked --package onnx2crate -- $here/superres.onnx --out $generated/superres_engine \
    --target "${TARGET:-cpu}" --dim height=4..1024 --dim width=4..1024
images=("${1:-$generated/small.png}" $generated/large.png)
cargo run --release --manifest-path $here/enlarge/Cargo.toml --target-dir target/examples -- "${images[@]}"
[ $# -gt 0 ] || images+=($generated/cat.png)
"$python" $here/check.py "${images[@]}"
