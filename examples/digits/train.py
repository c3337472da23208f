#!/usr/bin/env python3
"""Trains a small network on the digits of scikit-learn and writes every data file of this folder.

    python3 train.py        needs: pip install numpy scikit-learn onnx==1.22.0 onnxruntime

Plain numpy: convolutions are matrix products over unfolded patches, so the backward pass is matrix products too.
Seeded: the same packages on the same processor give the same bytes. Another BLAS may round differently, which gives
another, equally good model; the files that are checked in belong together.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
HELD_BACK, SEED, EPOCHS, BATCH = 360, 20, 40, 32
MAX_PIXEL = 16  # the images hold 0..=16; the network takes pixel / 16, which is exact in f32


def main():
    digits = load_digits()
    pixels, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, labels, test_size=HELD_BACK, random_state=SEED, stratify=labels)

    model = export(train(as_input(train_x), train_y))
    onnx.checker.check_model(model, full_check=True)
    (HERE / "digits.onnx").write_bytes(model.SerializeToString(deterministic=True))

    session = onnxruntime.InferenceSession(str(HERE / "digits.onnx"), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"image": as_input(test_x)})[0]
    found = logits.argmax(axis=1).astype(np.uint8)
    (HERE / "images.bin").write_bytes(test_x.tobytes())
    (HERE / "labels.bin").write_bytes(test_y.tobytes())
    (HERE / "expected_labels.bin").write_bytes(found.tobytes())

    correct = int((found == test_y).sum())
    best = np.sort(logits, axis=1)
    print(f"{correct} of {HELD_BACK} held-back images right ({100 * correct / HELD_BACK:.2f} %), "
          f"smallest lead of a winning logit {(best[:, -1] - best[:, -2]).min():.4f}")


def as_input(pixels):
    return (pixels[:, None] / np.float32(MAX_PIXEL)).astype(np.float32)


def train(images, labels):
    rng = np.random.default_rng(SEED)
    params = {
        "conv1.weight": he_normal(rng, (16, 1, 3, 3)), "conv1.bias": np.zeros(16, np.float32),
        "conv2.weight": he_normal(rng, (32, 16, 3, 3)), "conv2.bias": np.zeros(32, np.float32),
        "linear.weight": he_normal(rng, (10, 512)), "linear.bias": np.zeros(10, np.float32),
    }
    first = {name: np.zeros_like(p) for name, p in params.items()}
    second = {name: np.zeros_like(p) for name, p in params.items()}
    batches = len(images) // BATCH
    for step in range(EPOCHS * batches):
        if step % batches == 0:
            order = rng.permutation(len(images))
        pick = order[step % batches * BATCH:][:BATCH]
        grads = gradients(params, images[pick], labels[pick])
        rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / (EPOCHS * batches)))
        for name, grad in grads.items():  # AdamW
            first[name] += 0.1 * (grad - first[name])
            second[name] += 0.001 * (grad * grad - second[name])
            move = first[name] / (1 - 0.9 ** (step + 1)) / (np.sqrt(second[name] / (1 - 0.999 ** (step + 1))) + 1e-8)
            params[name] -= (rate * (move + 0.01 * params[name])).astype(np.float32)
    return params


def he_normal(rng, shape):
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


def gradients(params, images, labels):
    """Cross entropy, averaged over the batch, derived by every parameter."""
    count = len(images)
    patches1 = unfold(images)
    hidden1 = np.maximum(convolve(patches1, params["conv1.weight"], params["conv1.bias"]), 0)
    patches2 = unfold(hidden1)
    hidden2 = np.maximum(convolve(patches2, params["conv2.weight"], params["conv2.bias"]), 0)
    windows = hidden2.reshape(count, 32, 4, 2, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(count, 32, 4, 4, 4)
    winner = windows.argmax(axis=-1)[..., None]
    flat = np.take_along_axis(windows, winner, axis=-1).reshape(count, 512)
    logits = flat @ params["linear.weight"].T + params["linear.bias"]

    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    d_logits = odds / odds.sum(axis=1, keepdims=True)
    d_logits[np.arange(count), labels] -= 1
    d_logits /= count
    d_windows = np.zeros_like(windows)
    d_flat = d_logits @ params["linear.weight"]
    np.put_along_axis(d_windows, winner, d_flat.reshape(count, 32, 4, 4, 1), axis=-1)
    d_hidden2 = d_windows.reshape(count, 32, 4, 4, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(hidden2.shape)
    d_hidden2 = rows(d_hidden2 * (hidden2 > 0))
    d_patches2 = d_hidden2 @ params["conv2.weight"].reshape(32, -1)
    d_hidden1 = rows(fold(d_patches2, hidden1.shape) * (hidden1 > 0))
    return {
        "conv1.weight": (d_hidden1.T @ patches1).reshape(16, 1, 3, 3), "conv1.bias": d_hidden1.sum(axis=0),
        "conv2.weight": (d_hidden2.T @ patches2).reshape(32, 16, 3, 3), "conv2.bias": d_hidden2.sum(axis=0),
        "linear.weight": d_logits.T @ flat, "linear.bias": d_logits.sum(axis=0),
    }


def unfold(x):
    """[n, c, 8, 8] to one row a pixel: its 3x3 neighbourhood in all channels, zero outside the image."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = [padded[:, :, i:i + 8, j:j + 8] for i in range(3) for j in range(3)]
    return np.stack(taps, axis=2).transpose(0, 3, 4, 1, 2).reshape(-1, x.shape[1] * 9)


def fold(d_patches, shape):
    """The transpose of `unfold`."""
    n, c = shape[:2]
    taps = d_patches.reshape(n, 8, 8, c, 3, 3)
    padded = np.zeros((n, c, 10, 10), np.float32)
    for i in range(3):
        for j in range(3):
            padded[:, :, i:i + 8, j:j + 8] += taps[..., i, j].transpose(0, 3, 1, 2)
    return padded[:, :, 1:9, 1:9]


def convolve(patches, weight, bias):
    out = patches @ weight.reshape(len(weight), -1).T + bias
    return out.reshape(-1, 8, 8, len(weight)).transpose(0, 3, 1, 2)


def rows(x):
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def export(params):
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1_out"], "conv1",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv1_out"], ["relu1_out"], "relu1"),
        helper.make_node("Conv", ["relu1_out", "conv2.weight", "conv2.bias"], ["conv2_out"], "conv2",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv2_out"], ["relu2_out"], "relu2"),
        helper.make_node("MaxPool", ["relu2_out"], ["pool_out"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool_out"], ["flat"], "flatten", axis=1),
        helper.make_node("Gemm", ["flat", "linear.weight", "linear.bias"], ["logits"], "linear", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(p, name) for name, p in params.items()],
        doc_string="Handwritten digits, 8x8 pixels: image holds pixel / 16, logits one score a digit.")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10,
                             producer_name="examples/digits/train.py")


if __name__ == "__main__":
    main()
