"""The layers: every forward pass with its backward pass below it.

    out, cache = f_forward(x, ...)          stateless; arguments are never written to
    dx, ...    = f_backward(dout, cache)    the gradients of sum(dout * out), in the order of the array arguments

N batch, H x W image, C channels in, K channels out, R x R filter (R odd), h x w output, M = N * H * W pixels.
x (N, H, W, C) activations, w weights, d... the gradient with respect to ....  Any float or complex dtype; the results keep it.
"""
import math

from core.backend import xp_of

BATCHNORM_EPS = 2e-5               # Chainer's default, which the official code uses


# ---- convolution ---------------------------------------------------------------------------------------------------

def conv_forward(x, w, stride=1):
    """out[n,i,j,k] = sum_{r,q,c} x[n, i*stride + r - R//2, j*stride + q - R//2, c] * w[r,q,c,k],  x = 0 outside the image

    x (N, H, W, C), w (R, R, C, K) -> out (N, h, w, K) with h = ceil(H / stride): zero padding of R//2 on every side, no bias.
    """
    N, H, W, _ = x.shape
    R, _, _, K = w.shape
    h, w_out = -(-H // stride), -(-W // stride)
    out = im2col(x, R, stride) @ w.reshape(-1, K)                                   # (N*h*w, K)
    return out.reshape(N, h, w_out, K), (x, w, stride)


def conv_backward(dout, cache):
    """dw = cols^T dout,  dx = the convolution of dout, spread out by the stride, with w turned by 180 degrees

    The columns are made again rather than kept: for the full network at batch 128 they would take 3.6 GB.
    """
    x, w, stride = cache
    R, _, C, K = w.shape
    dw = im2col(x, R, stride).T @ dout.reshape(-1, K)                               # (R*R*C, K)
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, C)                     # (R*R*K, C)
    dx = im2col(spread(dout, x.shape, stride), R, 1) @ turned                       # (N*H*W, C)
    return dx.reshape(x.shape), dw.reshape(w.shape)


def im2col(x, R, stride):
    """cols[(n,i,j), (r,q,c)] = x[n, i*stride + r - R//2, j*stride + q - R//2, c]:  the patch under the filter as a row

    One copy of a view in which the patches overlap. Their last two axes, q and c, lie side by side in memory, so that it moves
    runs of R*C numbers. (CuPy's sliding_window_view is not used: it makes the host wait for the device.)
    """
    xp, pad = xp_of(x), R // 2
    N, H, W, C = x.shape
    if R == 1:
        return x[:, ::stride, ::stride].reshape(-1, C)
    padded = xp.zeros((N, H + 2 * pad, W + 2 * pad, C), x.dtype)
    padded[:, pad:-pad, pad:-pad] = x
    n, row, pixel, channel = padded.strides
    patches = xp.lib.stride_tricks.as_strided(padded, (N, -(-H // stride), -(-W // stride), R, R, C),
                                              (n, stride * row, stride * pixel, row, pixel, channel))
    return patches.reshape(-1, R * R * C)                                           # (N*h*w, R*R*C)


def spread(dout, shape, stride):
    """dout (N, h, w, K) with stride - 1 zeros between its pixels, cut or filled up to the H x W of `shape`."""
    if stride == 1:
        return dout
    spaced = xp_of(dout).zeros((*shape[:3], dout.shape[-1]), dout.dtype)
    spaced[:, ::stride, ::stride] = dout
    return spaced


# ---- batch normalisation -------------------------------------------------------------------------------------------

def batchnorm_forward(x, gamma, beta):
    """out = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps);  mean and (biased) var of every channel over the batch

    x (..., C), gamma (C,), beta (C,) -> out like x.  The moments stay in the cache, for `batch_moments`.
    """
    xp, C = xp_of(x), x.shape[-1]
    M = x.size // C
    mean = sum_pixels(x) / M                                                        # (C,)
    x_hat = x - mean
    var = sum_pixels(x_hat * x_hat) / M                                             # of squares, not of absolute squares:
    inv_std = 1 / xp.sqrt(var + BATCHNORM_EPS)                                      # so the complex step passes through
    x_hat *= inv_std
    return gamma * x_hat + beta, (x_hat, gamma, inv_std, mean, var)


def batchnorm_backward(dout, cache):
    """dx = gamma / std * (dout - mean(dout) - x_hat * mean(dout * x_hat)),  dgamma = sum dout * x_hat,  dbeta = sum dout"""
    x_hat, gamma, inv_std, _, _ = cache
    M = x_hat.size // x_hat.shape[-1]
    dgamma, dbeta = sum_pixels(dout * x_hat), sum_pixels(dout)                      # (C,), (C,)
    dx = x_hat * (-dgamma / M)
    dx += dout
    dx -= dbeta / M
    dx *= gamma * inv_std
    return dx, dgamma, dbeta


def batch_moments(cache):
    """What a batch contributes to the running statistics: its mean and its *unbiased* variance, M / (M - 1) of the biased one."""
    x_hat, _, _, mean, var = cache
    M = x_hat.size // x_hat.shape[-1]
    return mean, var * (M / max(M - 1, 1))


def batchnorm_inference(x, gamma, beta, mean, var):
    """The same map with given moments (the running ones); x (..., C), the others (C,)."""
    scale = gamma / xp_of(x).sqrt(var + BATCHNORM_EPS)
    return x * scale + (beta - mean * scale)


def sum_pixels(x):
    """(..., C) -> (C,): the sum over all axes but the last, always in the same order.

    Two stages, for speed and accuracy: rows of up to 512 pixels are added first, then the pixels within the sum. One stage
    would run on a single thread block of a GPU (one for every 32 channels), and is slower on a CPU too.
    """
    C = x.shape[-1]
    L = math.gcd(x.size // C, 512)
    return x.reshape(-1, L * C).sum(axis=0).reshape(L, C).sum(axis=0)


# ---- the others ----------------------------------------------------------------------------------------------------

def relu_forward(x):
    """out = max(x, 0)"""
    out = xp_of(x).maximum(x, 0)
    return out, out


def relu_backward(dout, cache):
    """dx = dout where x > 0, else 0;  the slope at 0 is taken as 0"""
    return dout * (cache > 0)


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
