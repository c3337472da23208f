#!/usr/bin/env python3
"""train.py: trains the network of this folder and writes superres.onnx.

An image of half the size in, the image out: three convolutions on the small image find what bicubic enlargement lacks, the last one's twelve
channels are the three colours of the four pixels that a small one becomes. It learns on patches of photographs that scikit-image and
scikit-learn ship; scikit-image's cat is held back. Takes a few minutes on a CPU.

Needs: pip install numpy onnx==1.22.0 onnxscript==0.7.2 pillow==13.0.0 scikit-image==0.26.0 scikit-learn==1.9.1 torch==2.9.1
"""
import pathlib

import numpy as np
import onnx
import skimage
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn import functional

from prepare import as_floats, halved

HERE = pathlib.Path(__file__).resolve().parent
SEED, STEPS, BATCH, PATCH, WIDTH = 20, 2500, 8, 32, 32


class Enlarge(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.look = torch.nn.Conv2d(3, WIDTH, 5, padding=2)
        self.think = torch.nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.tell = torch.nn.Conv2d(WIDTH, 12, 3, padding=1)
        torch.nn.init.zeros_(self.tell.weight)
        torch.nn.init.zeros_(self.tell.bias)

    def forward(self, image):
        enlarged = functional.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False)
        hidden = functional.relu(self.think(functional.relu(self.look(image))))
        return (enlarged + functional.pixel_shuffle(self.tell(hidden), 2)).clamp(0, 1)


def main():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    photographs = list(load_sample_images().images) + [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.rocket()]
    pairs = [(as_floats(halved(p)), as_floats(p)) for p in map(even, photographs)]

    network = Enlarge()
    # What is added is small: large steps of the last layer would drown it.
    early = [*network.look.parameters(), *network.think.parameters()]
    optimizer = torch.optim.Adam([{"params": early, "lr": 2e-3}, {"params": network.tell.parameters(), "lr": 2e-4}])
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        small, large = map(torch.from_numpy, patches(rng, pairs))
        loss = functional.l1_loss(network(small), large)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        if step % 250 == 249:
            print(f"step {step + 1}: mean error {255 * loss.item():.3f} levels")
    export(network.eval())


def even(photograph):
    height, width = photograph.shape[:2]
    return Image.fromarray(photograph[: height // 2 * 2, : width // 2 * 2])


def patches(rng, pairs):
    """Small and large, turned and mirrored at random."""
    chosen = []
    for _ in range(BATCH):
        small, large = pairs[rng.integers(len(pairs))]
        y, x = (rng.integers(n - PATCH + 1) for n in small.shape[2:])
        part = [small[0, :, y:y + PATCH, x:x + PATCH], large[0, :, 2 * y:2 * (y + PATCH), 2 * x:2 * (x + PATCH)]]
        turns, mirror = rng.integers(4), rng.integers(2)
        part = [np.rot90(p, turns, axes=(1, 2)) for p in part]
        chosen.append([p[:, :, ::-1] if mirror else p for p in part])
    return (np.stack(kind).astype(np.float32) for kind in zip(*chosen))


def export(network):
    sizes = {2: "height", 3: "width"}
    path = HERE / "superres.onnx"
    torch.onnx.export(
        network, (torch.zeros(1, 3, 48, 64),), path, dynamo=True, external_data=False, verbose=False, opset_version=18,
        input_names=["image"], output_names=["enlarged"], dynamic_shapes={"image": sizes})
    model = onnx.load(path)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:]
    for dim in model.graph.output[0].type.tensor_type.shape.dim[2:]:
        dim.Clear()  # twice the input's; the exporter's name for that is no name
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
