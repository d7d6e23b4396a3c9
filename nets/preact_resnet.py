"""The pre-activation residual network of the paper's experiments, and its small relatives.

    layers            PreAct ResNet-32 = Architecture()        output for 32 x 32 images
    conv              3x3, 3 -> 32                             32 x 32 x 32
    stage1            block, projecting, 32 -> 32; 4 blocks    32 x 32 x 32
    stage2            block, projecting, 32 -> 64, stride 2;   16 x 16 x 64
                      4 blocks
    stage3            block, projecting, 64 -> 128, stride 2;   8 x  8 x 128
                      4 blocks
    head              BN, ReLU, mean over the pixels, linear   10 logits

In all 1,861,162 parameters.  A block: a = ReLU(BN(x));  out = shortcut + conv2(ReLU(BN(conv1(a)))).
The shortcut is x, but in the first block of every stage (the first stage too) a 1x1 convolution of
a. No convolution has a bias.  Source: net.py of the official code.

theta: the parameters, {"stage1.block0.conv1": array, ...};
running: means and variances for inference, {"...bn1.mean": ...}.
"""
from typing import NamedTuple

import numpy as np

from core.layers import (
    batch_moments,
    batchnorm_backward,
    batchnorm_forward,
    batchnorm_inference,
    conv_backward,
    conv_forward,
    linear_backward,
    linear_forward,
    meanpool_backward,
    meanpool_forward,
    relu_backward,
    relu_forward,
)


class Architecture(NamedTuple):
    """The numbers that make one network of the family."""
    classes: int = 10
    widths: tuple = (32, 64, 128)      # channels of each stage
    blocks: tuple = (5, 5, 5)          # blocks of each stage
    channels: int = 3                  # of the images


