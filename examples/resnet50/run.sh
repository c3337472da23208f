#!/usr/bin/env bash
# From a fresh clone: exports ResNet-50, compiles it to a crate, and prints the five best classes of an image.
# Fails if a class or a printed digit is not ONNX Runtime's. TARGET=native takes this machine's GPU.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo >/dev/null || { echo "run.sh: cargo is needed and was not found" >&2; exit 1; }
here=examples/resnet50
generated=$here/generated
python=$(examples/python.sh $here/requirements.txt)
[ -e $generated/model.onnx ] || "$python" $here/export.py $generated
cargo run --release --locked --package onnx2crate -- $generated/model.onnx --out $generated/resnet50_engine --target "${TARGET:-cpu}"
cargo run --release --manifest-path $here/top5/Cargo.toml --target-dir target/examples -- \
    "${1:-$generated/cat.png}" $generated/classes.txt $generated/crop.png >$generated/found.txt
cat $generated/found.txt
"$python" $here/check.py $generated
