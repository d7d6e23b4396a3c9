"""The layers and the objective once more, as their definitions: loops over Python numbers, slow and obvious."""
import math
from itertools import product

import numpy as np

EPS = 2e-5                                          # of batch normalisation


def conv(x, w, stride):
    """out[n,i,j,k] = sum_{r,q,c} x[n, i*stride + r - R//2, j*stride + q - R//2, c] * w[r,q,c,k],
    x = 0 outside the image"""
    (N, H, W, C), (R, _, _, K) = x.shape, w.shape
    out = np.zeros((N, math.ceil(H / stride), math.ceil(W / stride), K))
    for n, i, j, k in np.ndindex(out.shape):
        for r, q, c in product(range(R), range(R), range(C)):
            row, column = i * stride + r - R // 2, j * stride + q - R // 2
            if 0 <= row < H and 0 <= column < W:
                out[n, i, j, k] += x[n, row, column, c] * w[r, q, c, k]
    return out


def conv_transposed(dout, w, stride, shape):
    """dx, by handing every product of the sum above back to the pixel that it came from"""
    (_, H, W, C), R, dx = shape, len(w), np.zeros(shape)
    for n, i, j, k in np.ndindex(dout.shape):
        for r, q, c in product(range(R), range(R), range(C)):
            row, column = i * stride + r - R // 2, j * stride + q - R // 2
            if 0 <= row < H and 0 <= column < W:
                dx[n, row, column, c] += dout[n, i, j, k] * w[r, q, c, k]
    return dx


def moments(x):
    """Mean and biased variance of every channel, x (..., C)"""
    pixels = x.reshape(-1, x.shape[-1]).tolist()
    M = len(pixels)
    mean = [sum(channel) / M for channel in zip(*pixels)]
    var = [sum((value - m) ** 2 for value in channel) / M for channel, m in zip(zip(*pixels), mean)]
    return mean, var


def batchnorm(x, gamma, beta):
    return normalised(x, gamma, beta, *moments(x))


def normalised(x, gamma, beta, mean, var, eps=EPS):
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        c = index[-1]
        out[index] = gamma[c] * (x[index] - mean[c]) / math.sqrt(var[c] + eps) + beta[c]
    return out


def relu(x):
    return np.array([value if value > 0 else 0.0 for value in x.ravel().tolist()]).reshape(x.shape)


def maxpool(x, R=3, stride=2):
    """out[n,i,j,c] = the largest x[n, i*stride + r - R//2, j*stride + q - R//2, c] that is in the image"""
    N, H, W, C = x.shape
    out = np.zeros((N, math.ceil(H / stride), math.ceil(W / stride), C))
    for n, i, j, c in np.ndindex(out.shape):
        out[n, i, j, c] = max(x[n, row, column, c] for row, column, _ in window(i, j, H, W, R, stride))
    return out


def maxpool_transposed(dout, x, R=3, stride=2):
    """dx: every number of dout goes to the first of the largest of its window, row by row"""
    (_, H, W, _), dx = x.shape, np.zeros(x.shape)
    for n, i, j, c in np.ndindex(dout.shape):
        row, column, _ = max(window(i, j, H, W, R, stride), key=lambda place: (x[n, place[0], place[1], c], -place[2]))
        dx[n, row, column, c] += dout[n, i, j, c]
    return dx


def window(i, j, H, W, R, stride):
    """(row, column, number) of the places of a window that are in the image"""
    places = [(i * stride + r - R // 2, j * stride + q - R // 2, r * R + q) for r, q in product(range(R), range(R))]
    return [(row, column, k) for row, column, k in places if 0 <= row < H and 0 <= column < W]


def meanpool(x):
    N, H, W, C = x.shape
    return np.array([[sum(x[n, i, j, c] for i in range(H) for j in range(W)) / (H * W) for c in range(C)]
                     for n in range(N)])


def linear(x, w, b):
    return np.array([[sum(x[n, c] * w[c, k] for c in range(len(w))) + b[k] for k in range(len(b))]
                     for n in range(len(x))])


# ---- the objective: s from z by its definition, the terms from s ---------------------------------------------------

def softmax(z):
    return np.array([[math.exp(a) / sum(math.exp(b) for b in row) for a in row] for row in z.tolist()])


def divergence(a, b):
    """D_KL(a || b) = sum_j a_j log(a_j / b_j), where 0 log 0 = 0"""
    return sum(a_j * math.log(a_j / b_j) for a_j, b_j in zip(a, b) if a_j > 0)


def L_c(z, y):
    return sum(divergence(y_i, s_i) for y_i, s_i in zip(y, softmax(z))) / len(z)


def L_p(z, p):
    s = softmax(z)
    s_bar = [sum(s[i, j] for i in range(len(s))) / len(s) for j in range(s.shape[1])]
    return divergence(p, s_bar)


def L_e(z):
    return -sum(s_ij * math.log(s_ij) for s_i in softmax(z) for s_ij in s_i) / len(z)
