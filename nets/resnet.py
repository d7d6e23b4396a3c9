"""ResNet-18, 34 and 50 with torchvision's details: the networks of which pretrained weights exist.

    layers            ResNet-50 = Architecture()                   output for 224 x 224 images
    conv              7x7, stride 2, 3 -> 64; BN, ReLU             112 x 112 x 64
    maxpool           3x3, stride 2                                 56 x  56 x 64
    stage1            3 blocks, 64 -> 256                           56 x  56 x 256
    stage2            4 blocks, 256 -> 512, stride 2                28 x  28 x 512
    stage3            6 blocks, 512 -> 1024, stride 2               14 x  14 x 1024
    stage4            3 blocks, 1024 -> 2048, stride 2               7 x   7 x 2048
    head              mean over the pixels, linear                 1000 logits

In all 25,557,032 parameters.  A block: out = ReLU(shortcut + branch).  The branch is two 3x3
convolutions (18, 34) or 1x1, 3x3, 1x1 to four times the width (50), each followed by BN, and by
ReLU but for the last. The shortcut is x, or BN of a 1x1 convolution of x where the shape changes.
No convolution has a bias. The stride is in the first 3x3 convolution of the block; in He et al.,
"Deep Residual Learning for Image Recognition", CVPR 2016, it is in the first 1x1.

x (N, H, W, 3) = pixels / 255 - MEAN; the network divides it by STD. So the stored images of
core/batches.py serve it, with MEAN as their mean image, and padding has the colour of MEAN.

theta: the parameters, {"stage1.block0.conv1": array, ...};
running: means and variances for inference, {"...bn1.mean": ...}.
"""
from typing import NamedTuple

import numpy as np

from core.backend import xp_of
from core.layers import (
    batch_moments,
    batchnorm_backward,
    batchnorm_forward,
    batchnorm_inference,
    conv_backward,
    conv_backward_filter,
    conv_forward,
    frozen_batchnorm_backward,
    frozen_batchnorm_forward,
    linear_backward,
    linear_forward,
    maxpool_backward,
    maxpool_forward,
    meanpool_backward,
    meanpool_forward,
    relu_backward,
    relu_forward,
)

# of ImageNet's training images, red, green, blue in [0, 1]: torchvision's transforms of its weights
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
EPS = 1e-5                             # of batch normalisation: PyTorch's default
BLOCKS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}
EXPANSION = 4                          # of the last convolution of a bottleneck
TOGETHER = 32                          # images in inference: 0.6 GB of them at 224 pixels


class Architecture(NamedTuple):
    """The numbers that make one network of the family, and how it is trained.

    frozen: whether batch normalisation uses the running statistics in training too, as constants:
    an affine map, whose gamma and beta are trained. False: the mini-batch's own statistics. To
    fine-tune, freeze them, as core/data/resnet_weights.py does: mini-batches of photographs are
    small (16 to 32 images), so that their own statistics are noisy and other than those that the
    weights were made for; and the images of a frozen network do not depend on each other.
    """
    classes: int = 1000
    widths: tuple = (64, 128, 256, 512)     # channels of each stage, without the expansion
    blocks: tuple = (3, 4, 6, 3)            # blocks of each stage
    bottleneck: bool = True
    frozen: bool = False


def architecture(depth, classes=1000, frozen=False):
    """The Architecture of ResNet-18, 34 or 50."""
    blocks, bottleneck = BLOCKS[depth]
    return Architecture(classes, blocks=blocks, bottleneck=bottleneck, frozen=frozen)


class Conv(NamedTuple):
    """A convolution and the batch normalisation behind it, by their names in theta."""
    name: str
    bn: str
    R: int
    C: int
    K: int
    stride: int


class Block(NamedTuple):
    """The convolutions of one block."""
    name: str
    branch: tuple                      # of Conv
    shortcut: Conv                     # None where the shortcut is x


def stem(arch):
    """The first convolution."""
    return Conv("conv", "bn", 7, 3, arch.widths[0], 2)


def block_plan(arch):
    """Every Block, in the order of the forward pass."""
    plan, c = [], arch.widths[0]
    for stage, (width, blocks) in enumerate(zip(arch.widths, arch.blocks), start=1):
        wide = width * EXPANSION if arch.bottleneck else width
        for block in range(blocks):
            name, stride = f"stage{stage}.block{block}", 2 if stage > 1 and block == 0 else 1
            shapes = ([(1, c, width, 1), (3, width, width, stride), (1, width, wide, 1)]
                      if arch.bottleneck else [(3, c, width, stride), (3, width, width, 1)])
            branch = tuple(Conv(f"{name}.conv{number}", f"{name}.bn{number}", *shape)
                           for number, shape in enumerate(shapes, start=1))
            shortcut = Conv(f"{name}.projection", f"{name}.bn_projection", 1, c, wide, stride)
            plan.append(Block(name, branch, shortcut if stride > 1 or c != wide else None))
            c = wide
    return plan


