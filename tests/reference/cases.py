"""The inputs of the comparison with PyTorch: made from a number, with nothing but NumPy,
so that the full net's need no file.

RandomState's streams are frozen for good (those of NumPy's newer generators are not), so a stored result stays
comparable. No number has a value that hides errors: gamma is not 1, beta and the bias are not 0, p is not uniform,
y not one-hot.
"""
from typing import NamedTuple
from zlib import crc32

import numpy as np

from core.recipes import Recipe
from nets.head import Head
from nets.preact_resnet import Architecture, init


class Case(NamedTuple):
    """Two steps of training, complete: what it starts from and in which order the images come."""
    arch: Architecture
    pixels: np.ndarray                 # (n, H, W, 3) uint8
    mean: np.ndarray                   # (H, W, 3) float32
    truth: np.ndarray                  # (n,)
    Y: np.ndarray                      # (n, C) float64, labels at the start
    theta: dict                        # of step 1
    theta2: dict                       # of step 2
    running: dict                      # of both
    order: list                   # one list per epoch of (rows of the batch, how many of them are of this epoch's pass)
    recipe: Recipe


def case(seed, arch, n, height, width, size, lr=0.05, lr2=0.1):
    """n images in batches of `size`: four epochs of step 1, Y updated from the second on; four of step 2,
    lr drops after two."""
    rng = np.random.RandomState(seed)
    pixels = rng.randint(256, size=(n, height, width, arch.channels)).astype(np.uint8)
    Y = rng.dirichlet(np.full(arch.classes, 0.3), size=n)
    prior = tuple(rng.uniform(0.5, 1.5, arch.classes))
    recipe = Recipe(lr=lr, alpha=1.2, beta=0.8, epochs=4, begin=2, K=2, prior=prior, lr2=lr2, epochs2=4, drops2=(2,),
                    batch=size)
    theta, theta2 = weights(rng, arch), weights(rng, arch)
    running = {name: rng.uniform(0.5, 1.5, a.shape) for name, a in init(arch, np.random.default_rng(0))[1].items()}
    return Case(arch, pixels, (pixels.mean(axis=0) / 255).astype(np.float32), rng.randint(arch.classes, size=n), Y,
                theta, theta2, running, order(rng, n, size, 4), recipe)


def weights(rng, arch):
    """Every parameter at random (float64), at the scale of its initial value."""
    theta = {}
    for name, a in init(arch, np.random.default_rng(0))[0].items():
        spread = np.sqrt(2 / np.prod(a.shape[:-1])) if a.ndim > 1 else 0.2
        theta[name] = spread * rng.standard_normal(a.shape) + (1 if name.endswith("gamma") else 0)
    return theta


def order(rng, n, size, epochs):
    """Permutations of n rows behind one another, cut into full batches;
    a batch belongs to the epoch of its first row."""
    stream = [(epoch, row) for epoch in range(epochs + 1) for row in rng.permutation(n)]
    found = [[] for _ in range(epochs)]
    for batch in (stream[start:start + size] for start in range(0, epochs * n, size)):
        epoch = batch[0][0]
        found[epoch].append((np.array([row for _, row in batch]), sum(e == epoch for e, _ in batch)))
    return found


class HeadCase(NamedTuple):
    """The same of a head: features in the place of images, and the masks of dropout."""
    arch: Head
    features: np.ndarray               # (n, D) float64
    mean: np.ndarray                   # (D,)
    std: np.ndarray                    # (D,)
    truth: np.ndarray                  # (n,)
    Y: np.ndarray                      # (n, C)
    theta: dict                        # of step 1
    theta2: dict                       # of step 2
    running: dict                      # nothing
    order: list                        # as in Case
    recipe: Recipe
    masks: np.ndarray                  # (epochs, n, U) float64: 1 for a unit that is kept


def head_case(seed, arch, n, size):
    """n feature vectors in batches of `size`: the recipe of `case`."""
    rng = np.random.RandomState(seed)
    of_images = case(seed, Architecture(arch.classes, (1,), (1,)), n, 1, 1, size)
    masks = (rng.uniform(size=(5, n, arch.hidden)) >= arch.dropout).astype(float)
    theta, theta2 = head_weights(rng, arch), head_weights(rng, arch)
    return HeadCase(arch, rng.standard_normal((n, arch.features)), rng.standard_normal(arch.features),
                    rng.uniform(0.5, 1.5, arch.features), of_images.truth, of_images.Y, theta, theta2, {},
                    of_images.order, of_images.recipe, masks)


def head_weights(rng, arch):
    """Every parameter at random (float64)."""
    shapes = {"linear.w": (arch.hidden or arch.features, arch.classes), "linear.b": (arch.classes,)}
    if arch.hidden:
        shapes = {"hidden.w": (arch.features, arch.hidden), "hidden.b": (arch.hidden,)} | shapes
    return {name: rng.standard_normal(shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}


# ---- those that are stored -------------------------------------------------------------------------------------------

def small():
    """Every kind of block, an odd width; ten training steps."""
    return case(1, Architecture(classes=4, widths=(4, 6), blocks=(2, 1)), n=10, height=8, width=7, size=8)


def full():
    """The paper's network, four images at a time; ten training steps."""
    return case(2, Architecture(), n=5, height=32, width=32, size=4, lr=0.01, lr2=0.02)


def head():
    """A head with a hidden layer, nine of whose units stay of twelve; ten training steps."""
    return head_case(3, Head(features=7, classes=4, hidden=12, dropout=0.25), n=10, size=8)


STORED = {"small": small, "full": full, "head": head}


def fingerprint(results):
    """Of every array by name: its norm, and its products with three random vectors of unit variance."""
    found = {}
    for name, a in results.items():
        vectors = np.random.RandomState(crc32(name.encode())).random_sample((3, a.size)) - 0.5
        a = a.astype(np.float64).reshape(-1)
        found[name] = np.array([np.linalg.norm(a), *(np.sqrt(12) * vectors @ a)])
    return found
