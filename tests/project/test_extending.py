"""docs/extending.md: the loss term that it adds is proved, and the network that it adds is trained by both steps."""
import math
import re
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from core import train
from core.backend import xp_of
from core.batches import Images, mean_image
from core.labels import SoftLabels, one_hot
from core.layers import linear_backward, linear_forward
from core.model import Task, fresh_model
from core.objective import softmax
from core.recipes import Recipe
from tests.lib.gradcheck import complex_step, worst_error
from tests.paper.test_networks import drawn, frozen
from tests.paper.test_train import coloured
from tests.project.test_docs import ROOT, section

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
KNOWN = dict(math=math, np=np, NamedTuple=NamedTuple, xp_of=xp_of, softmax=softmax, worst_error=worst_error,
             complex_step=complex_step, linear_forward=linear_forward, linear_backward=linear_backward,
             __name__="extending")


def names_of(title):
    """What the code under a heading of the page defines."""
    names = dict(KNOWN)
    for block in re.findall(r"```python\n(.*?)```", section(PAGE, title), re.DOTALL):
        exec(block, names)
    return SimpleNamespace(**{name: value for name, value in names.items() if not name.startswith("__")})


def test_the_gradient_of_the_new_term_is_that_of_its_definition():
    term = names_of("A loss term")
    z, y = np.array([[0.3, -1.2, 0.5]]), np.array([[0.0, 0.9, 0.1]])
    s = np.exp(z) / np.exp(z).sum()
    expected = -sum(s[0, j] * max(math.log(y[0, j]) if y[0, j] else -math.inf, -4) for j in range(3))
    assert math.isclose(term.reverse_forward(z, y)[0], expected)


def test_an_error_in_the_new_gradient_is_noticed():
    code = section(PAGE, "A loss term").replace("(a - (s * a)", "(a + (s * a)")
    blocks, names = re.findall(r"```python\n(.*?)```", code, re.DOTALL), dict(KNOWN)
    exec(blocks[0], names)
    try:
        exec(blocks[1], names)
    except AssertionError:
        return
    raise AssertionError("the page's proof passes with a wrong gradient")


def test_the_new_network_keeps_the_contract_and_learns_by_both_steps():
    net = names_of("A network")
    family = net, net.Linear(3, 8 * 8 * 3), (8, 8, 3)
    theta, running, x, dlogits = frozen(*drawn(family))
    logits, cache = net.forward(theta, x, family[1])
    assert net.backward(dlogits, cache).keys() == theta.keys() and net.moments(cache).keys() == running.keys() == set()

    pixels, truth = coloured(np.random.default_rng(0), 60)
    images, recipe = Images(pixels, mean_image(pixels), 0, False), Recipe(
        0.01, 1.2, 0.8, epochs=10, begin=5, K=2, lr2=0.01, epochs2=30, batch=20)
    task, labels = Task(images, (images, truth), (images, truth), truth, 0), SoftLabels(one_hot(truth, 3), recipe.K)
    model = fresh_model(net, family[1], np.random.default_rng(0), np)
    before, *_, after = train.joint_optimization(model, task, labels, recipe)
    assert after.L_c < before.L_c and after.test > 0.8
    *_, last = train.retrain(fresh_model(net, family[1], np.random.default_rng(1), np), task,
                             SoftLabels(labels.Y, 1), recipe)
    assert last.test > 0.8
