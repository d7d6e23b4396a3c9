"""The classes by the quality of their labels.

N labels, C classes. J (C, C): the joint of core/quality.py, the estimated number of labels k whose true class is j.
"""
from typing import NamedTuple

import numpy as np


class ClassQuality(NamedTuple):
    """What a run says of the labels of one class."""
    number: int                        # of the class
    labels: int                        # images that it was given to
    suspicious: int                    # of these: another class is suggested
    gained: int                        # images of other classes for which it is suggested
    wrong: float                       # estimated part of its labels that are wrong; without J the part that is doubted
    score: float                       # mean probability of the given label; nan without labels


def by_quality(given, suggested, probs, C, J=None):
    """A ClassQuality of every class that was given or is suggested, the worst first; without a J by what is doubted."""
    labels = np.bincount(given, minlength=C)
    moves = suggested != given
    suspicious, gained = (np.bincount(c[moves], minlength=C) for c in (given, suggested))
    scores = np.bincount(given, probs[np.arange(len(given)), given], C)
    few = np.maximum(labels, 1)
    wrong = suspicious / few if J is None else 1 - J.diagonal() / np.maximum(J.sum(axis=1), 1e-30)
    wrong = np.where(labels > 0, wrong, 0)
    order = np.lexsort((np.arange(C), -suspicious / few, -wrong))
    return [ClassQuality(int(c), int(labels[c]), int(suspicious[c]), int(gained[c]), float(wrong[c]),
                         float(scores[c] / labels[c]) if labels[c] else np.nan)
            for c in order if labels[c] or gained[c]]


def changing(before, after, C, most):
    """The classes, at most `most` of them, that the greatest numbers of labels leave or join, in their order."""
    moves = before != after
    moved = np.bincount(before[moves], minlength=C) + np.bincount(after[moves], minlength=C)
    return np.sort(np.argsort(-moved, kind="stable")[:most])


def counts_of(before, after, classes, C):
    """(K, K) int: how many labels of classes[a] before are of classes[b] after."""
    K, place = len(classes), np.full(C, -1)
    place[classes] = np.arange(K)
    pairs = np.stack([place[before], place[after]], axis=1)
    pairs = pairs[(pairs >= 0).all(axis=1)]
    return np.bincount(pairs @ [K, 1], minlength=K * K).reshape(K, K)
