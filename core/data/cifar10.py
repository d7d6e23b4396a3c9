"""CIFAR-10 and CIFAR-100 from their official files, split as in the paper.

n images in one batch file, N in a part of the split, C classes.
"""
from pathlib import Path

import numpy as np

from core.data import DataSet, Split, stratified
from core.data.cifar10_files import FOLDER, LAYOUTS, OFFICIAL, layout_in, md5, read_files
from core.data.pickles import field, text, uint8_rows, unpickle, whole_numbers
from core.errors import InputError, need

KINDS = ("fine", "coarse")             # of labels of CIFAR-100: 100 classes, or 20


def load(path, seed=0, subset=None, layout=None, labels=None):
    """DataSet of 45,000 training, 5,000 validation and 10,000 test images, (N, 32, 32, 3) uint8.

    path: the folder `cifar-10-batches-py`, the folder around it, or the archive `cifar-10-python.tar.gz`; or those of
    another of LAYOUTS: the binary version, CIFAR-100. layout: which, if known; labels: of CIFAR-100 `fine` or `coarse`.
    A tenth of the training files becomes the validation set, the same share of every class, drawn by `seed`; `index` is
    the row in the five training files one after another, or in the test file. With `subset`: that many training images,
    a ninth as many for validation (but one of each class), and the whole test file.
    Raises InputError for files that are missing, unreadable, damaged or foreign, and for an impossible subset.
    """
    layout = layout or layout_in(Path(path)) or FOLDER
    (*planes, test_planes), (*labels, test_labels), classes = read_batches(path, layout, kind_of(labels, layout))
    labels = np.concatenate(labels)
    check_all_present(labels, classes, path)

    most = len(labels) - len(labels) // 10
    if subset is not None and not len(classes) <= subset <= most:
        raise InputError(f"{path} has no subset of {subset} training images: ask for {len(classes)} to {most}")
    size = most if subset is None else subset
    held_out = min(max(size // 9, len(classes)), len(labels) // 10)
    rows = stratified(labels, (size, held_out), len(classes), np.random.default_rng([seed, *b"split"]))
    check_all_present(labels[rows[0]], classes, path)

    train, validation = [Split(gather(planes, r), labels[r], r, truth=labels[r]) for r in rows]
    every = np.arange(len(test_labels))
    test = Split(gather([test_planes], every), test_labels, every, truth=test_labels)
    return DataSet("cifar100" if is_hundred(layout) else "cifar10", classes, train, validation, test, pad=4, flip=True,
                   rows=len(labels))


def is_hundred(layout):
    """Whether a layout is one of CIFAR-100."""
    return layout.startswith("cifar-100")


def kind_of(labels, layout):
    """`fine` or `coarse` of what the user calls them. Raises InputError for other words."""
    word = "fine" if labels is None else labels.lower().removesuffix("_labels").removesuffix("_label")
    need(word in KINDS and (labels is None or is_hundred(layout)),
         f"--label-column {labels}: CIFAR-100 has fine_labels and coarse_labels, and CIFAR-10 its labels alone")
    return word


def is_official(path, layout=FOLDER):
    """Whether all batches at `path` are the authors' own, byte for byte; None for the binary versions, where it is not
    known. Raises InputError when they cannot be read.

    Other pixels or labels in the same layout load as well, but accuracies on them cannot be compared with published
    ones.
    """
    if not {*LAYOUTS[layout]} & {*OFFICIAL}:
        return None
    return all(md5(raw) == OFFICIAL[name] for name, raw in read_files(path, layout) if name in OFFICIAL)


def read_batches(path, layout=FOLDER, kind="fine"):
    """Arrays of planes (n, 3, 32, 32) uint8, as many of labels (n,) int64, the test batch last; and C class names.

    Raises InputError for files that are missing, damaged or foreign.
    """
    hundred, C = is_hundred(layout), 10 if not is_hundred(layout) else 100 if kind == "fine" else 20
    names = {"meta": f"{kind}_label_names", f"{kind}_label_names.txt": None, "batches.meta": "label_names",
             "batches.meta.txt": None}
    contents, classes = {}, None
    for name, raw in read_files(path, layout):
        where = f"{name} in {path}"
        if name in names:
            if names[name] is None:
                lines = [line.strip() for line in raw.decode("utf-8", "replace").split("\n")]
                lines = [line for line in lines if line]
                classes = class_names(lines if len(lines) == C else list(map(str, range(C))), where, C)
            else:
                classes = class_names(field(unpickle(raw, where), names[name]), where, C, names[name])
        elif name.endswith(".bin"):
            contents[name] = binary(raw, where, C, hundred * (2 if kind == "fine" else 1))
        elif "label_names" not in name:
            contents[name] = batch(unpickle(raw, where), where, C, f"{kind}_labels" if hundred else "labels")
    planes, labels = zip(*[contents[name] for name in LAYOUTS[layout] if name in contents])
    return planes, labels, classes


def batch(content, where, C=10, name="labels"):
    """Planes (n, 3, 32, 32), red before green before blue, and labels (n,) of one batch file.

    Raises InputError for a file without them.
    """
    pixels, labels = uint8_rows(field(content, "data"), 3 * 32 * 32), whole_numbers(field(content, name))
    if pixels is None:
        raise InputError(f"{where} has no images as n x 3072 uint8 under 'data': use the official download")
    if labels is None or len(labels) != len(pixels) or labels.min() < 0 or labels.max() >= C:
        raise InputError(f"{where} has no list of {len(pixels)} labels from 0 to {C - 1} under {name!r}: "
                         "use the official download")
    return pixels.reshape(-1, 3, 32, 32), labels


def binary(raw, where, C, kind):
    """As `batch`, of the binary version: a byte for the label, or for the coarse (kind 1) and the fine one (kind 2),
    and 3,072 for the pixels of each image. Raises InputError for a file of another form."""
    width = (2 if kind else 1) + 3 * 32 * 32
    need(raw and len(raw) % width == 0, f"{where} has {len(raw):,} bytes, which are no images of {width:,}: use the "
                                        "official download")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, width)
    labels = rows[:, max(kind - 1, 0)].astype(np.int64)
    need(labels.max() < C, f"{where} has the label {labels.max()}: use the official download")
    return rows[:, -3 * 32 * 32:].reshape(-1, 3, 32, 32), labels


def class_names(names, where, C=10, field_name="label_names"):
    """The C names of the classes. Raises InputError for a file without them."""
    names = tuple(map(text, names)) if isinstance(names, list) else ()
    good = all(isinstance(name, str) and name.isprintable() and 0 < len(name) < 100 for name in names)
    if not good or not len(names) == len(set(names)) == C:
        words = {10: "ten", 20: "twenty", 100: "a hundred"}[C]
        raise InputError(f"{where} does not name {words} classes under {field_name!r}: use the official download")
    return names


def check_all_present(labels, classes, path):
    """Raises InputError for a class without an image."""
    for c, name in enumerate(classes):
        if c not in labels:
            raise InputError(f"{path} has no training image of class {c}, {name!r}: "
                             "use complete files, or a larger subset")


def gather(batches, rows):
    """The images in the sorted `rows` of all batches one after another:
    planes (n, 3, 32, 32) each -> (N, 32, 32, 3)."""
    images, starts = np.empty((len(rows), 32, 32, 3), np.uint8), np.cumsum([0] + [len(planes) for planes in batches])
    cuts = np.searchsorted(rows, starts)                           # rows[cuts[b]:cuts[b + 1]] lie in batch b
    for planes, start, low, high in zip(batches, starts, cuts, cuts[1:]):
        for c in range(3):
            images[low:high, ..., c] = planes[rows[low:high] - start, c]
    return images
