"""Predicted time of a launch of core/kernels on an H100 or an H200, from its arguments alone, without a GPU.

    flop      2 R R C K for every pixel of a convolution, 0 for other kernels
    read,     bytes of the launch's arrays, each once: those that the kernel declares const are read, the others
    written   written
    again     bytes read again by other blocks, from the cache: x for the other channels, and the sums, which every
              block adds up. Without halos, and without w, whose loads overlap with the products
    bound     max(flop / rate, bytes / COPY), a lower bound for any kernel

    up to two waves of blocks, all in the same phase:        seconds = GAP + waiting + in + products + out
    the same, for kernels that prefetch the next chunk:      seconds = GAP + max(waiting + in, products) + out
    more waves, whose phases overlap:                        seconds = GAP + max(waiting, in + out, products)

in, out: bytes at the rate of a copy, again at that of the cache. products: at the rate of the instruction, on the
multiprocessor with the most blocks. waiting: memory latency of a thread's dependent loads. A wave: the blocks that run
at the same time.

A prediction, not a simulation, made before any measurement: errors show where the model is wrong.
"""
import re
from math import ceil, prod
from typing import NamedTuple

from core.kernels.program import NULL, source
from core.kernels.step import SECTIONS

WRITTEN = "2026-11-28"                     # the last change of anything here that changes a prediction
COPY = {"H100": 3.0e12, "H200": 4.3e12}    # bytes/s read and written by a copy of some GB, measured
RATE = {"half": 490e12, "float": 245e12}   # FLOP/s of mma.sync: 16 bits; TF32                              docs/gpu.md
PROCESSORS = 132                           # multiprocessors of either GPU                                data sheet
QUARTERS, REGISTERS = 4, 16384             # quarters of a multiprocessor, registers of a quarter         data sheet
UNIT, SHARED = 256, 228 * 1024             # registers are allocated by UNIT; bytes of shared memory      data sheet
AHEAD = {"wgrad"}                          # kernels that prefetch the next chunk
SHARE = {"wgrad": 0.6}                     # share of RATE left by their shared-memory traffic (13/16)    a guess
TAKEN = {"conv": 112, "wgrad": 96}         # registers of a thread, about, as compiled; all others: 32
GAP = 1.2e-6                               # between two kernels of a graph, one waiting for the other        a guess
MEMORY, CACHE = 0.6e-6, 0.3e-6             # until a number arrives                                           a guess
CACHE_RATE = 5.5e12                        # bytes/s, all multiprocessors together                            a guess
BARRIER = 0.4e-6                           # of a cluster, and reading what its blocks share                  a guess

# Bytes that a thread has in flight, by the unrolled loops of the sources; all others: 16. (A store that may alias the
# loads ends an unrolled loop; a third of wgrad.cu's 80 is halo.)
AT_ONCE = {"conv": 144, "wgrad": 56, "norm_backward": 128, "fewer_slots": 32, "add_slots": 32, "sgd": 12, "advance": 8}
# Chains of dependent loads, counted in the sources for the paper's network at batch 128.
WAITS = {
    "gather": 3 * MEMORY,                          # step, then order, then pixels
    "head_forward": 4 * MEMORY + 6 * CACHE,        # 32 pixels, eight at a time; the sums; w
    "head_backward": 4 * CACHE,                    # 32 pixels, eight at a time
    "linear_gradient": 32 * CACHE,                 # 128 samples, four at a time
    "objective": 30 * CACHE,                       # samples, classes, samples, with barriers between them
}
BATCHES = {"pixels", "Y", "ring", "order"}         # of these arrays a step needs as many rows as the batch has
BOTH = {"theta", "velocity", "running"}            # read and written


class Work(NamedTuple):
    """Of one launch."""
    flop: int
    products: int                          # flop including products with the zeros of a spread gradient
    read: int
    written: int
    again: int


def works(program, batch):
    """[(launch, Work)] of a training step, in order."""
    kept, found = iter(program.kept), []
    for launch in (launch for section in SECTIONS for launch in program.sections[section]):
        kernel, text = kernel_of(launch), source(launch.file)
        names, rows = declared(text, rf"__global__[^;{{]*?\b{kernel}\(([^)]*)\)", ","), [launch.arguments]
        if "layers" in names:              # addresses of arrays: a row for each layer
            names = declared(text, r"struct Layer {(.*?)}", ";")
            rows = [(needed(x, *row), *row) for x, *row in next(kept)]
        layers = [{name: a for name, a in zip(names, row, strict=True) if names[name] and a is not NULL}
                  for row in rows]
        found.append((launch, work(launch, names, layers, batch)))
    return found


def kernel_of(launch):
    """The name of the kernel without the arguments of its template."""
    return launch.name.partition("<")[0]


