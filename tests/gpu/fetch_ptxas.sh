#!/bin/sh
# Puts NVIDIA's assembler of PTX into target/ptxas/13.0.88 and prints its path: pinned by version and hash, taken from the pip
# package nvidia-cuda-nvcc, downloaded once. For Linux on x86-64. Only tests use it: what it accepts, a driver's compiler does.
set -eu
cd "$(dirname "$0")/../.."
version=13.0.88
hash=56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
place=$PWD/target/ptxas/$version
python=${PYTHON:-python3}

if [ ! -x "$place/ptxas" ]; then
    mkdir -p target/ptxas
    work=$(mktemp -d target/ptxas/fetch.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    echo "nvidia-cuda-nvcc==$version --hash=sha256:$hash" > "$work/requirements.txt"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --dest "$work" \
        --requirement "$work/requirements.txt" >&2
    "$python" - "$work" <<'PY'
import pathlib, sys, zipfile

work = pathlib.Path(sys.argv[1])
[wheel] = work.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    target = work.joinpath("tool", "ptxas")
    target.parent.mkdir()
    target.write_bytes(archive.read("nvidia/cu13/bin/ptxas"))
    target.chmod(0o755)
PY
    rm -rf "$place"
    mv "$work/tool" "$place"
fi
echo "$place/ptxas"
