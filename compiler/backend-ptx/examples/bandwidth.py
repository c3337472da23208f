"""Checks and times the launches that `bandwidth.rs` wrote: `python bandwidth.py FOLDER [--only TEXT] [--peers] [--seconds N]`.

ctypes on libcuda.so.1; torch for memory, references, graphs and the copy that everything is compared with. One line a job: time of all
its launches in a CUDA graph (median), GB/s of inputs and outputs, ratio to copying as many bytes in the same run.
"""
import argparse, ctypes, json, os, time
import torch

ap = argparse.ArgumentParser()
ap.add_argument("folder")
ap.add_argument("--only", default="")
ap.add_argument("--peers", action="store_true")
ap.add_argument("--seconds", type=float, default=50)
opt = ap.parse_args()
started = time.time()

cu = ctypes.CDLL("libcuda.so.1")
def call(name, *args):
    rc = getattr(cu, name)(*args)
    if rc:
        text = ctypes.c_char_p()
        cu.cuGetErrorString(rc, ctypes.byref(text))
        raise RuntimeError(f"{name}: {rc} {text.value.decode() if text.value else ''}")

torch.zeros(1, device="cuda")
call("cuInit", 0)
ctx = ctypes.c_void_p()
call("cuDevicePrimaryCtxRetain", ctypes.byref(ctx), 0)
call("cuCtxSetCurrent", ctx)

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64, "bool": torch.bool}
functions = {}
def function(launch):
    if launch["file"] not in functions:
        text = open(os.path.join(opt.folder, launch["file"]), "rb").read() + b"\0"
        module, func = ctypes.c_void_p(), ctypes.c_void_p()
        call("cuModuleLoadData", ctypes.byref(module), text)
        call("cuModuleGetFunction", ctypes.byref(func), module, launch["entry"].encode())
        functions[launch["file"]] = func
    func = functions[launch["file"]]
    if launch["shared"] > 48 * 1024:
        call("cuFuncSetAttribute", func, 8, ctypes.c_int(launch["shared"]))
    return func

class Launch:
    def __init__(self, launch, buffers):
        self.func, self.keep = function(launch), []
        for a in launch["args"]:
            value = buffers[a["buffer"]].data_ptr() + a.get("offset", 0) if "buffer" in a else a["value"]
            size = 8 if "buffer" in a else a["bytes"]
            self.keep.append(ctypes.create_string_buffer(int(value % (1 << 64)).to_bytes(8, "little")[:size], size))
        self.params = (ctypes.c_void_p * max(1, len(self.keep)))(*[ctypes.addressof(k) for k in self.keep])
        self.grid, self.block, self.shared = launch["grid"], launch["block"], launch["shared"]
    def run(self):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        call("cuLaunchKernel", self.func, *self.grid, *self.block, self.shared, stream, self.params, None)

