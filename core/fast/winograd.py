"""The 3x3 convolution in 36 instead of 144 products per 4x4 outputs (Winograd, Toom, Cook), made of np.matmul alone.

    y = AT [(G w G^T) * (BT x BT^T)] AT^T     x a tile of the image, y of the output, w (3, 3), * elementwise

Summed over the channels, the elementwise product is one matrix product for each of the p x p places. The transforms are
matrix products as well, with operands and results that are strided views: no patch is ever copied.

n images, H x W pixels, C channels in, K out; h x w output; T x U tiles, p products for a tile in each direction.
x (H, W, n, C), y (h, w, n, K): pixel by pixel, so that what a transform mixes are whole rows of n*C numbers.
"""
import numpy as np

POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)   # float32 error 6e-7 rms; with the usual 0, 1, -1, 2, -2 it is 1.3e-6


def toom_cook(points, m, r):
    """(BT, G, AT) with AT [(G w) * (BT x)] = y,  y[i] = sum_k x[i+k] w[k]  for m outputs, r taps,
    m + r - 1 products.

    Two polynomials are multiplied by multiplying their values at m + r - 2 points and their leading coefficients ("at
    infinity"): s = V^-1 [(V_m a) * (V_r w)], V_k the values of k coefficients. The transpose of this map in `a` is the
    correlation: y = V_m^T [(V_r w) * (V^-T x)].
    """
    def values(k):
        return np.vstack([np.vander(points, k, increasing=True), np.eye(k)[-1:]])

    return np.linalg.inv(values(m + r - 1)).T, values(r), values(m).T


def algorithms(stride):
    """(BT, G, AT) of the convolution and of its gradient with respect to x,
    for tiles that begin one pixel before theirs.

    Stride 1: both F(4,3); the gradient's filter is turned. Stride 2: of the three taps, 0 and 2 meet the odd pixels,
    for which F(2,2) needs 3 products per 2 outputs, tap 1 meets the even ones:
    25 products for 2x2 outputs instead of 36.
    """
    if stride == 1:
        BT, G, AT = toom_cook(POINTS, 4, 3)
        return (BT, G, AT), (BT, G[:, ::-1], AT)
    bt, g, at = toom_cook((0, -1), 2, 2)
    BT, BT_dx, G, G_dx, AT, AT_dx = (np.zeros(shape) for shape in ((5, 5), (5, 4), (5, 3), (5, 3), (2, 5), (4, 5)))
    BT[:3, [0, 2, 4]], BT[3, 1], BT[4, 3] = bt, 1, 1                      # x[-1], x[1], x[3]; x[0]; x[2]
    BT_dx[:3, 1:], BT_dx[3, 1], BT_dx[4, 2] = bt, 1, 1                    # dy[0], dy[1], dy[2]; dy[0]; dy[1]
    G[:3, [0, 2]], G_dx[:3, [2, 0]] = g, g                                # dx[1] = dy[1] w[0] + dy[0] w[2]
    G[3:, 1] = G_dx[3:, 1] = 1                                            # dx[0] = dy[0] w[1]
    AT[:, :3], AT[:, 3:] = at, np.eye(2)
    AT_dx[1::2, :3], AT_dx[::2, 3:] = at, np.eye(2)
    return (BT, G, AT), (BT_dx, G_dx, AT_dx)


class Filters:
    """The weights (3, 3, C, K) of one layer as the algorithms want them,
    in arrays that all layers of that size share."""

    def __init__(self, C, K, stride, dtype, scratch):
        (_, G, _), (_, G_dx, _) = algorithms(stride)
        self.G, self.G_dx = np.kron(G, G).astype(dtype), np.kron(G_dx, G_dx).astype(dtype)   # (p*p, 9): one product
        p = len(self.G)
        self.U, self.dU, self.dU_block = (scratch(name, (p, C, K)) for name in ("U", "dU", "dU_block"))
        self.U_dx, self.w_turned = scratch("U_dx", (p, K, C)), scratch("w_turned", (3, 3, K, C))

    def forward(self, w):
        """U = G w G^T, for the output."""
        np.matmul(self.G, w.reshape(9, -1), out=self.U.reshape(len(self.U), -1))

    def backward(self, w):
        """U_dx = G_dx w^T G_dx^T, for the gradient of x; dU is begun anew.

        C and K change places in memory, not only in a view: the small products take a turned operand at 60 to 75
        GFLOP/s, a straight one at 110.
        """
        self.w_turned[...] = w.swapaxes(2, 3)
        np.matmul(self.G_dx, self.w_turned.reshape(9, -1), out=self.U_dx.reshape(len(self.U_dx), -1))
        self.blocks = 0

    def collect(self, X, V):
        """dU += X^T V, the share of one block."""
        if self.blocks == 0:
            np.matmul(X.swapaxes(1, 2), V, out=self.dU)
        else:
            self.dU += np.matmul(X.swapaxes(1, 2), V, out=self.dU_block)
        self.blocks += 1

    def gradient(self):
        """dw from the collected dU: the transform's transpose."""
        return (self.G_dx.T @ self.dU.reshape(len(self.dU), -1)).reshape(3, 3, *self.dU.shape[1:])


