"""core/report/classes.py: the numbers of every class against their definitions, in loops."""
import math

import numpy as np
import pytest

from core.quality import confident_joint
from core.report.classes import by_quality, changing, counts_of


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(0)
    N, C = 300, 7
    given = rng.integers(0, C - 1, N)                          # the last class is given to no image
    suggested = np.where(rng.random(N) < .3, rng.integers(0, C, N), given)
    return given, suggested, rng.dirichlet(np.full(C, .3), N).astype(np.float32), C


@pytest.mark.parametrize("joint", [True, False])
def test_every_number_of_a_class_is_what_it_says(labels, joint):
    given, suggested, P, C = labels
    J = confident_joint(P, given) if joint else None
    found = by_quality(given, suggested, P, C, J)
    assert sorted(q.number for q in found) == list(range(C))
    for q in found:
        own = [i for i in range(300) if given[i] == q.number]
        doubted = [i for i in own if suggested[i] != given[i]]
        assert (q.labels, q.suspicious) == (len(own), len(doubted))
        assert q.gained == sum(suggested[i] == q.number != given[i] for i in range(300))
        if not own:
            assert q.wrong == 0 and math.isnan(q.score) and q.number == C - 1
            continue
        assert q.score == pytest.approx(sum(float(P[i, q.number]) for i in own) / len(own))
        others = sum(J[q.number, j] for j in range(C) if j != q.number) / len(own) if joint else len(doubted) / len(own)
        assert q.wrong == pytest.approx(others)
    assert [q.wrong for q in found] == sorted((q.wrong for q in found), reverse=True), "the worst first"


def test_a_class_without_labels_is_there_only_if_it_is_suggested():
    given, suggested, P = np.array([0, 0]), np.array([0, 2]), np.full((2, 4), .25)
    assert {q.number for q in by_quality(given, suggested, P, 4)} == {0, 2}


def test_the_classes_that_most_labels_leave_or_join_are_shown(labels):
    given, suggested, _, C = labels
    pairs = [(given[i], suggested[i]) for i in range(300) if given[i] != suggested[i]]
    moved = [sum(c in pair for pair in pairs) for c in range(C)]
    for most in (1, 3, C, 99):
        shown = changing(given, suggested, C, most)
        assert len(shown) == min(most, C) and list(shown) == sorted(shown)
        assert min(moved[c] for c in shown) >= max([moved[c] for c in range(C) if c not in shown], default=0)


def test_the_matrix_counts_rows_by_what_was_and_columns_by_what_is(labels):
    given, suggested, _, C = labels
    classes = np.array([1, 4, 6])
    counts = counts_of(given, suggested, classes, C)
    for a, before in enumerate(classes):
        for b, after in enumerate(classes):
            assert counts[a, b] == sum(given[i] == before and suggested[i] == after for i in range(300))
