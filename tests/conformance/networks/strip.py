"""Takes the weights out of a network: `strip.py model.onnx NAME.onnx`.

Tensors of more than 64 bytes of f32 become external data, at overlapping places of one file `weights.bin` of numbers that
`src/networks.rs` makes up; names of values and nodes become short ones, and texts go. What is left is the network's structure: from it the
compiler makes the kernels that it makes from the whole network. Needs the package onnx.
"""

import sys

import onnx
from onnx import TensorProto

LARGE = 64

# No two tensors are equal, so that none is taken for the other.
STEP = 64


def rename(graph, names):
    def short(name):
        return names.setdefault(name, f"v{len(names)}") if name else name

    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        node.doc_string = ""
        del node.metadata_props[:]
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]


def main(source, target):
    model = onnx.load(source, load_external_data=False)
    graph = model.graph
    kept = {value.name: value.name for value in [*graph.input, *graph.output]}
    rename(graph, kept)
    count = most = 0
    for tensor in graph.initializer:
        data = onnx.numpy_helper.to_array(tensor).tobytes()
        if len(data) <= LARGE or tensor.data_type != TensorProto.FLOAT:
            continue
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        offset = count * STEP
        for key, value in (("location", "weights.bin"), ("offset", str(offset)), ("length", str(len(data)))):
            tensor.external_data.add(key=key, value=value)
        count, most = count + 1, max(most, offset + len(data))
    del graph.value_info[:]
    del model.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    onnx.save(model, target)
    print(f"{target}: {len(model.SerializeToString())} bytes; {count} tensors in {most} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
