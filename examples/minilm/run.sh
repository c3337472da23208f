#!/usr/bin/env bash
# From a fresh clone: exports MiniLM with its weights, compiles it to a crate, and prints how similar the sentences of sentences.txt are.
# Fails if a word piece or a printed digit is not that of sentence-transformers. TARGET=native takes this machine's GPU.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo >/dev/null || { echo "run.sh: cargo is needed and was not found" >&2; exit 1; }
here=examples/minilm
generated=$here/generated
python=$(examples/python.sh $here/requirements.txt)
[ -e $generated/model.onnx ] || "$python" $here/export.py $generated
cargo run --release --locked --package onnx2crate -- $generated/model.onnx --out $generated/minilm_engine \
    --target "${TARGET:-cpu}" --dim batch=1..16 --dim sequence=1..256
cargo run --release --manifest-path $here/similar/Cargo.toml --target-dir target/examples -- $generated $here/sentences.txt
