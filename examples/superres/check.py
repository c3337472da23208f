#!/usr/bin/env python3
"""check.py SMALL LARGE [ORIGINAL]: runs superres.onnx with ONNX Runtime on the image SMALL and compares with LARGE, which the crate made
of it. Fails if a colour differs by more than one of its 256 levels, or more than one in ten thousand by one: rounding to levels may turn
where f32 sums in another order differ. With ORIGINAL, tells how near LARGE and bicubic enlargement come to it.

Needs requirements.txt.
"""
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image

from prepare import as_floats

HERE = pathlib.Path(__file__).resolve().parent


def main(small, large, original=None):
    small, large = (Image.open(path).convert("RGB") for path in (small, large))
    session = onnxruntime.InferenceSession(HERE / "superres.onnx", providers=["CPUExecutionProvider"])
    values = session.run(["enlarged"], {"image": as_floats(small)})[0][0]
    expected = np.floor(values.transpose(1, 2, 0) * np.float32(255) + np.float32(0.5)).astype(int)
    found = np.asarray(large, int)
    if found.shape != expected.shape:
        print(f"{found.shape} values, where ONNX Runtime has {expected.shape}")
        return False
    difference = np.abs(found - expected)
    print(f"{(difference == 0).sum()} of {difference.size} values as ONNX Runtime's")
    if original is not None:
        original = Image.open(original).convert("RGB")
        bicubic = small.resize(original.size, Image.Resampling.BICUBIC)
        print(f"PSNR {psnr(large, original):.2f} dB, of bicubic enlargement {psnr(bicubic, original):.2f} dB")
    return difference.max() <= 1 and (difference != 0).sum() * 10_000 <= difference.size


def psnr(a, b):
    error = np.asarray(a, float) - np.asarray(b, float)
    return 10 * np.log10(255**2 / np.mean(error**2))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(0 if main(*map(pathlib.Path, sys.argv[1:])) else 1)
