"""How far to trust each given label, how many are wrong, and how well the wrong ones were found.

    N samples, C classes
    P (N, C)      class probabilities of each sample, rows sum to one
    given (N,)    its given label, 0 .. C-1;  H its entropy -sum_j P_j log P_j

Scores lie in [0, 1]; low ones are suspicious. Scores and joint are those of confident learning
(Northcutt, Jiang, Chuang: "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
2021) as the package cleanlab defines them.
"""
import math
from typing import NamedTuple

import numpy as np

from core.posterior import by_chance, for_training, joint

SLACK = 1e-6                           # so little below a threshold counts as reached: rounding


# ---- the score of a label ----------------------------------------------------------------------

def self_confidence(P, given):
    """P_k, k the given label -> (N,)"""
    return P[np.arange(len(P)), given]


def margin(P, given):
    """P_k - max_{j != k} P_j -> (N,) in [-1, 1]; with one class the maximum is 0"""
    others = P.copy()
    others[np.arange(len(P)), given] = 0
    return self_confidence(P, given) - others.max(axis=1)


def normalized_margin(P, given):
    """(margin + 1) / 2 -> (N,)"""
    return (margin(P, given) + 1) / 2


def confidence_weighted_entropy(P, given):
    """log(1 + q) / q, q = (H / log C) / P_k -> (N,) float64.  Limits: q = 0: 1, P_k = 0: 0."""
    P = P.astype(np.float64)
    entropy = -(P * np.log(np.where(P > 0, P, 1))).sum(axis=1) / max(math.log(P.shape[1]), 1e-300)
    k = self_confidence(P, given)
    q = entropy / np.where(k > 0, k, 1)
    return np.where(k > 0, np.where(q > 0, np.log1p(q) / np.where(q > 0, q, 1), 1), 0)


# ---- how many labels are wrong -----------------------------------------------------------------

def confident_counts(P, given):
    """(C, C) int64: entry (k, j) counts the samples labelled k that are confidently of class j.

    The threshold of class j is the mean of P_j over the samples labelled j. A sample counts for the
    class whose threshold it reaches, and for the most probable class where it reaches several. It
    does not count where it reaches none, or where no sample has that label. Every diagonal entry is
    at least 1.
    """
    C = P.shape[1]
    thresholds = np.array([P[given == j, j].mean(dtype=np.float64) if (given == j).any() else np.inf
                           for j in range(C)])
    reached = P >= np.maximum(thresholds, 2 * SLACK) - SLACK
    several, some = reached.sum(axis=1) > 1, reached.any(axis=1)
    likely = np.where(several, P.argmax(axis=1), reached.argmax(axis=1))
    counts = np.zeros((C, C), np.int64)
    np.add.at(counts, (given[some], likely[some]), 1)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    return counts


def confident_joint(P, given):
    """J (C, C) float64: the estimated number of samples with label k and true class j.

    Row k sums to the number of labels k.
    """
    counts = confident_counts(P, given)
    labelled = np.bincount(given, minlength=P.shape[1])[:, None]
    return counts / counts.sum(axis=1, keepdims=True) * labelled


def noise_matrix(J):
    """T (C, C): row i has the probability of each given label where the truth is i (core/noise.py).

    The row of a class to which no sample is thought to belong is that of no noise.
    """
    of_class = J.sum(axis=0)[:, None]
    return np.where(of_class > 0, J.T / np.where(of_class > 0, of_class, 1), np.eye(len(J)))


def estimated_errors(J):
    """(estimated number of wrong labels, their fraction) by J; the fraction of no labels is 0"""
    wrong = J.sum() - J.trace()
    return float(wrong), float(wrong / max(J.sum(), 1))


def correct(labels, truth):
    """Fraction of the labels (N,) that are true, of those whose truth is known (not -1)."""
    known = () if truth is None else truth[truth >= 0]
    return math.nan if len(known) == 0 else float((labels == truth).sum() / len(known))


# ---- which labels are wrong --------------------------------------------------------------------

def corrected(given, suggested, P, sure=0):
    """(N,): the suggested label where its probability reaches `sure`, else the given one.

    P (N, C): the predictions that made the suggestion. Soft labels are these very numbers, hard
    ones are 0 and 1.
    """
    return np.where(self_confidence(P, suggested) >= sure, suggested, given)


def is_label_issue(given, suggested):
    """(N,) bool: the method suggests another class. No threshold to choose, no rate to know."""
    return suggested != given


def most_suspicious_first(P, given):
    """Rows (N,) by rising self-confidence, then by rising margin, then by number."""
    return np.lexsort((margin(P, given), self_confidence(P, given)))