def convolutions(arch):
    """Every Conv of the network."""
    found = [stem(arch)]
    for block in block_plan(arch):
        found += [*block.branch, *[block.shortcut] * (block.shortcut is not None)]
    return found


def depth(arch):
    """18, 34 or 50: the number in the network's name."""
    return next(depth for depth, shape in BLOCKS.items() if shape == (arch.blocks, arch.bottleneck))


def features_of(arch):
    """The number of features, which is that of channels of the last stage."""
    return arch.widths[-1] * (EXPANSION if arch.bottleneck else 1)


def init(arch, rng, dtype=np.float32):
    """Fresh theta and running statistics, as NumPy arrays.

    Convolutions: normal with standard deviation sqrt(2 / fan_in) (He); linear: sqrt(1 / fan_in),
    bias 0 (Chainer's default); gamma 1, beta 0; running mean 0, running variance 1.
    """
    theta, running = {}, {}
    for conv in convolutions(arch):
        w = rng.standard_normal((conv.R, conv.R, conv.C, conv.K))
        theta[conv.name] = (w * np.sqrt(2 / (conv.R * conv.R * conv.C))).astype(dtype)
        theta[f"{conv.bn}.gamma"] = np.ones(conv.K, dtype)
        theta[f"{conv.bn}.beta"] = np.zeros(conv.K, dtype)
        running[f"{conv.bn}.mean"] = np.zeros(conv.K, dtype)
        running[f"{conv.bn}.var"] = np.ones(conv.K, dtype)
    return theta | fresh_linear(arch, rng, dtype), running


def fresh_linear(arch, rng, dtype):
    """The linear layer of `init`."""
    c = features_of(arch)
    w = rng.standard_normal((c, arch.classes)) * np.sqrt(1 / c)
    return {"linear.w": w.astype(dtype), "linear.b": np.zeros(arch.classes, dtype)}


def forward(theta, x, arch, running=None):
    """x (N, H, W, 3) -> logits (N, classes); returns (logits, cache).

    running: the constants of a frozen network (arch.frozen); Pretrained gives them.
    """
    caches, moments = {}, running if arch.frozen else None
    x, caches["stem"] = unit_forward(theta, moments, stem(arch), scaled(x))
    x, caches["relu"] = relu_forward(x)
    x, caches["maxpool"] = maxpool_forward(x)
    for block in block_plan(arch):
        x, caches[block.name] = block_forward(theta, moments, block, x)
    x, caches["mean"] = meanpool_forward(x)
    logits, caches["linear"] = linear_forward(x, theta["linear.w"], theta["linear.b"])
    return logits, (arch, running, caches)


def backward(dlogits, cache):
    """The gradient with respect to theta, under the names of theta:
    the forward pass read upwards."""
    (arch, _, caches), g = cache, {}
    dx, g["linear.w"], g["linear.b"] = linear_backward(dlogits, caches["linear"])
    dx = meanpool_backward(dx, caches["mean"])
    for block in reversed(block_plan(arch)):
        dx = block_backward(dx, caches[block.name], block, arch.frozen, g)
    dx = maxpool_backward(dx, caches["maxpool"])
    dx = relu_backward(dx, caches["relu"])
    c_conv, c_bn = caches["stem"]
    dx = norm_backward(dx, c_bn, stem(arch), arch.frozen, g)
    g["conv"] = conv_backward_filter(dx, c_conv)
    return g


# ---- parts ---------------------------------------------------------------------------------------

def scaled(x):
    """x / STD, for each colour"""
    return x / xp_of(x).asarray(STD.astype(x.real.dtype))


def unit_forward(theta, moments, conv, x):
    """out = BN(conv(x)), with the given moments, or those of the batch where they are None."""
    x, c_conv = conv_forward(x, theta[conv.name], conv.stride)
    gamma, beta = theta[f"{conv.bn}.gamma"], theta[f"{conv.bn}.beta"]
    if moments is None:
        out, c_bn = batchnorm_forward(x, gamma, beta, EPS)
    else:
        mean, var = moments[f"{conv.bn}.mean"], moments[f"{conv.bn}.var"]
        out, c_bn = frozen_batchnorm_forward(x, gamma, beta, mean, var, EPS)
    return out, (c_conv, c_bn)


def unit_backward(dout, cache, conv, frozen, g):
    """dx; the gradients of the unit's parameters are entered in g."""
    c_conv, c_bn = cache
    dx = norm_backward(dout, c_bn, conv, frozen, g)
    dx, g[conv.name] = conv_backward(dx, c_conv)
    return dx


def norm_backward(dout, cache, conv, frozen, g):
    """The same for the batch normalisation alone."""
    pass_back = frozen_batchnorm_backward if frozen else batchnorm_backward
    dx, g[f"{conv.bn}.gamma"], g[f"{conv.bn}.beta"] = pass_back(dout, cache)
    return dx


