#!/usr/bin/env python3
"""check.py FOLDER: runs FOLDER/model.onnx with ONNX Runtime on the images FOLDER/WIDTHxHEIGHT.png, and fails unless the classes in
FOLDER/WIDTHxHEIGHT-classes.png are the same. Where two classes have almost equal scores, sums in another order may turn the decision:
one pixel in ten thousand may differ.

Needs requirements.txt.
"""
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
SIZES = ["224x224", "320x256"]


def main(folder):
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    good = True
    for size in SIZES:
        pixels = np.asarray(Image.open(folder / f"{size}.png").convert("RGB"), np.float32) / 255
        expected = session.run(["classes"], {"image": ((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)[None]})[0][0]
        found = np.asarray(Image.open(folder / f"{size}-classes.png"))
        same = int((found == expected).sum()) if found.shape == expected.shape else 0
        print(f"{size}: {same} of {expected.size} pixels as ONNX Runtime's")
        good &= (expected.size - same) * 10_000 <= expected.size
    return good


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(0 if main(pathlib.Path(sys.argv[1])) else 1)
