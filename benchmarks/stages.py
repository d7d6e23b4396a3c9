"""One 3x3 convolution in the stages of docs/cpu.md, each as short as it can honestly be; all compute the same y.

    y[n,i,j,k] = sum_{r,q,c} x[n, i+r-1, j+q-1, c] w[r,q,c,k],  x = 0 outside the image

N images, H x W pixels (divisible by 4), C channels in, K out; n images in a block. x (N, H, W, C), w (3, 3, C, K).
A stage is made once, stage(x, w), which may set memory aside; what it returns computes y, and is what is timed.
"""
import numpy as np

from benchmarks.peers import BATCH
from core.fast.winograd import POINTS, Inverse, Transform, algorithms, toom_cook
from core.fast.workspace import Workspace
from core.layers import conv_forward, im2col


def loops(x, w):
    """The definition, word for word: seven loops."""
    (N, H, W, C), K = x.shape, w.shape[3]
    y = np.zeros((N, H, W, K), x.dtype)

    def run():
        for n in range(N):
            for i in range(H):
                for j in range(W):
                    for k in range(K):
                        total = 0.0
                        for r in range(max(0, 1 - i), min(3, H + 1 - i)):
                            for q in range(max(0, 1 - j), min(3, W + 1 - j)):
                                for c in range(C):
                                    total += x[n, i + r - 1, j + q - 1, c] * w[r, q, c, k]
                        y[n, i, j, k] = total
        return y
    return run


def columns(x, w):
    """im2col: every patch becomes a row, and the convolution one matrix product. The readable path."""
    return lambda: conv_forward(x, w)[0]


def columns_in_blocks(x, w, n=8):
    """The same for eight images at a time: their columns fit the cache."""
    y = np.empty((*x.shape[:3], w.shape[3]), x.dtype)

    def run():
        for k in range(0, len(x), n):
            np.matmul(im2col(x[k:k + n], 3, 1), w.reshape(-1, w.shape[3]), out=y[k:k + n].reshape(-1, w.shape[3]))
        return y
    return run


def shifts(x, w, n=8):
    """No columns: nine products with the image shifted by one pixel each, added up."""
    (_, H, W, C), K = x.shape, w.shape[3]
    y, frame = np.empty((*x.shape[:3], K), x.dtype), np.zeros((n, H + 2, W + 2, C), x.dtype)
    term = np.empty((n, H, W, K), x.dtype)

    def run():
        for k in range(0, len(x), n):
            frame[:, 1:-1, 1:-1] = x[k:k + n]
            np.matmul(frame[:, :H, :W], w[0, 0], out=y[k:k + n])
            for r, q in list(np.ndindex(3, 3))[1:]:
                y[k:k + n] += np.matmul(frame[:, r:r + H, q:q + W], w[r, q], out=term)
        return y
    return run


def gathered_tiles(x, w):
    """Winograd as the papers draw it: cut out all 6x6 tiles, transform, 36 products, transform back."""
    BT, G, AT = (a.astype(x.dtype) for a in algorithms(1)[0])
    N, H, W, C = x.shape

    def run():
        frame = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        tiles = np.lib.stride_tricks.sliding_window_view(frame, (6, 6), (1, 2))[:, ::4, ::4]      # (N, T, U, C, 6, 6)
        V = (BT @ tiles @ BT.T).transpose(4, 5, 0, 1, 2, 3).reshape(36, -1, C)
        U = np.einsum("ai,bj,ijck->abck", G, G, w).reshape(36, C, -1)
        M = (V @ U).reshape(6, 6, N, H // 4, W // 4, -1)
        return (AT @ M.transpose(2, 3, 4, 5, 0, 1) @ AT.T).transpose(0, 1, 4, 2, 5, 3).reshape(N, H, W, -1)
    return run


def strided_tiles(m, n, scratch):
    """Tiles of m x m outputs whose transforms are matrix products on views of pixel-major blocks of n images:
    a stage."""
    def stage(x, w):
        (N, H, W, C), K = x.shape, w.shape[3]
        space, tiles = scratch(x.dtype), (H // m, W // m)
        BT, G, AT = (a.astype(x.dtype) for a in toom_cook(POINTS if m == 4 else (0, 1, -1), m, 3))
        frame = space("frame", (H + 2, W + 2, n, C))
        transform, inverse = Transform(BT, frame, m, tiles, space), Inverse(AT, tiles, (H, W, n, K), space)
        blocks = x.reshape(N // n, n, H, W, C).transpose(0, 2, 3, 1, 4).copy()                    # pixel-major
        y = [space(f"y {i}", (H, W, n, K)) for i in range(N // n)]
        U = space("U", ((m + 2)**2, C, K))

        def run():
            np.matmul(np.kron(G, G), w.reshape(9, -1), out=U.reshape(len(U), -1))
            for block, out in zip(blocks, y):
                frame[1:-1, 1:-1] = block
                np.matmul(transform(), U, out=inverse.products)
                inverse(out)
            return y
        return run
    return stage


def plain_arrays(dtype):
    """A workspace whose arrays begin where NumPy lets them begin."""
    return lambda name, shape: np.zeros(shape, dtype)


def as_images(y):
    """What a stage returns, blocks or not, as (N, H, W, K)."""
    return np.concatenate([block.transpose(2, 0, 1, 3) for block in y]) if isinstance(y, list) else y


def stages(n=4):
    """{name: stage}, in the order of the lesson; n images in a block of half a megabyte."""
    return {"im2col, whole batch": columns,
            "im2col, blocks of 8 images": columns_in_blocks,
            "nine shifted products": shifts,
            "F(4x4), tiles gathered": gathered_tiles,
            "F(2x2), products on views": strided_tiles(2, n, plain_arrays),
            "F(4x4), whole batch": strided_tiles(4, BATCH, plain_arrays),
            "F(4x4), blocks": strided_tiles(4, n, plain_arrays),
            "F(4x4), aligned": strided_tiles(4, n, Workspace)}
