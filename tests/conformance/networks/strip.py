"""Takes the weights out of a network: `strip.py model.onnx NAME.onnx`.

Tensors of more than 64 bytes of f32 become external data, at overlapping places of one file `weights.bin` of numbers that
`src/networks.rs` makes up; names of values become short ones, equal constants one, and texts go. What is left is the network's structure: from it the
compiler makes the kernels that it makes from the whole network. A tensor's name keeps the mean and the deviation of what it held, `v7 0 0.021`, so
that values neither vanish nor overflow. Tensors of zeros alone, or of ones, stay so, for the compiler makes other kernels of them.
Needs the package onnx.
"""

import json
import math
import sys

import numpy
import onnx
from onnx import TensorProto

LARGE = 64

# No two tensors of other numbers are equal, so that none is taken for the other.
STEP = 64

# The file of numbers ends with zeros, and as many bytes of ones.
NUMBERS = 160 << 20
SPLAT = 64 << 10

# Of weights that are all equal, where a network is run.
LEAST = 0.05

# Where the statistics of weights stand in a file that was made without them.
KEY = "zoo.weights"


def rename(graph, names):
    def short(name):
        return names.setdefault(name, f"v{len(names)}") if name else name

    for value in [*graph.input, *graph.output]:
        value.name = short(value.name)
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    for node in graph.node:
        node.name = ""
        node.doc_string = ""
        del node.metadata_props[:]
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
        for attribute in node.attribute:
            attribute.doc_string = ""
            if attribute.type == onnx.AttributeProto.GRAPH:
                rename(attribute.g, names)
                del attribute.g.value_info[:]


def unite(graph):
    """Keeps one of several equal constants."""
    first, same, kept = {}, {}, []
    for node in graph.node:
        key = node.attribute[0].SerializeToString() if node.op_type == "Constant" else None
        if key in first:
            same[node.output[0]] = first[key]
            continue
        if key is not None:
            first[key] = node.output[0]
        kept.append(node)
    outputs = {value.name for value in graph.output}
    if outputs & same.keys():
        return
    del graph.node[:]
    graph.node.extend(kept)
    replace(graph, same)


def replace(graph, same):
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                replace(attribute.g, same)


def statistics(tensor, known):
    """Mean and deviation of a tensor, with three digits."""
    if tensor.name in known:
        mean, deviation = known[tensor.name][:2]
    else:
        array = onnx.numpy_helper.to_array(tensor).astype(numpy.float64)
        mean, deviation = array.mean(), array.std()
    if abs(mean) < deviation / 4:
        mean = 0.0
    if deviation < 1e-6:
        deviation = LEAST
    return f"{mean:.3g} {deviation:.3g}"


def repeated(tensor, known):
    """Where a tensor of nothing but zeros or ones begins in the file, if it is one."""
    if tensor.name in known or 4 * math.prod(tensor.dims) > SPLAT:
        return None
    array = onnx.numpy_helper.to_array(tensor)
    return next((NUMBERS + SPLAT * value for value in (0, 1) if (array == value).all()), None)


def main(source, target):
    model = onnx.load(source, load_external_data=False)
    graph = model.graph
    known = next((json.loads(p.value) for p in model.metadata_props if p.key == KEY), {})
    large, places = {}, {}
    for tensor in graph.initializer:
        size = 4 * math.prod(tensor.dims)
        if size > LARGE and tensor.data_type == TensorProto.FLOAT:
            name = f"v{len(large)} {statistics(tensor, known)}"
            large[tensor.name] = name
            places[name] = repeated(tensor, known)
    unite(graph)
    kept = {value.name: value.name for value in [*graph.input, *graph.output]} | large
    # Short names go on behind those of weights.
    rename(graph, kept)
    count = most = 0
    for tensor in graph.initializer:
        if " " not in tensor.name:
            continue
        size = 4 * math.prod(tensor.dims)
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        offset = count * STEP if places[tensor.name] is None else places[tensor.name]
        for key, value in (("location", "weights.bin"), ("offset", str(offset)), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        count += 1
        most = max(most, offset + size) if offset < NUMBERS else most
    del graph.value_info[:]
    del model.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    onnx.save(model, target)
    print(f"{target}: {len(model.SerializeToString())} bytes; {count} tensors in {most} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
