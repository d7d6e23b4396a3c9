"""The noise posterior: against definitions and brute force, on data drawn from known noise,
and where it degenerates."""
import math
from itertools import product

import numpy as np
import pytest

from core import posterior, quality
from core.objective import log_softmax, softmax
from tests.lib.evidence import measured

PAIR = np.array([[0.9, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 0.6, 0.4], [0, 0, 0.4, 0.6]])      # asymmetric: 0 -> 1, 2 <-> 3


def drawn(N, T, tau=0.7, spread=4.0, seed=0):
    """(P, given, truth) of the model itself: truth from r, given from T[truth], and P from which tau makes r."""
    rng = np.random.default_rng(seed)
    z = spread * rng.standard_normal((N, len(T)))
    truth = (softmax(z).cumsum(axis=1) > rng.random((N, 1))).argmax(axis=1)
    given = (T[truth].cumsum(axis=1) > rng.random((N, 1))).argmax(axis=1)
    return softmax(z / tau), given, truth


def at_random(share, C):
    return (1 - share) * np.eye(C) + share / C


CASES = {
    "pairs": lambda: drawn(400, PAIR)[:2],
    "at random": lambda: drawn(300, at_random(0.5, 5), seed=1)[:2],
    "no noise": lambda: drawn(300, np.eye(3), seed=2)[:2],
    "two classes": lambda: drawn(60, at_random(0.3, 2), seed=3)[:2],
    "a class nobody has": lambda: (softmax(np.random.default_rng(4).standard_normal((90, 4))), np.arange(90) % 3),
    "zeros and ones": lambda: (np.eye(3)[np.arange(40) % 3], np.r_[np.arange(38) % 3, 0, 0]),
    "all the same label": lambda: (softmax(np.random.default_rng(5).standard_normal((20, 3))), np.zeros(20, int)),
}


@pytest.fixture(params=CASES)
def case(request):
    """(log_P, given)"""
    P, given = CASES[request.param]()
    return np.log(np.maximum(P, 1e-30)), given


def some_T(C, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(C), C)


def some_q(N, C, seed=1):
    return np.random.default_rng(seed).dirichlet(np.full(C, 0.5), N)


# ---- the steps -----------------------------------------------------------------------------------------------------

def test_the_expectation_is_its_definition(case):
    log_P, given = case
    T, tau, L = some_T(log_P.shape[1]), 0.6, 0.0
    q, found = posterior.expectation(log_softmax(tau * log_P), T, given)
    for i, k in enumerate(given):
        weights = [math.exp(tau * v) for v in log_P[i]]
        products = [w / sum(weights) * T[j, k] for j, w in enumerate(weights)]
        L += math.log(sum(products))
        assert q[i] == pytest.approx([p / sum(products) for p in products], abs=1e-13)
    measured("posterior", "definition in loops", np, abs(found - L) / abs(L), 1e-13)


def test_an_entry_of_zero_excludes_a_class_and_far_logarithms_stay_finite():
    log_r = log_softmax(np.array([[0.0, -2000.0, -1.0], [-1e5, 0.0, -1e5]]))
    q, L = posterior.expectation(log_r, np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]]), np.array([0, 0]))
    assert q.tolist() == [[1, 0, 0], [0, 1, 0]] and math.isfinite(L)


def of_tau(q, log_P, tau):
    """What the M-step of tau maximises."""
    return (q * log_softmax(tau * log_P)).sum() + posterior.prior_of_temperature(tau)


@pytest.mark.parametrize("start", [1e-3, 1, 50])
def test_the_temperature_is_the_one_maximum(case, start):
    log_P, _ = case
    q = some_q(*log_P.shape)
    tau = posterior.best_temperature(q, log_P, start)
    grid = np.exp(np.linspace(math.log(1e-4), math.log(1e3), 600))
    assert of_tau(q, log_P, tau) >= max(of_tau(q, log_P, t) for t in grid) - 1e-9
    slope = (of_tau(q, log_P, tau * (1 + 1e-5)) - of_tau(q, log_P, tau * (1 - 1e-5))) / 2e-5
    assert abs(slope) < 1e-5 * (1 + abs(of_tau(q, log_P, tau)))


def test_the_temperature_takes_a_few_steps_of_newton_and_no_bisection(case, monkeypatch):
    log_P, _ = case
    q, calls = some_q(*log_P.shape), []
    tau = posterior.best_temperature(q, log_P, 1.0)
    monkeypatch.setattr(posterior, "log_softmax", lambda z: calls.append(1) or log_softmax(z))
    assert posterior.best_temperature(q, log_P, 1.1 * tau) == pytest.approx(tau, rel=1e-8) and len(calls) <= 8


