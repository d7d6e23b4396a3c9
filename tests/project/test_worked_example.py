"""The worked example of docs/paper.md: its numbers are computed again, by core/ and by central differences."""
import re

import numpy as np
import pytest

from core.labels import hard_update_top
from core.objective import (
    entropy_backward,
    entropy_forward,
    kl_backward,
    kl_forward,
    objective_backward,
    objective_forward,
    prior_backward,
    prior_forward,
)
from tests.lib import naive
from tests.project.test_docs import PAPER

z = np.array([[1., 0, 2], [0, 3, 1]])
y = np.array([[0., 0, 1], [.5, .5, 0]])
p = np.full(3, 1 / 3)
s = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
N, alpha, beta, h = 2, 1.2, 0.8, 1e-5


def slopes(f):
    """Central differences of f(z) in every coordinate."""
    steps = h * np.eye(z.size).reshape(-1, *z.shape)
    return np.reshape([(f(z + step) - f(z - step)) / (2 * h) for step in steps], z.shape)


def softmax():
    return {"z": z, "s": s, "y": y}


def L_c():
    divergences = (np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / s), 0)).sum(axis=1)
    L, cache = kl_forward(z, y)
    assert L == pytest.approx(naive.L_c(z, y))
    return {"D_KL": divergences, "L_c": L, "s - y": s - y, "dL_c/dz": kl_backward(1, cache),
            "slopes": slopes(lambda z: kl_forward(z, y)[0])}


def L_p():
    s_bar = s.mean(axis=0)
    r = p * s / s_bar
    L, cache = prior_forward(z, p)
    assert L == pytest.approx(naive.L_p(z, p))
    return {"s_bar": s_bar, "L_p": L, "r": r, "rho": r.sum(axis=1), "dL_p/dz": prior_backward(1, cache),
            "slopes": slopes(lambda z: prior_forward(z, p)[0])}


def L_e():
    L, cache = entropy_forward(z)
    assert L == pytest.approx(naive.L_e(z))
    H = -(s * np.log(s)).sum(axis=1)
    return {"log s": np.log(s), "H": H, "L_e": L, "log s + H": np.log(s) + H[:, None],
            "dL_e/dz": entropy_backward(1, cache), "slopes": slopes(lambda z: entropy_forward(z)[0])}


def total():
    (L, *_), cache = objective_forward(z, y, p, alpha, beta)
    return {"L": L, "dL/dz": objective_backward(1, cache),
            "slopes": slopes(lambda z: objective_forward(z, y, p, alpha, beta)[0][0])}


def updates():
    L, cache = kl_forward(z, s)
    return {"soft": s, "hard": np.eye(3)[s.argmax(axis=1)], "hard-1": hard_update_top(y, s, 1), "L_c, soft": L,
            "dL_c/dz": kl_backward(1, cache)}


def box(values):
    """The values as the page has them: a name and four decimals, rows below one another."""
    lines = []
    for name, value in values.items():
        for k, row in enumerate(np.atleast_2d(value)):
            lines.append(f"{name if k == 0 else '':10}" + "".join(f"{round(x, 4) + 0:9.4f}" for x in row))
    return "\n".join(lines)


@pytest.mark.parametrize("part", [softmax, L_c, L_p, L_e, total, updates])
def test_numbers_of_the_worked_example(part):
    assert f"```\n{box(part())}\n```" in PAPER


@pytest.mark.parametrize("part", [L_c, L_p, L_e, total])
def test_gradients_of_the_worked_example_are_its_slopes(part):
    *_, gradient, found = part().values()
    assert abs(gradient - found).max() < 1e-9


def test_no_box_is_left_over():
    boxes = re.findall(r"^```\n((?:[\w /,+-]{10}(?: +-?\d+\.\d{4})+\n)+)```$", PAPER, re.MULTILINE)
    assert len(boxes) == 6
