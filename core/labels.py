"""The labels Y of the paper, their updates, and the memory of predictions that makes them.

    Y (N, C)  labels in use, rows sum to one     s (N, C)  predictions, mean of the last K epochs
"""
from functools import partial

import numpy as np

from core.backend import xp_of


def one_hot(labels, classes, dtype=np.float32):
    """labels (N,) integers -> (N, C), on the same device"""
    return (labels[:, None] == xp_of(labels).arange(classes)).astype(dtype)


# DEVIATION 10: the official code knows the uniform prior only (docs/paper.md)
def prior(kind, Y):
    """p (C,): "uniform", "given" (the mean of the labels Y), or C weights, which are normalised.

    Raises ValueError for weights that are negative, not finite, all zero, or not C.
    """
    xp, C = xp_of(Y), Y.shape[1]
    if isinstance(kind, str):
        return {"uniform": lambda: xp.full(C, 1 / C, Y.dtype),
                "given": lambda: Y.mean(axis=0)}[kind]()
    p = np.asarray(kind, np.float64)
    if p.shape != (C,) or not np.isfinite(p).all() or (p < 0).any() or not 0 < p.sum() < np.inf:
        raise ValueError(f"the prior must be {C} numbers >= 0 that do not sum to zero")
    return xp.asarray(p / p.sum(), Y.dtype)


# ---- the update of Y, theta fixed --------------------------------------------------------------

def soft_update(s):
    """y_i = s_i   Eq. (9):  minimises L_c over all label distributions"""
    return s.copy()


# DEVIATION 7: the official code updates soft labels only; the paper compares both (docs/paper.md)
def hard_update(s):
    """y_ij = 1 if j = argmax_j' s_ij', else 0   Eq. (8):  minimises L_c over one-hot labels"""
    return one_hot(s.argmax(axis=1), s.shape[1], s.dtype)


def hard_update_top(Y, s, k):
    """The hard update, for the k labels that disagree most with the prediction; the others stay.

    Disagreement of sample i:  -sum_j y_ij log s_ij, the cross-entropy in nats. While all labels are
    one-hot, as they are with this update, it orders the samples as L_c does; ties go to the smaller
    index.
    """
    xp = xp_of(s)
    disagreement = -(Y * xp.log(xp.maximum(s, xp.finfo(s.dtype).tiny))).sum(axis=1)
    worst = xp.argsort(-disagreement, kind="stable")[:k]
    Y = Y.copy()
    Y[worst] = hard_update(s[worst])
    return Y


def label_update(name):
    """The update Y <- f(Y, s) by its name: soft, hard, or hard-<k>, the k that disagree most."""
    if name.startswith("hard-"):
        return partial(hard_update_top, k=int(name[5:]))
    return {"soft": lambda Y, s: soft_update(s), "hard": lambda Y, s: hard_update(s)}[name]


# ---- the state ---------------------------------------------------------------------------------

class SoftLabels:
    """Y, and a ring of the last K epochs' predictions. Rows of Y sum to one at all times.

    Every slot of the ring begins as a copy of the one before. So a sample that a wrapped mini-batch
    showed an epoch early keeps that prediction, and not one from K epochs ago. No slot has unfilled
    rows.
    """

    def __init__(self, Y, K=10):
        self.Y0 = Y                                                     # (N, C) at the start
        self.Y = self.s = Y                                             # s made the last update
        self.ring = xp_of(Y).zeros((K, *Y.shape), Y.dtype)              # (K, N, C)
        self.epochs = 0                                                 # completed ones

    def remember(self, i, s, own=None):
        """Predictions s (B, C) of the samples i (B,) in the running epoch.

        In a wrapped mini-batch the first `own` belong to the running pass over the data, the others
        to the next. They are written one after the other, since a sample may be in both: the later
        counts. (In one write CuPy leaves it open which one does.)
        """
        slot = self.ring[self.epochs % len(self.ring)]
        slot[i[:own]] = s[:own]
        if own is not None and own < len(i):
            slot[i[own:]] = s[own:]

    def end_epoch(self, update=None):
        """Close the running slot; with an update, Y <- update(Y, s), s the mean of up to K epochs.

        Returns how many samples changed their class, argmax y_i; the number stays on the device.
        """
        last = self.ring[self.epochs % len(self.ring)]
        self.epochs += 1
        changed = xp_of(self.Y).zeros((), np.int64)
        if update is not None:
            before = self.Y.argmax(axis=1)
            # DEVIATION 6: the official code divides by ten from the first epoch on (docs/paper.md)
            self.s = s = self.ring[:min(self.epochs, len(self.ring))].mean(axis=0)
            self.Y = update(self.Y, s)
            changed = (self.Y.argmax(axis=1) != before).sum()
        # DEVIATION 5: the official code leaves what the slot held K epochs ago (docs/paper.md)
        self.ring[self.epochs % len(self.ring)] = last
        return changed
