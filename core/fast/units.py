"""Batch normalisation, ReLU and convolution as one unit, which works through the batch in blocks of half a megabyte.

    y = conv(h),  h = relu(norm(x))           norm, its backward pass and what blocks are: core/fast/norm.py

What a unit computes it computes block by block, while a block is in the cache: h, y, and the sums that the *next* batch
normalisation needs. Those of the whole batch are known only at the end of the loop; so the unit that uses a result applies its
normalisation, forward and backward. h is made again in the backward pass: half the memory for the time of three passes.

n images, H x W pixels, C channels in, K out; pixel-major blocks (H, W, n, C): a row of the image is one row of memory, as the
transforms want it (in plain NHWC a step takes 1.1 to 1.4 times as long). x, y, g: lists of blocks; sums (2, C).
"""
import numpy as np

from core.fast.norm import Activation, add_sums, by_row, mask


def unit_forward(space, name, x, norm, w, stride, w_projection=None, base=None):
    """y = conv(h) + base and, with w_projection, the 1x1 convolution of h: (y, projected or None, sums of y)"""
    C, K = w.shape[2:]
    image = [-(-side // stride) for side in x[0].shape[:2]]
    y = space.blocks(name, x, *image, K)
    projected = None if w_projection is None else space.blocks(f"{name} projected", x, *image, K)
    relu, filters, sums = Activation(norm, x), space.filters(C, K, stride), np.zeros((2, K))
    filters.forward(w)
    for i, block in enumerate(x):
        conv = space.convolution(block.shape, K, stride)
        relu.write(block, conv.x)
        conv.forward(filters, y[i])
        if base is not None:
            y[i] += base[i]
        if projected is not None:
            np.matmul(every(stride, conv.x, space), w_projection[0, 0], out=by_row(projected[i]))
        add_sums(sums, y[i], y[i])
    return y, projected, sums


def unit_backward(space, dy, x, norm, w, stride, w_projection=None, dprojected=None):
    """(g, sums of g and of g*x, dw, dw_projection) from dy(i, out), which writes block i of the gradient of y."""
    C, K = w.shape[2:]
    g, dw_projection = space.blocks("g", x), None if w_projection is None else np.zeros_like(w_projection)
    relu, filters, sums = Activation(norm, x), space.filters(C, K, stride), np.zeros((2, C))
    filters.backward(w)
    for i, block in enumerate(x):
        conv = space.convolution(block.shape, K, stride)
        dy(i, conv.dy)
        relu.write(block, conv.x)
        conv.backward(filters, g[i])
        if w_projection is not None:
            add_projection_gradient(space, conv.x, dprojected[i], w_projection[0, 0], stride, g[i], dw_projection[0, 0])
        mask(space, g[i], conv.x)
        add_sums(sums, g[i], block)
    return g, sums, filters.gradient(), dw_projection


def add_projection_gradient(space, h, dout, w, stride, dh, dw):
    """dh += dout w^T at the pixels that the projection saw,  dw += h^T dout;  w (C, K)

    One product for each row of the image, and w turned in memory: 1.6 times as fast as one large product or a turned view.
    """
    seen, dout = every(stride, h, space), by_row(dout)
    dh_seen = space("dh_seen", seen.shape)
    np.matmul(dout, np.ascontiguousarray(w.T), out=dh_seen)
    target = dh[::stride, ::stride]
    target += dh_seen.reshape(target.shape)
    dw += np.matmul(seen.swapaxes(1, 2), dout).sum(axis=0)


def every(stride, h, space):
    """The pixels of h that a 1x1 convolution of that stride sees, (h, w*n, C): a view where BLAS can take one."""
    if stride == 1:
        return by_row(h)
    seen = h[::stride, ::stride]
    copy = space("seen", seen.shape)
    copy[...] = seen
    return by_row(copy)


# ---- the ends of the network ---------------------------------------------------------------------------------------

def stem_forward(space, name, x, w, n):
    """The first convolution, of NHWC images x (N, H, W, C) with few channels: (blocks of y, their columns, sums of y).

    The columns (R*R*C, H, W*n) are gathered channel by channel and tap by tap, in rows of W*n numbers (14 times as fast as
    pixel by pixel), and kept for dw. One product for each row of the image: 1.4 times as fast as one large one.
    """
    (R, _, C, K), (N, H, W, _) = w.shape, x.shape
    y, columns, sums = [], [], np.zeros((2, K))
    for i, k in enumerate(range(0, max(N, 1), n)):
        part = x[k:k + n].transpose(3, 1, 2, 0)                                     # (C, H, W, n or fewer)
        frame = space("frame", (C, H + R - 1, W + R - 1, part.shape[3]))
        frame[:, R // 2:H + R // 2, R // 2:W + R // 2] = part
        columns.append(space(f"columns {i}", (R * R * C, H, W * part.shape[3])))
        y.append(space(f"{name} {i}", (H, W, part.shape[3], K)))
        taps = columns[i].reshape(R, R, *part.shape)
        for r, q in np.ndindex(R, R):
            taps[r, q] = frame[:, r:r + H, q:q + W]
        np.matmul(columns[i].transpose(1, 2, 0), w.reshape(R * R * C, K), out=by_row(y[i]))
        add_sums(sums, y[i], y[i])
    return y, columns, sums


def stem_backward(space, dy, y, columns, w):
    """dw (R, R, C, K) from dy(i, out)"""
    dw = np.zeros_like(w)
    for i, column in enumerate(columns):
        block = space("dy", y[i].shape)
        dy(i, block)
        dw += np.matmul(column.transpose(1, 0, 2), by_row(block)).sum(axis=0).reshape(w.shape)
    return dw


def head_forward(space, x, norm):
    """The mean of h over the pixels, (N, C)"""
    relu, pooled = Activation(norm, x), []
    for block in x:
        H, W, n, C = block.shape
        h = space("h", block.shape)
        relu.write(block, h)
        pooled.append((np.full(H * W, 1 / (H * W), h.dtype) @ h.reshape(H * W, n * C)).reshape(n, C))
    return np.concatenate(pooled)


def head_backward(space, dpooled, x, norm):
    """(g, sums of g and of g*x) from dpooled (N, C)"""
    relu, g, sums, k = Activation(norm, x), space.blocks("g", x), np.zeros((2, x[0].shape[3])), 0
    for i, block in enumerate(x):
        H, W, n, _ = block.shape
        h = space("h", block.shape)
        relu.write(block, h)
        g[i][...] = dpooled[k:k + n] / (H * W)
        mask(space, g[i], h)
        add_sums(sums, g[i], block)
        k += n
    return g, sums
