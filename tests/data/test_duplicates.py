"""core/data/duplicates.py: the findings are those of a comparison of every image with every other one, pixel for
pixel."""
from types import SimpleNamespace

import numpy as np

from core.data.duplicates import about_classes, contrast, duplicates, leaks, pale
from core.data.listing import Finding

DIFFERENCES = (0, 1, 2, 3, 30, 31, 32, 255)              # of the brightest pixel from the others, around both limits


def pool(n):
    """Images of one colour but for one pixel in one colour, so that their means say nothing."""
    rng = np.random.default_rng(0)
    images = np.tile(rng.integers(0, 3, (n, 1, 1, 3), np.uint8) * 100, (1, 3, 3, 1))
    for image in images:
        y, x, colour = rng.integers(3, size=3)
        image[y, x, colour] = min(255, int(image[y, x, colour]) + rng.choice(DIFFERENCES))
    return images


POOL = pool(60)


def drawn(seed, prefix, N=40):
    """Some of the images, a few of them many times, under paths and labels of their own."""
    rng = np.random.default_rng(seed)
    rows = np.minimum(rng.integers(60, size=N), rng.integers(60, size=N))
    labels = [f"label {c}" for c in np.maximum(rng.integers(2, size=N), rng.integers(2, size=N))]
    return SimpleNamespace(images=POOL[rows], paths=np.array([f"{prefix}/{k}.png" for k in rng.permutation(N)]),
                           labels=labels)


def most(image):
    """The largest difference of two pixels in one colour."""
    return max(int(image[..., colour].max()) - int(image[..., colour].min()) for colour in range(3))


def partners(source):
    """{row: [rows of the same image]} of the first rows of those that are there more than once and not even."""
    same = [[k for k, other in enumerate(source.images) if (other == image).all()] for image in source.images]
    return {rows[0]: rows for rows in same if len(rows) > 1 and most(source.images[rows[0]]) > 2}


def test_images_that_are_the_same_are_told_with_their_labels():
    kinds = set()
    for seed in range(20):
        source = drawn(seed, "a")
        expected = []
        for rows in partners(source).values():
            paths, labels = ([values[row] for row in rows] for values in (source.paths, source.labels))
            apart = len(set(labels)) > 1
            words = [f"{path} ({label})" if apart else path for path, label in zip(paths, labels)]
            others = words[1:] if len(words) <= 4 else [*words[1:4], f"{len(words) - 4} more"]
            expected.append(Finding("contradiction" if apart else "repeated", words[0], f"and {', '.join(others)}"))
            kinds |= {(apart, min(len(rows), 5))}
        assert duplicates(source) == expected
    assert {(apart, n) for apart in (False, True) for n in (2, 3, 4, 5)} == kinds


def test_test_images_that_are_training_images_are_told():
    found = 0
    for seed in range(20):
        source, test = drawn(seed, "a"), drawn(seed + 100, "b")
        expected = []
        for image, path in zip(test.images, test.paths):
            rows = [row for row, other in enumerate(source.images) if (other == image).all()]
            if rows and most(image) > 2:
                expected.append(Finding("leaked", source.paths[rows[0]], f"is {path} of the test set"))
        assert leaks(source, test) == expected
        found += len(expected)
    assert found > 20


def test_images_in_which_there_is_little_to_see_are_told_with_what_they_show():
    for seed in range(20):
        source = drawn(seed, "a")
        assert contrast(source.images).tolist() == [most(image) for image in source.images]
        expected = []
        for image, path in zip(source.images, source.paths):
            if most(image) <= 2:
                red, green, blue = (round(float(image[..., colour].mean())) for colour in range(3))
                expected.append(Finding("blank", path, f"red {red}, green {green}, blue {blue} of 255"))
            elif most(image) < 32:
                expected.append(Finding("dim", path, f"{most(image) + 1} of 256 levels"))
        assert pale(source) == expected


def test_classes_of_one_image_and_of_none():
    source = SimpleNamespace(labels=[*"bbacc"], listing=SimpleNamespace(labels=[*"bbaccedd"]))
    assert about_classes(source, ("a", "b", "c")) == [("empty", "d", ""), ("empty", "e", ""), ("single", "a", "")]
