"""The contestants of the CPU benchmarks: one training step by the fast path, by the readable path, by PyTorch and JAX.

A step is forward, the three-term objective, backward and SGD with momentum and decay. step() takes one and returns
(loss, gradient); the gradient, in the order and layout of theta, only for batches smaller than BATCH,
which are compared.
"""
import shutil
from importlib.util import find_spec

import numpy as np

from core.objective import objective_backward, objective_forward
from core.optim import Flat, sgd_step
from core.parallel.ranks import gathered, part_of
from nets import preact_resnet
from nets.preact_resnet import Architecture, init
from nets.preact_resnet_fast import FastNet

SMALL = Architecture(widths=(16, 32, 64), blocks=(1, 1, 1))
NETS = {"P": (Architecture(), 32, 1), "S32": (SMALL, 32, 6), "S16": (SMALL, 16, 20)}  # net, image size, steps in a turn
FAST, READABLE = "fast path", "readable path"
PEERS = {                                        # contestant: (library, arguments of benchmarks/torch_steps.py)
    "PyTorch default": ("torch", {"channels_last": False}), "PyTorch channels_last": ("torch", {}),
    "torch.compile": ("torch", {"compiled": True}), "PyTorch bfloat16": ("torch", {"half": True}),
    "PyTorch bfloat16, compiled": ("torch", {"half": True, "compiled": True}), "JAX jit": ("jax", {})}
PEAK, SGEMM = "sgemm 512", 512                   # not a network: products of matrices that lie in the cache, 100 a step
BATCH, ALPHA, BETA, LR, MOMENTUM, DECAY = 128, 1.2, 0.8, 0.01, 0.9, 1e-4


def installed_peers():
    """Those of PEERS that can run here. torch.compile writes C++, which somebody has to compile."""
    compiler = any(map(shutil.which, ("g++", "c++", "clang++", "cl")))
    return [kind for kind, (library, how) in PEERS.items()
            if find_spec(library) and (compiler or "compiled" not in how)]


def is_half(kind):
    """Whether a contestant computes in 16 bits."""
    return kind in PEERS and "half" in PEERS[kind][1]


def steps_of(kind, comm, arch, size, N, dtype):
    """The function step() of a contestant."""
    if kind == PEAK:
        return products(comm)
    if kind not in PEERS:
        return numpy_steps(FastNet(comm) if kind == FAST else preact_resnet, comm, arch, size, N, dtype)
    library, how = PEERS[kind]
    if library == "jax":
        from benchmarks.jax_steps import jax_steps
        return jax_steps(arch, size, N, dtype)
    from benchmarks.torch_steps import torch_steps
    return torch_steps(arch, size, N, dtype, **how)


def products(comm):
    """What the machine can do at most: every rank multiplies matrices of its own, in float32."""
    a, b = np.random.default_rng(comm.rank).standard_normal((2, SGEMM, SGEMM)).astype(np.float32)
    out = np.empty_like(a)

    def step():
        for _ in range(100):
            np.matmul(a, b, out=out)
        return 0, None

    return step


def problem(arch, size, N, dtype):
    """theta, images x, labels y and prior p."""
    rng = np.random.default_rng(0)
    theta, _ = init(arch, rng, dtype)
    y = rng.random((N, arch.classes))
    return (theta, rng.standard_normal((N, size, size, arch.channels)).astype(dtype),
            (y / y.sum(axis=1, keepdims=True)).astype(dtype), np.full(arch.classes, 1 / arch.classes, dtype))


def numpy_steps(net, comm, arch, size, N, dtype):
    """A function that takes a step of the readable or of the fast net."""
    theta, x, y, p = problem(arch, size, N, dtype)
    theta, part = Flat(theta), part_of(comm, N)
    velocity, x = np.zeros_like(theta.buffer), x[part]

    def step():
        logits, cache = net.forward(theta.views, x, arch)
        L, cache_L = objective_forward(gathered(comm, logits, N), y, p, ALPHA, BETA)     # s_bar is over the whole batch
        flat = theta.gather(net.backward(objective_backward(1, cache_L)[part], cache))
        comm.allreduce(flat)
        gradient = flat.copy() if N < BATCH else None
        sgd_step(theta.buffer, velocity, flat, LR, MOMENTUM, DECAY)
        return float(L[0]), gradient

    return step


def parameter_of(layers, name):
    """torch's parameter for a name of theta."""
    layer, _, kind = name.replace(".", "_").rpartition("_")
    if kind in ("gamma", "beta", "w", "b"):
        return layers[layer].bias if kind in ("beta", "b") else layers[layer].weight
    return layers[name.replace(".", "_")].weight


def to_torch(w):
    """(R, R, C, K) -> (K, C, R, R), (C, K) -> (K, C)"""
    return w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T


def to_numpy(w, ndim):
    """The way back."""
    return w.transpose(2, 3, 1, 0) if ndim == 4 else w.T
