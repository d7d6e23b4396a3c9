"""Scores, confident joint and detection against their definitions in loops,
against cleanlab and against scikit-learn."""
import math
import warnings

import numpy as np
import pytest

from core import quality
from core.posterior import Posterior


def drawn(N, C, seed, sharp=2.0):
    """Probabilities (N, C) and labels (N,) that mostly fit them."""
    rng = np.random.default_rng(seed)
    truth, P = rng.integers(0, C, N), rng.random((N, C)) ** sharp + 1e-3
    P[np.arange(N), truth] += 1
    given = np.where(rng.random(N) < 0.3, rng.integers(0, C, N), truth)
    return P / P.sum(axis=1, keepdims=True), given


def imbalanced():
    P, given = drawn(400, 5, 3)
    keep = (given != 4) & ((given != 3) | (np.arange(400) % 20 == 0))           # class 3 rare, nobody has the label 4
    return P[keep], given[keep]


def tied():
    P, given = drawn(300, 4, 4)
    P = np.round(P * 4) + 1
    return P / P.sum(axis=1, keepdims=True), given


def all_right():
    P, _ = drawn(200, 3, 5)
    return P, P.argmax(axis=1)


CASES = {
    "random": lambda: drawn(500, 6, 0),
    "float32": lambda: (drawn(500, 6, 1)[0].astype(np.float32), drawn(500, 6, 1)[1]),
    "two classes": lambda: drawn(200, 2, 2),
    "imbalanced, one class missing": imbalanced,
    "tied": tied,
    "all right": all_right,
    "uniform": lambda: (np.full((30, 3), 1 / 3), np.arange(30) % 3),
    "one sample": lambda: (np.array([[0.2, 0.7, 0.1]]), np.array([0])),
    "one class given": lambda: (drawn(50, 3, 6)[0], np.zeros(50, int)),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]()


# ---- definitions in loops ------------------------------------------------------------------------------------------

def test_scores_are_their_definitions(case):
    P, given = case
    C = P.shape[1]
    for i, k in enumerate(given):
        row = [float(p) for p in P[i]]
        margin = row[k] - max(row[j] for j in range(C) if j != k)
        q = -sum(p * math.log(p) for p in row) / math.log(C) / row[k]
        assert quality.self_confidence(P, given)[i] == row[k]
        assert quality.margin(P, given)[i] == pytest.approx(margin, abs=1e-7)
        assert quality.normalized_margin(P, given)[i] == pytest.approx((margin + 1) / 2, abs=1e-7)
        assert quality.confidence_weighted_entropy(P, given)[i] == pytest.approx(math.log(1 + q) / q, rel=1e-12)


def counts_in_loops(P, given):
    N, C = P.shape
    counts = [[0] * C for _ in range(C)]
    thresholds = {}
    for j in range(C):
        of_label = [float(P[i, j]) for i in range(N) if given[i] == j]
        if of_label:
            thresholds[j] = sum(of_label) / len(of_label)
    for i in range(N):
        reached = [j for j in thresholds if P[i, j] >= thresholds[j] - 1e-6]
        if reached:
            counts[given[i]][reached[0] if len(reached) == 1 else int(np.argmax(P[i]))] += 1
    return [[max(counts[k][j], 1) if k == j else counts[k][j] for j in range(C)] for k in range(C)]


def test_the_confident_joint_is_its_definition(case):
    P, given = case
    counts, J = counts_in_loops(P, given), quality.confident_joint(P, given)
    assert quality.confident_counts(P, given).tolist() == counts
    for k, row in enumerate(counts):
        labels = sum(1 for g in given if g == k)
        assert J[k] == pytest.approx([labels * n / sum(row) for n in row])
    wrong = sum(J[k, j] for k in range(len(J)) for j in range(len(J)) if k != j)
    assert quality.estimated_errors(J) == (pytest.approx(wrong, abs=1e-9), pytest.approx(wrong / len(given), abs=1e-12))


def test_a_probability_of_0_reaches_no_threshold_not_even_0():
    P = np.array([[0.9, 0, 0.1], [0.5, 0, 0.5], [1, 0, 0]])
    assert quality.confident_counts(P, np.array([0, 0, 1])).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_the_noise_matrix_is_that_of_the_joint(case):
    J = quality.confident_joint(*case)
    T = quality.noise_matrix(J)
    assert T == pytest.approx(quality.noise_matrix(J / 1000)), "an estimate of a part of a sample counts as well"
    assert T.sum(axis=1) == pytest.approx(np.ones(len(J)))
    for i in range(len(J)):
        total = sum(J[k, i] for k in range(len(J)))
        for k in range(len(J)):
            assert T[i, k] == pytest.approx(J[k, i] / total if total else float(i == k))