def timed(work, rounds):
    """Median microseconds of one call of each of `work`, in one graph of as many calls; of one call, where that takes long."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        work[0]()
        torch.cuda.synchronize()
        first = time.time()
        work[0]()
        torch.cuda.synchronize()
        if time.time() - first > 0.01:
            return (time.time() - first) * 1e6
        for w in work:
            w()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        for _ in range(rounds):
            for w in work:
                w()
    times = []
    with torch.cuda.stream(side):
        graph.replay()
        for _ in range(7):
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record(side); graph.replay(); b.record(side); b.synchronize()
            times.append(a.elapsed_time(b) * 1000 / (rounds * len(work)))
    return sorted(times)[len(times) // 2]

def stable(x, descending):
    return torch.sort(x, dim=-1, descending=descending, stable=True)

REFERENCES = {
    "bias_relu": lambda x, b: [torch.relu(x + b)],
    "gelu": lambda x: [torch.nn.functional.gelu(x)],
    "add": lambda x, y: [x + y],
    "cast_f16": lambda x: [x.half()],
    "row_sum": lambda x: [x.sum(1, dtype=torch.float64 if x.numel() < 1 << 27 else None).to(x.dtype)],
    "row_max": lambda x: [x.amax(1)],
    "row_argmax": lambda x: [x.argmax(1)],
    "column_sum": lambda x: [x.sum(0)],
    "pool_sum": lambda x: [x.sum((2, 3), keepdim=True)],
    "pool_nhwc": lambda x: [x.sum((1, 2), keepdim=True)],
    "max_pool_nhwc": lambda x: [torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1).permute(0, 2, 3, 1)],
    "softmax": lambda x: [torch.softmax(x, 1)],
    "layer_norm": lambda x, s, b: [torch.nn.functional.layer_norm(x, s.shape, s, b, 1e-5)],
    "transpose_12": lambda x: [x.transpose(1, 2).contiguous()],
    "transpose_01": lambda x: [x.t().contiguous()],
    "to_nchw": lambda x: [x.permute(0, 3, 1, 2).contiguous()],
    "to_nhwc": lambda x: [x.permute(0, 2, 3, 1).contiguous()],
    "to_nhwc_bias": lambda x, b: [(x.permute(0, 2, 3, 1) + b).contiguous()],
    "heads": lambda x: [x.permute(0, 2, 1, 3).contiguous()],
    "gather": lambda x, i: [x[i]],
    "concat_1": lambda *x: [torch.cat(x, 1)],
    "sort": lambda x: list(stable(x, False)),
    "compact": lambda m: [m.nonzero().flatten(), m.sum()],
    "prefix": lambda x: [torch.cumsum(x, 0)],
    "scatter_add": lambda b, i, u: [b.index_add(0, i, u)],
    "shuffle": lambda x: [x.transpose(1, 2).contiguous()],
}
PEERS = dict(REFERENCES)
PEERS["row_sum"] = lambda x: [x.sum(1)]
PEERS["top"] = lambda x: list(torch.topk(x, 5 if x.dim() == 2 else 100))

def make(job, copies):
    """Inputs and buffers, so often that two runs meet different memory."""
    sets = []
    for copy in range(copies):
        torch.manual_seed(copy)
        inputs = []
        for t in job["inputs"]:
            ty, shape = TYPES[t["dtype"]], t["shape"]
            if ty == torch.int64:
                x = torch.randint(0, 30522, shape, device="cuda")
            elif ty == torch.bool:
                x = torch.rand(shape, device="cuda") < 0.5
            else:
                x = torch.randn(shape, device="cuda", dtype=ty)
            inputs.append(x)
        outputs = [torch.zeros(t["shape"], device="cuda", dtype=TYPES[t["dtype"]]) for t in job["outputs"]]
        buffers = []
        for b in job["buffers"]:
            kind, _, k = b["place"].partition(" ")
            buffers.append(inputs[int(k)] if kind == "input" else outputs[int(k)] if kind == "output" else
                           torch.empty((b["bytes"] + 15) // 16 * 16, device="cuda", dtype=torch.uint8))
        sets.append((inputs, outputs, [Launch(l, buffers) for l in job["launches"]], buffers))
    return sets

def wrong(job, inputs, outputs):
    name = job["reference"]
    if name == "top":
        k = job["outputs"][0]["shape"][-1]
        expected = [t[..., :k] for t in stable(inputs[0], True)]
    else:
        expected = REFERENCES[name](*inputs)
    worst = 0.0
    for found, e in zip(outputs, expected):
        if name == "compact" and found.dim():
            found = found[: e.numel()]
        if not e.dtype.is_floating_point:
            worst = max(worst, float((found != e).sum()))
        else:
            f, e = found.reshape(-1).float(), e.reshape(-1).float()
            worst = max(worst, float(((f - e).norm() / e.norm().clamp(min=1e-30))))
    return worst

BOUND = {"f32": 2e-6, "f16": 2e-3, "bf16": 1e-2}
copies = {}
def copy_time(total, dtype):
    """Microseconds to copy random elements so that reads and writes together are `total` bytes."""
    megabytes = max(1, round(total / 2 / (1 << 20)))
    key = (megabytes, str(dtype))
    if key not in copies:
        n = 2 if megabytes > 16 else 8
        count = (megabytes << 20) // dtype.itemsize
        pairs = [(torch.randn(count, device="cuda").to(dtype), torch.zeros(count, device="cuda", dtype=dtype)) for _ in range(n)]
        copies[key] = timed([lambda a=a, b=b: b.copy_(a) for a, b in pairs], 4) / ((megabytes << 21) / total)
    return copies[key]

rows = []
for job in json.load(open(os.path.join(opt.folder, "jobs.json"))):
    title = f'{job["name"]}_{job["dtype"]}'
    if opt.only not in title:
        continue
    if time.time() - started > opt.seconds:
        print("out of time at", title)
        break
    try:
        size = lambda t: torch.tensor(t["shape"]).prod().item() * TYPES[t["dtype"]].itemsize
        total = sum(map(size, job["inputs"])) + sum(map(size, job["outputs"]))
        if job["reference"] == "gather":
            total = 2 * size(job["outputs"][0]) + size(job["inputs"][1])
        sets = make(job, 2 if total > 100 << 20 else 4)
        for _, _, launches, _ in sets[:1]:
            for l in launches:
                l.run()
        torch.cuda.synchronize()
        error = wrong(job, sets[0][0], sets[0][1])
        bad = "" if error <= (BOUND[job["dtype"]] if TYPES[job["outputs"][0]["dtype"]].is_floating_point else 0) else f" WRONG {error:.1e}"
        us = timed([lambda s=s: [l.run() for l in s[2]] for s in sets], 2)
        peer = ""
        if opt.peers and job["reference"] in PEERS and job["reference"] != "compact":
            p = timed([lambda s=s: PEERS[job["reference"]](*s[0]) for s in sets], 2)
            peer = f" torch {p:9.1f} us ({p / us:.2f})"
        base = copy_time(total, TYPES[job["dtype"]])
        print(f'{title:34} {len(job["launches"])} launches {us:9.1f} us {total / us / 1e3:7.0f} GB/s {base / us:5.2f} of copy{peer}{bad}', flush=True)
        del sets
    except Exception as e:
        print(title, "FAILED", str(e)[:200], flush=True)
        if "illegal" in str(e) or "700" in str(e) or "716" in str(e) or "719" in str(e):
            raise SystemExit("the context is lost")
    torch.cuda.empty_cache()
rates = {f"{k} MB {d}": round((k << 21) / 1e3 / v) for (k, d), v in copies.items() if k > 200}
print(f"{time.time() - started:.0f} s, copy rates", rates)
