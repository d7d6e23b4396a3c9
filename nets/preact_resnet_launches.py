"""The network of nets/preact_resnet.py written down as launches of the kernels of core/kernels, for batches of one shape.

    unit       y = conv(max(x a + b, 0)) [+ shortcut], and the sums of y        conv.cu; a, b from the sums of x: norm.cu
    backward   dw: wgrad.cu;  g, the gradient of x a + b, and its sums: conv.cu, turned;  dx: norm.cu

So an activation is stored once, x or h, before its normalisation; what is normalised is made again wherever it is read.
Letters: core/kernels/launches.py.
"""
import numpy as np

from core.kernels import launches
from core.kernels.convolution import conv, wgrad, wgrad_parts
from core.kernels.parameters import PADDED, Parameters, views
from core.kernels.program import NULL, Program
from core.optim import flatten
from nets.preact_resnet import block_plan, init

SCALE = 8192              # of the loss, for gradients stored in 16 bits: docs/gpu.md says why this number


class Network:
    """Arrays and launches; sections: enter, forward and, unless it is for inference, backward."""

    def __init__(self, xp, number, kernels, arch, shape, inference):
        """shape (N, H, W, channels) of the images; kernels: those compiled before."""
        self.program = program = Program(xp, number, kernels)
        self.arch, self.shape, self.inference, self.scale = arch, shape, inference, SCALE
        theta, running = ({name: a.shape for name, a in arrays.items()} for arrays in init(arch, np.random.default_rng(0)))
        self.parameters = Parameters(program, theta, {} if inference else parts(program, arch, shape, theta))
        size = sum(shape[0] for shape in running.values())
        self.running, self.moments = program.array(size, np.float32), program.array(size, np.float32)
        self.running_views, self.moment_views = views(self.running, running), views(self.moments, running)
        self.activations, self.norms, self.saved = {}, {}, {}
        self.images, self.x = program.array(shape, np.float32), program.array((*shape[:3], PADDED))
        self.logits, self.dlogits = (program.array((shape[0], arch.classes), np.float32) for _ in range(2))
        self.pooled = program.array((shape[0], arch.widths[-1]), np.float32)
        with program.section("enter"):
            launches.enter(program, self.images, self.x)
        with program.section("forward"):
            self.parameters.cast()
            forward(self)
        if not inference:
            with program.section("backward"):
                backward(self)
                self.parameters.collect(SCALE)

    def load(self, theta, x):
        """Parameters and images into the arrays of the network."""
        self.parameters.theta[...] = flatten(theta[name] for name in self.parameters.shapes)
        self.images[...] = x

    def activation(self, name, shape):
        """An array like the activations; the same for the same question, and in inference for the same place in all blocks.

        There the output of a block takes the place of its input, number by number: no other block reads it any more.
        """
        key = name.split(".")[-1] if self.inference else name, shape
        if key not in self.activations:
            self.activations[key] = self.program.array(shape)
        return self.activations[key]

    def conv(self, name, x, norm, stride=1, added=NULL, sums=True):
        """(out, its sums)"""
        w, (N, H, W, _) = self.parameters.weights[name], x.shape
        out = self.activation(name, (N, -(-H // stride), -(-W // stride), w.shape[3]))
        return out, conv(self.program, x, norm, w, out, stride, added=added, sums=sums and not self.inference)

    def norm(self, name, x, sums):
        """norm of x (..., C): from its sums, or from the running statistics."""
        theta = self.parameters.theta_views
        gamma, beta = theta[f"{name}.gamma"], theta[f"{name}.beta"]
        mean, var = ((self.running_views if self.inference else self.moment_views)[f"{name}.{which}"] for which in ("mean", "var"))
        self.norms[name] = (launches.norm_inference(self.program, mean, var, gamma, beta) if self.inference else
                            launches.norm_forward(self.program, x, sums, gamma, beta, mean, var))
        return self.norms[name]

    def wgrad(self, name, x, norm, dy, stride=1):
        """The slots of the gradient of that convolution's weights."""
        slots = self.parameters.slots[name]
        wgrad(self.program, x, norm, dy, slots, slots.shape[1], stride)

    def norm_backward(self, name, g, x, sums, dx, added=NULL):
        """dx; dx is the name of its array."""
        slots, dx = self.parameters.slots, self.activation(dx, x.shape)
        launches.norm_backward(self.program, g, x, sums, self.norms[name], slots[f"{name}.gamma"], slots[f"{name}.beta"], dx, added)
        return dx


def forward(n):
    """Every unit normalises what the one before has left, x or h, by its sums."""
    x, sums = n.conv("conv", n.x, NULL)
    for name, _, _, stride, projecting in block_plan(n.arch):
        bn1 = n.norm(f"{name}.bn1", x, sums)
        shortcut = n.conv(f"{name}.projection", x, bn1, stride, sums=False)[0] if projecting else x
        h, sums = n.conv(f"{name}.conv1", x, bn1, stride)
        n.saved[name] = x, h
        x, sums = n.conv(f"{name}.conv2", h, n.norm(f"{name}.bn2", h, sums), added=shortcut)
    n.saved["bn"] = x
    theta = n.parameters.theta_views
    launches.head_forward(n.program, x, n.norm("bn", x, sums), theta["linear.w"], theta["linear.b"], n.pooled, n.logits)


def backward(n):
    """The forward pass read upwards."""
    x, theta, slots = n.saved["bn"], n.parameters.theta_views, n.parameters.slots
    g = n.activation("g", x.shape)
    sums = launches.head_backward(n.program, n.dlogits, x, n.norms["bn"], theta["linear.w"], n.pooled, g,
                                  slots["linear.w"], slots["linear.b"])
    dx = n.norm_backward("bn", g, x, sums, "dx")
    for name, _, _, stride, projecting in reversed(block_plan(n.arch)):
        dx = block_backward(n, name, dx, stride, projecting)
    n.wgrad("conv", n.x, NULL, dx)


def block_backward(n, name, dout, stride, projecting):
    """dx of the block from the gradient of its output, which is used up."""
    (x, h), w, da = n.saved[name], n.parameters.weights, NULL
    bn1, bn2, g = n.norms[f"{name}.bn1"], n.norms[f"{name}.bn2"], n.activation("g", h.shape)
    n.wgrad(f"{name}.conv2", h, bn2, dout)
    sums = conv(n.program, dout, NULL, w[f"{name}.conv2"], g, turned=True, gate=h, gate_norm=bn2)
    dh = n.norm_backward(f"{name}.bn2", g, h, sums, "dh")
    if projecting:                                              # the pre-activation fed two convolutions
        n.wgrad(f"{name}.projection", x, bn1, dout, stride)
        da = n.activation("da", x.shape)
        conv(n.program, dout, NULL, w[f"{name}.projection"], da, spread=stride, turned=True, sums=False)
    n.wgrad(f"{name}.conv1", x, bn1, dh, stride)
    g = n.activation("g", x.shape)
    sums = conv(n.program, dh, NULL, w[f"{name}.conv1"], g, spread=stride, turned=True, added=da, gate=x, gate_norm=bn1)
    return n.norm_backward(f"{name}.bn1", g, x, sums, "dx", NULL if projecting else dout)


def parts(program, arch, shape, theta):
    """{name: into how many parts the weight gradient is cut} of the convolutions; theta: {name: shape}."""
    N, H, W, _ = shape
    plan, found = {name: stride for name, _, _, stride, _ in block_plan(arch)}, {}
    for name, of_w in theta.items():
        block, _, layer = name.rpartition(".")
        stride = plan[block] if layer in ("conv1", "projection") else 1
        if len(of_w) == 4:
            if layer == "conv1":                                # comes first in its block
                H, W = -(-H // stride), -(-W // stride)
            R, _, C, K = of_w
            found[name] = wgrad_parts(program, R, max(C, PADDED), K, stride, N, H, W)
    return found
