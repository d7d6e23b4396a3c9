"""Data sets as arrays: what every reader returns, and how a part is drawn from one.

N images of H x W pixels and 3 channels, C classes; V views of D features for each image.
"""
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Images with the labels that came with them. Label noise is added later, by core/noise.py."""
    images: np.ndarray                 # (N, H, W, 3) uint8
    labels: np.ndarray                 # (N,) int64, 0 .. C-1
    index: np.ndarray                  # (N,) int64, the row of each image in its source
    truth: np.ndarray = None           # (N,) int64, the true labels; None where nobody knows them
    paths: np.ndarray = None           # (N,) str, the file of each image; None where there are no single files
    features: np.ndarray = None        # (N, V, D) float32, what a head sees in place of the images (core/features.py)
    agreement: np.ndarray = None       # (N,) part of the votes that are for the label; None where nobody voted
    checked: np.ndarray = None         # (N,) bool, whether a person has checked the label; None where nobody has

    def take(self, rows):
        """The part of the split in `rows`, in that order."""
        return Split(*(None if array is None else array[rows] for array in self))


class DataSet(NamedTuple):
    """Three splits that share classes and image size, and the augmentation that suits them."""
    name: str
    classes: tuple                     # C names, in the order of the labels
    train: Split
    validation: Split
    test: Split
    pad: int                           # crops are shifted by up to `pad` pixels
    flip: bool                         # whether a mirrored image still shows its class
    rows: int = 0                      # of the source that `train.index` counts in; 0: as many as train has images
    backbone: dict = None              # pretrained network: name, file and sha256 of its weights, size; None: none here
    mean: np.ndarray = None            # (H, W, 3), subtracted from pixels / 255; None: mean image of the training part
    levels: dict = None                # {kind: (black, white)} of images of more than 8 bits (core/data/depth.py)


def stratified(labels, sizes, classes, rng):
    """Rows of disjoint random parts in which every class has its share.

    labels (N,) int, sizes: number of rows of each part -> one sorted int64 array of rows for each part. Each part has
    exactly its size; the classes' shares in it follow the frequencies among the rows not yet drawn, rounded by largest
    remainder, so that no part, however late, runs out of a class. Rows with other labels are never drawn. Raises
    ValueError when the parts together ask for more rows than there are.
    """
    labels = np.asarray(labels)
    rows = [rng.permutation(np.flatnonzero(labels == c)) for c in range(classes)]
    left, parts = np.array([len(r) for r in rows]), []
    if sum(sizes) > left.sum():
        raise ValueError(f"{sum(sizes)} rows asked of {left.sum()}")
    for size in sizes:
        n, remainder = np.divmod(size * left, max(1, left.sum()))       # of every class; whole numbers: exact
        n[np.argsort(-remainder, kind="stable")[:size - n.sum()]] += 1
        parts.append(np.sort(np.concatenate([r[:k] for r, k in zip(rows, n)])))
        rows = [r[k:] for r, k in zip(rows, n)]
        left = left - n
    return parts