def test_the_temperature_is_that_of_the_data_and_finite_where_all_agree():
    P, _, truth = drawn(20000, np.eye(4), tau=0.4)
    assert posterior.best_temperature(np.eye(4)[truth], np.log(P), 1.0) == pytest.approx(0.4, rel=0.03)
    assert 1 < posterior.best_temperature(np.eye(2), np.log([[0.9, 0.1], [0.1, 0.9]]), 1.0) < 3
    assert posterior.best_temperature(np.ones((5, 1)), np.zeros((5, 1)), 0.3) == pytest.approx(1)      # the prior alone


def test_the_matrix_is_its_definition_and_the_maximum():
    q, given, T_0 = some_q(30, 4), np.arange(30) % 3, some_T(4)
    for strength in (0, 2.5):
        T = posterior.best_matrix(q, given, T_0, strength)
        for j in range(4):
            counts = [sum(q[i, j] for i in range(30) if given[i] == k) + strength * T_0[j, k] for k in range(4)]
            assert T[j] == pytest.approx([n / sum(counts) for n in counts])

        def expected(T, strength=strength):
            log_T = np.log(np.where(T > 0, T, 1))
            return (q * log_T.T[given]).sum() + posterior.prior_of_matrix(T, T_0, strength)

        for seed in range(20):
            other = 0.9 * T + 0.1 * np.where(T > 0, some_T(4, seed), 0)
            assert expected(other / other.sum(axis=1, keepdims=True)) < expected(T)


def test_the_matrix_of_labels_at_random_and_its_share_are_their_definitions():
    given, q, share = np.array([0, 0, 0, 1, 2, 2]), some_q(6, 4), 0.3
    m = [3 / 6, 1 / 6, 2 / 6, 0]
    T = posterior.random_matrix(share, given, 4)
    assert T == pytest.approx(np.array([[0.7 * (j == k) + 0.3 * m[k] for k in range(4)] for j in range(4)]))
    # it was not, only if truth and label agree
    anew = [1 - q[i, k] * 0.7 / (0.7 + 0.3 * m[k]) for i, k in enumerate(given)]
    assert posterior.best_share(q, given, share) == pytest.approx((1 + sum(anew)) / 7)


def test_the_joint_is_its_definition_and_serves_where_the_confident_one_does():
    q, given = some_q(50, 4), np.arange(50) % 3
    J = posterior.joint(q, given)
    for k, j in product(range(4), range(4)):
        assert J[k, j] == pytest.approx(sum(q[i, j] for i in range(50) if given[i] == k))
    assert quality.estimated_errors(J)[0] == pytest.approx(sum(1 - q[i, k] for i, k in enumerate(given)))
    assert quality.noise_matrix(J) == pytest.approx(posterior.best_matrix(q, given, np.eye(4), 0))


def test_a_sample_is_judged_by_the_matrix_of_the_others():
    q, given, T_0, log_r = some_q(25, 3), np.arange(25) % 3, some_T(3), log_softmax(np.log(some_q(25, 3, 2)))
    found = posterior.left_out(log_r, q, given, T_0, 1.5)
    for i in range(25):
        others = np.arange(25) != i
        T = posterior.best_matrix(q[others], given[others], T_0, 1.5)
        assert found[i] == pytest.approx(posterior.expectation(log_r[i:i + 1], T, given[i:i + 1])[0][0])


# ---- both in turn --------------------------------------------------------------------------------------------------

def climbed(log_P, given):
    """The penalised likelihoods of both fits, step by step, and what the second found."""
    first, second = [], []
    tau, share, _ = posterior.fit_random(log_P, given, first.append)
    T_0 = posterior.random_matrix(share, given, log_P.shape[1])
    found = posterior.fit_free(log_P, given, tau, T_0, 3.0, second.append)
    return first, second, T_0, found


def test_every_step_raises_the_likelihood(case):
    first, second, _, (tau, T, L) = climbed(*case)
    for steps in (first, second):
        assert len(steps) >= 2 and min(np.diff(steps)) > -1e-9 * (1 + abs(steps[-1]))
    assert second[-1] - second[0] > 1e-3 and 0 < tau < np.inf and (T >= 0).all()
    assert T.sum(axis=1) == pytest.approx(np.ones(len(T)))
    assert L == posterior.expectation(log_softmax(tau * case[0]), T, case[1])[1]


def test_it_ends_where_no_change_of_the_temperature_or_of_the_matrix_raises_the_likelihood(case, monkeypatch):
    log_P, given = case
    monkeypatch.setattr(posterior, "CONVERGED", 1e-11)
    _, _, T_0, (tau, T, L) = climbed(log_P, given)

    def penalised(tau, T):
        L = posterior.expectation(log_softmax(tau * log_P), T, given)[1]
        return L + posterior.prior_of_temperature(tau) + posterior.prior_of_matrix(T, T_0, 3.0)

    best = penalised(tau, T)
    for t in (0.98 * tau, 1.02 * tau):
        assert penalised(t, T) <= best + 1e-9
    for j, k, step in product(range(len(T)), range(len(T)), (0.02, 1e-3)):
        other = T.copy()
        other[j] = (1 - step) * T[j] + step * np.eye(len(T))[k]
        assert penalised(tau, other) <= best + 1e-4 * step * len(given), (j, k)


