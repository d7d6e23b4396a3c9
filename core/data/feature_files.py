"""Features of images from any other program, in a file, and which of its rows belongs to which image.

    .npy                 an array (n, D): rows in the order of the images' source
    .npz, .safetensors   `features` (n, D), and if wanted `test` (m, D): of the test images, in their order
                         `paths` (n,), only in .npz: the image of each row, in any order

Sources have orders of their own: sorted paths of a folder, lines of a table, CIFAR-10's 50,000 training images.

n rows, N images of a split, D features.
"""
import os
import posixpath
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.listing import printable
from core.errors import InputError, need

SUFFIXES = (".npy", ".npz", ".safetensors")
NAMES = ("features", "test", "paths")


class FeatureFile(NamedTuple):
    """What the file holds."""
    path: str
    features: np.ndarray               # (n, D) float32
    constant: int                      # features that are the same in all rows
    test: np.ndarray = None            # (m, D) float32; None: there are none of test images
    places: dict = None                # {path of an image: its row}; None: rows are in the order of the source


def read_features(path):
    """The FeatureFile at the path. Raises InputError."""
    from core.data import weights  # imported where needed: demo.py starts sooner

    suffix = Path(path).suffix.lower()
    need(suffix in SUFFIXES, f"{path} is no file of features: save them as {', '.join(SUFFIXES)}")
    arrays = weights.read(path) if suffix == ".safetensors" else numpy_arrays(path)
    need("features" in arrays, f"{path} has no array `features`: give the array of features this name")
    features = checked(arrays["features"], "features", path)
    need(len(features), f"{path} has features of no image")
    test = checked(arrays["test"], "test", path) if "test" in arrays else None
    need(test is None or test.shape[1] == features.shape[1], f"{path} has {features.shape[1]} features of training "
         "images and another number of test images: take both from the same network")
    constant = int((features == features[0]).all(axis=0).sum())
    need(constant < features.shape[1] or len(features) == 1,
         f"{path}: all rows are the same: save the features again, one row for each image")
    places = places_of(arrays["paths"], len(features), path) if "paths" in arrays else None
    return FeatureFile(str(path), features, constant, test, places)


def numpy_arrays(path):
    """{name: array} of a .npy file, under the name `features`, or the NAMES of a .npz file. Raises InputError."""
    try:
        with open(path, "rb") as stream:
            found = np.load(stream, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return {"features": found}
            arrays = {name: found[name] for name in NAMES if name in found.files}
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror or error}: check the path and its "
                         "permissions") from None
    except Exception as error:         # a damaged file can raise nearly anything
        raise InputError(f"{path} is not an intact file of arrays ({type(error).__name__}): save it again with "
                         "numpy.save or numpy.savez, text as an array of strings and not of objects") from None
    need(all(isinstance(array, np.ndarray) for array in arrays.values()),
         f"{path} is not an intact file of arrays: save it again with numpy.savez")
    return arrays


def checked(array, name, path):
    """The array as (n, D) float32. Raises InputError."""
    need(array.ndim == 2 and array.dtype.kind in "fiu" and array.shape[1] > 0,
         f"{path}: `{name}` is an array {array.shape} of {array.dtype}: save one row of numbers for each image")
    with np.errstate(over="ignore", invalid="ignore"):
        array = array.astype(np.float32)
    rows = np.flatnonzero(~np.isfinite(array).all(axis=1))
    need(len(rows) == 0, f"{path}: row {rows[0] if len(rows) else 0} of `{name}` has numbers that are not finite in "
         f"float32, {len(rows)} of {len(array)} rows in all: leave these images out, or compute the rows again")
    return array


def places_of(paths, rows, path):
    """{path of an image, with / between its parts: its row}. Raises InputError."""
    need(paths.ndim == 1 and paths.dtype.kind == "U" and len(paths) == rows,
         f"{path}: `paths` is an array {paths.shape} of {paths.dtype} for {rows} rows: save one text for each row")
    places = {}
    for row, name in enumerate(map(normal, paths.tolist())):
        need(name not in places, f"{path}: rows {places.get(name)} and {row} are both of {printable(name)}: keep one")
        places[name] = row
    return places


def normal(path):
    """A path with / between its parts and no superfluous ones."""
    return posixpath.normpath(path.replace("\\", "/"))


def features_of(found, split, rows, root):
    """(N, 1, D): the features of a Split of a source of `rows` rows, whose paths are relative to root.

    Raises InputError for a number of rows that does not fit, and for images without a row.
    """
    if found.places is None:
        need(len(found.features) == rows, f"{found.path} has {len(found.features)} rows and the data {rows} images: "
             "save one row for each image in the order of the data, or add an array `paths` to an .npz file")
        return found.features[split.index][:, None]
    need(split.paths is not None, f"{found.path} names the paths of its images, and these data are no single files: "
         "leave `paths` out and save one row for each image in the order of the data")
    place = [found.places.get(normal(name), found.places.get(normal(os.path.join(os.path.abspath(root), name))))
             for name in split.paths.tolist()]
    lost = [name for name, row in zip(split.paths.tolist(), place) if row is None]
    need(not lost, f"{found.path} has no row for {len(lost)} of {len(place)} images, for example "
         f"{printable(lost[0]) if lost else ''}: paths are relative to {root}, or absolute")
    return found.features[place][:, None]


def features_of_tests(found, split):
    """(N, 1, D): the features of the test images. Raises InputError."""
    need(found.test is not None and len(found.test) == len(split.labels),
         f"{found.path} has {'no' if found.test is None else len(found.test)} rows of test images, and there are "
         f"{len(split.labels)}: add an array `test` with one row for each, to an .npz or .safetensors file")
    return found.test[:, None]
