"""Clothing1M as its authors hand it out: a million photographs of clothes with labels from the text around them, 38 %
of them wrong, and 72,000 whose labels people have checked.

    ROOT/images/0/00/...jpg             the keys, as images/0/00/...jpg; copies without the folder images are read too
    ROOT/noisy_train_key_list.txt       the keys of a part: also clean_train, clean_val, clean_test
    ROOT/noisy_label_kv.txt             `key label` in each line, label 0 to 13; also clean_label_kv.txt
                                        (key lists and labels may lie in ROOT/annotations)

The folder is its noisy training part; the file of a key list is its part, with the noisy labels for noisy_train and the
clean ones for the others. The file of the clean labels serves as truth. So a run is

    --data ROOT --test ROOT/clean_test_key_list.txt --truth ROOT/clean_label_kv.txt

Source: Xiao, Xia, Yang, Huang, Wang, "Learning from Massive Noisy Labeled Data for Image Classification", CVPR 2015.
"""
import os
from pathlib import Path

import numpy as np

from core.data.listing import Finding, Listing, bad_name, printable
from core.errors import InputError, need

CLASSES = ("T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker", "Jacket", "Downcoat", "Suit",
           "Shawl", "Dress", "Vest", "Underwear")
PARTS = {"noisy_train": "noisy", "clean_train": "clean", "clean_val": "clean", "clean_test": "clean"}
KEYS, LABELS = "_key_list.txt", "_label_kv.txt"
ANNOTATIONS, IMAGES = "annotations", "images"
LARGEST = 256 << 20                    # bytes of a list: that of a million keys has 50 MB


def is_clothing1m(path):
    """Whether `path` is a folder of Clothing1M, or the key list of one of its parts."""
    path = Path(path)
    if path.name.removesuffix(KEYS) in PARTS and path.name.endswith(KEYS):
        return path.is_file()
    return any((folder / f"noisy_train{KEYS}").is_file() for folder in (path, path / ANNOTATIONS))


def is_labels(path):
    """Whether `path` is a file of its labels."""
    return Path(path).name in {f"{kind}{LABELS}" for kind in PARTS.values()}


def scan(path):
    """Listing of a part in the order of its key list; `index` counts its lines from 0. Raises InputError.

    Only the lists are read, and whether the files are there.
    """
    path = Path(path)
    part = "noisy_train" if path.is_dir() else path.name.removesuffix(KEYS)
    root = root_of(path)
    label_of = labels(annotation(root, f"{PARTS[part]}{LABELS}"))
    keys, seen, findings = lines(annotation(root, part + KEYS)), {}, []
    for row, (number, key) in enumerate(keys):
        where = None if bad_name(key) else located(root, key)
        if key not in label_of:
            findings.append(Finding("unlabelled", printable(key), f"line {number}"))
        elif bad_name(key):
            findings.append(Finding("name", printable(key), f"line {number}"))
        elif where is None:
            findings.append(Finding("missing", key, f"line {number}"))
        elif where in seen:
            findings.append(Finding("repeated", where, f"line {number}"))
        else:
            seen[where] = CLASSES[label_of[key]], row
    return Listing(root, list(seen), [name for name, _ in seen.values()], [row for _, row in seen.values()], len(keys),
                   findings)


def root_of(path):
    """The folder of the data set, which holds the images; path: it, that of the lists, or one of the key lists."""
    folder = Path(path) if os.path.isdir(path) else Path(path).parent
    return folder.parent if folder.name == ANNOTATIONS else folder


def truth(path, listing, classes):
    """(rows,) int64: the class of each row of the listing by the labels in the file, -1 where it has none.

    classes: the names in the order of the result. Raises InputError where it knows none of the images.
    """
    label_of, found = labels(path), np.full(listing.rows, -1)
    number = {CLASSES.index(name): c for c, name in enumerate(classes) if name in CLASSES}
    for where, row in zip(listing.paths, listing.index):
        key = where if where.startswith(f"{IMAGES}/") else f"{IMAGES}/{where}"
        found[row] = number.get(label_of.get(key, label_of.get(where)), -1)
    need((found >= 0).any(), f"{path} has no label for any of the images: it is for Clothing1M; check --data")
    return found


# ---- its files -----------------------------------------------------------------------------------------------------

def annotation(root, name):
    """The path of a key list or of a file of labels. Raises InputError if it is not there: copies often lack them."""
    for folder in (root, root / ANNOTATIONS):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{root} has no {name}: copy it there from the annotations of Clothing1M")


def located(root, key):
    """The path of a key's image relative to root, or None. A key cannot lead out of root."""
    for path in (key, key.removeprefix(f"{IMAGES}/")):
        if ".." not in Path(path).parts and not os.path.isabs(path) and os.path.isfile(os.path.join(root, path)):
            return Path(path).as_posix()
    return None


def labels(path):
    """{key: label} of a file. Raises InputError for a line that is not a key and a label."""
    found = {}
    for number, line in lines(path):
        key, _, label = line.rpartition(" ")
        need(label.isdecimal() and label.isascii() and int(label[:3]) < len(CLASSES) and key.strip(),
             f"{path}, line {number} is no key and label from 0 to {len(CLASSES) - 1}: copy the file again")
        found[key.strip()] = int(label)
    return found


def lines(path):
    """[(number from 1, line)] of those that are not empty. Raises InputError for a file that is no list."""
    try:
        need(os.path.getsize(path) <= LARGEST, f"{path} has more than {LARGEST:,} bytes: it is no list of Clothing1M")
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8: copy the file again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
