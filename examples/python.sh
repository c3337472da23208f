#!/usr/bin/env bash
# python.sh REQUIREMENTS: installs these pinned packages into target/examples-python, an environment that all examples share, and prints
# the path of its Python.
set -eu
requirements=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."

command -v python3 >/dev/null || { echo "python.sh: python3 is needed and was not found" >&2; exit 1; }
python=$PWD/target/examples-python/bin/python
[ -x "$python" ] || python3 -m venv target/examples-python
install() { "$python" -m pip install --quiet --disable-pip-version-check "$@" >&2; }

# PyTorch's own index has builds without CUDA, which are a tenth of the size; where it is out of reach, the usual build does as well.
cpu_builds=https://download.pytorch.org/whl/cpu
reachable() { "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null; }
missing=()
while read -r package; do
    "$python" -m pip show --quiet "${package%%==*}" 2>/dev/null || missing+=("$package")
done < <(grep '^torch' "$requirements" || true)
if [ "$(uname -s)" = Linux ] && [ ${#missing[@]} -gt 0 ]; then
    if reachable "$cpu_builds/torch/"; then
        install --index-url "$cpu_builds" "${missing[@]}"
    else
        echo "python.sh: $cpu_builds is out of reach; PyTorch's usual build takes 6 GB" >&2
    fi
fi
install --requirement "$requirements"
echo "$python"
