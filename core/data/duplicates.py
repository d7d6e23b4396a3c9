"""Findings about images that can be read: duplicates, images in both sets, images under two labels, tiny classes,
images in which there is little to see."""
import hashlib

import numpy as np

from core.data.listing import Finding

EVEN, DIM = 2, 32                      # differences of 255 levels: one colour to the eye; an eighth of the brightness


def about_classes(source, classes):
    """Findings about classes with one image, or with none that can be read."""
    named = {label for label in source.listing.labels} - set(classes)
    names, counts = np.unique(source.labels, return_counts=True)
    return [Finding("empty", name) for name in sorted(named)] + [Finding("single", str(name))
                                                                 for name in names[counts == 1]]


def contrast(images):
    """(N,) the largest difference of two pixels in one colour, 0 to 255, of images (N, S, S, 3)."""
    return np.array([np.ptp(image.reshape(-1, 3), axis=0).max() for image in images], int)


def pale(source):
    """Findings about images that are even or nearly so, at the size at which the network sees them."""
    found = []
    for row, most in enumerate(contrast(source.images)):
        if most <= EVEN:
            red, green, blue = source.images[row].reshape(-1, 3).mean(axis=0).round().astype(int)
            found.append(Finding("blank", source.paths[row], f"red {red}, green {green}, blue {blue} of 255"))
        elif most < DIM:
            found.append(Finding("dim", source.paths[row], f"{most + 1} of 256 levels"))
    return found


def duplicates(source):
    """Findings about images that look the same to the network, pixel for pixel, with one label or with several.

    Not about even ones, which say nothing about their labels.
    """
    rows_of, even = {}, contrast(source.images) <= EVEN
    for row, key in enumerate(digests(source.images)):
        if not even[row]:
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
            for key, path, most in zip(digests(test.images), test.paths, contrast(test.images))
            if key in first and most > EVEN]


def digests(images):
    """A number of 16 bytes for each image; two are the same if and, for all practical purposes,
    only if the images are."""
    return (hashlib.blake2b(image, digest_size=16).digest() for image in images)
