#!/usr/bin/env python3
"""Records the probes on the GPU of this machine: python3 record.py FOLDER writes every NAME.probe there, with its output.

Needs the NVIDIA driver and nothing else. Probes for a newer GPU than this one are left out. The format stands in src/probe.rs.
"""
import ctypes as c
import math
import os
import struct
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes")
FORMATS = {"f16": (5, 10, False), "bf16": (8, 7, False), "f32": (8, 23, False), "e4m3": (4, 3, True), "e5m2": (5, 2, False)}
ELEMENTS = {"byte": (0, 1), "s32": (3, 4), "f16": (6, 2), "f32": (7, 4)}
MASK = (1 << 64) - 1


def splitmix(seed):
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        v = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        v = ((v ^ v >> 27) * 0x94D049BB133111EB) & MASK
        yield v ^ v >> 31


def encode(x, exponent, mantissa):
    """Round to nearest even; the values here are in -2 .. 2, which no format overflows."""
    sign = 1 if math.copysign(1, x) < 0 else 0
    x = abs(x)
    bias = (1 << (exponent - 1)) - 1
    bits = 0
    if x != 0:
        top = max(math.frexp(x)[1] - 1, 1 - bias)
        quantum = math.ldexp(1.0, top - mantissa)
        kept = round(x / quantum)  # exact quotient, ties to even
        bits = ((top - (1 - bias)) << mantissa) + kept
    return sign << (exponent + mantissa) | bits


def elements(kind, count, seed):
    out, numbers = bytearray(), splitmix(seed)
    for k in range(count):
        if kind == "iota":
            out += struct.pack("<I", k)
            continue
        v = next(numbers)
        x = (v >> 11) / (1 << 51) - 2.0
        if kind in ("byte", "word"):
            out += struct.pack("<Q", v)[: 1 if kind == "byte" else 4]
        elif kind == "f64":
            out += struct.pack("<d", x)
        else:
            exponent, mantissa, _ = FORMATS[kind]
            size = (exponent + mantissa + 1) // 8
            out += struct.pack("<Q", encode(x, exponent, mantissa))[:size]
    return bytes(out)


def after(words, name):
    """The integers that follow a word."""
    out = []
    for word in words[words.index(name) + 1 :] if name in words else []:
        if not word.lstrip("-").isdigit():
            break
        out.append(int(word))
    return out


def parse(text):
    probe = {"inputs": [], "map": None, "cluster": [1, 1, 1]}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if words[0] == "recorded":
            break
        if words[0] in ("grid", "block", "cluster"):
            probe[words[0]] = [int(w) for w in words[1:]]
        elif words[0] in ("sm", "shared", "output"):
            probe[words[0]] = int(words[1])
        elif words[0] == "input":
            probe["inputs"].append(elements(words[1], int(words[2]), int(words[4])))
        elif words[0] == "map":
            probe["map"] = words[1:]
    return probe


class Attribute(c.Structure):
    _fields_ = [("id", c.c_uint), ("pad", c.c_uint), ("value", c.c_uint * 16)]


class Config(c.Structure):
    _fields_ = [("grid", c.c_uint * 3), ("block", c.c_uint * 3), ("shared", c.c_uint), ("stream", c.c_void_p),
                ("attributes", c.POINTER(Attribute)), ("count", c.c_uint)]


