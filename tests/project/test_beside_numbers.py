"""Each number in the third column of docs/beside.html, computed again from the numbers above it, by the definition."""
import re

import numpy as np
import pytest

from docs.beside import page
from tests.lib import naive

HTML = page.PAGE.read_text(encoding="utf-8")
ALPHA, BETA, P = 1.2, .8, np.full(3, 1 / 3)
H = 1e-5


def tables():
    """{row: [(LaTeX of the name, how it was found, array)]}"""
    found = {}
    for name, section in re.findall(r'<section class="row" id="(\w+)"(.*?)</section>', HTML, re.DOTALL):
        bodies = re.findall(r'<tbody data-name="(.*?)" data-by="(.*?)".*?>(.*?)</tbody>', section, re.DOTALL)
        found[name] = [(latex, by, np.array([cells(row) for row in body.split("</tr>")[:-1]]))
                       for latex, by, body in bodies]
    return found


def cells(row):
    return [float(number.replace("−", "-")) for number in re.findall(r"<td>(.*?)</td>", row)]


TABLES = tables()


def slopes(f, x):
    """Central differences of f(x) in every coordinate."""
    shifts = H * np.eye(x.size).reshape(-1, *x.shape)
    return np.reshape([(f(x + shift) - f(x - shift)) / (2 * H) for shift in shifts], x.shape)


def through(f, dout):
    return lambda x: (dout * f(x)).sum()


def divergences(y, s):
    return np.array([naive.divergence(a, b) for a, b in zip(y, s)])


def loss(z, y, alpha=ALPHA, beta=BETA):
    return naive.L_c(z, y) + alpha * naive.L_p(z, P) + beta * naive.L_e(z)


# ---- what each row should say: functions of the arrays of the row, by name ------------------------------------------
# A name that comes again ("2") is counted; derivatives by all three ways have one name.

Z, Y = np.array([[1., 0, 2], [0, 3, 1]]), np.array([[0., 0, 1], [.5, .5, 0]])
S = naive.softmax(Z)
ENTROPY = -(S * np.log(S)).sum(axis=1, keepdims=True)


def labels(a):
    hard, soft = a[r"y \in \mathcal{H}"], a[r"y \in \mathcal{S}"]
    assert set(hard.ravel()) == {0, 1} and (soft >= 0).all()
    return {r"\sum_j y_j": hard.sum(axis=1, keepdims=True), r"\sum_j y_j 2": soft.sum(axis=1, keepdims=True)}


def given(a):
    return {"y": Y, "L_c": naive.L_c(Z, Y), "L_c + 0 L_p + 0 L_e": loss(Z, Y, 0, 0)}


def L(a):
    return {"L_c": naive.L_c(Z, Y), r"\alpha L_p": ALPHA * naive.L_p(Z, P), r"\beta L_e": BETA * naive.L_e(Z),
            "L": loss(Z, Y), r"\frac{\partial L}{\partial z}": slopes(lambda z: loss(z, Y), Z)}


def softmax(a):
    return {"z": Z, "s": S, r"\sum_j s_{ij}": np.ones((2, 1)), r"\log s": np.log(S)}


def L_c(a):
    return {"s": S, "y": Y, "L_c": divergences(Y, S).mean(),
            r"\frac{\partial L_c}{\partial z}": slopes(lambda z: naive.L_c(z, Y), Z)}


def L_p(a):
    mean = S.mean(axis=0)
    r = P * S / mean
    return {"s": S, r"\bar s": mean, "p": P, "L_p": naive.divergence(P, mean), "r": r,
            r"\rho": r.sum(axis=1, keepdims=True),
            r"\frac{\partial L_p}{\partial z}": slopes(lambda z: naive.L_p(z, P), Z)}


def L_e(a):
    return {"s": S, "H": ENTROPY, "L_e": ENTROPY.mean(), r"\log s + H": np.log(S) + ENTROPY,
            r"\frac{\partial L_e}{\partial z}": slopes(naive.L_e, Z)}


def proof(a):
    v = a["v"]
    slope = (loss(Z + H * v, Y) - loss(Z - H * v, Y)) / (2 * H)
    return {r"\langle d_{out}, J v \rangle": slope, r"\langle J^\top d_{out}, v \rangle": slope}


def updates(a):
    hard = np.eye(3)[S.argmax(axis=1)]
    return {"y": Y, "L_c": naive.L_c(Z, Y), r"\mathrm{soft}": S, "L_c 2": 0, r"\frac{\partial L_c}{\partial z}": 0 * Z,
            r"\mathrm{hard}": hard, "L_c 3": naive.L_c(Z, hard)}


def ring(a):
    z = np.array([[0., 0, 1], [0, 1, 1], [0, 2, 1], [1, 3, 1]])
    s = naive.softmax(z)
    return {**{f"s^{{({k + 1})}}": s[k] for k in range(4)}, "s": s[1:].mean(axis=0)}


