"""How far each given label is to be trusted, how many are wrong, and how well the wrong ones were found.

    N samples, C classes
    P (N, C)      class probabilities of each sample, rows sum to one
    given (N,)    its given label, 0 .. C-1;  H its entropy -sum_j P_j log P_j

Scores lie in [0, 1], and low ones are suspicious. Scores and joint are those of confident learning (Northcutt, Jiang, Chuang:
"Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021) as the package cleanlab defines them.
"""
import math
from typing import NamedTuple

import numpy as np

SLACK = 1e-6                           # a probability this little below a threshold has reached it: rounding decides nothing


# ---- the score of a label ------------------------------------------------------------------------------------------

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
    """log(1 + q) / q with q = (H / log C) / P_k -> (N,) float64.  Its limits: 1 for q = 0, and 0 for P_k = 0."""
    P = P.astype(np.float64)
    entropy = -(P * np.log(np.where(P > 0, P, 1))).sum(axis=1) / max(math.log(P.shape[1]), 1e-300)
    k = self_confidence(P, given)
    q = entropy / np.where(k > 0, k, 1)
    return np.where(k > 0, np.where(q > 0, np.log1p(q) / np.where(q > 0, q, 1), 1), 0)


# ---- how many labels are wrong -------------------------------------------------------------------------------------

def confident_counts(P, given):
    """(C, C) int64: entry (k, j) counts the samples labelled k that are confidently of class j.

    The threshold of class j is the mean of P_j over the samples labelled j. A sample counts for the class whose threshold it
    reaches; for its most probable class where it reaches several; not at all where it reaches none, or where nobody has the
    label of that class. Every diagonal entry is at least 1.
    """
    C = P.shape[1]
    thresholds = np.array([P[given == j, j].mean(dtype=np.float64) if (given == j).any() else np.inf for j in range(C)])
    reached = P >= np.maximum(thresholds, 2 * SLACK) - SLACK
    several, some = reached.sum(axis=1) > 1, reached.any(axis=1)
    likely = np.where(several, P.argmax(axis=1), reached.argmax(axis=1))
    counts = np.zeros((C, C), np.int64)
    np.add.at(counts, (given[some], likely[some]), 1)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    return counts


def confident_joint(P, given):
    """J (C, C) float64: the estimated number of samples with label k and true class j; row k sums to the number of labels k."""
    counts = confident_counts(P, given)
    return counts / counts.sum(axis=1, keepdims=True) * np.bincount(given, minlength=P.shape[1])[:, None]


def noise_matrix(J):
    """T (C, C): row i has the estimated probabilities of each given label where the truth is i, as core/noise.py takes them.

    The row of a class to which no sample is thought to belong is that of no noise.
    """
    of_class = J.sum(axis=0)[:, None]
    return np.where(of_class > 0, J.T / np.where(of_class > 0, of_class, 1), np.eye(len(J)))


def estimated_errors(J):
    """(how many labels are wrong by the estimate J, which fraction of all); the fraction of no labels is 0"""
    wrong = J.sum() - J.trace()
    return float(wrong), float(wrong / max(J.sum(), 1))


def correct(labels, truth):
    """Fraction of the labels (N,) that are the true ones, among those whose truth is known (not -1)."""
    known = () if truth is None else truth[truth >= 0]
    return math.nan if len(known) == 0 else float((labels == truth).sum() / len(known))


# ---- which labels are wrong ----------------------------------------------------------------------------------------

def corrected(given, suggested, P, sure=0):
    """The labels to go on with (N,): the suggested one (N,) where P (N, C) gives it at least the probability `sure`, else the given.

    P: the predictions that the suggestion was made from. Soft labels are these very numbers, hard ones are 0 and 1.
    """
    return np.where(self_confidence(P, suggested) >= sure, suggested, given)


def is_label_issue(given, suggested):
    """(N,) bool: the method has put another class in the place of the given one. No threshold to choose, no rate to know."""
    return suggested != given


def most_suspicious_first(P, given):
    """Rows (N,) by rising self-confidence, then by rising margin, then by number."""
    return np.lexsort((margin(P, given), self_confidence(P, given)))


class Detection(NamedTuple):
    """How well wrong labels were found; nan where a number has no meaning."""
    precision: float                   # of the samples that were flagged: which fraction is wrong
    recall: float                      # of the wrong ones: which fraction was flagged
    auroc: float                       # probability that a wrong label has a lower score than a right one, ties half
    average_precision: float           # mean precision over the wrong ones, going from the lowest score up


def detection(wrong, flagged, scores):
    """The Detection of the wrong labels (N,) bool by the flags (N,) bool and by the scores (N,), low for suspicious."""
    found = int((wrong & flagged).sum())
    return Detection(ratio(found, int(flagged.sum())), ratio(found, int(wrong.sum())),
                     auroc(wrong, scores), average_precision(wrong, scores))


def auroc(wrong, scores):
    """P(score of a wrong label < score of a right one) + P(both are equal) / 2; nan unless there are both kinds"""
    bad, good = by_score(wrong, scores)
    good_above = good.sum() - np.cumsum(good)
    return ratio(float((bad * (good_above + good / 2)).sum()), int(bad.sum()) * int(good.sum()))


def average_precision(wrong, scores):
    """sum_t (R_t - R_{t-1}) p_t over the different scores t from the lowest up: precision p_t and recall R_t of "score <= t"."""
    bad, good = by_score(wrong, scores)
    precision = np.cumsum(bad) / np.maximum(np.cumsum(bad + good), 1)
    return ratio(float((bad * precision).sum()), int(bad.sum()))


def by_score(wrong, scores):
    """How many wrong and how many right labels have each of the different scores, from the lowest up: two arrays of counts."""
    different, place = np.unique(scores, return_inverse=True)
    return (np.bincount(place[wrong], minlength=len(different)), np.bincount(place[~wrong], minlength=len(different)))


def ratio(a, b):
    """a / b, and nan for b = 0"""
    return a / b if b else math.nan


# ---- the verdict of a run -----------------------------------------------------------------------------------------

class Verdict(NamedTuple):
    """What a run concludes about its labels, computed once and handed on."""
    suggested: np.ndarray              # (N,) the class of greatest weight in the soft labels
    corrected: np.ndarray              # (N,) the suggestion where it is confident enough, else the given label
    joint: np.ndarray                  # (C, C) the confident joint of given labels and probabilities
    errors: float                      # estimated number of wrong labels
    rate: float                        # estimated fraction of wrong labels
    initial: float                     # fraction of the given labels that are correct; nan where no truth is known
    recovery: float                    # fraction of the corrected labels that are correct; nan where no truth is known
    detection: Detection               # how well the wrong labels were found; None where no truth is known


def judge(given, Y, s, P, truth=None, sure=0):
    """The Verdict on the given labels (N,).

    Y (N, C): soft labels; s (N, C): the predictions that they were made from, which have to reach `sure`; P (N, C): class
    probabilities, s or out-of-sample ones; truth (N,): -1 where it is not known, None where it never is.
    """
    suggested, joint = Y.argmax(axis=1), confident_joint(P, given)
    final = corrected(given, suggested, s, sure)
    found = None
    if truth is not None:
        rows = truth >= 0
        found = detection((given != truth)[rows], is_label_issue(given, suggested)[rows], self_confidence(P, given)[rows])
    return Verdict(suggested, final, joint, *estimated_errors(joint), correct(given, truth), correct(final, truth), found)