class Driver:
    def __init__(self):
        self.lib = c.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        device, context = c.c_int(), c.c_void_p()
        self.call("cuDeviceGet", c.byref(device), 0)
        name, version, major, minor = c.create_string_buffer(100), c.c_int(), c.c_int(), c.c_int()
        self.call("cuDeviceGetName", name, 100, device)
        self.call("cuDriverGetVersion", c.byref(version))
        self.call("cuDeviceGetAttribute", c.byref(major), 75, device)
        self.call("cuDeviceGetAttribute", c.byref(minor), 76, device)
        self.sm = major.value * 10 + minor.value
        self.place = f"{name.value.decode()}, driver {version.value // 1000}.{version.value % 1000 // 10}"
        self.call("cuDevicePrimaryCtxRetain", c.byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *args):
        status = getattr(self.lib, name)(*args)
        if status != 0:
            raise RuntimeError(f"{name} answers {status}")

    def upload(self, data):
        address = c.c_uint64()
        self.call("cuMemAlloc_v2", c.byref(address), c.c_size_t(len(data)))
        self.call("cuMemcpyHtoD_v2", address, data, c.c_size_t(len(data)))
        return address

    def tensor_map(self, words, address):
        number, size = ELEMENTS[words[0]]
        sizes = after(words, "sizes")
        rank, strides, stride = len(sizes), [], size
        for extent in sizes[:-1]:
            stride *= extent
            strides.append(stride)
        steps = (after(words, "steps") + [1] * rank)[:rank]
        swizzle = {32: 1, 64: 2, 128: 3}.get((after(words, "swizzle") or [0])[0], 0)
        raw = c.create_string_buffer(192)
        at = (c.addressof(raw) + 63) // 64 * 64
        many = lambda kind, values: (kind * max(len(values), 1))(*values)
        head = [c.c_void_p(at), number, rank, address, many(c.c_uint64, sizes), many(c.c_uint64, strides)]
        tail = [many(c.c_uint32, steps), 0, swizzle, 0, 0]
        if "channels" in words:
            corners = [many(c.c_int, after(words, "lower")), many(c.c_int, after(words, "upper"))]
            counts = [after(words, "channels")[0], after(words, "pixels")[0]]
            self.call("cuTensorMapEncodeIm2col", *head, *corners, *counts, *tail)
        else:
            self.call("cuTensorMapEncodeTiled", *head, many(c.c_uint32, after(words, "box")), *tail)
        return raw, at

    def run(self, probe, ptx):
        module, function = c.c_void_p(), c.c_void_p()
        self.call("cuModuleLoadData", c.byref(module), ptx.encode() + b"\0")
        self.call("cuModuleGetFunction", c.byref(function), module, b"probe")
        buffers = [self.upload(data) for data in probe["inputs"] + [bytes(probe["output"])]]
        arguments = [c.addressof(b) for b in buffers]
        if probe["map"]:
            keep, at = self.tensor_map(probe["map"], buffers[int(probe["map"][2])])
            arguments.append(at)
        pointers = (c.c_void_p * len(arguments))(*arguments)
        attribute = Attribute(id=4)
        attribute.value[0:3] = probe["cluster"]
        config = Config(shared=probe["shared"], attributes=c.pointer(attribute), count=int(probe["cluster"] != [1, 1, 1]))
        config.grid[:], config.block[:] = probe["grid"], probe["block"]
        self.call("cuLaunchKernelEx", c.byref(config), function, pointers, None)
        self.call("cuCtxSynchronize")
        out = c.create_string_buffer(probe["output"])
        self.call("cuMemcpyDtoH_v2", out, buffers[-1], c.c_size_t(probe["output"]))
        for buffer in buffers:
            self.call("cuMemFree_v2", buffer)
        self.call("cuModuleUnload", module)
        return out.raw


def main():
    target = sys.argv[1]
    driver = Driver()
    for name in sorted(f[:-6] for f in os.listdir(HERE) if f.endswith(".probe")):
        text = open(os.path.join(HERE, name + ".probe")).read()
        probe = parse(text)
        if probe["sm"] > driver.sm:
            print(f"{name}: needs sm_{probe['sm']}")
            continue
        out = driver.run(probe, open(os.path.join(HERE, name + ".ptx")).read())
        head = text.split("\nrecorded ")[0].rstrip("\n")
        lines = [out[k : k + 32].hex() for k in range(0, len(out), 32)]
        with open(os.path.join(target, name + ".probe"), "w") as f:
            f.write("\n".join([head, f"recorded {driver.place}", *lines]) + "\n")
        print(f"{name}: recorded")


if __name__ == "__main__":
    main()
