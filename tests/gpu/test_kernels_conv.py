"""conv.cu and wgrad.cu are the convolution of core/layers.py, forward and backward, whatever its size."""
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from core.kernels.convolution import BLOCKS, SINGLE, batch, conv, given, gradient, plain, wgrad, wgrad_parts
from core.kernels.program import NULL, Program
from core.kernels.variant import variant
from core.layers import BATCHNORM_EPS, conv_backward, conv_forward
from tests.lib.emulator import Emulator, devices, filled, in_every_order, poisoned

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
    """One layer with random arrays; its launches are written down in the program."""

    def __init__(self, xp, layer, kernels, letters="rpc", parts=3):
        """parts: slots of the sums that are given."""
        number, R, C, K, stride, N, H, W, extras = layer
        h, v = -(-H // stride), -(-W // stride)
        self.layer, self.rng = layer, np.random.default_rng(R * C + K + H)
        self.program = Program(xp, number, kernels, variant(letters))
        self.arrays = {"x": self.draw(N, H, W, C), "dy": self.draw(N, h, v, K), "residual": self.draw(N, h, v, K),
                       "more": self.draw(N, H, W, C), "w": self.draw(R, R, C, K, scale=1 / np.sqrt(R * R * C)),
                       "y": self.draw(N, h, v, K), "affine": self.rng.standard_normal((2, C)).astype(np.float32),
                       "norm": self.rng.standard_normal((4, K)).astype(np.float32)}
        self.arrays["sums"] = slots(self.arrays["x"], self.arrays["x"], parts)
        self.arrays["dy_sums"] = slots(self.arrays["dy"], self.arrays["y"], parts)
        x, dy, residual, more, w, y, affine, norm, sums, dy_sums = (filled(xp, a) for a in self.arrays.values())
        self.out, self.out_given, self.dx, self.kept = (poisoned(xp, a.shape, x.dtype) for a in (dy, dy, x, dy))
        self.norm, self.moments, self.daffine = (poisoned(xp, shape, np.float32) for shape in ((4, C), (2, C), (2, K)))
        parts = -(-wgrad_parts(self.program, R, C, K, stride, N, h, v) // 2)            # so that a block has two chunks
        self.slots = poisoned(xp, (parts, R, R, C, K), np.float32)
        with self.program.section("forward"):
            source = batch(x, sums, affine, self.norm, self.moments) if extras else plain(x)
            self.sums = conv(self.program, source, w, self.out, stride, added=residual if extras else NULL)
        with self.program.section("given"):
            conv(self.program, given(x, self.norm), w, self.out_given, stride, added=residual, sums=False)
        with self.program.section("dgrad"):
            source = gradient(dy, dy_sums, y, norm, residual, self.kept, self.daffine) if extras else plain(dy)
            self.dsums = conv(self.program, source, w, self.dx, 1, stride, True,
                              *([more, x, self.norm] if extras else []))
        with self.program.section("wgrad"):
            wgrad(self.program, [(x, self.norm if extras else NULL, dy, self.slots)], stride)

    def draw(self, *shape, scale=1):
        """Random numbers that the tensor cores take as they are: with 10-bit mantissas."""
        numbers = (scale * self.rng.standard_normal(shape)).astype(np.float16)
        return numbers.astype(self.program.dtype)

    def exact_norm(self):
        """(norm, moments) in float64."""
        x, (gamma, beta) = self.arrays["x"].astype(float), self.arrays["affine"].astype(float)
        mean, var, M = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2)), x.size // x.shape[-1]
        a = gamma / np.sqrt(var + BATCHNORM_EPS)
        return np.array([a, beta - mean * a, mean, a / gamma]), np.array([mean, var * M / max(M - 1, 1)])

    def exact_gradient(self):
        """(dx, (dgamma, dbeta)) in float64 of the normalisation behind which dy is, dx with what came round."""
        g, y, round, (a, _, mean, inv_std) = (
            self.arrays[name].astype(float) for name in ("dy", "y", "residual", "norm"))
        y_hat = (y - mean) * inv_std
        dgamma, dbeta, M = (g * y_hat).sum(axis=(0, 1, 2)), g.sum(axis=(0, 1, 2)), g.size // g.shape[-1]
        return a * (g - (dbeta + y_hat * dgamma) / M) + round, np.array([dgamma, dbeta])

    def exact(self, norm, kept):
        """(y, g, dw) in float64 from the same numbers, with norm and kept; operands rounded as for the tensor cores."""
        x, dy, residual, more, w, *_ = (a.astype(float) for a in self.arrays.values())
        if not self.layer.extras:
            y, saved = conv_forward(x, w, self.layer.stride)
            return y, *conv_backward(dy, saved)
        z = (x * norm[0].astype(float) + norm[1]).astype(np.float32)
        y, saved = conv_forward(rounded(np.maximum(z, 0), self.layer.number), w, self.layer.stride)
        dx, _ = conv_backward(rounded(kept.astype(np.float32), self.layer.number), saved)
        return y + residual, np.where(z > 0, dx + more, 0), conv_backward(dy, saved)[1]


