"""A trained network, ready to classify: what it takes, and its probabilities for it.

n images, S pixels to the side of the training images, D features, C classes.
"""
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.batches import Images
from core.data.images import decode
from core.errors import need
from core.features import Features
from core.measure import predictions
from core.model import Model
from core.optim import Flat
from nets import safetensors_file
from nets.efficientnet_lite import NAME
from nets.families import on_processors
from nets.head import Head
from nets.resnet import MEAN


class Ready(NamedTuple):
    """How a network is used; pixels are (n, ..., ..., 3) uint8, and every function returns probabilities (n, C)."""
    classes: tuple
    shape: tuple                       # (S, S, 3) of the images in an array; None where a side may have any length
    features: int                      # D; None for a network on images
    of_files: object                   # files -> pieces of (probabilities of the readable ones, reasons or None of all)
    of_pixels: object                  # pixels -> probabilities; None where the network takes features
    of_features: object = None         # features (n, D) -> probabilities; None where it takes images
    size: int = None                   # pixels to the side of what it sees
    levels: dict = None                # {kind: (black, white)} of images of more than 8 bits
    jobs: int = 1                      # processes that decode
    resample: str = "LANCZOS"          # how images are resized: as in the training


def load(path):
    """The network in a run's model.safetensors, of whichever family. Raises InputError for any other file."""
    from safetensors import safe_open  # imported where needed: demo.py starts sooner

    try:
        with safe_open(path, "np") as file:
            about = file.metadata() or {}
    except Exception:                  # a damaged file can raise nearly anything; the reader of all others says so
        about = {}
    if about.get("network") == "resnet":
        from core.data import resnet_weights

        return resnet_weights.load_finetuned(path, about)
    network = safetensors_file.load(path)
    side = len(network.mean)
    need(isinstance(network.arch, Head) or network.mean.shape == (side, side, 3) and 1 <= side <= 512,
         safetensors_file.damaged(path))
    return network


def ready(network, jobs, weights=None):
    """The Ready use of a network that nets/safetensors_file.py has loaded.

    jobs: processes. weights: the file of the backbone's, where it has moved. Raises InputError.
    """
    model = Model(on_processors(network.arch), network.arch, Flat(network.theta), running(network), None)
    on_features = isinstance(network.arch, Head) and network.backbone is not None
    need(on_features or weights is None, "the run did not learn from features of a pretrained network: leave out "
                                         "--backbone")
    if not isinstance(network.arch, Head):
        mean = mean_of(network)
        of_pixels = partial(of_images, model, mean)
        of_files = partial(files_of_images, of_pixels, len(mean), jobs, levels_of(network))
        return Ready(network.classes, mean.shape, None, of_files, of_pixels, None, len(mean), levels_of(network), jobs)
    of_features = partial(of_vectors, model, network.mean, network.std)
    if network.backbone is None:
        return Ready(network.classes, None, network.arch.features, None, None, of_features)
    from core.data import backbone  # imported where needed: demo.py starts sooner

    size, path = network.backbone["size"], weights_of(network.backbone, weights)
    of_files = partial(files_of_backbone, of_features, size, jobs, path, network.levels)
    return Ready(network.classes, None, None, of_files,
                 lambda pixels: of_features(backbone.features(pixels, size, 1, jobs, file=path).views[0]), None, size,
                 network.levels, jobs, "BICUBIC")


def weights_of(about, given=None):
    """The file of the weights of a backbone: the one given, of the package, or where it was. Raises InputError."""
    from core.data import backbone

    path = given or (NAME if about["name"] == NAME else about["file"])
    path = backbone.file_of(path)
    need(path.is_file(), f"the weights of {about['name']} are no longer at {path}: name their file with --backbone")
    need(backbone.digest_of(path) == about["sha256"], f"{path} has not the weights of {about['name']} that the run "
         "learnt with: name their file with --backbone")
    return path


def mean_of(network):
    """(S, S, 3): what is subtracted from pixels / 255, the mean image of the training or the one of the weights."""
    if hasattr(network, "mean"):
        return network.mean
    return np.broadcast_to(MEAN.astype(np.float32), (network.size, network.size, 3))


def levels_of(network):
    """{kind: (black, white)} of images of more than 8 bits, or None."""
    return getattr(network, "levels", None)


def running(network):
    """The running statistics as a flat array, empty where the network has none."""
    return Flat(network.running, empty=np.zeros(0, np.float32))


def of_images(model, mean, pixels):
    """Probabilities (n, C) of pixels (n, S, S, 3), as the training itself measures its network."""
    return predictions(model, Images(pixels, mean, 0, False))


def of_vectors(model, mean, std, features):
    """Probabilities (n, C) of features (n, D)."""
    return predictions(model, Features(features[:, None], mean, std))


def files_of_images(of_pixels, size, jobs, levels, files):
    """Pieces of (probabilities, reasons) of image files, decoded at the size and by the levels of the training."""
    for pixels, shapes, reasons, _ in decode(files, size, jobs, levels):
        yield of_pixels(pixels[shapes[:, 0] > 0]), reasons


def files_of_backbone(of_features, size, jobs, path, levels, files):
    """The same by features; all files are one piece."""
    from core.data import backbone

    found = backbone.file_features(Path(), files, size, 1, jobs, file=path, levels=levels)
    reasons = [found.reasons.get(row) for row in range(len(files))]
    good = [row for row, reason in enumerate(reasons) if reason is None]
    yield of_features(found.views[0, good]), reasons
