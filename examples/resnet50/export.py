#!/usr/bin/env python3
"""export.py FOLDER: writes model.onnx (torchvision's ResNet-50), classes.txt (its 1000 classes) and cat.png (scikit-image's cat).

Needs requirements.txt.
"""
import pathlib
import sys

import onnx
import skimage
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights, resnet50

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import pretrained


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    weights = ResNet50_Weights.IMAGENET1K_V2
    (folder / "classes.txt").write_text("\n".join(weights.meta["categories"]) + "\n")
    picture = Image.fromarray(skimage.data.chelsea())
    picture.save(folder / "cat.png")

    image = weights.transforms()(picture)[None]
    network = pretrained.load(resnet50, weights, torch.cat([image, image.flip(2), image.flip(3), image.roll(64, 3)]))
    torch.onnx.export(
        network, (image,), folder / "model.onnx", dynamo=True, external_data=False, verbose=False, opset_version=18,
        input_names=["image"], output_names=["scores"])
    onnx.checker.check_model(folder / "model.onnx", full_check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
