"""Batch normalisation, ReLU and convolution as one unit, which works through the batch in blocks of half a megabyte.

    y = conv(h),  h = relu(norm(x))           norm, its backward pass and what blocks are: core/fast/norm.py

What a unit computes it computes block by block, while a block is in the cache: h, y, and the sums that the *next* batch
normalisation needs. Those of the whole batch are known only at the end of the loop; so the unit that uses a result
applies its normalisation, forward and backward. h stays where the convolution read it, in a frame of zeros: to make it
again in the backward pass takes two thirds of the memory, and for the small nets 1.05 times as long.

n images, H x W pixels, C channels in, K out; pixel-major blocks (H, W, n, C): a row of the image is one row of memory,
as the transforms want it (in plain NHWC a step takes 1.1 to 1.4 times as long). x, y, g: lists of blocks; sums (2, C).
"""
import numpy as np

from core.fast.norm import Activation, add_sums, by_row, mask


def unit_forward(space, name, x, norm, w, stride, w_projection=None, base=None):
    """y = conv(h) + base and, with w_projection, the 1x1 convolution of h: (y, projected or None, sums of y)"""
    C, K = w.shape[2:]
    image = [-(-side // stride) for side in x[0].shape[:2]]
    y = space.blocks(name, x, *image, K)
    projected = None if w_projection is None else space.blocks(f"{name} projected", x, *image, K)
    relu, filters, sums = Activation(space, norm, x), space.filters(C, K, stride), np.zeros((2, K))
    filters.forward(w)
    for i, block in enumerate(x):
        conv = space.convolution(f"{name} {i}", block.shape, K, stride)
        relu.write(block, conv.x)
        conv.forward(filters, y[i])
        if base is not None:
            y[i] += base[i]
        if projected is not None:
            np.matmul(every(stride, conv.x, space), w_projection[0, 0], out=by_row(projected[i]))
        add_sums(sums, y[i], y[i])
    return y, projected, sums


def unit_backward(space, name, dy, x, w, stride, w_projection=None, dprojected=None):
    """(g, sums of g and of g*x, dw, dw_projection) from dy(i, out), which writes block i of the gradient of y."""
    C, K = w.shape[2:]
    g, dw_projection = space.blocks("g", x), None if w_projection is None else np.zeros_like(w_projection)
    filters, sums = space.filters(C, K, stride), np.zeros((2, C))
    filters.backward(w)
    for i, block in enumerate(x):
        conv = space.convolution(f"{name} {i}", block.shape, K, stride)
        dy(i, conv.dy)
        conv.backward(filters, g[i])
        if w_projection is not None:
            add_projection_gradient(space, conv.x, dprojected[i], w_projection[0, 0], stride, g[i], dw_projection[0, 0])
        mask(space, g[i], conv.x)
        add_sums(sums, g[i], block)
    return g, sums, filters.gradient(), dw_projection


def add_projection_gradient(space, h, dout, w, stride, dh, dw):
    """dh += dout w^T at the pixels that the projection saw,  dw += h^T dout;  w (C, K)

    One product for each row of the image, and w turned in memory:
    1.6 times as fast as one large product or a turned view.
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

    One product for each row of the image: 1.4 times as fast as one large one. The columns are kept for dw.
    """
    (R, _, C, K), (N, H, W, _) = w.shape, x.shape
    y, columns, sums = [], [], np.zeros((2, K))
    for i, k in enumerate(range(0, max(N, 1), n)):
        columns.append(stem_columns(space, i, x[k:k + n], R))
        y.append(space(f"{name} {i}", (H, W, len(x[k:k + n]), K)))
        np.matmul(columns[i].swapaxes(1, 2), w.reshape(R * R * C, K), out=by_row(y[i]))
        add_sums(sums, y[i], y[i])
    return y, columns, sums


def stem_columns(space, i, x, R):
    """x (n, H, W, C) -> columns[h, (r,q,c), (w,n)] = x[n, h + r - R//2, w + q - R//2, c]  (H, R*R*C, W*n)

    Only the R shifts along a row are copies; those from row to row are views, as row h + 1 follows row h in memory: the
    columns are gathered 1.35 times as fast as with R*R copies, in a third of the memory. (In rows of W*n numbers, that
    is 14 times as fast as pixel by pixel.)
    """
    n, H, W, C = x.shape
    frame = space("frame", (H, C, W + R - 1, n))
    frame[:, :, R // 2:W + R // 2] = x.transpose(1, 3, 2, 0)
    rows = space(f"rows {i}", (H + R - 1, R, C, W, n))
    for q in range(R):
        rows[R // 2:H + R // 2, q] = frame[:, :, q:q + W]
    row, item = rows.strides[0], rows.itemsize
    return np.lib.stride_tricks.as_strided(rows, (H, R * R * C, W * n), (row, W * n * item, item))


def stem_backward(space, dy, y, columns, w):
    """dw (R, R, C, K) from dy(i, out)"""
    dw = np.zeros_like(w)
    for i, column in enumerate(columns):
        block = space("dy", y[i].shape)
        dy(i, block)
        dw += np.matmul(column, by_row(block)).sum(axis=0).reshape(w.shape)
    return dw


def head_forward(space, x, norm):
    """The mean of h over the pixels, (N, C)"""
    relu, pooled = Activation(space, norm, x), []
    for block in x:
        H, W, n, C = block.shape
        h = space("h", block.shape)
        relu.write(block, h)
        pooled.append((np.full(H * W, 1 / (H * W), h.dtype) @ h.reshape(H * W, n * C)).reshape(n, C))
    return np.concatenate(pooled)


def head_backward(space, dpooled, x, norm):
    """(g, sums of g and of g*x) from dpooled (N, C)"""
    relu, g, sums, k = Activation(space, norm, x), space.blocks("g", x), np.zeros((2, x[0].shape[3])), 0
    for i, block in enumerate(x):
        H, W, n, _ = block.shape
        h = space("h", block.shape)
        relu.write(block, h)
        g[i][...] = dpooled[k:k + n] / (H * W)
        mask(space, g[i], h)
        add_sums(sums, g[i], block)
        k += n
    return g, sums
