"""Findings about images that can be read: duplicates, images in both sets, images under two labels, tiny classes."""
import hashlib

import numpy as np

from core.data.listing import Finding


def about_classes(source, classes):
    """Findings about classes with one image, or with none that can be read."""
    named = {label for label in source.listing.labels} - set(classes)
    names, counts = np.unique(source.labels, return_counts=True)
    return [Finding("empty", name) for name in sorted(named)] + [Finding("single", str(name))
                                                                 for name in names[counts == 1]]


def duplicates(source):
    """Findings about images that look the same to the network, pixel for pixel, with one label or with several."""
    rows_of = {}
    for row, key in enumerate(digests(source.images)):
        rows_of.setdefault(key, []).append(row)
    return [twin(rows, source) for rows in rows_of.values() if len(rows) > 1]


def twin(rows, source):
    """The finding about the same image in several rows."""
    apart = len({source.labels[row] for row in rows}) > 1
    words = [f"{source.paths[row]} ({source.labels[row]})" if apart else str(source.paths[row]) for row in rows]
    words[4:] = [f"{len(words) - 4} more"] * (len(words) > 4)
    return Finding("contradiction" if apart else "repeated", words[0], f"and {', '.join(words[1:])}")


def leaks(source, test):
    """Findings about test images that are training images too."""
    first = {key: row for row, key in reversed(list(enumerate(digests(source.images))))}
    return [Finding("leaked", source.paths[first[key]], f"is {path} of the test set")
            for key, path in zip(digests(test.images), test.paths) if key in first]


def digests(images):
    """A number of 16 bytes for each image; two are the same if and, for all practical purposes,
    only if the images are."""
    return (hashlib.blake2b(image, digest_size=16).digest() for image in images)
