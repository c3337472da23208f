#!/usr/bin/env python3
"""prepare.py FOLDER: writes cat.png (scikit-image's cat) and small.png (the same at half the size) to FOLDER.

Needs requirements.txt.
"""
import pathlib
import sys

import numpy as np
import skimage
from PIL import Image


def halved(picture):
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)


def as_floats(picture):
    """One batch, channel by channel, from 0 to 1."""
    return (np.asarray(picture, np.float32) / 255).transpose(2, 0, 1)[None]


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    cat = Image.fromarray(skimage.data.chelsea()[:300, :450])
    cat.save(folder / "cat.png")
    halved(cat).save(folder / "small.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
