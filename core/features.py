"""Feature vectors in the place of images: what a head (nets/head.py) sees, and its random numbers.

Features is to a head what Images (core/batches.py) is to a network of convolutions, and the
functions `unaugmented` and `augmented` that training calls know both. A feature vector has nothing
to crop. What varies from epoch to epoch is which view of the sample is shown, and which units of
the hidden layer are dropped. Both are decided by a key that comes with each sample.

N samples, B batch, D features, V views of a sample (1: as it is; 2: and mirrored), U hidden units.
"""
from typing import NamedTuple

import numpy as np

from core import batches
from core.backend import to_device, xp_of
from core.batches import hashed, mixed


class Features(NamedTuple):
    """Stored feature vectors and how they are shown to the network."""
    features: object                   # (N, V, D) of any float dtype
    mean: object                       # (D,) of the training part and all its views
    std: object                        # (D,) of the same; 1 for a constant feature

    @property
    def pixels(self):
        """The features, under the name by which training counts the samples of Images."""
        return self.features

    def on(self, xp):
        """The same on the device of xp."""
        return Features(*(to_device(array, xp) for array in self))


def mean_and_std(features, dtype=np.float32):
    """Mean and standard deviation (D,) of features (N, V, D), summed in float64.

    A feature that varies by less than float32 resolves is constant. Its standard deviation is given
    as 1, so that it becomes 0 and not rounding errors as large as the other features.
    """
    mean = features.mean(axis=(0, 1), dtype=np.float64)
    std = features.std(axis=(0, 1), dtype=np.float64)
    constant = std <= 1e-6 * np.abs(mean)
    return mean.astype(dtype), np.where(constant, 1, std).astype(dtype)


@batches.unaugmented.register(Features)
def unaugmented(features, rows):
    """x (B, D) = (features - mean) / std of the first view;  rows: a slice or indices"""
    return standardised(features.features[rows, 0], features.mean, features.std)


@batches.augmented.register(Features)
def augmented(features, i, seed, epoch):
    """(x (B, D), keys (B,) uint32) of the samples i (B,): a view of each, drawn at random, and what
    decides its dropout."""
    keys, views = hashed(i, seed, epoch), features.features.shape[1]
    view = (keys >> 16) * views >> 16                            # 16 bits scaled to 0 .. V - 1
    return standardised(features.features[i, view], features.mean, features.std), keys


def standardised(x, mean, std):
    """(x - mean) / std in the dtype of these two"""
    return (x.astype(mean.dtype) - mean) / std


def kept(keys, units, rate):
    """(B, U) bool: the units that dropout keeps, each with probability 1 - rate, 0 <= rate < 1.

    A hash of the sample's key and the unit's number in 32-bit integers: the same bits on every
    device and on every rank.
    """
    unit = mixed(xp_of(keys).arange(units, dtype=np.uint32))
    return mixed(keys[:, None] ^ unit) >= int(rate * 2 ** 32)
