"""The trained network as a safetensors file: one file that has all it takes to use it,
with the names and layouts of PyTorch.

    ours                          there                                layout
    conv                          conv1.weight                         (R, R, c_in, c_out) -> (c_out, c_in, R, R)
    stage1.block0.conv1           layer1.0.conv1.weight                as above
    stage1.block0.projection      layer1.0.shortcut.0.weight           as above
    stage1.block0.bn1.gamma       layer1.0.bn1.weight                  beta: bias, mean, var: running_mean, running_var
    bn.gamma                      bn.weight                            the one before the mean over the pixels
    linear.w, linear.b            linear.weight, linear.bias           (c, classes) -> (classes, c)
    -                             layer1.0.bn1.num_batches_tracked     () int64
    mean (H, W, 3)                mean                                 (3, H, W), subtracted from pixels / 255

The class names are in the metadata, as a JSON list. tests/lib/torch_net.py is the PyTorch module that loads such a
file.
"""
import json
import math
import re
from typing import NamedTuple

import numpy as np

from core.errors import InputError, need, pass_on
from core.files import atomic, read_up_to, with_metadata
from nets import head_file, preact_resnet
from nets.preact_resnet import Architecture

LEAVES = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var", "w": "weight", "b": "bias"}
LARGEST = 1 << 30                      # bytes of a file that is read


class Trained(NamedTuple):
    """A network that is ready to be used."""
    arch: Architecture
    theta: dict
    running: dict
    mean: np.ndarray                   # (H, W, 3) float32, in [0, 1]
    classes: tuple                     # C names
    levels: dict = None                # {kind: (black, white)} of images of more than 8 bits (core/data/depth.py)


def save(path, weights, mean, classes, batches, levels=None):
    """Write theta and running statistics `weights`, mean image (H, W, 3) and class names, after `batches` batches.

    levels: {kind: (black, white)} of training images of more than 8 bits, so that others are shown alike.
    Raises InputError for an error of the disk.
    """
    from safetensors.numpy import save as as_bytes  # imported where needed: demo.py starts sooner

    tensors = {name_there(name): layout_there(array) for name, array in weights.items()}
    tensors |= {f"{name_there(name)[:-len('.running_mean')]}.num_batches_tracked": np.array(batches, np.int64)
                for name in weights if name.endswith(".mean")}
    tensors["mean"] = layout_there(mean)
    about = {"format": "pt", "classes": json.dumps(list(classes)), "input": "(N, 3, H, W) float32: pixels / 255 - mean",
             "batchnorm_eps": "2e-05"}
    if levels:
        about["levels"] = json.dumps([[int(kind), *level] for kind, level in levels.items()])
    with atomic(path) as file:
        file.write(with_metadata(as_bytes(tensors), about))


def load(path):
    """The Trained network in the file, or the TrainedHead; the arrays have the bits that were saved.

    Raises InputError for any other file.
    """
    from safetensors.numpy import load as from_bytes

    try:
        raw = read_up_to(path, LARGEST)
        tensors, about = from_bytes(raw), metadata(raw)
        classes, levels = class_names(about), levels_of(about)
        if (head := head_file.head_in(tensors, about, classes, levels)) is not None:
            return head
    except OSError as error:
        pass_on(error)
        raise InputError(f"{path} cannot be read, {error.strerror}: check the path and its permissions") from None
    except Exception as error:                               # a damaged file can raise nearly anything
        pass_on(error)
        raise InputError(damaged(path)) from None
    mean = tensors.get("mean", np.zeros(0, np.float32))
    arch = architecture(tensors, len(classes))
    theta, running = preact_resnet.init(arch, np.random.default_rng(0)) if arch else ({}, {})
    expected = {name_there(name): layout_there(array) for name, array in {**theta, **running}.items()}
    good = arch and all(same_kind(tensors.get(name), array) for name, array in expected.items())
    need(good and mean.ndim == 3 and len(mean) == 3 and mean.dtype == np.float32 and ((mean >= 0) & (mean <= 1)).all(),
         damaged(path))
    need(all((tensors[name] >= 0).all() for name in expected if name.endswith(".running_var")), damaged(path))
    return Trained(arch, {name: layout_here(tensors[name_there(name)]) for name in theta},
                   {name: layout_here(tensors[name_there(name)]) for name in running}, layout_here(mean), classes,
                   levels)


def damaged(path):
    """The sentence for a file that is not what `save` writes."""
    return f"{path} is damaged or no network of this program: copy it again, or train again"


def metadata(raw):
    """{name: text} of the bytes of a file; any exception where there is none."""
    return json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


def class_names(about):
    """The class names in the metadata; ValueError where they are none."""
    names = json.loads(about["classes"])
    good = isinstance(names, list) and names and all(isinstance(name, str) and len(name) < 1000 for name in names)
    if not good or len(set(names)) < len(names):
        raise ValueError("no class names")
    return tuple(names)


def levels_of(about):
    """The levels in the metadata; ValueError where they are none."""
    levels = {kind: (float(black), float(white)) for kind, black, white in json.loads(about.get("levels", "[]"))}
    if not all(kind in (1, 2) and math.isfinite(white - black) for kind, (black, white) in levels.items()):
        raise ValueError("no levels")
    return levels


def architecture(tensors, classes):
    """The Architecture that the names and shapes of the tensors show, or None.

    Looks at the large ones of every block, so that no file can ask for a network that is much larger than itself.
    """
    def shape(name):
        return getattr(tensors.get(name), "shape", (0,))

    blocks, widths = [], []
    while (width := shape(f"layer{len(blocks) + 1}.0.conv1.weight")[0]) > 0:
        stage = re.compile(rf"layer{len(blocks) + 1}\.\d+\.conv2\.weight")
        blocks.append(sum(bool(stage.fullmatch(name)) and shape(name) == (width, width, 3, 3) for name in tensors))
        widths.append(width)
    good = blocks and min(blocks) > 0 and shape("linear.weight") == (classes, widths[-1])
    return Architecture(classes, tuple(widths), tuple(blocks)) if good else None


def same_kind(tensor, array):
    """Whether the tensor has the shape and the type of the array, and only numbers."""
    same = tensor is not None and (tensor.shape, tensor.dtype) == (array.shape, array.dtype)
    return same and bool(np.isfinite(tensor).all())


def name_there(name):
    """stage1.block0.bn1.gamma -> layer1.0.bn1.weight"""
    name = re.sub(r"^stage(\d+)\.block(\d+)\.", lambda m: f"layer{m[1]}.{m[2]}.", name)
    if name == "conv":
        return "conv1.weight"
    name = re.sub(r"projection$", "shortcut.0", name)
    start, _, leaf = name.rpartition(".")
    return f"{start}.{LEAVES[leaf]}" if leaf in LEAVES else f"{name}.weight"


def layout_there(array):
    """(R, R, c_in, c_out) -> (c_out, c_in, R, R), (H, W, 3) -> (3, H, W), (c, classes) -> (classes, c)"""
    return np.ascontiguousarray(array.transpose({4: (3, 2, 0, 1), 3: (2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]))


def layout_here(tensor):
    """The way back."""
    back = {4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (1, 0), 1: (0,)}[tensor.ndim]
    return np.ascontiguousarray(tensor.transpose(back))