def test_nothing_on_a_grid_is_better_for_two_classes():
    P, given, _ = drawn(60, np.array([[0.7, 0.3], [0.1, 0.9]]), seed=3)
    log_P, T_0 = np.log(P), at_random(0.1, 2)
    steps = []
    posterior.fit_free(log_P, given, 1.0, T_0, 3.0, steps.append)
    found = []
    for tau, a, b in product(np.linspace(0.1, 3, 30), np.linspace(0.01, 0.99, 34), np.linspace(0.01, 0.99, 34)):
        T = np.array([[a, 1 - a], [b, 1 - b]])
        L = posterior.expectation(log_softmax(tau * log_P), T, given)[1]
        found.append(L + posterior.prior_of_temperature(tau) + posterior.prior_of_matrix(T, T_0, 3.0))
    assert max(found) - 1e-2 < steps[-1] < max(found) + 0.2


# ---- on data with known noise --------------------------------------------------------------------------------------

def calibration(q, truth, bins=10):
    """Mean distance of probability and frequency, over all entries of q."""
    is_true, place = np.eye(q.shape[1])[truth], np.minimum((q * bins).astype(int), bins - 1)
    return sum(abs(q[place == b].mean() - is_true[place == b].mean()) * (place == b).mean() for b in range(bins)
               if (place == b).any())


def test_known_noise_and_temperature_are_found_and_the_posterior_is_calibrated():
    P, given, truth = drawn(20000, PAIR, tau=0.6)
    found = posterior.noise_posterior(P, given)
    assert found.free and found.tau == pytest.approx(0.6, rel=0.05) and np.abs(found.T - PAIR).max() < 0.03
    assert calibration(found.q, truth) < 0.005
    estimate = quality.estimated_errors(posterior.joint(found.q, given))[1]
    assert estimate == pytest.approx((given != truth).mean(), abs=0.01)
    exact, _ = posterior.expectation(log_softmax(0.6 * np.log(P)), PAIR, given)     # by the noise that it was made with
    assert np.abs(found.q - exact).mean() < 0.01


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_labels_at_random_are_found_to_be_that(share):
    P, given, truth = drawn(5000, at_random(share, 10), tau=1.5)
    found = posterior.noise_posterior(P, given)
    assert not found.free and found.tau == pytest.approx(1.5, rel=0.1)
    assert found.T == pytest.approx(at_random(share, 10), abs=0.05) and calibration(found.q, truth) < 0.005


def test_the_posterior_knows_more_than_the_probabilities():
    P, given, truth = drawn(5000, PAIR)
    wrong, q = given != truth, posterior.noise_posterior(P, given).q
    plain, better = (quality.average_precision(wrong, quality.self_confidence(p, given)) for p in (P, q))
    assert better > plain + 0.02
    assert (q.argmax(axis=1) == truth).mean() > max((P.argmax(axis=1) == truth).mean(), (given == truth).mean()) + 0.02


@pytest.mark.parametrize("N", [200, 3000])
@pytest.mark.parametrize("share", [0, 0.02, 0.1, 0.5])
def test_corrections_do_no_harm_however_few_labels_are_wrong(N, share):
    for seed in range(3):
        P, given, truth = drawn(N, at_random(share, 10), tau=1.3, spread=3, seed=seed)
        q = posterior.noise_posterior(P, given).q
        for sure in (0, 0.9):
            after = quality.corrected(given, q.argmax(axis=1), q, sure)
            assert (after == truth).sum() >= (given == truth).sum() - (0 if sure else 0.01 * N * (share < 0.1))


def test_errors_of_the_network_are_not_taken_for_errors_of_annotators():
    """All labels right, P sure and wrong in three of a hundred:
    nothing but the labels' number says that they are right."""
    P, _, truth = drawn(3000, np.eye(10), tau=1, spread=5, seed=6)
    rng = np.random.default_rng(7)
    P = np.where(rng.random((3000, 1)) < 0.03, rng.permuted(P, axis=1), P)
    found = posterior.noise_posterior(P, truth)
    assert not found.free and quality.estimated_errors(posterior.joint(found.q, truth))[1] < 0.035


# ---- invariance and degenerate cases -------------------------------------------------------------------------------

