"""The contestants of the CPU benchmarks: one training step by the fast path, by the readable path and by PyTorch.

A step is forward, the three-term objective, backward and SGD with momentum and decay. step() takes one and returns
(loss, gradient); the gradient, in the order and layout of theta, only for batches smaller than BATCH,
which are compared.
"""
import numpy as np

from core.objective import objective_backward, objective_forward
from core.optim import Flat, sgd_step
from core.parallel.ranks import gathered, part_of
from nets import preact_resnet
from nets.preact_resnet import Architecture, block_plan, init
from nets.preact_resnet_fast import FastNet

SMALL = Architecture(widths=(16, 32, 64), blocks=(1, 1, 1))
NETS = {"P": (Architecture(), 32, 1), "S32": (SMALL, 32, 6), "S16": (SMALL, 16, 20)}  # net, image size, steps in a turn
FAST, READABLE, DEFAULT, LAST = "fast path", "readable path", "PyTorch default", "PyTorch channels_last"
PEAK, SGEMM = "sgemm 512", 512                   # not a network: products of matrices that lie in the cache, 100 a step
BATCH, ALPHA, BETA, LR, MOMENTUM, DECAY = 128, 1.2, 0.8, 0.01, 0.9, 1e-4


def steps_of(kind, comm, arch, size, N, dtype):
    """The function step() of a contestant."""
    if kind == PEAK:
        return products(comm)
    if kind in (DEFAULT, LAST):
        return torch_steps(arch, size, N, dtype, kind == LAST)
    return numpy_steps(FastNet(comm) if kind == FAST else preact_resnet, comm, arch, size, N, dtype)


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


def torch_steps(arch, size, N, dtype, channels_last):
    """The same with torch.nn and autograd."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    theta, x, y, p = problem(arch, size, N, dtype)
    plan, layers = block_plan(arch), nn.ModuleDict()
    for name, w in theta.items():
        key = name.replace(".", "_")
        if name.endswith("gamma"):
            layers[key[:-6]] = nn.BatchNorm2d(len(w), eps=2e-5)
        elif w.ndim == 4:
            R, _, C, K = w.shape
            strides = {block: stride for block, _, _, stride, _ in plan}
            stride = strides.get(name.rpartition(".")[0], 1) if not name.endswith("conv2") else 1
            layers[key] = nn.Conv2d(C, K, R, stride, R // 2, bias=False)
    layers["linear"] = nn.Linear(arch.widths[-1], arch.classes)
    layers.to(getattr(torch, np.dtype(dtype).name))
    own = {name: parameter_of(layers, name) for name in theta}
    with torch.no_grad():
        for name, w in theta.items():
            own[name].data = torch.from_numpy(to_torch(w).copy())
    x, y, p = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y), torch.from_numpy(p)
    if channels_last:
        layers, x = layers.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(own.values(), LR, MOMENTUM, weight_decay=DECAY)

    def forward(x):
        x = layers["conv"](x)
        for name, *_, projecting in plan:
            block = name.replace(".", "_")
            a = F.relu(layers[f"{block}_bn1"](x))
            h = layers[f"{block}_conv2"](F.relu(layers[f"{block}_bn2"](layers[f"{block}_conv1"](a))))
            x = h + (layers[f"{block}_projection"](a) if projecting else x)
        return layers["linear"](F.relu(layers["bn"](x)).mean(dim=(2, 3)))

    def step():
        log_s = F.log_softmax(forward(x), dim=1)
        s = log_s.exp()
        L = ((torch.xlogy(y, y) - y * log_s).sum() / N + ALPHA * (torch.xlogy(p, p) - p * s.mean(dim=0).log()).sum()
             - BETA * (s * log_s).sum() / N)
        sgd.zero_grad()
        L.backward()
        gradient = None
        if N < BATCH:
            gradient = np.concatenate([to_numpy(own[name].grad.numpy(), w.ndim).reshape(-1)
                                       for name, w in theta.items()])
        sgd.step()
        return float(L.detach()), gradient

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
