"""Networks of torchvision with their pretrained weights, or without where these cannot be fetched."""
import urllib.error

import torch


def load(build, weights, images, **arguments):
    """`build` with `weights`; with seeded random ones, and batch norms fitted to `images`, where their host is out of reach."""
    try:
        return build(weights=weights, **arguments).eval()
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"NO PRETRAINED WEIGHTS: {weights.url} is out of reach ({error}).\n"
              "Seeded random weights take their place: all values are computed and compared, but the classes mean nothing.")
    torch.manual_seed(0)
    network = build(weights=None, **arguments)
    norms = [m for m in network.eval().modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all images
        norm.train()
    with torch.no_grad():
        network(images)
    return network.eval()