def test_known_noise_is_estimated():
    rng = np.random.default_rng(0)
    T = np.array([[0.8, 0.2, 0.0], [0.0, 0.7, 0.3], [0.1, 0.0, 0.9]])
    truth = rng.integers(0, 3, 6000)
    given = np.array([rng.choice(3, p=T[c]) for c in truth])
    P = np.full((6000, 3), 0.02)
    P[np.arange(6000), truth] = 0.96
    J = quality.confident_joint(P, given)
    assert np.abs(quality.noise_matrix(J) - T).max() < 0.03
    assert quality.estimated_errors(J)[1] == pytest.approx((given != truth).mean(), abs=0.01)


def test_detection_is_its_definition():
    rng = np.random.default_rng(1)
    for levels in (2, 5, 1000):                                                  # many ties, some, none
        scores, wrong, flagged = rng.integers(0, levels, 60) / levels, rng.random(60) < 0.3, rng.random(60) < 0.4
        found = quality.detection(wrong, flagged, scores)
        pairs = [(a < b) + (a == b) / 2 for a in scores[wrong] for b in scores[~wrong]]
        at = [(wrong & (scores <= t)).sum() / (scores <= t).sum() for t in scores[wrong]]
        assert found.precision == pytest.approx(sum(w and f for w, f in zip(wrong, flagged)) / sum(flagged))
        assert found.recall == pytest.approx(sum(w and f for w, f in zip(wrong, flagged)) / sum(wrong))
        assert found.auroc == pytest.approx(sum(pairs) / len(pairs))
        assert found.average_precision == pytest.approx(sum(at) / len(at))


def test_what_has_no_meaning_is_nan_and_limits_are_kept():
    none, all_, scores = np.zeros(4, bool), np.ones(4, bool), np.arange(4.0)
    assert all(math.isnan(v) for v in quality.detection(none, none, scores))
    assert quality.detection(none, all_, scores).precision == 0
    perfect = quality.detection(scores < 2, scores < 2, scores)
    assert perfect == (1, 1, 1, 1)
    assert math.isnan(quality.auroc(all_, scores)) and quality.average_precision(all_, scores) == 1
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert quality.confidence_weighted_entropy(sure, np.array([0, 1])).tolist() == [1, 0]
    one = np.ones((3, 1)), np.zeros(3, int)
    for score in (quality.self_confidence, quality.normalized_margin, quality.confidence_weighted_entropy):
        assert score(*one).tolist() == [1, 1, 1]
    nobody = np.zeros((0, 3)), np.zeros(0, int)
    J = quality.confident_joint(*nobody)
    assert quality.estimated_errors(np.array([[0, 1], [0, 0]])) == (1, 1)
    assert quality.estimated_errors(J) == (0, 0) and (quality.noise_matrix(J) == np.eye(3)).all()


def test_the_most_suspicious_come_first_and_ties_keep_their_order():
    P = np.array([[0.1, 0.9, 0.0], [0.1, 0.5, 0.4], [0.4, 0.6, 0.0], [0.0, 1.0, 0.0], [0.3, 0.4, 0.3], [0.1, 0.5, 0.4]])
    assert quality.most_suspicious_first(P, np.zeros(6, int)).tolist() == [3, 0, 1, 5, 4, 2]


def test_a_label_is_corrected_where_the_suggestion_is_sure_enough_and_by_default_everywhere():
    given, suggested, P = np.array([0, 0, 0, 1]), np.array([1, 1, 1, 1]), np.array([[0.25, 0.75], [0.5, 0.5],
                                                                                    [0.75, 0.25], [1, 0]])
    assert quality.corrected(given, suggested, P, 0.5).tolist() == [1, 1, 0, 1]
    assert quality.corrected(given, suggested, P).tolist() == [1, 1, 1, 1]
    assert quality.is_label_issue(given, suggested).tolist() == [True, True, True, False]


# ---- the libraries that people know --------------------------------------------------------------------------------