@pytest.mark.parametrize("T", [PAIR, at_random(0.4, 4)], ids=["free", "at random"])
def test_neither_the_order_of_the_samples_nor_that_of_the_classes_matters(T):
    P, given, _ = drawn(600, T)
    found, rng = posterior.noise_posterior(P, given), np.random.default_rng(1)
    order, classes = rng.permutation(600), rng.permutation(4)
    again = posterior.noise_posterior(P[order], given[order])
    assert np.abs(again.q - found.q[order]).max() < 1e-6 and again.free == found.free
    renamed = posterior.noise_posterior(P[:, classes], np.argsort(classes)[given])
    assert np.abs(renamed.q - found.q[:, classes]).max() < 1e-6
    assert np.abs(renamed.T - found.T[classes][:, classes]).max() < 1e-6


DEGENERATE = {**{name: make for name, make in CASES.items()},
              "one class": lambda: (np.ones((7, 1)), np.zeros(7, int)),
              "one sample": lambda: (np.array([[0.2, 0.7, 0.1]]), np.array([0])),
              "nobody": lambda: (np.zeros((0, 3)), np.zeros(0, int)),
              "uniform": lambda: (np.full((30, 3), 1 / 3), np.arange(30) % 3),
              "float32": lambda: tuple(a.astype(t) for a, t in zip(drawn(200, PAIR)[:2], (np.float32, np.int64))),
              "300 classes": lambda: drawn(900, at_random(0.2, 300), spread=6)[:2]}


@pytest.mark.parametrize("name", DEGENERATE)
def test_whatever_comes_in_rows_of_probabilities_come_out(name):
    P, given = DEGENERATE[name]()
    before = P.copy(), given.copy()
    found = posterior.noise_posterior(P, given)
    assert found.q.shape == P.shape and found.q.dtype == np.float64 and found.T.shape == (P.shape[1],) * 2
    assert 0 < found.tau < np.inf and math.isfinite(found.L)
    for rows in (found.q, found.T):
        assert (rows >= 0).all() and rows.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    assert np.array_equal(P, before[0]) and np.array_equal(given, before[1])


def test_a_single_sample_and_a_single_class_keep_their_labels():
    for name in ("one class", "uniform", "zeros and ones"):
        P, given = DEGENERATE[name]()
        q = posterior.noise_posterior(P, given).q
        assert (q.argmax(axis=1) == given)[:38].all(), name


def test_labels_that_network_and_annotators_agree_on_stay():
    P = np.full((100, 4), 0.02)
    P[np.arange(100), np.arange(100) % 4] = 0.94
    found = posterior.noise_posterior(P, np.arange(100) % 4)
    assert (found.q.argmax(axis=1) == np.arange(100) % 4).all() and found.q.max(axis=1).min() > 0.99


def test_a_confusion_that_nobody_else_has_made_does_not_vouch_for_itself():
    """Many samples of the confusion 0 -> 1, one of 2 -> 3: a sample as sure as any of the others is believed less."""
    P, given, _ = drawn(400, np.array([[0.7, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), spread=6, seed=8)
    P[:2], given[:2] = [[0.999, 4e-4, 3e-4, 3e-4], [3e-4, 3e-4, 0.999, 4e-4]], [1, 3]
    found = posterior.noise_posterior(P, given)
    with_itself, _ = posterior.expectation(log_softmax(found.tau * np.log(P)), found.T, given)
    assert found.free and found.q[0, 0] > 0.9 and abs(with_itself[0, 0] - found.q[0, 0]) < 0.01
    assert found.q[1, 2] < with_itself[1, 2] - 0.1


@pytest.mark.parametrize("C", [2, 5])
def test_a_network_that_knows_nothing_of_the_labels_is_found_out(C):
    """A sure P beside labels that have nothing to do with it; and the same P beside labels that do."""
    P, _, truth = drawn(40, np.eye(C), spread=6)
    unrelated = np.random.default_rng(3).permutation(40) % C
    found, known = (posterior.noise_posterior(P, labels) for labels in (unrelated, truth))
    assert (found.q.max(axis=1) > 0.9).sum() > 10                      # which is what makes it dangerous
    assert posterior.by_chance(found, unrelated) and not posterior.by_chance(known, truth)
    labels = posterior.for_training(found, unrelated)
    assert labels.shape == (40, C) and (labels == (unrelated[:, None] == np.arange(C))).all()
    assert posterior.for_training(known, truth) is known.q


def test_the_bound_of_chance_is_the_likelihood_of_frequencies_and_two_parameters():
    given = np.array([0, 0, 0, 2])
    of_frequencies = 3 * math.log(3 / 4) + math.log(1 / 4)
    for more, chance in ((-1e-9, True), (1e-9, False)):
        L = of_frequencies + 2 * math.log(math.log(16)) + more         # below 16 samples as with 16
        assert posterior.by_chance(posterior.Posterior(None, None, 1.0, L, False), given) is chance
