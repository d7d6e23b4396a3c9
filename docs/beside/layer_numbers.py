"""The numbers beside the layers, the block and SGD: arrays so small that a hand could do them."""
import numpy as np

from core.layers import (
    batchnorm_backward,
    batchnorm_forward,
    conv_backward,
    conv_forward,
    linear_backward,
    linear_forward,
    meanpool_backward,
    meanpool_forward,
    relu_backward,
    relu_forward,
)
from core.objective import objective_backward, objective_forward
from core.optim import sgd_step
from docs.beside.derivatives import Quantity, proved
from docs.beside.objective_numbers import ALPHA, BETA, P, Y, Z
from nets.preact_resnet import block_backward, block_forward
from tests.lib.gradcheck import central, complex_step

X = np.array([[1., -2, .5], [0, 3, -1]])
DOUT = np.array([[1., -1, 2], [.5, 1, -1.5]])
OUT, DX = r"d_{out}", r"dx"


def transpose():
    """<dout, J v> in two ways, and <J^T dout, v>, for L of the small batch and one direction v."""
    v = np.array([[.5, -1, 0], [1, .5, -1]])

    def f(z):
        return objective_forward(z, Y, P, ALPHA, BETA)[0][0], None

    gradient = objective_backward(1, objective_forward(Z, Y, P, ALPHA, BETA)[1])
    left = r"\langle d_{out}, J v \rangle"
    return [Quantity("v", v), Quantity(left, central(f, [Z], 0, v, None)[0], "central"),
            Quantity(left, complex_step(f, [Z], 0, v)[0], "complex step"),
            Quantity(r"\langle J^\top d_{out}, v \rangle", (gradient * v).sum())]


def linear():
    w, b, dout = np.array([[1., 2], [0, -1], [3, 1]]), np.array([.5, 0]), DOUT[:, :2]
    out, cache = linear_forward(X, w, b)
    dx, dw, db = linear_backward(dout, cache)
    return [Quantity("x", X), Quantity("w", w), Quantity("b", b), Quantity("out", out), Quantity(OUT, dout),
            Quantity("dw", dw), Quantity("db", db),
            *proved(DX, dx, lambda x: linear_forward(x, w, b)[0], X, dout)]


def convolution():
    """One image of 3 x 3 pixels, one channel in and one out."""
    x, w = np.array([[1., 0, 2], [3, 1, 0], [0, 2, 1]]), np.array([[0., 1, 0], [1, -2, 1], [0, 1, .5]])
    dout = np.array([[1., 0, 0], [0, 2, 0], [0, 0, -1]])
    out, cache = conv_forward(image(x), kernel(w))
    dx, dw = conv_backward(image(dout), cache)
    return [Quantity("x", x), Quantity("w", w), Quantity("out", out[0, :, :, 0]), Quantity(OUT, dout),
            Quantity("dw", dw[:, :, 0, 0]),
            *proved(DX, dx[0, :, :, 0], lambda x: conv_forward(image(x), kernel(w))[0][0, :, :, 0], x, dout)]


def image(x):
    return x[None, :, :, None]


def kernel(w):
    return w[:, :, None, None]


def batchnorm():
    """Three values in each of two channels."""
    x, gamma, beta, dout = X.T, np.array([1., 2]), np.array([0., 1]), DOUT.T
    out, cache = batchnorm_forward(x, gamma, beta)
    dx, dgamma, dbeta = batchnorm_backward(dout, cache)
    x_hat, _, inv_std, mean, _ = cache
    return [Quantity("x", x), Quantity(r"\mu", mean), Quantity(r"\sigma", 1 / inv_std), Quantity(r"\hat x", x_hat),
            Quantity("out", out), Quantity(OUT, dout), Quantity(r"d \gamma", dgamma), Quantity("db", dbeta),
            *proved(DX, dx, lambda x: batchnorm_forward(x, gamma, beta)[0], x, dout)]


def relu_and_mean():
    """ReLU of 2 x 3 numbers without a zero; the mean of an image of 2 x 3 pixels with one channel."""
    x = np.where(X == 0, 2, X)
    out, cache = relu_forward(x)
    mean, shape = meanpool_forward(image(x))
    return [Quantity("x", x), Quantity("out", out), Quantity(OUT, DOUT),
            *proved(DX, relu_backward(DOUT, cache), lambda x: relu_forward(x)[0], x, DOUT),
            Quantity(r"\mathrm{mean}", mean[0, 0]),
            Quantity(DX, meanpool_backward(np.ones((1, 1)), shape)[0, :, :, 0])]


def block(name="block"):
    """A block of one channel on an image of 3 x 3 pixels, identity shortcut."""
    theta = {f"{name}.conv1": kernel(np.cos(np.arange(9.)).reshape(3, 3)), f"{name}.bn1.gamma": np.ones(1),
             f"{name}.conv2": kernel(np.sin(np.arange(9.)).reshape(3, 3)), f"{name}.bn1.beta": np.zeros(1),
             f"{name}.bn2.gamma": np.ones(1), f"{name}.bn2.beta": np.zeros(1)}
    x, dout = np.array([[1., -1, 2], [.25, 3, -2], [0, 1.5, -.5]]), np.array([[1., 0, 2], [-1, 1, 0], [.5, 0, -1]])

    def f(x):
        return block_forward(theta, name, image(x), stride=1, projecting=False)

    out, cache = f(x)
    dx = block_backward(image(dout), cache, name, {})
    return [Quantity("x", x), Quantity("out", out[0, :, :, 0]), Quantity(OUT, dout),
            *proved(DX, dx[0, :, :, 0], lambda x: f(x)[0][0, :, :, 0], x, dout)]


def sgd():
    """Two steps from theta = 1 with the gradient 1, then one with the gradient 0: the velocity goes on."""
    lr, momentum, decay = .1, .9, .01
    theta, v = np.ones(1), np.zeros(1)
    found = [Quantity(r"\eta, m, \lambda", np.array([lr, momentum, decay])), Quantity(r"\theta^{(0)}", theta.copy())]
    for step, gradient in enumerate((1., 1., 0.), start=1):
        sgd_step(theta, v, np.full(1, gradient), lr, momentum, decay)
        found += [Quantity(f"g^{{({step})}}", np.full(1, gradient)), Quantity(f"v^{{({step})}}", v.copy()),
                  Quantity(rf"\theta^{{({step})}}", theta.copy())]
    return found
