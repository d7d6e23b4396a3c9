"""Weights of ResNet-18, 34 or 50 from a file, whoever saved it: torchvision, timm or the hub (transformers).

    nets/resnet.py                torchvision, timm             transformers
    conv, bn                      conv1, bn1                    embedder.embedder.convolution, .normalization
    stage1.block0.conv1, bn1      layer1.0.conv1, bn1           encoder.stages.0.layers.0.layer.0.convolution, ...
    stage1.block0.projection,     layer1.0.downsample.0,        encoder.stages.0.layers.0.shortcut.convolution, ...
    bn_projection                 layer1.0.downsample.1
    linear.w, linear.b            fc.weight, fc.bias            classifier.1.weight, classifier.1.bias

In transformers the names but for the last two begin with `resnet.` where the file has a classifier. What all names
begin with in a file (module., model., backbone.) is left out; so is num_batches_tracked, which nothing needs. The
linear layer may be missing, as in weights that were made without labels: the network then has no classes.
"""
import json
import re
from typing import NamedTuple

import numpy as np

from core.data import weights
from core.errors import InputError, need
from core.files import atomic, with_metadata
from nets.resnet import BLOCKS, architecture, convolutions, features_of
from nets.safetensors_file import levels_of

LEAVES = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
REMEDY = "give a file of weights of ResNet-18, 34 or 50 as torchvision, timm or transformers save it"
IGNORED = "num_batches_tracked"
PREFIXES = "module.", "model.", "backbone."
SHOWN = 3                              # names in a message


class Naming(NamedTuple):
    """How a library calls a convolution, its batch normalisation and the linear layer."""
    unit: object                       # unit(conv) -> (name of the convolution, name of the batch normalisation)
    linear: str
    prefix: str = ""                   # of all but the linear layer


# ---- names ---------------------------------------------------------------------------------------------------------

def torchvision_unit(conv):
    """The names of a Conv in torchvision and timm."""
    if conv.name == "conv":
        return "conv1", "bn1"
    stage, block, part = numbers(conv.name)
    there = f"layer{stage}.{block}"
    if part == "projection":
        return f"{there}.downsample.0", f"{there}.downsample.1"
    return f"{there}.{part}", f"{there}.bn{part[-1]}"


def transformers_unit(conv):
    """The names of a Conv in transformers, without `resnet.`."""
    if conv.name == "conv":
        there = "embedder.embedder"
    else:
        stage, block, part = numbers(conv.name)
        part = "shortcut" if part == "projection" else f"layer.{int(part[-1]) - 1}"
        there = f"encoder.stages.{stage - 1}.layers.{block}.{part}"
    return f"{there}.convolution", f"{there}.normalization"


def numbers(name):
    """stage1.block0.conv1 -> (1, 0, "conv1")"""
    stage, block, part = re.fullmatch(r"stage(\d+)\.block(\d+)\.(\w+)", name).groups()
    return int(stage), int(block), part


NAMINGS = (Naming(torchvision_unit, "fc"), Naming(transformers_unit, "classifier.1"),
           Naming(transformers_unit, "classifier.1", "resnet."))


def expected(arch, naming=NAMINGS[0]):
    """{name here: (name there, shape there)} of all parameters and running statistics."""
    found = {}
    for conv in convolutions(arch):
        name, bn = (naming.prefix + there for there in naming.unit(conv))
        found[conv.name] = f"{name}.weight", (conv.K, conv.C, conv.R, conv.R)
        for leaf, there in LEAVES.items():
            found[f"{conv.bn}.{leaf}"] = f"{bn}.{there}", (conv.K,)
    found["linear.w"] = f"{naming.linear}.weight", (arch.classes, features_of(arch))
    found["linear.b"] = f"{naming.linear}.bias", (arch.classes,)
    return found


# ---- a file --------------------------------------------------------------------------------------------------------

def read(path, frozen=True):
    """(arch, theta, running) of nets/resnet.py, float32, from a file of weights: PyTorch's own format, or safetensors.

    frozen: of the Architecture; True is what fine-tuning takes. Raises InputError, which names the file, and what is
    missing, surplus or of another shape.
    """
    return parameters(weights.read(path), path, frozen=frozen)


