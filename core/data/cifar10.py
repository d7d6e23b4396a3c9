"""CIFAR-10 from its official files, split as in the paper.

n images in one batch file, N in a part of the split.
"""
import numpy as np

from core.data import DataSet, Split, stratified
from core.data.cifar10_files import BATCHES, md5, read_files
from core.data.pickles import field, text, uint8_rows, unpickle
from core.errors import InputError


def load(path, seed=0, subset=None):
    """DataSet of 45,000 training, 5,000 validation and 10,000 test images, (N, 32, 32, 3) uint8.

    path: the folder `cifar-10-batches-py`, the folder around it, or the archive `cifar-10-python.tar.gz`.
    A tenth of the training files becomes the validation set, the same share of every class, drawn by `seed`; `index` is
    the row in the five training files one after another, or in the test file. With `subset`: that many training images,
    a ninth as many for validation (but one of each class), and the whole test file.
    Raises InputError for files that are missing, unreadable, damaged or foreign, and for an impossible subset.
    """
    (*planes, test_planes), (*labels, test_labels), classes = read_batches(path)
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
    return DataSet("cifar10", classes, train, validation, test, pad=4, flip=True, rows=len(labels))


def is_official(path):
    """Whether all batches at `path` are the authors' own, byte for byte. Raises InputError when they cannot be read.

    Other pixels in the same layout load as well, but accuracies on them cannot be compared with published ones.
    """
    return all(md5(raw) == BATCHES[name] for name, raw in read_files(path) if name in BATCHES)


def read_batches(path):
    """Six arrays of planes (n, 3, 32, 32) uint8, six of labels (n,) int64, the test batch last; and ten class names.

    Raises InputError for files that are missing, damaged or foreign.
    """
    contents = {}
    for name, raw in read_files(path):
        where = f"{name} in {path}"
        contents[name] = (batch if name in BATCHES else class_names)(unpickle(raw, where), where)
    planes, labels = zip(*[contents[name] for name in BATCHES])
    return planes, labels, contents["batches.meta"]


def batch(content, where):
    """Planes (n, 3, 32, 32), red before green before blue, and labels (n,) of one batch file.

    Raises InputError for a file without them.
    """
    pixels, labels = uint8_rows(field(content, "data"), 3 * 32 * 32), field(content, "labels")
    if pixels is None:
        raise InputError(f"{where} has no images as n x 3072 uint8 under 'data': use the official download")
    whole_numbers = isinstance(labels, list) and set(map(type, labels)) == {int}
    if not whole_numbers or len(labels) != len(pixels) or min(labels) < 0 or max(labels) > 9:
        raise InputError(f"{where} has no list of {len(pixels)} labels from 0 to 9 under 'labels': "
                         "use the official download")
    return pixels.reshape(-1, 3, 32, 32), np.array(labels, np.int64)


def class_names(content, where):
    """The ten names in batches.meta. Raises InputError for a file without them."""
    names = field(content, "label_names")
    names = tuple(map(text, names)) if isinstance(names, list) else ()
    good = all(isinstance(name, str) and name.isprintable() and 0 < len(name) < 100 for name in names)
    if not good or not len(names) == len(set(names)) == 10:
        raise InputError(f"{where} does not name ten classes under 'label_names': use the official download")
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
