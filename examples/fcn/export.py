#!/usr/bin/env python3
"""export.py FOLDER: writes model.onnx (torchvision's FCN-ResNet-50 with the best class of each pixel as its output, for any size),
classes.txt (its 21 classes) and astronaut.png (scikit-image's astronaut).

Needs requirements.txt.
"""
import pathlib
import sys

import onnx
import skimage
import torch
from PIL import Image
from torchvision.models.segmentation import FCN_ResNet50_Weights, fcn_resnet50

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import pretrained


class Classes(torch.nn.Module):
    """The class with the best score, a byte a pixel."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        return self.network(image)["out"].argmax(1).to(torch.uint8)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    weights = FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
    (folder / "classes.txt").write_text("\n".join(weights.meta["categories"]) + "\n")
    picture = Image.fromarray(skimage.data.astronaut())
    picture.save(folder / "astronaut.png")

    image = weights.transforms(resize_size=256)(picture)[None]
    network = pretrained.load(fcn_resnet50, weights, torch.cat([image, image.flip(3)]), weights_backbone=None)
    # The exporter that traces: the newer one ties the graph to sizes like those of the example.
    torch.onnx.export(
        Classes(network), (image[:, :, :, :224],), folder / "model.onnx", dynamo=False, opset_version=17,
        input_names=["image"], output_names=["classes"],
        dynamic_axes={"image": {2: "height", 3: "width"}, "classes": {1: "height", 2: "width"}})
    onnx.checker.check_model(folder / "model.onnx", full_check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
