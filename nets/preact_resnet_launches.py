"""The network of nets/preact_resnet.py written down as launches of the kernels of core/kernels,
for batches of one shape.

    unit       y = conv(max(x a + b, 0)) [+ shortcut], and the sums of y; a, b from the sums of x     conv.cu: BATCH
    backward   g, the gradient of x a + b, and its sums; dx from them, by the convolution next    conv.cu: GRADIENT
               dw of all layers of one shape in a stage together                                      wgrad.cu

So an activation is stored once, x or h, before its normalisation; what is normalised is made again wherever it is read.
Letters: core/kernels/launches.py.
"""
from math import log2
from typing import NamedTuple

import numpy as np

from core.kernels import launches
from core.kernels.convolution import batch, conv, given, gradient, plain, wgrad, wgrad_parts
from core.kernels.parameters import PADDED, Parameters, pairs, views
from core.kernels.program import NULL, Program
from core.kernels.variant import Variant
from core.optim import flatten
from nets.preact_resnet import block_plan, init

LAYERS = 6  # of one shape, of which one launch makes the weight gradients: many for few slots, few for a short last one
SCALE = 64              # of the loss for each sample, for gradients stored in 16 bits: docs/gpu.md says why this number


class Behind(NamedTuple):
    """g, the gradient behind the normalisation `name` of x, with its sums; and what came round the block,
    to be added in front."""
    g: object
    sums: object
    x: object
    name: str
    came_round: object = NULL