def test_cleanlab_agrees(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                                          # of its own dependencies
        rank = pytest.importorskip("cleanlab.rank")
        count, util = pytest.importorskip("cleanlab.count"), pytest.importorskip("cleanlab.internal.util")
    P, given = case
    for score in (quality.self_confidence, quality.normalized_margin, quality.confidence_weighted_entropy):
        theirs = getattr(rank, f"get_{score.__name__}_for_each_label")(given, P)
        assert score(P, given) == pytest.approx(theirs, rel=1e-5, abs=1e-7)
    assert (quality.confident_counts(P, given) == count.compute_confident_joint(given, P, calibrate=False)).all()
    ours = util.round_preserving_row_totals(quality.confident_joint(P, given))
    assert (ours == count.compute_confident_joint(given, P)).all()


def test_scikit_learn_agrees():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    for levels, share in [(3, 0.5), (20, 0.02), (10**6, 0.3), (1, 0.5), (50, 0.98)]:
        scores, wrong, flagged = rng.integers(0, levels, 500) / levels, rng.random(500) < share, rng.random(500) < 0.3
        assert quality.detection(wrong, flagged, scores) == pytest.approx((
            metrics.precision_score(wrong, flagged), metrics.recall_score(wrong, flagged),
            metrics.roc_auc_score(wrong, -scores), metrics.average_precision_score(wrong, -scores)))


# ---- the verdict ---------------------------------------------------------------------------------------------------

def test_the_verdict_suggests_by_the_soft_labels_corrects_by_their_predictions_and_judges_by_the_probabilities():
    rng = np.random.default_rng(0)
    given, truth = rng.integers(3, size=40), rng.integers(3, size=40)
    Y, s, P = (rng.dirichlet(np.ones(3), 40) for _ in range(3))
    truth[:5] = -1
    verdict = quality.judge(given, Y, s, P, truth, sure=0.5)
    suggested = [max(range(3), key=row.__getitem__) for row in Y]
    final = [c if s[i, c] >= 0.5 else given[i] for i, c in enumerate(suggested)]
    assert verdict.suggested.tolist() == suggested and verdict.corrected.tolist() == final != suggested
    J = quality.confident_joint(P, given)
    assert np.array_equal(verdict.joint, J) and (verdict.errors, verdict.rate) == quality.estimated_errors(J)
    assert (verdict.initial == np.mean(given[5:] == truth[5:])
            and verdict.recovery == np.mean(np.array(final)[5:] == truth[5:]))
    wrong, flagged = given[5:] != truth[5:], np.array(suggested)[5:] != given[5:]
    assert (verdict.detection.precision == np.mean(wrong[flagged])
            and verdict.detection.recall == np.mean(flagged[wrong]))
    assert verdict.detection.auroc == quality.auroc(wrong, P[np.arange(5, 40), given[5:]])


def test_what_a_person_has_checked_is_certain():
    rng, given = np.random.default_rng(1), np.array([0, 2, 1, 1])
    P, checked = rng.dirichlet(np.ones(3), 4).astype(np.float32), np.array([True, False, True, False])
    before = P.copy()
    found = quality.respecting(P, given, checked)
    assert found.tolist() == [[1, 0, 0], P[1].tolist(), [0, 1, 0], P[3].tolist()] and found.dtype == np.float32
    assert quality.respecting(P, given, None) is P and (P == before).all()


def test_a_verdict_without_a_truth_knows_what_needs_none():
    given, P = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    verdict = quality.judge(given, P, P, P)
    assert verdict.corrected.tolist() == [0, 1, 0] and verdict.detection is None
    assert math.isnan(verdict.initial) and math.isnan(verdict.recovery) and not verdict.by_chance


@pytest.mark.parametrize("L, expected", [(-1.0, [1, 1, 1, 0]), (-2.8, [0, 1, 1, 0])], ids=["known", "by chance"])
def test_the_posterior_of_a_network_that_knows_nothing_corrects_no_label(L, expected):
    given, q = np.array([0, 1, 1, 0]), np.array([[0.01, 0.99], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    given_16, q_16 = np.tile(given, 4), np.tile(q, (4, 1))
    verdict = quality.judge_by_posterior(given_16, Posterior(q_16, np.eye(2), 1.0, 4 * L, False), sure=0.9)
    assert verdict.corrected.tolist() == 4 * expected and verdict.by_chance == (expected[0] == 0)
    if verdict.by_chance:
        assert verdict.suggested.tolist() == given_16.tolist()
        assert math.isnan(verdict.errors) and math.isnan(verdict.rate)
        assert verdict.probs is q_16 and (verdict.matrix == np.eye(2)).all() and verdict.temperature is None
        assert (verdict.joint == np.diag([8, 8])).all()
        assert verdict.corrected is not given_16 and verdict.suggested is not given_16
    else:
        assert verdict.suggested.tolist() == 4 * [1, 1, 1, 0] and verdict.rate == verdict.errors / 16 > 0


def test_the_verdict_of_a_posterior_is_its_numbers():
    given, q = np.array([0, 1, 1, 0]), np.array([[0.01, 0.99], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    found = Posterior(q, np.array([[0.9, 0.1], [0.3, 0.7]]), 2.5, 0.0, True)
    verdict, truth = quality.judge_by_posterior(given, found), np.array([1, 1, 0, -1])
    assert verdict.probs is q and np.array_equal(verdict.matrix, found.T) and verdict.temperature == 2.5
    assert np.allclose(verdict.joint, [[0.91, 1.09], [0.5, 1.5]])            # [given, true]: the sums of q
    assert verdict.corrected.tolist() == verdict.suggested.tolist() == [1, 1, 1, 0]      # by default everywhere
    judged = quality.judge_by_posterior(given, found, truth)
    assert (judged.initial, judged.recovery) == (1 / 3, 2 / 3) and judged.detection.precision == 1


def test_labels_are_correct_where_the_truth_is_known():
    assert quality.correct(np.array([0, 1, 2]), np.array([0, -1, 1])) == 0.5
    assert (math.isnan(quality.correct(np.array([0]), None))
            and math.isnan(quality.correct(np.array([0]), np.array([-1]))))
