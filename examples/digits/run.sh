#!/usr/bin/env bash
# From a fresh clone: builds onnx2crate, compiles digits.onnx to a crate, and classifies 360 held-back images with it.
# Fails if one label differs from the one that ONNX Runtime found. TARGET=native takes this machine's GPU.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo >/dev/null || { echo "run.sh: cargo is needed and was not found" >&2; exit 1; }
generated=examples/digits/generated
cargo run --release --locked --package onnx2crate -- examples/digits/digits.onnx --out "$generated/digits_engine" --target "${TARGET:-cpu}"
cargo run --release --manifest-path examples/digits/classify/Cargo.toml --target-dir "$generated/target" -- examples/digits