class Detection(NamedTuple):
    """How well wrong labels were found; nan where a number has no meaning."""
    precision: float                   # of the samples that were flagged: which fraction is wrong
    recall: float                      # of the wrong ones: which fraction was flagged
    auroc: float                       # P(a wrong label scores below a right one), ties half
    average_precision: float           # mean precision over the wrong ones by rising score


def detection(wrong, flagged, scores):
    """Detection of the wrong labels (N,) bool by flags (N,) bool and scores (N,), low for wrong."""
    found = int((wrong & flagged).sum())
    return Detection(ratio(found, int(flagged.sum())), ratio(found, int(wrong.sum())),
                     auroc(wrong, scores), average_precision(wrong, scores))


def auroc(wrong, scores):
    """P(wrong label's score < right one's) + P(equal) / 2; nan unless there are both kinds"""
    bad, good = by_score(wrong, scores)
    good_above = good.sum() - np.cumsum(good)
    return ratio(float((bad * (good_above + good / 2)).sum()), int(bad.sum()) * int(good.sum()))


def average_precision(wrong, scores):
    """sum_t (R_t - R_{t-1}) p_t over the different scores t from the lowest up.

    p_t, R_t: precision and recall of "score <= t".
    """
    bad, good = by_score(wrong, scores)
    precision = np.cumsum(bad) / np.maximum(np.cumsum(bad + good), 1)
    return ratio(float((bad * precision).sum()), int(bad.sum()))


def by_score(wrong, scores):
    """Counts of wrong and of right labels at each of the different scores, from the lowest up."""
    different, place = np.unique(scores, return_inverse=True)
    return (np.bincount(place[wrong], minlength=len(different)),
            np.bincount(place[~wrong], minlength=len(different)))


def ratio(a, b):
    """a / b, and nan for b = 0"""
    return a / b if b else math.nan


# ---- the verdict of a run ----------------------------------------------------------------------

class Verdict(NamedTuple):
    """What a run concludes about its labels, computed once and handed on."""
    suggested: np.ndarray              # (N,) class of greatest weight: soft labels, or posterior
    corrected: np.ndarray              # (N,) the suggestion where confident enough, else the given
    probs: np.ndarray                  # (N, C) probabilities of the scores: P, or the posterior
    joint: np.ndarray                  # (C, C) estimated joint counts of given labels and true ones
    matrix: np.ndarray                 # (C, C) estimated noise matrix
    temperature: float                 # of the posterior; None without one
    errors: float                      # estimated number of wrong labels, nan if unknown
    rate: float                        # estimated fraction of wrong labels, nan if unknown
    initial: float                     # fraction of the given labels that are true, nan if unknown
    recovery: float                    # fraction of the corrected labels that are true, or nan
    detection: Detection               # how well the wrong labels were found; None if unknown
    by_chance: bool = False            # the labels have nothing to do with P: they stay as they are


def judge(given, Y, s, P, truth=None, sure=0):
    """The Verdict on the given labels (N,) by the soft labels, as in the paper.

    Y (N, C): soft labels; s (N, C): the predictions that made them, which have to reach `sure`;
    P (N, C): class probabilities, s or out-of-sample ones; truth (N,): -1 where unknown, None where
    it always is.
    """
    suggested, J = Y.argmax(axis=1), confident_joint(P, given)
    final = corrected(given, suggested, s, sure)
    return verdict(given, suggested, final, P, J, noise_matrix(J), None, truth)


def respecting(P, given, checked):
    """P (N, C), but certain of the given labels that a person has checked: (N,) bool, or None."""
    if checked is None:
        return P
    certain = np.eye(P.shape[1], dtype=P.dtype)[given]
    return np.where(checked[:, None], certain, P)


def judge_by_posterior(given, found, truth=None, sure=0):
    """The Verdict on the given labels (N,) by the Posterior `found` (core/posterior.py).

    Where it knows nothing of the labels they stay, none is suspicious, the noise is unknown: nan.
    """
    q, J = found.q, joint(for_training(found, given), given)
    if by_chance(found, given):
        made = verdict(given, given.copy(), given.copy(), q, J, noise_matrix(J), None, truth)
        return made._replace(errors=math.nan, rate=math.nan, by_chance=True)
    suggested = q.argmax(axis=1)
    final = corrected(given, suggested, q, sure)
    return verdict(given, suggested, final, q, J, found.T, found.tau, truth)


def verdict(given, suggested, final, probs, J, matrix, temperature, truth):
    """The Verdict with what follows from suggestions, corrected labels and probabilities."""
    found = None
    if truth is not None:
        rows = truth >= 0
        found = detection((given != truth)[rows], is_label_issue(given, suggested)[rows],
                          self_confidence(probs, given)[rows])
    return Verdict(suggested, final, probs, J, matrix, temperature, *estimated_errors(J),
                   correct(given, truth), correct(final, truth), found)