def algorithm(a):
    """Two samples in one mini-batch, a linear net from zero: theta by SGD on L, then Y the mean of two epochs' s."""
    x, w, v, found = np.array([[1., .5], [-.5, 1.]]), np.zeros((3, 3)), np.zeros((3, 3)), {}
    x1, y, seen = np.column_stack([x, np.ones(2)]), np.array([[0., 0, 1], [0, 1, 0]]), []
    for epoch in range(1, 5):
        z = x1 @ w
        found[f"L^{{({epoch})}}"] = loss(z, y)
        seen.append(naive.softmax(z))
        v = .9 * v - 1 * (slopes(lambda w: loss(x1 @ w, y), w) + 1e-4 * w)
        w = w + v
        y = np.mean(seen[-2:], axis=0) if epoch >= 2 else y
        found[f"Y^{{({epoch})}}"] = y
    return found


def linear(a):
    x, w, b, dout = a["x"], a["w"], a["b"][0], a["d_{out}"]
    return {"out": naive.linear(x, w, b), "dw": slopes(through(lambda w: naive.linear(x, w, b), dout), w),
            "db": slopes(through(lambda b: naive.linear(x, w, b), dout), b),
            "dx": slopes(through(lambda x: naive.linear(x, w, b), dout), x)}


def conv(a):
    x, w, dout = a["x"], a["w"], a["d_{out}"]

    def f(x, w):
        return naive.conv(x[None, :, :, None], w[:, :, None, None], 1)[0, :, :, 0]

    return {"out": f(x, w), "dw": slopes(through(lambda w: f(x, w), dout), w),
            "dx": slopes(through(lambda x: f(x, w), dout), x)}


def batchnorm(a):
    x, dout, gamma, beta = a["x"], a["d_{out}"], np.array([1., 2]), np.array([0., 1])
    mean, var = map(np.array, naive.moments(x))
    x_hat = (x - mean) / np.sqrt(var + naive.EPS)
    return {r"\mu": mean, r"\sigma": np.sqrt(var + naive.EPS), r"\hat x": x_hat, "out": gamma * x_hat + beta,
            r"d \gamma": slopes(through(lambda gamma: naive.batchnorm(x, gamma, beta), dout), gamma),
            "db": slopes(through(lambda beta: naive.batchnorm(x, gamma, beta), dout), beta),
            "dx": slopes(through(lambda x: naive.batchnorm(x, gamma, beta), dout), x)}


def relu(a):
    x, dout = a["x"], a["d_{out}"]
    return {"out": naive.relu(x), "dx": slopes(through(naive.relu, dout), x), r"\mathrm{mean}": x.mean(),
            "dx 2": np.full((2, 3), 1 / 6)}


def block(a):
    x, dout = a["x"], a["d_{out}"]
    w1, w2 = (f(np.arange(9.)).reshape(3, 3, 1, 1) for f in (np.cos, np.sin))

    def f(x):
        h = x[None, :, :, None]
        for w in (w1, w2):
            h = naive.conv(naive.relu(naive.batchnorm(h, np.ones(1), np.zeros(1))), w, 1)
        return x + h[0, :, :, 0]

    return {"out": f(x), "dx": slopes(through(f, dout), x)}


def sgd(a):
    (lr, momentum, decay), = a[r"\eta, m, \lambda"]
    theta, v, found = 1., 0., {r"\theta^{(0)}": 1.}
    for step, g in enumerate((1., 1., 0.), start=1):
        v = momentum * v - lr * (g + decay * theta)
        theta += v
        found |= {f"g^{{({step})}}": g, f"v^{{({step})}}": v, rf"\theta^{{({step})}}": theta}
    return found


EXPECTED = {name: value for name, value in list(globals().items()) if name in TABLES and callable(value)}
GIVEN = {"labels": [r"y \in \mathcal{H}", r"y \in \mathcal{S}"], "proof": ["v"], "linear": ["x", "w", "b", "d_{out}"],
         "conv": ["x", "w", "d_{out}"], "batchnorm": ["x", "d_{out}"], "relu": ["x", "d_{out}"],
         "block": ["x", "d_{out}"], "sgd": [r"\eta, m, \lambda"]}


def named(table):
    """{name: arrays}; the ways of one derivative under one name, another quantity of that name with its number."""
    found = {}
    for latex, by, array in table:
        copies = [name for name in found if re.fullmatch(re.escape(latex) + r"( \d+)?", name)]
        name = copies[-1] if by and copies else latex if not copies else f"{latex} {len(copies) + 1}"
        found.setdefault(name, []).append(array)
    return found


def test_every_row_has_its_numbers():
    assert EXPECTED.keys() == TABLES.keys() and len(TABLES) == 17


@pytest.mark.parametrize("row", TABLES)
def test_numbers_are_computed_again(row):
    found = named(TABLES[row])
    expected = EXPECTED[row]({name: arrays[0] for name, arrays in found.items()})
    assert found.keys() - set(GIVEN.get(row, [])) == expected.keys()
    for name, value in expected.items():
        for array in found[name]:
            assert array.shape == np.atleast_2d(value).shape, name
            assert abs(array - value).max() < 6e-5, name


def test_gradients_are_shown_in_three_ways():
    for row in ("L", "L_c", "L_p", "L_e", "linear", "conv", "batchnorm", "relu", "block"):
        *_, by_formula, central, complex_step = [by for _, by, _ in TABLES[row] if row != "relu"] or ["", *(
            by for _, by, _ in TABLES[row][:-2])]
        assert (by_formula, central, complex_step) == ("", "central", "complex step"), row
