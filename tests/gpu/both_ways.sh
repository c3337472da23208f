#!/usr/bin/env bash
# On a machine with a GPU: the crate of a model, as cargo builds it, gives the bits that its plan gives in process.
#   tests/gpu/both_ways.sh MODEL.onnx [options of verify, for example --data FOLDER or --precision f16]
set -eu
[ $# -ge 1 ] || { echo "usage: both_ways.sh MODEL.onnx [options of verify]" >&2; exit 2; }
tool=${ONNX2CRATE:-onnx2crate}

hashes() { "$tool" verify "$@" --target native | awk '{ print $1, $2, $3, $(NF - ($NF == "FAILED")) }'; }
crate=$(hashes "$@")
in_process=$(hashes "$@" --in-process)
echo "$crate"
if [ "$crate" != "$in_process" ]; then
    printf 'in process:\n%s\nThe crate and the plan in process differ.\n' "$in_process" >&2
    exit 1
fi
echo "equal bit for bit"
