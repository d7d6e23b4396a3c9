"""A head on the features of a pretrained network: linear, or with one hidden layer.

    Head(features=D, classes=C)              logits = x w + b                     D C + C parameters
    Head(features=D, classes=C, hidden=U)    logits = dropout(ReLU(x v + c)) w + b
                                                                       D U + U + U C + C parameters

The functions are those of nets/preact_resnet.py. x (B, D): features, standardised over the training
set. In the training pass they come with keys (B,), as core/features.py gives them: the keys decide
which hidden units dropout keeps, so that forward is a function of its arguments like any other.

theta: {"hidden.w": v, "hidden.b": c, "linear.w": w, "linear.b": b}, the first two only with a
hidden layer;  running: {}, a head has no running statistics.
"""
from typing import NamedTuple

import numpy as np

from core.backend import fused
from core.features import kept
from core.layers import linear_backward, linear_forward, relu_backward, relu_forward


class Head(NamedTuple):
    """The numbers that make one head."""
    features: int                      # D
    classes: int = 10
    hidden: int = 0                    # units of the hidden layer; 0: there is none
    dropout: float = 0.5               # probability that a hidden unit is dropped in training


def init(arch, rng, dtype=np.float32):
    """Fresh theta and running, as NumPy arrays.

    Hidden layer: normal with standard deviation sqrt(2 / D) (He), bias 0. Linear layer: 0. It needs
    no random numbers, as its units differ by their labels. From 0 the predictions begin as uniform,
    and nothing random enters s. L_c of a linear head is convex: the start does not decide its end.
    """
    theta, width = {}, arch.features
    if arch.hidden:
        w = rng.standard_normal((width, arch.hidden)) * np.sqrt(2 / width)
        theta["hidden.w"] = w.astype(dtype)
        theta["hidden.b"] = np.zeros(arch.hidden, dtype)
        width = arch.hidden
    theta["linear.w"] = np.zeros((width, arch.classes), dtype)
    theta["linear.b"] = np.zeros(arch.classes, dtype)
    return theta, {}


def forward(theta, x, arch):
    """x = (features (B, D), keys (B,)) -> logits (B, classes), with dropout; (logits, cache)."""
    (x, keys), caches = x, {}
    if arch.hidden:
        x, caches["hidden"] = linear_forward(x, theta["hidden.w"], theta["hidden.b"])
        x, caches["relu"] = relu_forward(x)
        keep = kept(keys, arch.hidden, arch.dropout)
        x, caches["dropout"] = dropout_forward(x, keep, arch.dropout)
    logits, caches["linear"] = linear_forward(x, theta["linear.w"], theta["linear.b"])
    return logits, (arch, caches)


def backward(dlogits, cache):
    """The gradient with respect to theta, under its names: the forward pass read upwards."""
    (arch, caches), g = cache, {}
    dx, g["linear.w"], g["linear.b"] = linear_backward(dlogits, caches["linear"])
    if arch.hidden:
        dx = dropout_backward(dx, caches["dropout"])
        dx = relu_backward(dx, caches["relu"])
        _, g["hidden.w"], g["hidden.b"] = linear_backward(dx, caches["hidden"])
    return g


def moments(cache):
    """Nothing: a head has no running statistics."""
    return {}


def predict(theta, running, x, arch):
    """Logits in inference mode: x (N, D) without keys, nothing dropped."""
    if arch.hidden:
        x, _ = relu_forward(linear_forward(x, theta["hidden.w"], theta["hidden.b"])[0])
    return linear_forward(x, theta["linear.w"], theta["linear.b"])[0]


# ---- dropout -------------------------------------------------------------------------------------

def dropout_forward(x, keep, rate):
    """out = x / (1 - rate) where keep, else 0: its mean over the masks is x, as in inference"""
    return masked(x, keep, 1 / (1 - rate)), (keep, rate)


def dropout_backward(dout, cache):
    """dx = dout / (1 - rate) where keep, else 0"""
    keep, rate = cache
    return masked(dout, keep, 1 / (1 - rate))


@fused
def masked(x, keep, scale):
    """scale * x where keep, else 0"""
    return scale * x * keep