def block_plan(arch):
    """(name, channels in, channels out, stride, projecting) of every block,
    in the order of the forward pass."""
    plan, c_in = [], arch.widths[0]
    for stage, (width, blocks) in enumerate(zip(arch.widths, arch.blocks), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            plan.append((f"stage{stage}.block{block}", c_in, width, stride, block == 0))
            c_in = width
    return plan


def init(arch, rng, dtype=np.float32):
    """Fresh theta and running statistics, as NumPy arrays.

    Convolutions: normal with standard deviation sqrt(2 / fan_in) (He); linear: sqrt(1 / fan_in),
    bias 0 (Chainer's default); gamma 1, beta 0; running mean 0, running variance 1.
    """
    theta, running = {}, {}

    def conv(name, R, c_in, c_out):
        w = rng.standard_normal((R, R, c_in, c_out)) * np.sqrt(2 / (R * R * c_in))
        theta[name] = w.astype(dtype)

    def batchnorm(name, c):
        theta[f"{name}.gamma"], theta[f"{name}.beta"] = np.ones(c, dtype), np.zeros(c, dtype)
        running[f"{name}.mean"], running[f"{name}.var"] = np.zeros(c, dtype), np.ones(c, dtype)

    conv("conv", 3, arch.channels, arch.widths[0])
    for name, c_in, c_out, _, projecting in block_plan(arch):
        batchnorm(f"{name}.bn1", c_in)
        conv(f"{name}.conv1", 3, c_in, c_out)
        batchnorm(f"{name}.bn2", c_out)
        conv(f"{name}.conv2", 3, c_out, c_out)
        if projecting:
            conv(f"{name}.projection", 1, c_in, c_out)
    c = arch.widths[-1]
    batchnorm("bn", c)
    theta["linear.w"] = (rng.standard_normal((c, arch.classes)) * np.sqrt(1 / c)).astype(dtype)
    theta["linear.b"] = np.zeros(arch.classes, dtype)
    return theta, running


def forward(theta, x, arch):
    """x (N, H, W, channels) -> logits (N, classes), with the batch's own statistics;
    returns (logits, cache)."""
    caches = {}
    x, caches["conv"] = conv_forward(x, theta["conv"])
    for name, _, _, stride, projecting in block_plan(arch):
        x, caches[name] = block_forward(theta, name, x, stride, projecting)
    x, caches["bn"] = batchnorm_forward(x, theta["bn.gamma"], theta["bn.beta"])
    x, caches["relu"] = relu_forward(x)
    x, caches["mean"] = meanpool_forward(x)
    logits, caches["linear"] = linear_forward(x, theta["linear.w"], theta["linear.b"])
    return logits, (arch, caches)


def backward(dlogits, cache):
    """The gradient with respect to theta, under the names of theta:
    the forward pass read upwards."""
    (arch, caches), g = cache, {}
    dx, g["linear.w"], g["linear.b"] = linear_backward(dlogits, caches["linear"])
    dx = meanpool_backward(dx, caches["mean"])
    dx = relu_backward(dx, caches["relu"])
    dx, g["bn.gamma"], g["bn.beta"] = batchnorm_backward(dx, caches["bn"])
    for name, *_ in reversed(block_plan(arch)):
        dx = block_backward(dx, caches[name], name, g)
    _, g["conv"] = conv_backward(dx, caches["conv"])
    return g


def block_forward(theta, name, x, stride, projecting):
    """One residual block; returns (out, cache)."""
    a, c_bn1 = batchnorm_forward(x, theta[f"{name}.bn1.gamma"], theta[f"{name}.bn1.beta"])
    a, c_relu1 = relu_forward(a)
    h, c_conv1 = conv_forward(a, theta[f"{name}.conv1"], stride)
    h, c_bn2 = batchnorm_forward(h, theta[f"{name}.bn2.gamma"], theta[f"{name}.bn2.beta"])
    h, c_relu2 = relu_forward(h)
    h, c_conv2 = conv_forward(h, theta[f"{name}.conv2"])
    shortcut, c_proj = (conv_forward(a, theta[f"{name}.projection"], stride)
                        if projecting else (x, None))
    return shortcut + h, (c_bn1, c_relu1, c_conv1, c_bn2, c_relu2, c_conv2, c_proj)


def block_backward(dout, cache, name, g):
    """dx; the gradients of the block's parameters are entered in g."""
    c_bn1, c_relu1, c_conv1, c_bn2, c_relu2, c_conv2, c_proj = cache
    dh, g[f"{name}.conv2"] = conv_backward(dout, c_conv2)
    dh = relu_backward(dh, c_relu2)
    dh, g[f"{name}.bn2.gamma"], g[f"{name}.bn2.beta"] = batchnorm_backward(dh, c_bn2)
    da, g[f"{name}.conv1"] = conv_backward(dh, c_conv1)
    if c_proj is not None:                                      # a fed two convolutions
        da_shortcut, g[f"{name}.projection"] = conv_backward(dout, c_proj)
        da = da + da_shortcut
    da = relu_backward(da, c_relu1)
    dx, g[f"{name}.bn1.gamma"], g[f"{name}.bn1.beta"] = batchnorm_backward(da, c_bn1)
    return dx if c_proj is not None else dx + dout         # without a projection, x is the shortcut


def moments(cache):
    """The batch's contribution to the running statistics, under the names of `running`."""
    arch, caches = cache
    batchnorms = {}
    for name, *_ in block_plan(arch):
        batchnorms[f"{name}.bn1"], batchnorms[f"{name}.bn2"] = caches[name][0], caches[name][3]
    batchnorms["bn"] = caches["bn"]
    found = {}
    for name, bn_cache in batchnorms.items():
        found[f"{name}.mean"], found[f"{name}.var"] = batch_moments(bn_cache)
    return found


def predict(theta, running, x, arch):
    """Logits in inference mode: batch normalisation with the running statistics,
    nothing kept for a backward pass."""
    def normalised(x, name):
        out = batchnorm_inference(x, theta[f"{name}.gamma"], theta[f"{name}.beta"],
                                  running[f"{name}.mean"], running[f"{name}.var"])
        return relu_forward(out)[0]

    x, _ = conv_forward(x, theta["conv"])
    for name, _, _, stride, projecting in block_plan(arch):
        a = normalised(x, f"{name}.bn1")
        h, _ = conv_forward(a, theta[f"{name}.conv1"], stride)
        h, _ = conv_forward(normalised(h, f"{name}.bn2"), theta[f"{name}.conv2"])
        x = h + (conv_forward(a, theta[f"{name}.projection"], stride)[0] if projecting else x)
    x, _ = meanpool_forward(normalised(x, "bn"))
    return linear_forward(x, theta["linear.w"], theta["linear.b"])[0]