class Network:
    """Arrays and launches; sections: cast, load_images, forward and, unless it is for inference, backward."""

    def __init__(self, xp, number, kernels, arch, shape, inference, variant=Variant()):
        """shape (N, H, W, channels) of the images; kernels: those compiled before."""
        self.program = program = Program(xp, number, kernels, variant)
        self.arch, self.shape, self.inference = arch, shape, inference
        theta, running = ({name: a.shape for name, a in arrays.items()}
                          for arrays in init(arch, np.random.default_rng(0)))
        self.parameters = Parameters(program, theta, {} if inference else parts(program, arch, shape, theta),
                                     loss_scale(shape[0]))
        size = sum(shape[0] for shape in running.values())
        self.running, self.moments = program.array(size, np.float32), program.array(size, np.float32)
        self.running_views, self.moment_views = views(self.running, running), views(self.moments, running)
        self.running_pairs, self.moment_pairs = pairs(self.running, running), pairs(self.moments, running)
        self.activations, self.norms, self.saved, self.wanted = {}, {}, {}, {}
        self.images, self.x = program.array(shape, np.float32), program.array((*shape[:3], PADDED))
        self.logits, self.dlogits = (program.array((shape[0], arch.classes), np.float32) for _ in range(2))
        self.pooled = program.array((shape[0], arch.widths[-1]), np.float32)
        with program.section("cast"):
            self.parameters.cast()
        with program.section("load_images"):
            launches.load_images(program, self.images, self.x)
        with program.section("forward"):
            forward(self)
        if not inference:
            with program.section("backward"):
                backward(self)
                program.join()
                self.parameters.collect(self.parameters.uncollected)

    def load(self, theta, x):
        """Parameters and images into the arrays of the network."""
        self.parameters.theta[...] = flatten(theta[name] for name in self.parameters.shapes)
        self.images[...] = x

    def activation(self, name, shape):
        """An array like the activations; the same for the same question,
        and in inference for the same place in all blocks.

        There the output of a block takes the place of its input, number by number: no other block reads it any more.
        """
        key = name.split(".")[-1] if self.inference else name, shape
        if key not in self.activations:
            self.activations[key] = self.program.array(shape)
        return self.activations[key]

    def conv(self, name, source, stride=1, added=NULL, sums=True):
        """(out, its sums)"""
        w, (N, H, W, _) = self.parameters.weights[name], source.x.shape
        out = self.activation(name, (N, -(-H // stride), -(-W // stride), w.shape[3]))
        return out, conv(self.program, source, w, out, stride, added=added, sums=sums and not self.inference)

    def normalised(self, name, x, sums):
        """max(x a + b, 0) as a source of convolutions: by its sums, or by the running statistics."""
        if self.inference:
            self.norms[name] = launches.norm_inference(self.program, self.running_pairs[name],
                                                       self.parameters.affine[name])
            return given(x, self.norms[name])
        self.norms[name] = self.program.array((4, x.shape[-1]), np.float32)
        return batch(x, sums, self.parameters.affine[name], self.norms[name], self.moment_pairs[name])

    def through(self, behind, name):
        """(dx, the source of convolutions that makes it) of a gradient behind a normalisation;
        dx gets an array of this name."""
        dx, slots = self.activation(name, behind.x.shape), self.parameters.affine_slots[behind.name]
        return dx, gradient(*behind[:3], self.norms[behind.name], behind.came_round, dx, slots)

    def wgrad(self, name, x, norm, dy, stride=1):
        """The gradient of that convolution's weights is wanted:
        a layer for a launch together with others of its shape."""
        slots = self.parameters.slots[name]
        key = x.shape, slots.shape, stride
        self.wanted.setdefault(key, {})[name] = x, norm, dy, slots
        if len(self.wanted[key]) == LAYERS:
            self.wgrads(key)

    def wgrads(self, *keys):
        """Those that are wanted (of these keys), beside what comes next:
        nothing needs them before the parameters move."""
        names = []
        with self.program.aside():
            for key in keys or list(self.wanted):
                layers = self.wanted.pop(key)
                wgrad(self.program, list(layers.values()), key[2])
                names += layers
            self.parameters.collect(names)


def forward(n):
    """Every unit normalises what the one before has left, x or h, by its sums."""
    x, sums = n.conv("conv", plain(n.x))
    for name, _, _, stride, projecting in block_plan(n.arch):
        source = n.normalised(f"{name}.bn1", x, sums)
        h, h_sums = n.conv(f"{name}.conv1", source, stride)
        shortcut = n.conv(f"{name}.projection", given(x, n.norms[f"{name}.bn1"]), stride,
                          sums=False)[0] if projecting else x
        n.saved[name] = x, h
        x, sums = n.conv(f"{name}.conv2", n.normalised(f"{name}.bn2", h, h_sums), added=shortcut)
    n.saved["bn"] = x
    source, theta = n.normalised("bn", x, sums), n.parameters.theta_views
    launches.head_forward(n.program, source, theta["linear.w"], theta["linear.b"], n.pooled, n.logits)


def backward(n):
    """The forward pass read upwards."""
    x, theta, slots = n.saved["bn"], n.parameters.theta_views, n.parameters.slots
    g = n.activation("g1", x.shape)
    sums = launches.head_backward(n.program, n.dlogits, x, n.norms["bn"], theta["linear.w"], n.pooled, g,
                                  slots["linear.w"], slots["linear.b"])
    behind = Behind(g, sums, x, "bn")
    for name, _, _, stride, projecting in reversed(block_plan(n.arch)):
        behind = block_backward(n, name, behind, stride, projecting)
        if projecting:                                          # the first block of a stage is the last of them
            n.wgrads()
    dx, source = n.through(behind, "dx")
    launches.norm_backward(n.program, source)
    n.wgrad("conv", n.x, NULL, dx)
    n.wgrads()


def block_backward(n, name, behind, stride, projecting):
    """What is behind the first normalisation of the block, from what is behind the one after the block."""
    (x, h), w, da = n.saved[name], n.parameters.weights, NULL
    bn1, bn2 = n.norms[f"{name}.bn1"], n.norms[f"{name}.bn2"]
    dout, source = n.through(behind, f"{name}.dout")
    g = n.activation("g2", h.shape)
    sums = conv(n.program, source, w[f"{name}.conv2"], g, turned=True, gate=h, gate_norm=bn2)
    n.wgrad(f"{name}.conv2", h, bn2, dout)
    if projecting:                                              # the pre-activation fed two convolutions
        da = n.activation("da", x.shape)
        conv(n.program, plain(dout), w[f"{name}.projection"], da, spread=stride, turned=True, sums=False)
        n.wgrad(f"{name}.projection", x, bn1, dout, stride)
    dh, source = n.through(Behind(g, sums, h, f"{name}.bn2"), f"{name}.dh")
    g = n.activation("g1", x.shape)
    sums = conv(n.program, source, w[f"{name}.conv1"], g, spread=stride, turned=True, added=da, gate=x, gate_norm=bn1)
    n.wgrad(f"{name}.conv1", x, bn1, dh, stride)
    return Behind(g, sums, x, f"{name}.bn1", NULL if projecting else dout)


def loss_scale(N):
    """Of a batch of N, as long as all gradients fit: near SCALE N, and a power of two, so that it costs no digit."""
    return SCALE * 2 ** round(log2(N))


def parts(program, arch, shape, theta):
    """{name: into how many parts the weight gradient is cut} of the convolutions; theta: {name: shape}."""
    N, H, W, _ = shape
    plan, layers = {name: stride for name, _, _, stride, _ in block_plan(arch)}, {}
    for name, of_w in theta.items():
        block, _, layer = name.rpartition(".")
        stride = plan[block] if layer in ("conv1", "projection") else 1
        if len(of_w) == 4:
            if layer == "conv1":                                # comes first in its block
                H, W = -(-H // stride), -(-W // stride)
            R, _, C, K = of_w
            layers[name] = R, max(C, PADDED), K, stride, N, H, W
    found, alike = {}, {}
    for name in reversed(layers):                               # as the backward pass comes to them
        alike.setdefault(layers[name], []).append(name)
    for layer, names in alike.items():
        for k in range(0, len(names), LAYERS):
            together = names[k:k + LAYERS]
            found |= dict.fromkeys(together, wgrad_parts(program, *layer, len(together)))
    return found
