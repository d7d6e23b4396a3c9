"""How much arithmetic a training step is: additions and multiplications, counted."""
from nets.preact_resnet import block_plan

PASSES = 3                         # a convolution's output, the gradient of its input, the gradient of its weights


def direct_flops(arch, size, N):
    """By the definition of convolution: 2 R R C K for each output pixel and each pass; the images need no gradient."""
    pixel = 2 * 9 * arch.channels * arch.widths[0] * (PASSES - 1) * size**2
    for C, K, _, h, projecting in layers(arch, size):
        pixel += PASSES * 2 * h**2 * C * K * (9 + projecting)
    return N * (pixel + PASSES * 2 * arch.widths[-1] * arch.classes)


def product_flops(arch, size, N):
    """The matrix products over channels that the fast path does instead, without its transforms: 36 in place of 144 for
    4x4 outputs, and for stride 2 25 in place of 36 for 2x2."""
    pixel = 2 * 9 * arch.channels * arch.widths[0] * (PASSES - 1) * size**2
    for C, K, stride, h, projecting in layers(arch, size):
        tiles = (-(-h * stride // 4))**2
        pixel += PASSES * 2 * C * K * ({1: 36, 2: 25}[stride] * tiles + projecting * h**2)
    return N * (pixel + PASSES * 2 * arch.widths[-1] * arch.classes)


def layers(arch, size):
    """(C, K, stride, side of the output, 1 if a projection goes with it) of every 3x3 convolution but the first."""
    for _, c_in, width, stride, projecting in block_plan(arch):
        size = -(-size // stride)
        yield c_in, width, stride, size, int(projecting)
        yield width, width, 1, size, 0