def slots(y, other, parts):
    """(parts, 2, C): the sums of y and of y * other over the pixels."""
    terms = np.stack([y.astype(float), y.astype(float) * other], axis=3).reshape(-1, 2, y.shape[-1])
    return np.array([part.sum(axis=0) for part in np.array_split(terms, parts)], np.float32)


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
    """Every number is the exact one, rounded to what it is stored as; the sums of products in float32.

    Tensor cores cut off what lies behind the last bit of the largest of the numbers added. An accumulator that is cut
    after every mma leaves 1.8e-6 (half) and 2.0e-6 (TF32) of these layers, 4.0e-6 of 128 channels in TF32: the bound
    is twice the last.
    """
    tolerance = 8e-6 * np.abs(exact).max() + (2**-11 * np.abs(exact) if number == "half" else 0)
    assert (np.abs(found - exact) <= tolerance).all()


def assert_near(found, exact, tolerance):
    assert (np.abs(found - exact) <= tolerance * np.abs(exact).max(axis=1, keepdims=True)).all()


def assert_sums(sums, y, other):
    """The tiles' sums of y as stored, and of y * other."""
    for found, terms in zip(sums.astype(float).sum(axis=0), (y, y * other), strict=True):
        assert (np.abs(found - terms.sum(axis=(0, 1, 2))) <= 1e-5 * np.abs(terms).sum(axis=(0, 1, 2))).all()


@on_every_device
@pytest.mark.parametrize("name", LAYERS)
def test_forward(xp, name):
    trial = trials(xp)[name]
    left = [trial.norm, trial.moments] if trial.layer.extras else []
    out, sums, *left = in_every_order(xp, lambda: trial.program.run("forward"), [trial.out, trial.sums, *left])
    assert_stored(out, trial.exact(xp.asnumpy(trial.norm), xp.asnumpy(trial.kept))[0], trial.layer.number)
    assert_sums(sums, out.astype(float), out)
    if left:
        for found, exact in zip(left, trial.exact_norm(), strict=True):
            assert_near(found, exact, 1e-5)


@on_every_device
@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer.extras])
def test_with_a_norm_that_is_given_it_is_the_same(xp, name):
    trial = trials(xp)[name]
    trial.program.run("forward")
    out, = in_every_order(xp, lambda: trial.program.run("given"), [trial.out_given])
    assert np.array_equal(out, xp.asnumpy(trial.out))


@on_every_device
@pytest.mark.parametrize("name", LAYERS)
def test_gradient_with_respect_to_x(xp, name):
    trial = trials(xp)[name]
    trial.program.run("forward")                                                 # makes the norm that the gate needs
    left = [trial.kept, trial.daffine] if trial.layer.extras else []
    g, sums, *left = in_every_order(xp, lambda: trial.program.run("dgrad"), [trial.dx, trial.dsums, *left])
    assert_stored(g, trial.exact(xp.asnumpy(trial.norm), xp.asnumpy(trial.kept))[1], trial.layer.number)
    assert_sums(sums, g.astype(float), trial.arrays["x"] if trial.layer.extras else g)
    if left:
        dx, exact = trial.exact_gradient()
        assert_stored(left[0], dx, trial.layer.number)
        assert_near(left[1], exact, 1e-5)


@on_every_device
@pytest.mark.parametrize("name", LAYERS)
def test_gradient_with_respect_to_w(xp, name):
    trial = trials(xp)[name]
    trial.program.run("forward")
    slots, = in_every_order(xp, lambda: trial.program.run("wgrad"), [trial.slots])
    dw = trial.exact(xp.asnumpy(trial.norm), trial.arrays["dy"])[2]
    assert np.abs(slots.astype(float).sum(axis=0) - dw).max() <= 8e-6 * np.abs(dw).max()


