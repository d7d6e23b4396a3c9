"""How much memory a training step of nets/resnet.py takes, so that it can be said before a run.

Images of S x S pixels, a map of H x H before a convolution and h x h behind it; C channels in,
K out, R x R filter.
"""
from nets.resnet import block_plan, convolutions, features_of, stem

NORM = 3                               # arrays of the output in batchnorm_backward: dout, two terms of dx


def training_bytes(arch, size, batch, itemsize=4):
    """Bytes at the worst moment of a step on `batch` images of S = size pixels, the model's own
    included, the stored images not; itemsize: of a number, 4 for float32.

    What the forward pass kept; theta, velocity, the gradient of the step before and this step's by
    name; and the larger of this step's gradient in one piece, and the arrays of the widest part of
    the backward pass. Within 2 % of what NumPy allocates (tests/paper/test_resnet_memory.py).
    """
    P = parameters(arch)
    kept, widest = per_image(arch, size)
    return int(itemsize * (batch * kept + 4 * P + max(P, batch * widest)))


def parameters(arch):
    """The number of parameters."""
    convs = sum(conv.R * conv.R * conv.C * conv.K + 2 * conv.K for conv in convolutions(arch))
    return convs + (features_of(arch) + 1) * arch.classes


def per_image(arch, size):
    """(numbers that the forward pass keeps, numbers at work in the widest part of the backward
    pass) of one image.

    Kept are the image and the same divided by STD, x_hat of every batch normalisation, the output
    of every ReLU (what the next convolution saw) and of the pooling, and of its places a byte each.
    """
    first, H = stem(arch), half(size)
    kept = 6 * size ** 2 + 2 * first.K * H ** 2 + 1.25 * first.K * half(H) ** 2
    patches = first.R * first.R * first.C * H ** 2 + first.C * (size + first.R - 1) ** 2
    widest, H = first.K * H ** 2 + max((NORM - 1) * first.K * H ** 2, patches), half(H)
    for block in block_plan(arch):
        wide, inside = block.branch[-1].K, H
        for conv in block.branch:
            h = half(inside) if conv.stride == 2 else inside
            kept += 2 * conv.K * h ** 2
            widest = max(widest, at_work(conv, inside, h) + wide * h ** 2)
            inside = h
        kept += wide * inside ** 2 if block.shortcut else 0
        H = inside
    return kept, widest


def at_work(conv, H, h):
    """Numbers in the backward pass of a convolution and its batch normalisation.

    Gradients of both outputs; of the second one spread out by the stride, with its border, and its
    patches; then these and dx.
    """
    spread = conv.K * H ** 2 if conv.stride == 2 else 0
    border, patches = conv.K * (H + conv.R - 1) ** 2, (conv.R * conv.R) * conv.K * H ** 2
    if conv.R == 1:
        border = patches = 0
    conv_backward = max(spread + border + patches, patches + conv.C * H ** 2)
    return max(NORM * conv.K * h ** 2, 2 * conv.K * h ** 2 + conv_backward)


def half(H):
    """The side of a map behind a stride of 2."""
    return -(-H // 2)
