"""A small relative of the network, with parameters and images for it."""
import numpy as np

from nets import preact_resnet as net
from nets.preact_resnet import Architecture

SMALL = Architecture(classes=4, widths=(3, 4, 5), blocks=(2, 1, 2), channels=2)


def drawn(arch, seed=0, dtype=np.float64):
    """theta of which nothing is 0 or 1 on purpose, since zeros and ones hide errors; and running statistics."""
    rng = np.random.default_rng(seed)
    theta, running = net.init(arch, rng, dtype)
    theta = {name: a if a.ndim == 4 else (a + rng.standard_normal(a.shape) / 2).astype(dtype)
             for name, a in theta.items()}
    return theta, {name: (a + rng.random(a.shape)).astype(dtype) for name, a in running.items()}


def images(arch, N=3, H=9, W=8, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((N, H, W, arch.channels)).astype(dtype)
