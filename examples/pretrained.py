"""Networks of torchvision with their pretrained weights, or without where these cannot be fetched."""
import urllib.error

import torch
from torchvision.models.resnet import Bottleneck


def load(build, weights, images, **arguments):
    """`build` with `weights`; with seeded random ones, and batch norms fitted to `images`, where their host is out of reach."""
    try:
        return build(weights=weights, **arguments).eval()
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"NO PRETRAINED WEIGHTS: {weights.url} is out of reach ({error}).\n"
              "Seeded random weights take their place: all values are computed and compared, but the classes mean nothing.")
    torch.manual_seed(0)
    network = build(weights=None, **arguments)
    for block in network.modules():
        if isinstance(block, Bottleneck):
            block.bn3.weight.data.fill_(0.2)  # blocks add little to what passes them, as in trained networks
    norms = [m for m in network.eval().modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all images
        norm.train()
    with torch.no_grad():
        network(images)
    return network.eval()
