"""The inputs of the comparison of ResNets with PyTorch, made with nothing but NumPy: weights from their names.

RandomState's streams are frozen for good, so a stored result stays comparable.
"""
from zlib import crc32

import numpy as np

CLASSES, LR, MOMENTUM, DECAY, ALPHA, BETA = 5, 1e-4, 0.9, 1e-3, 1.2, 0.8
RUNS = {"resnet18": dict(depth=18, frozen=False, n=4, size=48, steps=10),
        "resnet50": dict(depth=50, frozen=True, n=2, size=64, steps=10),
        "resnet50, batch statistics": dict(depth=50, frozen=False, n=2, size=48, steps=1)}


def values(name, shape):
    """The numbers of a parameter or a running statistic; none is 0 or 1 on purpose."""
    rng = np.random.RandomState(crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape)
    a = rng.standard_normal(shape)
    if len(shape) > 1:
        return a * np.sqrt(2 / np.prod(shape[1:]))
    return 0.2 * a + (0.7 if name.endswith("weight") else 0)


def data(n, size):
    """(pixels (n, S, S, 3) uint8, y (n, classes), p (classes,))"""
    rng = np.random.RandomState(n * size)
    pixels = rng.randint(256, size=(n, size, size, 3)).astype(np.uint8)
    p = rng.uniform(0.5, 1.5, CLASSES)
    return pixels, rng.dirichlet(np.full(CLASSES, 0.3), size=n), p / p.sum()


def ties():
    """(x, dout) of a maximum with many ties."""
    rng = np.random.RandomState(0)
    return rng.randint(-2, 3, (1, 9, 8, 3)).astype(float), rng.standard_normal((1, 5, 4, 3))
