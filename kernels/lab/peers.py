"""PyTorch's times for the jobs of a file of `onnx2crate lab`, in the same form: a CUDA graph of runs that take turns on
copies of all their memory, together larger than the L2 cache; the median of its replays, divided by the runs.

usage: python3 peers.py JOBS.toml [--only TEXT] [--seconds S] [--json FILE] [--beside LAB.json]

`--beside` takes the results of `onnx2crate lab JOBS.toml --json LAB.json` of the same machine, and prints PyTorch's time over
ours: above 1 is faster. Models are left out.
"""

import argparse
import json
import math
import tomllib

import torch
import torch.nn.functional as F

DTYPES = {"f32": torch.float32, "tf32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}
ROTATED = 256e6
MOST_COPIES = 64


def cases(text):
    for job in tomllib.loads(text)["job"]:
        if job["op"] == "model":
            continue
        for size in job["sizes"]:
            for dtype in job.get("dtypes", ["f32"]):
                words = [job["op"], "x".join(map(str, size)), dtype]
                words += ["+".join(job["epilogue"])] if job.get("epilogue") else []
                words += ["generic"] if job.get("generic") else []
                words += ["warm"] if job.get("warm") else []
                yield " ".join(words), job, size, DTYPES[dtype]


def epilogue(job, y, channel, parts):
    for word in job.get("epilogue", []):
        if word == "bias":
            shape = [1] * y.dim()
            shape[channel] = -1
            y = y + parts.pop(0).view(shape)
        elif word == "relu":
            y = F.relu(y)
        elif word == "gelu":
            y = F.gelu(y)
        elif word == "residual":
            y = y + parts.pop(0)
    return y


def problem(job, size, dtype):
    """Tensors of one copy, and what is run on them."""
    op = job["op"]
    new = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.float32).to(dtype)
    words = job.get("epilogue", [])
    if op == "copy":
        return [new(*size), new(*size)], lambda x, y: y.copy_(x)
    if op == "bias_relu":
        bias = new(1, size[1], *[1] * (len(size) - 2))
        return [new(*size), bias], lambda x, b: F.relu(x + b)
    if op == "row_sum":
        return [new(*size)], lambda x: x.sum(-1)
    if op == "softmax":
        return [new(*size)], lambda x: F.softmax(x, -1)
    if op == "layer_norm":
        return [new(*size), new(size[-1]), new(size[-1])], lambda x, w, b: F.layer_norm(x, (size[-1],), w, b)
    if op == "transpose":
        return [new(*size)], lambda x: x.permute(job["perm"]).contiguous()
    if op == "gather":
        table, row, count = size
        indices = (torch.arange(count) * 40503 % table).cuda()
        return [new(table, row), indices], lambda x, i: torch.index_select(x, 0, i)
    if op == "concat":
        parts = [new(*size) for _ in range(job.get("parts", 2))]
        return parts, lambda *parts: torch.cat(parts, job.get("axis", 0))
    if op == "gemm":
        *batch, m, n, k = size
        rest = [new(n) if w == "bias" else new(*batch, m, n) for w in words if w in ("bias", "residual")]
        return [new(*batch, m, k), new(*batch, k, n), *rest], lambda a, b, *rest: epilogue(job, a @ b, -1, list(rest))
    if op == "conv":
        n, c, extent, filters, kernel, stride, pad, *groups = size
        groups = groups[0] if groups else 1
        last = dict(memory_format=torch.channels_last)
        x, w = new(n, c, extent, extent).to(**last), new(filters, c // groups, kernel, kernel).to(**last)
        out = (extent + 2 * pad - kernel) // stride + 1
        rest = [new(filters) if e == "bias" else new(n, filters, out, out).to(**last) for e in words if e in ("bias", "residual")]
        run = lambda x, w, *rest: epilogue(job, F.conv2d(x, w, None, stride, pad, 1, groups), 1, list(rest))
        return [x, w, *rest], run
    if op == "attention":
        batch, heads, queries, keys, width = size
        q, k, v = new(batch, heads, queries, width), new(batch, heads, keys, width), new(batch, heads, keys, width)
        return [q, k, v], F.scaled_dot_product_attention
    raise SystemExit(f"{op} is not known")


def time(job, size, dtype, seconds):
    tensors, run = problem(job, size, dtype)
    out = run(*tensors)
    moved = sum(t.numel() * t.element_size() for t in [*tensors, out])
    copies = 1 if job.get("warm") else min(MOST_COPIES, max(1, math.ceil(ROTATED / moved)))
    sets = [tensors] + [[t.clone() for t in tensors] for _ in range(copies - 1)]
    runs = max(copies, 4)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(4):
            run(*tensors)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        # Results are kept, so that runs do not share the memory of one.
        kept = [run(*sets[k % copies]) for k in range(runs)]
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def once():
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e3 / runs

    once()
    first = once()
    times = sorted(once() for _ in range(int(min(200, max(5, seconds * 1e6 / (first * runs))))))
    del kept
    return times[len(times) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs")
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--json")
    parser.add_argument("--beside")
    args = parser.parse_args()
    ours = {}
    if args.beside:
        with open(args.beside) as file:
            ours = {row["name"]: row for row in json.load(file)}
    torch.backends.cudnn.benchmark = True
    rows = []
    with open(args.jobs) as file:
        text = file.read()
    print(f"{'case':<44} {'torch us':>10} {'us':>10} {'ratio':>7}")
    for name, job, size, dtype in cases(text):
        if args.only not in name:
            continue
        tf32 = " tf32" in name
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        try:
            with torch.inference_mode():
                us = time(job, size, dtype, args.seconds)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"{name:<44} failed: {str(error).splitlines()[0]}", flush=True)
            continue
        finally:
            torch.cuda.empty_cache()
        row = ours.get(name)
        mine = row["us"] if row and not row["failure"] else None
        rows.append({"name": name, "torch_us": us, "us": mine})
        beside = f"{mine:>10.2f} {us / mine:>7.2f}" if mine else f"{'-':>10} {'-':>7}"
        print(f"{name:<44} {us:>10.2f} {beside}", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(rows, file, indent=1)


main()
