"""The layers: every forward pass with its backward pass below it.

    out, cache = f_forward(x, ...)          stateless; arguments are never written to
    dx, ...    = f_backward(dout, cache)    the gradients of sum(dout * out), in the order of the
                                            array arguments

N batch, H x W image, C channels in, K channels out, R x R filter (R odd), h x w output,
M = N * H * W pixels.  x (N, H, W, C) activations, w weights, d... the gradient with respect to ....
Any float or complex dtype; the results keep it.
"""
import math

import numpy as np

from core.backend import fused, xp_of

BATCHNORM_EPS = 2e-5               # Chainer's default, which the official code uses


# ---- convolution ---------------------------------------------------------------------------------

def conv_forward(x, w, stride=1):
    """out[n,i,j,k] = sum_{r,q,c} x[n, i*stride + r - R//2, j*stride + q - R//2, c] * w[r,q,c,k]

    x (N, H, W, C), w (R, R, C, K) -> out (N, h, w, K) with h = ceil(H / stride):
    x = 0 outside the image (zero padding of R//2 on every side), no bias.
    """
    N, H, W, _ = x.shape
    R, _, _, K = w.shape
    h, w_out = -(-H // stride), -(-W // stride)
    out = im2col(x, R, stride) @ w.reshape(-1, K)                                   # (N*h*w, K)
    return out.reshape(N, h, w_out, K), (x, w, stride)


def conv_backward(dout, cache):
    """dw[r,q,c,k] = sum_{n,i,j} x[n,i,j,c] * D[n, i - r + R//2, j - q + R//2, k]
    dx = the convolution of D with w turned by 180 degrees,  D = dout spread out by the stride

    Both from the patches of D. (dw from those of x would need a second matrix of columns, the
    largest array there is.)
    """
    x, w, stride = cache
    R, _, C, K = w.shape
    cols = im2col(spread(dout, x.shape, stride), R, 1)                              # (N*H*W, R*R*K)
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, C)                     # (R*R*K, C)
    dw = (x.reshape(-1, C).T @ cols).reshape(C, R, R, K)                     # for the turned filter
    return (cols @ turned).reshape(x.shape), dw[:, ::-1, ::-1].transpose(1, 2, 0, 3)


def conv_backward_filter(dout, cache):
    """dw[r,q,c,k] = sum_{n,i,j} x[n, i*stride + r - R//2, j*stride + q - R//2, c] * dout[n,i,j,k]

    Without dx, for the convolution that sees the images, and so from the patches of x: for 7x7 with
    stride 2, 3 channels to 64, those of D are 85 times as large.
    """
    x, w, stride = cache
    return (im2col(x, len(w), stride).T @ dout.reshape(-1, w.shape[-1])).reshape(w.shape)


