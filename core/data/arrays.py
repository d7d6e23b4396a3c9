"""Images in arrays: an .npz file of images and labels, or .npy files of the same names in one folder.

    names      images or x, labels or y, and others of these kinds; with train, val and test before or after them
    images     (n, H, W), (n, H, W, C) or (n, C, H, W) with C = 1, 3 or 4, or grey squares as rows (n, H H)
    numbers    uint8 as they are; others scaled by the range that all training images use
    labels     (n,) or (n, 1) whole numbers or texts, or (n, C) with a single 1 in each row; -1 where unknown

Files are read from front to back, a block of images at a time, and nothing in them is run. n images of H x W pixels.
"""
import math
import os
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.class_names import is_missing
from core.data.label_files import places, read_rows
from core.data.listing import bad_name, class_name
from core.data.named_labels import choose, divided, header
from core.data.pth import Directory
from core.errors import InputError, need

ENDINGS = (".npz", ".npy")
IMAGES = "images image imgs img x data pixels photos pictures inputs arr_0".split()
LABELS = "labels label y targets target lbls arr_1".split()
NAMES = "label_names class_names classes names categories target_names".split()
SPLITS = {"train": "train", "training": "train", "tr": "train", "val": "val", "valid": "val", "validation": "val",
          "dev": "val", "test": "test", "testing": "test", "te": "test"}
BLOCK = 8 << 20                        # bytes that are read at a time
WHOLE = 1 << 30                        # bytes of an array that is read at once, as its columns stand one after another
MOST = 5_000_000                       # images
PACKED = 1100                          # times its size that deflate can pack zeros
DAMAGED = "is damaged, or no array of NumPy: save it again with numpy.save or numpy.savez"


class Member(NamedTuple):
    """One array in a file."""
    path: Path
    entry: object                      # its zipfile.ZipInfo, or None in a .npy
    shape: tuple
    columns_first: bool
    dtype: np.dtype

    def read(self, rows=None):
        """Yield blocks of at most `rows` rows, or the whole. Raises InputError for a damaged file."""
        item = self.dtype.itemsize * math.prod(self.shape[1:])
        rows = self.shape[0] if rows is None else rows
        try:
            with opened(self.path, self.entry) as file:
                header(file)
                if self.columns_first and len(self.shape) > 1:
                    array = whole(file, self)
                    yield from (np.ascontiguousarray(array[k:k + rows]) for k in range(0, len(array), rows))
                    return
                for first in range(0, self.shape[0], max(rows, 1)):
                    n = min(rows, self.shape[0] - first)
                    raw = file.read(n * item)
                    need(len(raw) == n * item, f"{self.path} {DAMAGED}")
                    yield np.frombuffer(raw, self.dtype).reshape(n, *self.shape[1:])
        except InputError:
            raise
        except Exception as error:     # which one a damaged file raises is left open by zipfile
            raise InputError(f"{self.path} {DAMAGED}") from error


def whole(file, member):
    """The array whose columns stand one after another in an open file. Raises InputError for a large one."""
    size = member.dtype.itemsize * math.prod(member.shape)
    need(size <= WHOLE, f"{member.path} has {size:,} bytes in the order of columns: save it by rows, with "
                        "numpy.ascontiguousarray")
    return np.frombuffer(file.read(size), member.dtype).reshape(member.shape, order="F")