def parameters(tensors, source="the file of weights", dtype=np.float32, frozen=True):
    """The same from {name there: array}. Raises InputError, which calls the tensors `source`."""
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(IGNORED)}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    depth, naming = closest(tensors)
    w, b = f"{naming.linear}.weight", f"{naming.linear}.bias"
    if w not in tensors and b not in tensors:
        tensors |= {w: np.zeros((0, features_of(architecture(depth))), dtype), b: np.zeros(0, dtype)}
    classes = len(tensors[w]) if w in tensors and tensors[w].ndim == 2 else 0
    arch = architecture(depth, classes, frozen)
    there = expected(arch, naming)
    check(tensors, dict(there.values()), f"ResNet-{depth}", source)
    found = {name: layout_here(tensors[named], dtype) for name, (named, _) in there.items()}
    running = {name: array for name, array in found.items() if name.endswith((".mean", ".var"))}
    return arch, {name: array for name, array in found.items() if name not in running}, running


def closest(tensors):
    """(depth, Naming) whose names are most nearly those of the tensors."""
    def differences(choice):
        depth, naming = choice
        return len({name for name, _ in expected(architecture(depth), naming).values()} ^ tensors.keys())

    return min(((depth, naming) for depth in BLOCKS for naming in NAMINGS), key=differences)


def check(tensors, shapes, network, source):
    """InputError, which says what is wrong, unless the tensors have the names and shapes, and only numbers."""
    faults = {
        "lacks": [name for name in shapes if name not in tensors],
        "has besides": [name for name in tensors if name not in shapes],
        "has in another shape": [f"{name} {tensors[name].shape}, not {shape}" for name, shape in shapes.items()
                                 if name in tensors and tensors[name].shape != shape]}
    told = "; ".join(f"{what} {some(names)}" for what, names in faults.items() if names)
    need(not told, f"{source} has no weights of {network}, which is the closest: it {told}: {REMEDY}")
    for name in shapes:
        tensor = tensors[name]
        good = tensor.dtype.kind == "f" and np.isfinite(tensor).all()
        good = good and not (name.endswith("running_var") and tensor.min() < 0)
        need(good, f"{source} has numbers in {name} that are no weights: download it again")


def some(names):
    """The first names, and the number of the others."""
    shown = ", ".join(f"{name:.120}" for name in names[:SHOWN])
    return shown + f" and {len(names) - SHOWN} others" * (len(names) > SHOWN)


def layout_here(tensor, dtype):
    """(K, C, R, R) -> (R, R, C, K), (classes, c) -> (c, classes), in one piece"""
    axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[tensor.ndim]
    return np.ascontiguousarray(tensor.transpose(axes), dtype)


# ---- a fine-tuned network ------------------------------------------------------------------------------------------

class Finetuned(NamedTuple):
    """A network that was trained on by this program, ready to be used."""
    arch: object
    theta: dict
    running: dict
    size: int                          # pixels to the side of its images
    classes: tuple                     # C names
    levels: dict = None                # {kind: (black, white)} of images of more than 8 bits (core/data/depth.py)


def save(path, weights, classes, size, levels=None):
    """Write theta and running statistics `weights` as safetensors, with torchvision's names.

    levels: {kind: (black, white)} of training images of more than 8 bits. Raises InputError for an error of the disk.
    """
    from safetensors.numpy import save as as_bytes  # imported where needed: demo.py starts sooner

    depth = next(depth for depth in BLOCKS if expected(architecture(depth)).keys() == weights.keys())
    there = expected(architecture(depth, len(classes)))
    tensors = {there[name][0]: layout_there(array) for name, array in weights.items()}
    about = {"format": "pt", "network": "resnet", "classes": json.dumps(list(classes)), "size": str(size),
             "input": "(N, 3, size, size) float32: (pixels / 255 - mean) / std, torchvision's"}
    if levels:
        about["levels"] = json.dumps([[int(kind), *level] for kind, level in levels.items()])
    with atomic(path) as file:
        file.write(with_metadata(as_bytes(tensors), about))


def load_finetuned(path, about):
    """The Finetuned network in a file that `save` wrote; about: its metadata. Raises InputError for any other."""
    arch, theta, running = read(path)
    try:
        classes, size, levels = json.loads(about["classes"]), int(about["size"]), levels_of(about)
    except (KeyError, TypeError, ValueError):
        classes, size, levels = [], 0, {}
    good = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not good or len(classes) != arch.classes or not 8 <= size <= 512:
        raise InputError(f"{path} is damaged or no network of this program: copy it again, or train again")
    return Finetuned(arch, theta, running, size, tuple(classes), levels)


def layout_there(array):
    """(R, R, C, K) -> (K, C, R, R), (c, classes) -> (classes, c)"""
    return np.ascontiguousarray(array.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]))
