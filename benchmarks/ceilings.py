"""What the machine can do at most, measured in the run itself, and what a step needs at least."""
import statistics
import time

import numpy as np

from benchmarks.flops import layers


def ceilings(gpu):
    """{"copy": bytes/s read and written, "float32" | "tf32" | "bf16":
    FLOP/s of a large matrix product} of the GPU or the CPU."""
    if not gpu:
        return {"copy": 2 * 256e6 / median_seconds(numpy_copy(), 5),
                "float32": 2 * 2048 ** 3 / median_seconds(numpy_product(), 5)}
    try:
        return torch_ceilings()
    except ImportError:
        return cupy_ceilings(gpu - 1)


def numpy_copy():
    a = np.random.default_rng(0).random(32_000_000)
    b = np.empty_like(a)
    return lambda: np.copyto(b, a)


def numpy_product():
    a, b = np.random.default_rng(0).standard_normal((2, 2048, 2048)).astype(np.float32)
    return lambda: a @ b


def torch_ceilings():
    """By PyTorch: random numbers, since products of zeros run faster."""
    import torch
    found, n = {}, 8192
    source = torch.randint(0, 256, (1 << 32,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    found["copy"] = 2 * len(source) / median_seconds(lambda: target.copy_(source), 20, torch.cuda.synchronize)
    source = target = None             # 8 GB free for what comes next
    a, b = torch.randn((2, n, n), device="cuda")
    for name, allowed in (("float32", False), ("tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        found[name] = 2 * n ** 3 / median_seconds(lambda: a @ b, 10, torch.cuda.synchronize)
    a, b = a.bfloat16(), b.bfloat16()
    found["bf16"] = 2 * n ** 3 / median_seconds(lambda: a @ b, 10, torch.cuda.synchronize)
    return found


def cupy_ceilings(device):
    """By CuPy, where there is no PyTorch."""
    from core import backend
    found, n = {}, 8192
    for name in ("float32", "tf32"):
        xp = backend.use_gpu(device, name)
        wait = xp.cuda.Device().synchronize
        a, b = xp.random.default_rng(0).standard_normal((2, n, n), dtype=np.float32)
        found[name] = 2 * n ** 3 / median_seconds(lambda: a @ b, 10, wait)
    source = xp.random.default_rng(0).random(1 << 29)
    target = xp.empty_like(source)
    return {"copy": 2 * source.nbytes / median_seconds(lambda: xp.copyto(target, source), 20, wait), **found}


def median_seconds(work, times, wait=lambda: None):
    """The median time of `work`, after three times that are not counted."""
    seconds = []
    for _ in range(3 + times):
        wait()
        start = time.perf_counter()
        work()
        wait()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[3:])


def least_bytes(arch, size, batch, itemsize):
    """Bytes of a step that reads and writes each activation once for each of the three passes of every 3x3 convolution.

    Output: x read, out written. Gradient of x: dout read, dx written. Gradient of w: both read.
    All else is done on the way.
    """
    numbers = 3 * size ** 2 * arch.widths[0] + 2 * size ** 2 * arch.channels
    for C, K, stride, h, _ in layers(arch, size):
        numbers += 3 * (C * (h * stride) ** 2 + K * h ** 2)
    return batch * itemsize * numbers