def block_forward(theta, moments, block, x):
    """One residual block; returns (out, cache)."""
    h, c_units, c_relus = x, [], []
    for conv in block.branch:
        if c_units:
            h, c_relu = relu_forward(h)
            c_relus.append(c_relu)
        h, c_unit = unit_forward(theta, moments, conv, h)
        c_units.append(c_unit)
    shortcut, c_shortcut = (unit_forward(theta, moments, block.shortcut, x)
                            if block.shortcut else (x, None))
    out, c_relu = relu_forward(shortcut + h)
    return out, (c_units, c_relus, c_shortcut, c_relu)


def block_backward(dout, cache, block, frozen, g):
    """dx; the gradients of the block's parameters are entered in g."""
    c_units, c_relus, c_shortcut, c_relu = cache
    dout = relu_backward(dout, c_relu)
    dh = dout
    for number in reversed(range(len(c_units))):
        dh = unit_backward(dh, c_units[number], block.branch[number], frozen, g)
        if number > 0:
            dh = relu_backward(dh, c_relus[number - 1])
    if block.shortcut:
        dout = unit_backward(dout, c_shortcut, block.shortcut, frozen, g)
    return dout + dh                                       # x fed the shortcut and the branch


def moments(cache):
    """The batch's contribution to the running statistics, under the names of `running`.

    Of a frozen network these are the statistics themselves, so that they stay what they are but for
    rounding (core/optim.py: update_running).
    """
    arch, running, caches = cache
    if arch.frozen:
        return running
    found = {}
    for conv, (_, c_bn) in units_of(arch, caches):
        found[f"{conv.bn}.mean"], found[f"{conv.bn}.var"] = batch_moments(c_bn)
    return found


def units_of(arch, caches):
    """(Conv, cache of its unit) of the whole network."""
    yield stem(arch), caches["stem"]
    for block in block_plan(arch):
        c_units, _, c_shortcut, _ = caches[block.name]
        yield from zip(block.branch, c_units)
        if block.shortcut:
            yield block.shortcut, c_shortcut


# ---- inference -----------------------------------------------------------------------------------

def predict(theta, running, x, arch):
    """Logits in inference mode: batch normalisation with the running statistics,
    nothing kept for a backward pass."""
    found = features(theta, running, x, arch)
    return linear_forward(found, theta["linear.w"], theta["linear.b"])[0]


def features(theta, running, x, arch):
    """x (N, H, W, 3) -> (N, 512), of ResNet-50 (N, 2048): the means over the last stage's pixels,
    in inference mode, some images after the others in the memory of these."""
    return xp_of(x).concatenate([part_features(theta, running, x[k:k + TOGETHER], arch)
                                 for k in range(0, max(len(x), 1), TOGETHER)])


def part_features(theta, running, x, arch):
    """The same of a few images."""
    def unit(conv, x):
        out, _ = conv_forward(x, theta[conv.name], conv.stride)
        return batchnorm_inference(out, theta[f"{conv.bn}.gamma"], theta[f"{conv.bn}.beta"],
                                   running[f"{conv.bn}.mean"], running[f"{conv.bn}.var"], EPS)

    x, _ = relu_forward(unit(stem(arch), scaled(x)))
    x, _ = maxpool_forward(x)
    for block in block_plan(arch):
        h = unit(block.branch[0], x)
        for conv in block.branch[1:]:
            h = unit(conv, relu_forward(h)[0])
        x, _ = relu_forward((unit(block.shortcut, x) if block.shortcut else x) + h)
    return meanpool_forward(x)[0]


def centred(pixels, dtype=np.float32):
    """x = pixels / 255 - MEAN;  pixels (N, S, S, 3) uint8"""
    return pixels.astype(dtype) / 255 - xp_of(pixels).asarray(MEAN.astype(dtype))


# ---- fine-tuning ---------------------------------------------------------------------------------

class Pretrained:
    """The network with given weights to begin with: its `init` gives these, and a fresh linear
    layer for arch.classes.

    running: of the given weights; a frozen network keeps it, on the device of xp. The images of a
    frozen network do not depend on each other, so that several ranks can share a mini-batch; with
    the batch's own statistics each rank would take those of its part.
    """
    backward = staticmethod(backward)
    moments = staticmethod(moments)
    predict = staticmethod(predict)

    def __init__(self, theta, running, xp=np):
        self.theta, self.running = theta, running
        self.constants = {name: xp.asarray(array) for name, array in running.items()}

    def init(self, arch, rng, dtype=np.float32):
        """(theta, running), copies, as NumPy arrays."""
        theta, running = ({name: array.astype(dtype) for name, array in arrays.items()}
                          for arrays in (self.theta, self.running))
        return theta | fresh_linear(arch, rng, dtype), running

    def forward(self, theta, x, arch):
        """x (N, H, W, 3) -> logits (N, classes); returns (logits, cache)."""
        return forward(theta, x, arch, self.constants)