def declared(text, pattern, separator):
    """{name: "read", "written", or "" for what is no array} of the declarations that the pattern finds."""
    found = re.search(pattern, text, re.DOTALL)[1].split(separator)
    words = [declaration.split() for declaration in found if declaration.strip()]
    return {w[-1]: ("read" if w[0] == "const" else "written") if "*" in "".join(w) else "" for w in words}


def needed(x, norm, dy, slots):
    """The pixels of x that a weight gradient reads: for a 1x1 filter those that it met."""
    stride = x.shape[1] // dy.shape[1] if slots.shape[1] == 1 else 1
    return x[:, ::stride, ::stride]


def work(launch, names, layers, batch):
    """The Work of one launch; layers: the arrays by name, of all but wgrad one dictionary."""
    flop = products = read = written = again = 0
    for arrays in layers:
        sizes = {name: a.nbytes // len(a) * batch if name in BATCHES else a.nbytes for name, a in arrays.items()}
        if kernel_of(launch) == "add_slots":           # of some parameters only: those of its table
            count, number = arrays["table"][:, 1], arrays["table"][:, 4]
            sizes |= {"slots": int(4 * (count * number).sum()), "gradient": int(4 * count.sum())}
        often = blocks_with(launch, arrays)
        reading = [name for name in arrays if names[name] == "read" or name in BOTH]
        read += sum(sizes[name] for name in reading)
        again += sum(sizes[name] * (often.get(name, 1) - 1) for name in reading)
        written += sum(sizes[name] for name in arrays if names[name] == "written")
        if kernel_of(launch) in ("conv", "wgrad"):
            w, out = (arrays["w"], arrays["out"]) if "w" in arrays else (arrays["slots"][0], arrays["dy"])
            flop += 2 * w.size * min(prod(arrays["x"].shape[:3]), prod(out.shape[:3]))
            products += 2 * w.size * prod(out.shape[:3])
    return Work(flop, products, read, written, again)


def blocks_with(launch, arrays):
    """{name: how many blocks read the same numbers of that array}, where it is more than one."""
    if kernel_of(launch) == "wgrad":
        CT, KT = map(int, launch.name[:-1].split(", ")[-2:])
        return {"x": arrays["dy"].shape[3] // KT, "dy": arrays["x"].shape[3] // CT}
    sums = {"conv": "in_sums", "norm_backward": "sums", "head_forward": "sums"}.get(kernel_of(launch))
    of_x = dict.fromkeys(("x", "before", "came_round"), launch.grid[1]) if sums == "in_sums" else {}
    return {sums: prod(launch.grid) // cluster_of(launch)} | of_x


def nearest(copy):
    """The GPU whose copy is nearest to one that was measured, in bytes/s."""
    return min(COPY, key=lambda gpu: abs(COPY[gpu] - copy))


def cluster_of(launch):
    """How many blocks read the sums together."""
    words = launch.name[:-1].split(", ")
    return int(words[-1]) if kernel_of(launch) == "conv" and len(words) == 15 else 1


def bound(work, number, gpu):
    """Seconds that the launch needs at least."""
    return max(work.flop / RATE[number], (work.read + work.written) / COPY[gpu])


def of_quarter(threads, registers):
    """Registers of a block in the fullest quarter of a multiprocessor; warps are assigned to quarters in turn."""
    return ceil(threads / 32 / QUARTERS) * ceil(32 * registers / UNIT) * UNIT


def predicted(launch, work, number, gpu):
    """Seconds from the end of the launch before this one to its own."""
    blocks, registers = prod(launch.grid), of_quarter(launch.block, TAKEN.get(kernel_of(launch), 32))
    waves = blocks / (PROCESSORS * min(REGISTERS // registers, SHARED // (launch.shared + 1024)))
    most = ceil(blocks / PROCESSORS)       # blocks of one multiprocessor
    products = work.products / RATE[number] / SHARE.get(kernel_of(launch), 1) * most * PROCESSORS / blocks
    within, out = work.read / COPY[gpu] + work.again / CACHE_RATE, work.written / COPY[gpu]
    wait = waiting(launch, work, ceil(waves))
    if waves > 2:
        return GAP + max(wait, within + out, products)
    return GAP + (max if kernel_of(launch) in AHEAD else sum)([wait + within, products]) + out


def waiting(launch, work, waves):
    """Seconds of memory latency: the longest chain of dependent loads of a thread, and its last store."""
    at_once = prod(launch.grid) * launch.block * AT_ONCE.get(kernel_of(launch), 16)
    barrier = BARRIER if cluster_of(launch) > 1 else 0
    loads = ceil((work.read + work.again) / at_once)
    return CACHE + barrier + (WAITS.get(kernel_of(launch)) or loads * waves * MEMORY)
