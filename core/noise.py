"""Label noise: what the experiments do to true labels.  Integers in, integers out;
the arguments are not changed.

labels (N,) true labels 0 .. C-1, rate r in [0, 1], rng a NumPy generator.  Samples are always
chosen by their *true* label. Which fraction of the labels is really wrong afterwards depends on the
kind, and every docstring says it.
"""
import numpy as np

# truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog
CIFAR10_MAP = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}


# DEVIATION 3: round(r N), where the official code rounds up and the paper redraws each label with
# probability r (docs/paper.md)
def symmetric(labels, rate, classes, rng):
    """Redraw round(r N) labels uniformly over ALL classes, the true one included:
    really wrong r (C-1)/C.  The paper's SN."""
    noisy = labels.copy()
    hit = rng.permutation(len(labels))[:round(rate * len(labels))]
    noisy[hit] = rng.integers(classes, size=len(hit))
    return noisy


def symmetric_others(labels, rate, classes, rng):
    """Redraw round(r N) labels uniformly over the OTHER classes: really wrong r.
    As in Co-teaching and SELFIE."""
    noisy = labels.copy()
    hit = rng.permutation(len(labels))[:round(rate * len(labels))]
    noisy[hit] = (labels[hit] + rng.integers(1, classes, size=len(hit))) % classes
    return noisy


def asymmetric(labels, rate, class_map, rng):
    """Of every class c in class_map, relabel exactly round(r n_c) samples as class_map[c]:
    really wrong r of these classes.

    With the map of the paper's AN-CIFAR, CIFAR10_MAP, and balanced classes: really wrong r / 2.
    """
    noisy = labels.copy()
    for c, wrong in class_map.items():
        rows = rng.permutation(np.flatnonzero(labels == c))
        noisy[rows[:round(rate * len(rows))]] = wrong
    return noisy


# DEVIATION 13: beside the paper's kinds of noise, as are `transition` and symmetric_others
# (docs/paper.md)
def pair_flip(labels, rate, classes, rng):
    """Of every class c, relabel round(r n_c) samples as c + 1, the last class as 0:
    really wrong r."""
    return asymmetric(labels, rate, {c: (c + 1) % classes for c in range(classes)}, rng)


def transition(labels, T, rng):
    """Draw every label from the row of its true class in T (C, C), whose rows sum to one: really
    wrong mean_i (1 - T[y_i, y_i])."""
    edges = np.cumsum(T, axis=1)[labels]                                # (N, C)
    u = rng.random(len(labels)) * edges[:, -1]   # times the last edge: a row's sum may be 1 - 1e-16
    return (u[:, None] >= edges).sum(axis=1)
