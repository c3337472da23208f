#!/usr/bin/env bash
# From a fresh clone: exports FCN-ResNet-50, compiles it to one crate, and writes the class of each pixel of an image at two sizes.
# Fails if more than one pixel in ten thousand is not as ONNX Runtime has it. TARGET=native takes this machine's GPU.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo >/dev/null || { echo "run.sh: cargo is needed and was not found" >&2; exit 1; }
here=examples/fcn
generated=$here/generated
python=$(examples/python.sh $here/requirements.txt)
[ -e $generated/model.onnx ] || "$python" $here/export.py $generated
cargo run --release --locked --package onnx2crate -- $generated/model.onnx --out $generated/fcn_engine \
    --target "${TARGET:-cpu}" --dim height=224..256 --dim width=224..320
cargo run --release --manifest-path $here/segment/Cargo.toml --target-dir target/examples -- \
    "${1:-$generated/astronaut.png}" $generated/classes.txt $generated
"$python" $here/check.py $generated