def im2col(x, R, stride):
    """cols[(n,i,j), (r,q,c)] = x[n, i*stride + r - R//2, j*stride + q - R//2, c]:  the patch under
    the filter as a row

    One copy of a view in which the patches overlap. (CuPy's sliding_window_view is not used: it
    makes the host wait for the device.) Where it goes up, 16 bytes move as one complex number: on a
    GPU the indices cost more than the bytes.
    """
    xp, pad = xp_of(x), R // 2
    N, H, W, C = x.shape
    if R == 1:
        return x[:, ::stride, ::stride].reshape(-1, C)
    padded = xp.zeros((N, H + 2 * pad, W + 2 * pad, C), x.dtype)
    padded[:, pad:-pad, pad:-pad] = x
    if C * x.dtype.itemsize % 16 == 0:
        padded = padded.view(np.complex128)
    n, row, pixel, unit = padded.strides
    patches = xp.lib.stride_tricks.as_strided(padded, (N, -(-H // stride), -(-W // stride), R, R,
                                                       padded.shape[-1]),
                                              (n, stride * row, stride * pixel, row, pixel, unit))
    return patches.reshape(-1, R * R * padded.shape[-1]).view(x.dtype)              # (N*h*w, R*R*C)


def spread(dout, shape, stride):
    """dout (N, h, w, K) with stride - 1 zeros between its pixels,
    cut or filled up to the H x W of `shape`."""
    if stride == 1:
        return dout
    spaced = xp_of(dout).zeros((*shape[:3], dout.shape[-1]), dout.dtype)
    spaced[:, ::stride, ::stride] = dout
    return spaced


# ---- batch normalisation -------------------------------------------------------------------------

def batchnorm_forward(x, gamma, beta, eps=BATCHNORM_EPS):
    """out = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps);  mean and (biased) var of
    every channel over the batch

    x (..., C), gamma (C,), beta (C,) -> out like x.  The moments stay in the cache, for
    `batch_moments`.
    """
    mean = mean_pixels(x)                                                           # (C,)
    var = mean_pixels(centred_squares(x, mean))
    inv_std = inverse_std(var, eps)
    x_hat, out = normalised(x, mean, inv_std, gamma, beta)
    return out, (x_hat, gamma, inv_std, mean, var)


def batchnorm_backward(dout, cache):
    """dx = gamma / std * (dout - mean(dout) - x_hat * mean(dout * x_hat)),
    dgamma = sum dout * x_hat,  dbeta = sum dout
    """
    x_hat, gamma, inv_std, _, _ = cache
    M = x_hat.size // x_hat.shape[-1]
    dgamma, dbeta = sum_pixels(dout * x_hat), sum_pixels(dout)                      # (C,), (C,)
    return batchnorm_dx(dout, x_hat, gamma, inv_std, dgamma, dbeta, M), dgamma, dbeta


@fused
def centred_squares(x, mean):
    """(x - mean)^2: squares, not absolute squares, so that the complex step passes through"""
    centred = x - mean
    return centred * centred


@fused
def inverse_std(var, eps):
    """1 / sqrt(var + eps)"""
    return 1 / xp_of(var).sqrt(var + eps)


@fused
def normalised(x, mean, inv_std, gamma, beta):
    """x_hat, and gamma * x_hat + beta"""
    x_hat = (x - mean) * inv_std
    return x_hat, gamma * x_hat + beta


@fused
def batchnorm_dx(dout, x_hat, gamma, inv_std, dgamma, dbeta, M):
    """The gradient with respect to x, from those of gamma and beta and the number of pixels."""
    return (dout - dbeta / M - x_hat * (dgamma / M)) * (gamma * inv_std)


def batch_moments(cache):
    """What a batch contributes to the running statistics: its mean and its *unbiased* variance,
    M / (M - 1) of the biased one."""
    x_hat, _, _, mean, var = cache
    M = x_hat.size // x_hat.shape[-1]
    return mean, var * (M / max(M - 1, 1))


def batchnorm_inference(x, gamma, beta, mean, var, eps=BATCHNORM_EPS):
    """The same map with given moments (the running ones); x (..., C), the others (C,)."""
    scale = gamma / xp_of(x).sqrt(var + eps)
    return x * scale + (beta - mean * scale)


def frozen_batchnorm_forward(x, gamma, beta, mean, var, eps=BATCHNORM_EPS):
    """The same map in training: out = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps)

    mean and var (C,) are constants, so that every pixel is on its own.
    """
    inv_std = inverse_std(var, eps)
    x_hat, out = normalised(x, mean, inv_std, gamma, beta)
    return out, (x_hat, gamma, inv_std)


def frozen_batchnorm_backward(dout, cache):
    """dx = gamma / std * dout,  dgamma = sum dout * x_hat,  dbeta = sum dout"""
    x_hat, gamma, inv_std = cache
    return dout * (gamma * inv_std), sum_pixels(dout * x_hat), sum_pixels(dout)


def sum_pixels(x):
    """(..., C) -> (C,): the sum over all axes but the last, always in the same order.

    Two stages, for speed and accuracy: rows of up to 512 pixels are added first, then the pixels
    within the sum. One stage would run on a single thread block of a GPU (one for every 32
    channels), and is slower on a CPU too.
    """
    return rows_of_pixels(x).sum(axis=0).reshape(-1, x.shape[-1]).sum(axis=0)


def mean_pixels(x):
    """(..., C) -> (C,): the mean, in the same two stages."""
    return rows_of_pixels(x).mean(axis=0).reshape(-1, x.shape[-1]).mean(axis=0)


def rows_of_pixels(x):
    """(..., C) -> (M / L, L * C), L the largest power of two up to 512 that divides the number of
    pixels M"""
    C = x.shape[-1]
    return x.reshape(-1, math.gcd(x.size // C, 512) * C)


# ---- pooling by the maximum ----------------------------------------------------------------------

def maxpool_forward(x, R=3, stride=2):
    """out[n,i,j,c] = max_{r,q} x[n, i*stride + r - R//2, j*stride + q - R//2, c] over the places of
    an R x R window (R odd) that lie in the image

    x (N, H, W, C) -> out (N, h, w, C) with h = ceil(H / stride). Of equal numbers the first of the
    window counts, row by row, as in PyTorch: it gets the gradient. nan wins, so that it is noticed.
    """
    xp, shape = xp_of(x), x.shape
    N, H, W, C = shape
    padded = xp.full(padded_shape(shape, R), -math.inf, x.dtype)
    padded[:, R // 2:H + R // 2, R // 2:W + R // 2] = x
    first, *others = windows(padded, shape, R, stride)
    out, place = first, xp.zeros(first.shape, np.uint8)
    for k, window in enumerate(others, start=1):
        place = xp.where(window > out, np.uint8(k), place)
        out = xp.maximum(out, window)
    return out, (place, shape, R, stride)


def maxpool_backward(dout, cache):
    """dx[n,y,x,c] = the sum of dout[n,i,j,c] over the windows whose maximum was x[n,y,x,c]"""
    place, shape, R, stride = cache
    N, H, W, C = shape
    dpadded = xp_of(dout).zeros(padded_shape(shape, R), dout.dtype)
    for k, window in enumerate(windows(dpadded, shape, R, stride)):
        window += dout * (place == k)
    return dpadded[:, R // 2:H + R // 2, R // 2:W + R // 2]


def padded_shape(shape, R):
    """Of the image with R//2 pixels on every side."""
    N, H, W, C = shape
    return N, H + R - 1, W + R - 1, C


def windows(padded, shape, R, stride):
    """For each place (r, q) of the window, row by row, what is there in all windows: views
    (N, h, w, C) of the padded image."""
    _, H, W, _ = shape
    return [padded[:, r:r + H:stride, q:q + W:stride] for r in range(R) for q in range(R)]


# ---- the others ----------------------------------------------------------------------------------

def relu_forward(x):
    """out = max(x, 0)"""
    out = xp_of(x).maximum(x, 0)
    return out, out


def relu_backward(dout, cache):
    """dx = dout where x > 0, else 0;  the slope at 0 is taken as 0"""
    return where_positive(dout, cache)


@fused
def where_positive(dout, out):
    """dout where out > 0, else 0"""
    return dout * (out > 0)


def meanpool_forward(x):
    """out[n,c] = mean_{i,j} x[n,i,j,c];  x (N, H, W, C) -> (N, C)"""
    return x.mean(axis=(1, 2)), x.shape


def meanpool_backward(dout, cache):
    """dx[n,i,j,c] = dout[n,c] / (H W)"""
    N, H, W, C = cache
    return xp_of(dout).broadcast_to(dout[:, None, None, :] / (H * W), cache)


def linear_forward(x, w, b):
    """out = x w + b;  x (N, C), w (C, K), b (K,) -> (N, K)"""
    return x @ w + b, (x, w)


def linear_backward(dout, cache):
    """dx = dout w^T,  dw = x^T dout,  db = sum_n dout"""
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)
