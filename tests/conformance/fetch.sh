#!/bin/sh
# Puts the ONNX backend tests into target/onnx-suite/1.22.0/{node,simple,light}, and the .proto files from which
# `cargo test -p onnx-proto` generates compiler/onnx/src/proto.rs into proto/onnx there: pinned by version and hash,
# taken from the onnx wheel, downloaded once. Needs python3 with pip; no onnx package, no virtual environment.
set -eu
cd "$(dirname "$0")"
here=$PWD
suite=../../target/onnx-suite
version=1.22.0
stamp=$(cat requirements.txt fetch.sh | cksum)
python=${PYTHON:-python3}

if [ "$(cat "$suite/$version/.stamp" 2>/dev/null)" != "$stamp" ]; then
    mkdir -p "$suite"
    work=$(mktemp -d "$suite/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # The wheel of a fixed platform, so that every host gets the same file and so the same hash.
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: --platform manylinux_2_28_x86_64 --implementation cp --python-version 3.12 --abi abi3 \
        --dest "$work" --requirement "$here/requirements.txt" >&2
    "$python" - "$work" <<'PY'
import pathlib, stat, sys, zipfile

work = pathlib.Path(sys.argv[1])
prefix = "onnx/backend/test/data/"
[wheel] = work.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    protos = work.joinpath("data", "proto", "onnx")
    protos.mkdir(parents=True)
    for name in ("onnx-ml.proto", "onnx-data.proto"):
        protos.joinpath(name).write_bytes(archive.read(f"onnx/{name}"))
    for entry in archive.infolist():
        if entry.is_dir() or not entry.filename.startswith(tuple(prefix + kind for kind in ("node/", "simple/", "light/"))):
            continue
        parts = entry.filename[len(prefix):].split("/")
        mode = entry.external_attr >> 16
        if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts) or stat.S_ISLNK(mode):
            sys.exit(f"fetch.sh: refused entry {entry.filename!r} of {wheel.name}")
        target = work.joinpath("data", *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(entry))
PY
    echo "$stamp" > "$work/data/.stamp"
    rm -rf "${suite:?}/$version"
    mv "$work/data" "$suite/$version"
fi

count() { echo $(($(ls -d "$suite/$version"/$1 | wc -l))); }
echo "onnx-suite $version: $(count "node/*") node, $(count "simple/*") simple, $(count "light/*.onnx") light tests in" \
    "target/onnx-suite/$version"
