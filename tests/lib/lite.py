"""A network of random weights under the names of EfficientNet-Lite0's file, and such a file, for tests."""
import functools

import numpy as np

from nets.efficientnet_lite import expected, parameters
from tests.lib.torch_files import described, zip_file


@functools.cache
def tensors(seed=0, dtype=np.float64):
    """{name there: array}: numbers of a size that keeps the activations between 0 and 6 alive."""
    rng, found = np.random.default_rng(seed), {}
    for name, shape in expected().items():
        values = rng.standard_normal(shape)
        if name.endswith("running_var"):
            values = 0.5 + rng.random(shape)
        elif len(shape) > 1:
            values *= np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith("weight"):
            values = 1 + 0.2 * values
        found[name] = values.astype(dtype)
    return found


def theta(dtype=np.float64):
    """The parameters made of them."""
    return parameters(tensors(), dtype=dtype)


def weights_file(path, seed=0):
    """Write the tensors as PyTorch does; returns the path."""
    path.write_bytes(zip_file(*described(tensors(seed, np.float32))))
    return path


def pixels(N, size, seed=0):
    """(N, S, S, 3) uint8: smooth pictures, each of its own colours."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(256, size=(N, 4, 4, 3))
    fine = coarse.repeat(-(-size // 4), axis=1).repeat(-(-size // 4), axis=2)[:, :size, :size]
    return np.clip(fine + rng.integers(-20, 21, size=fine.shape), 0, 255).astype(np.uint8)