class Convolution:
    """Buffers and views for one block of a layer: fill `x`, then `forward`; fill `dy`, then `backward`.

    Both images lie in a frame of zeros, the padding: `x` (H, W, n, C) and `dy` (h, w, n, K) are their insides. All
    arrays come from scratch(name, shape), which hands out the same array for the same question, so that layers share
    them; `x` alone, which the backward pass needs again, is this block's own.
    """

    def __init__(self, name, shape, K, stride, dtype, scratch):
        H, W, n, C = shape
        h, w = -(-H // stride), -(-W // stride)
        T, U = -(-H // 4), -(-W // 4)
        step = 4 // stride
        (BT, _, AT), (BT_dx, _, AT_dx) = [[a.astype(dtype) for a in algorithm] for algorithm in algorithms(stride)]
        x = scratch(f"x {name} {H}x{W}", (4 * T + 2, 4 * U + 2, n, C))
        dy = scratch(f"dy{h}x{w}", (step * T + 2, step * U + 2, n, K))
        self.x, self.dy = x[1:H + 1, 1:W + 1], dy[1:h + 1, 1:w + 1]
        self.x_tiles = Transform(BT, x, 4, (T, U), scratch)
        self.dy_tiles = Transform(BT_dx, dy, step, (T, U), scratch)
        self.x_tiles_dw = Transform(AT_dx.T, x[1:-1, 1:-1], 4, (T, U), scratch)
        self.y = Inverse(AT, (T, U), (h, w, n, K), scratch)
        self.dx = Inverse(AT_dx, (T, U), shape, scratch)

    def forward(self, filters, out):
        """y (h, w, n, K) from self.x, written to out."""
        np.matmul(self.x_tiles(), filters.U, out=self.y.products)
        self.y(out)

    def backward(self, filters, out):
        """dx (H, W, n, C) from self.dy, written to out; dw from self.x and self.dy, collected in filters.

        dx = AT_dx [(G_dx w) * (BT_dx dy)]  is linear in dy and in w. Read as a function of w, its transpose is
        dw = G_dx^T [(AT_dx^T x) * (BT_dx dy)]: the one transform of dy serves both (a fourth transform would cost 6 %
        of a step), and the tiles of x do not overlap.
        """
        V = self.dy_tiles()
        np.matmul(V, filters.U_dx, out=self.dx.products)
        self.dx(out)
        filters.collect(self.x_tiles_dw(), V)


class Transform:
    """V[(a,b), (t,u,n), c] = sum_{i,j} B[a,i] B[b,j] image[step*t + i, step*u + j, n, c]  for tiles t, u
    that may overlap.
    """

    def __init__(self, B, image, step, tiles, scratch):
        (T, U), (p, k), (_, W, n, C), (row, pixel, _, item) = tiles, B.shape, image.shape, image.strides
        half = scratch(f"half{p}x{T}", (T, p, W, n * C))
        V = scratch(f"V{p}x{T}x{U}{'x' if k > step else 'dw'}", (p, p, T, U, n * C))
        view = np.lib.stride_tricks.as_strided
        self.B, self.half = B, half.reshape(T, p, W * n * C)
        self.rows = view(image, (T, k, W * n * C), (step * row, row, item))
        self.columns = view(half, (T, p, U, k, n * C), (*half.strides[:2], step * pixel, pixel, item))
        self.V, self.tiles = V.reshape(p * p, T * U * n, C), V.transpose(2, 0, 3, 1, 4)     # (T, p, U, p, n*C)

    def __call__(self):
        """V of the image as it is now, (p*p, T*U*n, C)."""
        np.matmul(self.B, self.rows, out=self.half)
        np.matmul(self.B, self.columns, out=self.tiles)
        return self.V


class Inverse:
    """y[m*t + i, m*u + j] = sum_{a,b} A[i,a] A[j,b] products[a,b,t,u]  for tiles of m x m
    that do not overlap, cut to h x w.
    """

    def __init__(self, A, tiles, shape, scratch):
        (T, U), (m, p), (h, w, n, K) = tiles, A.shape, shape
        M, half = scratch(f"M{p}x{T}x{U}", (p, p, T, U, n * K)), scratch(f"half{p}x{T}", (T, p, U, m, n * K))
        self.A, self.products = A, M.reshape(p * p, T * U * n, K)
        self.columns, self.half = M.transpose(0, 2, 3, 1, 4), half.transpose(1, 0, 2, 3, 4)   # (p, T, U, p or m, n*K)
        self.rows = half.reshape(T, p, U * m * n * K)[:, :, :w * n * K]
        self.whole, self.rest = divmod(h, m)

    def __call__(self, out):
        """Write y (h, w, n*K) of the products as they are now into out."""
        np.matmul(self.A, self.columns, out=self.half)
        m, whole, L = len(self.A), self.whole, self.rows.shape[-1]
        np.matmul(self.A, self.rows[:whole], out=out[:m * whole].reshape(whole, m, L))
        if self.rest:
            np.matmul(self.A[:self.rest], self.rows[whole], out=out[m * whole:].reshape(self.rest, L))