@on_every_device
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["one tile and its halo", "TF32"])
def test_sizes_at_random(xp, name, seed):
    rng, known = np.random.default_rng(seed), trials(xp)[name]
    size = dict(N=int(rng.integers(1, 5)), H=int(rng.integers(1, 20)), W=int(rng.integers(1, 12)))   # the same kernels
    trial = Trial(xp, known.layer._replace(**size), known.program.kernels)
    trial.program.compile()
    trial.program.run("forward", "dgrad", "wgrad")
    found = [xp.asnumpy(a) for a in (trial.out, trial.dx, trial.slots)]
    y, g, dw = trial.exact(xp.asnumpy(trial.norm), xp.asnumpy(trial.kept))
    assert_stored(found[0], y, trial.layer.number)
    assert_stored(found[1], g, trial.layer.number)
    assert np.abs(found[2].astype(float).sum(axis=0) - dw).max() <= 8e-6 * np.abs(dw).max()


@on_every_device
def test_layers_of_one_launch_have_the_bits_of_a_launch_of_their_own(xp):
    trial = trials(xp)["one tile and its halo"]
    program, (parts, *shape) = Program(xp, "half", trial.program.kernels), trial.slots.shape
    x, dy, more, other = (filled(xp, trial.arrays[name]) for name in ("x", "dy", "more", "residual"))
    operands = (x, filled(xp, trial.arrays["norm"]), dy), (more, NULL, other)
    together, alone = ([(*three, poisoned(xp, (parts, *shape), np.float32)) for three in operands] for _ in range(2))
    with program.section("wgrad"):
        for layers in (together, alone[:1], alone[1:]):
            wgrad(program, layers)
    program.compile()
    results = [slots for *_, slots in together + alone]
    a, b, own_a, own_b = in_every_order(xp, lambda: program.run("wgrad"), results)
    assert np.array_equal(a, own_a) and np.array_equal(b, own_b) and not np.array_equal(a, b)


@pytest.mark.parametrize("width, size, layers", [
    (32, 32, 6), (32, 32, 4), (64, 16, 6), (64, 16, 3), (128, 8, 6), (128, 8, 3)])
def test_the_layers_of_a_launch_together_fill_a_large_gpu_and_not_more(width, size, layers):
    parts = wgrad_parts(Program(Emulator(), "half", {}), 3, width, width, 1, 128, size, size, layers)
    blocks = parts * layers * (width // 32)**2
    assert 0.7 * BLOCKS <= blocks <= BLOCKS


@pytest.mark.parametrize("C, K, stride, size", [(32, 32, 1, 32), (32, 64, 2, 16), (64, 128, 2, 8)])
def test_of_the_blocks_of_a_1x1_filter_which_are_one_warp_a_multiprocessor_gets_four(C, K, stride, size):
    parts = wgrad_parts(Program(Emulator(), "half", {}), 1, C, K, stride, 128, size, size)
    assert 0.9 * SINGLE * BLOCKS <= parts * (C // 32) * (K // 32) <= SINGLE * BLOCKS


# ---- the sums of the batch, added up by clusters of blocks -----------------------------------------------------------

CLUSTERED = {                          # (layer, blocks of a cluster, slots)
    "eight blocks": (Layer("half", 3, 16, 32, 1, 2, 17, 33, True), 8, 21),
    "fewer slots than blocks": (Layer("half", 3, 32, 16, 1, 8, 5, 8, True), 4, 3),
    "half of the channels each": (Layer("half", 3, 64, 128, 1, 4, 8, 8, True), 2, 100),
    "TF32": (Layer("float", 3, 32, 64, 1, 8, 16, 13, True), 8, 50),
}


@pytest.mark.parametrize("xp", devices(capability=90))
@pytest.mark.parametrize("name", CLUSTERED)
def test_with_clusters_sums_and_results_are_the_same(xp, name):
    layer, cluster, parts = CLUSTERED[name]
    trial = Trial(xp, layer, {}, "rpcs", parts)
    assert trial.program.sections["forward"][0].name.endswith(f", {cluster}>" if trial.program.clusters else ">")
    trial.program.compile()
    out, sums, norm, _ = in_every_order(xp, lambda: trial.program.run("forward"),
                                        [trial.out, trial.sums, trial.norm, trial.moments])
    g, kept, daffine = in_every_order(xp, lambda: trial.program.run("dgrad"), [trial.dx, trial.kept, trial.daffine])
    y, exact_g, _ = trial.exact(norm, kept)
    assert_stored(out, y, layer.number)
    assert_sums(sums, out.astype(float), out)
    assert_near(norm, trial.exact_norm()[0], 1e-5)
    assert_stored(g, exact_g, layer.number)
    assert_stored(kept, trial.exact_gradient()[0], layer.number)
    assert_near(daffine, trial.exact_gradient()[1], 1e-5)


def test_clusters_are_for_gpus_that_have_them():
    old, new = (Program(Emulator(capability=capability), "half", {}, variant("s")) for capability in (80, 90))
    assert (old.clusters, old.options) == (False, ()) and (new.clusters, new.options) == (True, ("-DCLUSTERS",))
