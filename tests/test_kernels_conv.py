"""conv.cu and wgrad.cu are the convolution of core/layers.py, forward and backward, whatever its size."""
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from core.kernels.convolution import conv, wgrad, wgrad_parts
from core.kernels.program import NULL, Program
from core.layers import conv_backward, conv_forward
from tests.emulator import devices, filled, in_every_order, poisoned

on_every_device = pytest.mark.parametrize("xp", devices())


class Layer(NamedTuple):
    """A convolution of N images H x W with C channels to K, filter R x R; and what else its kernels are asked for."""
    number: str
    R: int
    C: int
    K: int
    stride: int
    N: int
    H: int
    W: int
    extras: bool


LAYERS = {
    "one tile and its halo": Layer("half", 3, 16, 32, 1, 2, 9, 11, True),
    "wide, odd": Layer("half", 3, 32, 32, 1, 1, 11, 33, True),
    "stride 2": Layer("half", 3, 32, 64, 2, 3, 13, 10, True),
    "projection, stride 2": Layer("half", 1, 32, 64, 2, 1, 12, 23, False),
    "two images in a tile, odd": Layer("half", 3, 128, 64, 1, 3, 5, 8, True),
    "one pixel": Layer("half", 3, 16, 16, 1, 1, 1, 1, False),
    "TF32": Layer("float", 3, 32, 64, 1, 2, 9, 12, True),
    "TF32, stride 2": Layer("float", 3, 64, 32, 2, 1, 13, 14, False),
    "TF32, projection": Layer("float", 1, 16, 32, 1, 2, 7, 5, True),
}


class Trial:
    """One layer with random arrays; its three launches are written down in the program."""

    def __init__(self, xp, layer, kernels):
        number, R, C, K, stride, N, H, W, extras = layer
        h, v = -(-H // stride), -(-W // stride)
        self.layer, self.rng, self.program = layer, np.random.default_rng(R * C + K + H), Program(xp, number, kernels)
        self.arrays = {"x": self.draw(N, H, W, C), "dy": self.draw(N, h, v, K), "residual": self.draw(N, h, v, K),
                       "more": self.draw(N, H, W, C), "w": self.draw(R, R, C, K, scale=1 / np.sqrt(R * R * C)),
                       "norm": self.rng.standard_normal((2, C)).astype(np.float32)}
        x, dy, residual, more, w, norm = (filled(xp, a) for a in self.arrays.values())
        self.out, self.dx = poisoned(xp, dy.shape, x.dtype), poisoned(xp, x.shape, x.dtype)
        parts = -(-wgrad_parts(self.program, R, C, K, stride, N, h, v) // 2)                # so that a block has two chunks
        self.slots = poisoned(xp, (parts, R, R, C, K), np.float32)
        with self.program.section("forward"):
            self.sums = conv(self.program, x, norm if extras else NULL, w, self.out, stride, added=residual if extras else NULL)
        with self.program.section("dgrad"):
            self.dsums = conv(self.program, dy, NULL, w, self.dx, 1, stride, True, *([more, x, norm] if extras else []))
        with self.program.section("wgrad"):
            wgrad(self.program, x, norm if extras else NULL, dy, self.slots, R, stride)

    def draw(self, *shape, scale=1):
        """Random numbers that the tensor cores take as they are: with 10-bit mantissas."""
        numbers = (scale * self.rng.standard_normal(shape)).astype(np.float16)
        return numbers.astype(self.program.dtype)

    def exact(self):
        """(a, y, g, dw) in float64 from the same numbers; a rounded as the tensor cores need it."""
        x, dy, residual, more, w, norm = (a.astype(float) for a in self.arrays.values())
        z = (x * norm[0] + norm[1]).astype(np.float32)
        a = rounded(np.maximum(z, 0), self.layer.number) if self.layer.extras else x
        y, saved = conv_forward(a, w, self.layer.stride)
        dx, dw = conv_backward(dy, saved)
        return (a, y + residual, np.where(z > 0, dx + more, 0), dw) if self.layer.extras else (a, y, dx, dw)


def rounded(a, number):
    """float32 to a 10-bit mantissa: as float16, ties to even, or as TF32, ties away from zero."""
    if number == "half":
        return a.astype(np.float16).astype(float)
    return ((a.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32).astype(float)


@cache
def trials(xp):
    """All layers, compiled together."""
    kernels = {}
    made = {name: Trial(xp, layer, kernels) for name, layer in LAYERS.items()}
    for number in ("half", "float"):
        everything = Program(xp, number, kernels)
        everything.sections = {name: [launch for section in trial.program.sections.values() for launch in section]
                               for name, trial in made.items()}
        everything.compile()
    return made


def assert_stored(found, exact, number):
    """Every number is the exact one, rounded to what it is stored as; the sums of products in float32."""
    tolerance = 2e-6 * np.abs(exact).max() + (2**-11 * np.abs(exact) if number == "half" else 0)
    assert (np.abs(found - exact) <= tolerance).all()


def assert_sums(sums, y, other):
    """The tiles' sums of y as stored, and of y * other."""
    for found, terms in zip(sums.astype(float).sum(axis=0), (y, y * other), strict=True):
        assert (np.abs(found - terms.sum(axis=(0, 1, 2))) <= 1e-5 * np.abs(terms).sum(axis=(0, 1, 2))).all()


@on_every_device
@pytest.mark.parametrize("name", LAYERS)
def test_forward(xp, name):
    trial = trials(xp)[name]
    out, sums = in_every_order(xp, lambda: trial.program.run("forward"), [trial.out, trial.sums])
    assert_stored(out, trial.exact()[1], trial.layer.number)
    assert_sums(sums, out.astype(float), out)


@on_every_device
@pytest.mark.parametrize("name", LAYERS)
def test_gradient_with_respect_to_x(xp, name):
    trial = trials(xp)[name]
    g, sums = in_every_order(xp, lambda: trial.program.run("dgrad"), [trial.dx, trial.dsums])
    assert_stored(g, trial.exact()[2], trial.layer.number)
    assert_sums(sums, g.astype(float), trial.arrays["x"] if trial.layer.extras else g)


@on_every_device
@pytest.mark.parametrize("name", LAYERS)
def test_gradient_with_respect_to_w(xp, name):
    trial = trials(xp)[name]
    slots, = in_every_order(xp, lambda: trial.program.run("wgrad"), [trial.slots])
    dw = trial.exact()[3]
    assert np.abs(slots.astype(float).sum(axis=0) - dw).max() <= 2e-6 * np.abs(dw).max()