@contextmanager
def opened(path, entry):
    """The stream of a .npy file, or of an entry of an .npz."""
    if entry is None:
        with open(path, "rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
        yield file


# ---- which arrays ----------------------------------------------------------------------------------------------------

def members_of(path):
    """{name: Member} of an .npz or .npy file, or of the .npy files in a folder. Raises InputError."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".npy" and file.is_file())
        return {file.stem: member_of(file, None) for file in files[:1000]}
    if path.suffix.lower() == ".npy":
        return {path.stem: member_of(path, None)}
    try:
        with Directory(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error
    except Exception as error:         # which one a damaged file raises is left open by zipfile
        raise InputError(f"{path} {DAMAGED}") from error
    return {entry.filename.removesuffix(".npy"): member_of(path, entry) for entry in entries[:1000]
            if entry.filename.endswith(".npy")}


def member_of(path, entry):
    """The Member of a file. Shape and type are compared with its size. Raises InputError for a damaged file."""
    try:
        with opened(path, entry) as file:
            shape, columns_first, dtype = header(file)
            size = os.path.getsize(path) if entry is None else min(entry.file_size, PACKED * entry.compress_size + 1000)
            left = size - file.tell()
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error
    except Exception as error:         # a damaged header can raise nearly anything
        raise InputError(f"{path} {DAMAGED}") from error
    need(dtype.hasobject or min(shape, default=0) >= 0 and dtype.itemsize * math.prod(shape) <= left,
         f"{path} {DAMAGED}")
    return Member(path, entry, shape, columns_first, dtype)


def role(name):
    """(split, images or labels) that a name of an array tells; the split is "" where it tells none. None for others."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    split = "|".join(sorted(SPLITS, key=len, reverse=True))
    words = "|".join(sorted([*IMAGES, *LABELS], key=len, reverse=True))
    found = re.fullmatch(f"(?:({split})_?)?({words})(?:_?({split}))?", plain)
    if not found or found[1] and found[3]:
        return None
    return SPLITS.get(found[1] or found[3], ""), "images" if found[2] in IMAGES else "labels"


def pairs(members, path, how):
    """{split: (name of the images, name of the labels)}. Raises InputError where they are unclear."""
    found = {}
    for name in members:
        if one := role(name):
            found.setdefault(one, []).append(name)
    ranked = {key: min(names, key=lambda name: (len(names) > 1 and rank(name), name)) for key, names in found.items()}
    both = {split: (ranked[split, "images"], ranked[split, "labels"]) for split, kind in ranked if kind == "images"
            and (split, "labels") in ranked}
    asked = [name for name in (how.path_column, how.label_column) if name is not None]
    for name in asked:
        need(name in members, f"{path} has no array {name!r:.60}, but {listed(members)}: choose one of these with "
                              "--path-column and --label-column")
    if not both:
        both = by_shape(members)
    if asked:
        order = ("train", "", "val", "test")
        split = next((split for split in order if split in both or (split, "images") in ranked), "")
        images, labels = both.get(split, (ranked.get((split, "images")), None))
        both[split] = how.path_column or images, how.label_column or labels
        need(all(both[split]), f"{path} has the arrays {listed(members)}: choose the images with --path-column and the "
                               "labels with --label-column")
    need(both, f"{path} has the arrays {listed(members)}, and none are known to be images and their labels: call them "
               "images and labels, choose them with --path-column and --label-column, or give the labels with --labels "
               "FILE")
    return both


def rank(name):
    """The place of a name among those of its kind."""
    words = [*IMAGES, *LABELS]
    return next((k for k, word in enumerate(words) if word in name.lower()), len(words))


def by_shape(members):
    """The only two arrays that can be images and their labels, if there are two."""
    many = [name for name, member in members.items() if len(member.shape) in (3, 4) and not member.dtype.hasobject]
    flat = [name for name, member in members.items() if len(member.shape) == 1 and member.dtype.kind in "iuUSb"]
    good = len(many) == len(flat) == 1 and members[many[0]].shape[0] == members[flat[0]].shape[0]
    return {"": (many[0], flat[0])} if good else {}


def listed(members):
    """Names of arrays for a message."""
    return ", ".join(f"{name!r:.60}" for name in list(members)[:12]) + ", ..." * (len(members) > 12) or "of no name"


# ---- labels ----------------------------------------------------------------------------------------------------------

def names_of(member, name, known):
    """(the name of the class of each image, "" where unknown; all names in their order) of an array of labels.

    known: names for the numbers, or None. Raises InputError for an array that is no labels.
    """
    need(not member.dtype.hasobject, f"{member.path} has labels of type {member.dtype}, {name!r:.60}: save whole "
                                     "numbers or texts")
    fits = member.shape and member.dtype.itemsize * math.prod(member.shape) <= WHOLE and len(member.shape) <= 2
    odd = (f"{member.path} has labels of shape {member.shape}, {name!r:.60}: save one for each image, or rows with a "
           "single 1 in each")
    need(fits, odd)
    labels = np.concatenate([np.zeros((0, *member.shape[1:]), member.dtype), *member.read()])
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        need(labels.dtype.kind in "biuf" and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all(),
             odd)
        labels = labels.argmax(axis=1)
    return texts_of(labels, name, member.path, known)


def texts_of(labels, name, path, known):
    """As names_of, of an array (n,). Raises InputError."""
    if labels.dtype.kind in "US":
        texts = [class_name(text.decode("utf-8", "replace") if isinstance(text,
                                                                          bytes) else text) for text in labels.tolist()]
        texts = ["" if is_missing(text) or text == "-1" else text for text in texts]
        names = sorted(set(texts) - {""})
        return texts, sorted(names, key=int) if all(re.fullmatch(r"[0-9]{1,18}", name) for name in names) else names
    if labels.dtype.kind == "f":
        finite = np.isfinite(labels)
        need((labels[finite] == np.rint(labels[finite])).all() and (np.abs(labels[finite]) < 1 << 53).all(),
             f"{path} has labels with fractions, {name!r:.60}: save whole numbers")
        labels = np.where(finite, labels, -1).astype(np.int64)
    need(labels.dtype.kind in "biu", f"{path} has labels of type {labels.dtype}, {name!r:.60}: save whole numbers or "
                                     "texts")
    numbers = sorted(set(labels.tolist()) - {-1})
    need(not numbers or numbers[0] >= 0, f"{path} has the label {min(numbers, default=0)}, in {name!r:.60}: use 0, 1, "
                                         "2, ..., or -1 for unknown")
    use = known is not None and (not numbers or numbers[-1] < len(known))
    text = {number: known[number] if use else str(int(number)) for number in numbers} | {-1: ""}
    return [text[number] for number in labels.tolist()], [text[number] for number in numbers]


def class_names(members):
    """The names for the numbers of the labels, if the file has them."""
    for name, member in members.items():
        if name.lower() in NAMES and len(member.shape) == 1 and member.dtype.kind in "US" and member.shape[0] < 1 << 20:
            names, _ = texts_of(np.concatenate(list(member.read())), name, member.path, None)
            if all(names) and len(set(names)) == len(names) and not any(map(bad_name, names)):
                return names
    return None


def from_file(file, n, path):
    """An array (n,) of labels in a file of its own: .npy, text, or FILE:NAME. Raises InputError."""
    file, name = divided(file)
    if name is not None or file.suffix.lower() in (".npz", ".pt", ".pth"):
        return choose(file, name)[0]
    if file.suffix.lower() == ".npy":
        return member_of(file, None)
    rows = read_rows(file)
    if rows and [cell.lower() for cell in rows[0][1]] in (["label"], ["index", "label"]):
        rows = rows[1:]
    some = rows and len(rows[0][1]) == 2                     # with an index: images may be left out
    need(some or len(rows) == n, f"{file} has {len(rows)} labels for the {n} images of {path}: write one for each")
    labels = np.full(n, "", object)
    labels[places(rows, file, n)] = [cells[-1] for _, cells in rows]
    return labels.astype(str)
