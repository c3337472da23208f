#!/usr/bin/env python3
"""check.py FOLDER: runs FOLDER/model.onnx on FOLDER/crop.png with ONNX Runtime, and fails unless FOLDER/found.txt has the same five best
classes in the same order, with scores that are ONNX Runtime's, rounded to the printed digits.

Needs requirements.txt.
"""
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
ROUNDING = 0.5e-3 + 1e-5  # three digits are printed; f32 sums in another order move a score by about 1e-6


def main(folder):
    pixels = np.asarray(Image.open(folder / "crop.png").convert("RGB"), np.float32) / 255
    image = ((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    scores = session.run(["scores"], {"image": image})[0][0]

    classes = (folder / "classes.txt").read_text().splitlines()
    best = np.argsort(-scores, kind="stable")[:5]
    found = [line.split(maxsplit=1) for line in (folder / "found.txt").read_text().splitlines()]
    same = [name == classes[k] and abs(float(score) - scores[k]) <= ROUNDING for k, (score, name) in zip(best, found)]
    print(f"{sum(same)} of 5 classes and scores as ONNX Runtime's")
    return len(found) == 5 and all(same)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(0 if main(pathlib.Path(sys.argv[1])) else 1)
