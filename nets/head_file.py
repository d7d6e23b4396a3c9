"""A trained head as a safetensors file, with the names and layouts of PyTorch.

    ours                 there                layout
    hidden.w, hidden.b   hidden.weight, bias  (D, U) -> (U, D)
    linear.w, linear.b   linear.weight, bias  (U or D, classes) -> (classes, U or D)
    mean, std (D,)       mean, std            the head sees (features - mean) / std

In the metadata: the class names, and the network that makes the features: its name, the file of
its weights and the SHA-256 of that, pixels to the side; nothing for features of another program.
"""
import json
from typing import NamedTuple

import numpy as np

from core.files import atomic, with_metadata
from nets.head import Head

NAMES = {"hidden.w": "hidden.weight", "hidden.b": "hidden.bias",
         "linear.w": "linear.weight", "linear.b": "linear.bias"}


class TrainedHead(NamedTuple):
    """A head that is ready to be used."""
    arch: Head
    theta: dict
    running: dict                      # {}
    mean: np.ndarray                   # (D,) float32
    std: np.ndarray                    # (D,) float32
    classes: tuple                     # C names
    backbone: dict                     # name, file, sha256, size; None: features of another program
    levels: dict = None                # {kind: (black, white)} of images of more than 8 bits


def save(path, weights, mean, std, classes, backbone, levels=None):
    """Write theta `weights`, mean and standard deviation (D,), class names, backbone, levels.

    Raises InputError for an error of the disk.
    """
    from safetensors.numpy import save as as_bytes  # imported where needed: demo.py starts sooner

    tensors = {NAMES[name]: np.ascontiguousarray(array.T) for name, array in weights.items()}
    about = {"format": "pt", "classes": json.dumps(list(classes)), "backbone": json.dumps(backbone),
             "input": "(N, D) float32: (features - mean) / std"}
    if levels:
        about["levels"] = json.dumps([[int(kind), *level] for kind, level in levels.items()])
    with atomic(path) as file:
        file.write(with_metadata(as_bytes({**tensors, "mean": mean, "std": std}), about))


def head_in(tensors, about, classes, levels=None):
    """The TrainedHead in the tensors and metadata of a file, or None where they are of none.

    Raises KeyError, ValueError or TypeError for damaged metadata.
    """
    w, mean, std = (tensors.get(name) for name in ("linear.weight", "mean", "std"))
    if w is None or mean is None or std is None or w.ndim != 2 or mean.ndim != 1:
        return None
    hidden = tensors["hidden.weight"].shape[0] if "hidden.weight" in tensors else 0
    D, width = len(mean), hidden or len(mean)
    shapes = {"linear.weight": (len(classes), width), "linear.bias": (len(classes),),
              "mean": (D,), "std": (D,)}
    if hidden:
        shapes |= {"hidden.weight": (hidden, D), "hidden.bias": (hidden,)}
    if {name: (a.shape, a.dtype) for name, a in tensors.items()} != {
            name: (shape, np.float32) for name, shape in shapes.items()}:
        return None
    if not all(np.isfinite(array).all() for array in tensors.values()) or (std <= 0).any():
        return None
    theta = {ours: np.ascontiguousarray(tensors[there].T)
             for ours, there in NAMES.items() if there in tensors}
    arch = Head(D, len(classes), hidden)
    backbone = checked(json.loads(about["backbone"]))
    return TrainedHead(arch, theta, {}, mean, std, classes, backbone, levels)


def checked(backbone):
    """The backbone's entries if they have the right types, else ValueError."""
    if backbone is None:
        return None
    kinds = {"name": str, "file": str, "sha256": str, "size": int}
    if {name: type(value) for name, value in backbone.items()} != kinds:
        raise ValueError("no backbone")
    return backbone
