"""The network of nets/preact_resnet.py on the fast units of core/fast,
on one or on several ranks (core/parallel/ranks.py).

FastNet(comm) has the functions of that file, with the same arguments, names and shapes, and replaces it:

    net = FastNet(comm)                             instead of   from nets import preact_resnet as net
    logits, cache = net.forward(theta, x, arch)     x, logits, dlogits: this rank's part of the batch, maybe empty
    g = net.backward(dlogits, cache)                this rank's share: the gradient is the sum of g over the ranks
    net.moments(cache)                              of the whole batch, the same on all ranks
    net.predict(theta, running, x, arch)            every rank for itself

Batch normalisation takes its statistics over the whole batch. g of gamma and beta comes from the sums of this rank's
part, so that *all* of g is to be added up, by the caller and in one call: flat = theta.gather(g); comm.allreduce(flat).
A cache holds the workspace, not copies: it is good until the next forward or predict. Letters: core/fast/units.py.
"""
import numpy as np

from core.fast.norm import NormBackward, norm_gradient, norm_of, norm_of_sums
from core.fast.units import head_backward, head_forward, stem_backward, stem_forward, unit_backward, unit_forward
from core.fast.workspace import Workspace
from core.parallel.ranks import Serial
from nets.preact_resnet import block_plan, init

BLOCK_BYTES = 2**19     # of an activation of the first stage: as fast as 2**20 within 3 %, 1.2 times as fast as 2**18


# DEVIATION 16: other algorithms for the same convolutions, so other rounding (docs/paper.md)
class FastNet:
    """The functions of the readable network; the object holds the communicator and the arrays that every batch uses
    again."""

    init = staticmethod(init)

    def __init__(self, comm=None):
        self.comm, self.spaces = comm or Serial(), {}

    def forward(self, theta, x, arch):
        """x (N, H, W, channels) -> logits (N, classes), with the statistics of all ranks' batch;
        returns (logits, cache)."""
        images, norms = np.array([len(x)], float), {}
        self.comm.allreduce(images)

        def norm(name, x, sums):
            self.comm.allreduce(sums)
            M = images[0] * x[0].shape[0] * x[0].shape[1]
            norms[name] = x, norm_of_sums(sums, M, theta[f"{name}.gamma"], theta[f"{name}.beta"]), M
            return norms[name][1]

        space = self.space(theta)
        logits, ends = through(space, block_length(theta, x, arch), theta, x, arch, norm)
        return logits, (arch, theta, space, norms, ends)

    def predict(self, theta, running, x, arch):
        """Logits in inference mode; block after block through the whole network, in the memory of one."""
        def norm(name, x, sums):
            return norm_of(running[f"{name}.mean"], running[f"{name}.var"], theta[f"{name}.gamma"],
                           theta[f"{name}.beta"])

        n, space = block_length(theta, x, arch), self.space(theta)
        return np.concatenate([through(space, n, theta, x[k:k + n], arch, norm)[0]
                               for k in range(0, max(len(x), 1), n)])

    def backward(self, dlogits, cache):
        """This rank's share of the gradient with respect to theta, under the names of theta:
        the forward pass read upwards."""
        (arch, theta, space, norms, (stem, pooled)), g = cache, {}

        def through_norm(name, g_h, sums, total=None):
            x, norm, M = norms[name]
            g[f"{name}.gamma"], g[f"{name}.beta"] = (v.astype(space.dtype) for v in norm_gradient(norm, sums))
            self.comm.allreduce(sums)
            return NormBackward(space, norm, sums, M, g_h, x, total)

        g["linear.w"], g["linear.b"] = pooled.T @ dlogits, dlogits.sum(axis=0)
        dx = through_norm("bn", *head_backward(space, dlogits @ theta["linear.w"].T, *norms["bn"][:2]))
        for name, _, _, stride, projecting in reversed(block_plan(arch)):
            dx = block_backward(space, theta, name, dx, norms, stride, projecting, through_norm, g)
        g["conv"] = stem_backward(space, dx.write_total, *stem, theta["conv"])
        return g

    def moments(self, cache):
        """The batch's contribution to the running statistics, under the names of `running`."""
        _, _, space, norms, _ = cache
        found = {}
        for name, (_, norm, M) in norms.items():
            found[f"{name}.mean"], found[f"{name}.var"] = norm.mean, norm.var * (M / max(M - 1, 1))
        return {name: moment.astype(space.dtype) for name, moment in found.items()}

    def space(self, theta):
        """The workspace for the dtype of theta."""
        dtype = theta["conv"].dtype
        return self.spaces.setdefault(dtype, Workspace(dtype))


def block_length(theta, x, arch):
    """How many images of x make a block."""
    _, H, W, _ = x.shape
    return max(1, BLOCK_BYTES // (H * W * arch.widths[0] * theta["conv"].itemsize))


def through(space, n, theta, x, arch, norm):
    """x (N, H, W, channels) -> logits (N, classes) in blocks of n;
     norm(name, x, sums) says how x is to be normalised."""
    x, columns, sums = stem_forward(space, "conv", x, theta["conv"], n)
    stem = x, columns
    for name, _, _, stride, projecting in block_plan(arch):
        bn1 = norm(f"{name}.bn1", x, sums)
        h, shortcut, sums = unit_forward(space, f"{name}.conv1", x, bn1, theta[f"{name}.conv1"], stride,
                                         theta[f"{name}.projection"] if projecting else None)
        bn2 = norm(f"{name}.bn2", h, sums)
        x, _, sums = unit_forward(space, f"{name}.conv2", h, bn2, theta[f"{name}.conv2"], 1, base=shortcut or x)
    pooled = head_forward(space, x, norm("bn", x, sums))
    return pooled @ theta["linear.w"] + theta["linear.b"], (stem, pooled)


def block_backward(space, theta, name, dout, norms, stride, projecting, through_norm, g):
    """The gradient of the block's x from that of its output, both as NormBackward."""
    conv1, conv2 = f"{name}.conv1", f"{name}.conv2"
    x, h = norms[f"{name}.bn1"][0], norms[f"{name}.bn2"][0]
    g_h, sums, g[conv2], _ = unit_backward(space, conv2, dout.write_total, h, theta[conv2], 1)
    dh = through_norm(f"{name}.bn2", g_h, sums)
    if not projecting:
        g_x, sums, g[conv1], _ = unit_backward(space, conv1, dh.write, x, theta[conv1], stride)
        return through_norm(f"{name}.bn1", g_x, sums, dout.total)
    g_x, sums, g[conv1], g[f"{name}.projection"] = unit_backward(
        space, conv1, dh.write, x, theta[conv1], stride, theta[f"{name}.projection"], dout.total)
    return through_norm(f"{name}.bn1", g_x, sums)
