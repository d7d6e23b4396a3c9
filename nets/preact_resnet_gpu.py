"""The network of nets/preact_resnet.py on the kernels of core/kernels, for GPUs from compute capability 8.0 on.

GpuNet(xp) has the functions of that file, with the same arguments, names and shapes, and one more:

    net = GpuNet(cupy)                              instead of   from nets import preact_resnet as net
    net.theta_epoch(model, task, ...)               instead of   core/train.py: theta_epoch; a step is one CUDA graph

Activations and their gradients are stored in 16 bits (number "half") or in 32 ("float"); either way the factors of a
product have the 10-bit mantissa of TF32, and sums are float32. Parameters,
statistics and logits are float32 throughout.

A cache is the Network of that shape of batch, not a copy: it is good until the next forward of that shape, and so are
the arrays of gradients and moments.
"""

from core.errors import InputError
from core.kernels.parameters import PADDED
from core.kernels.step import StepGraph
from core.kernels.variant import Variant
from core.optim import flatten
from nets.preact_resnet import init
from nets.preact_resnet_launches import Network

WIDTHS = (16, 32, 64, 128)        # that the kernels are tried with; 128 with stride 2 would need too much shared memory
OLDEST = 8.0                           # compute capability: the first with mma for TF32 and with cp.async


def net_for(xp, arch, say, number="half"):
    """GpuNet, or None where the kernels can't be used; then it says why."""
    capability = int(xp.cuda.Device().compute_capability) / 10
    reason = unfit(arch)
    if capability < OLDEST:
        reason = f"they need compute capability {OLDEST}, this GPU has {capability}"
    if reason:
        say(f"kernels  not used: {reason}")
    return None if reason else GpuNet(xp, number, say=say)


def unfit(arch):
    """Why the kernels can't do what the architecture asks for, or ""."""
    if set(arch.widths) <= set(WIDTHS) and max(WIDTHS) not in arch.widths[:-1] and arch.channels <= PADDED:
        return ""
    return (f"they are made for widths among {WIDTHS}, the last of these only in the last stage, "
            f"and up to {PADDED} channels, not for {arch.widths} and {arch.channels}")


class GpuNet:
    """The functions of the readable network; the object keeps the kernels and the networks of all shapes met.

    say(text) hears what is to be said meanwhile.
    """

    init = staticmethod(init)

    def __init__(self, xp, number="half", variant=Variant(), say=lambda text: None):
        self.xp, self.number, self.variant, self.say, self.kernels, self.networks = xp, number, variant, say, {}, {}
        self.step = None               # what the last StepGraph was made for, and that

    def forward(self, theta, x, arch):
        """x (N, H, W, channels) -> logits (N, classes), with the batch's own statistics; returns (logits, cache)."""
        network = self.network(arch, x.shape, inference=False)
        network.load(theta, x)
        network.program.run("cast", "load_images", "forward")
        return network.logits.copy(), network

    def backward(self, dlogits, cache):
        """The gradient with respect to theta, under the names of theta."""
        cache.dlogits[...] = dlogits * cache.parameters.scale
        cache.program.run("backward")
        return dict(cache.parameters.gradient_views)

    def moments(self, cache):
        """The batch's contribution to the running statistics, under the names of `running`."""
        return dict(cache.moment_views)

    def predict(self, theta, running, x, arch):
        """Logits in inference mode: batch normalisation with the running statistics."""
        network = self.network(arch, x.shape, inference=True)
        network.load(theta, x)
        network.running[...] = flatten(running[name] for name in network.running_views)
        network.program.run("cast", "load_images", "forward")
        return network.logits.copy()

    def prepare(self, arch, images, N, recipe):
        """All that a training on these N images launches, compiled: before its first epoch, whose time is told."""
        if self.step is None:
            self.say("kernels  are compiled, if they are new to this machine: about half a minute")
        self.step_for(arch, images, N, recipe)
        self.network(arch, (1, *images.pixels.shape[1:]), inference=True)   # for any number of images the same kernels

    def theta_epoch(self, model, task, labels, objective, lr, recipe, epoch):
        """core/train.py: theta_epoch on the kernels, an iteration as one CUDA graph."""
        step = self.step_for(model.arch, task.train, len(labels.Y), recipe)
        return step.theta_epoch(model, task, labels, objective, lr, epoch)

    def step_for(self, arch, images, N, recipe):
        """The StepGraph for these N images, made once."""
        pixels, mean, pad, flip = images
        shape = min(recipe.batch, N), *pixels.shape[1:]
        made_for = arch, shape, N, recipe.momentum, recipe.decay, id(pixels), id(mean), pad, flip
        if self.step is None or self.step[0] != made_for:
            self.step = made_for, StepGraph(self.network(arch, shape, False), images, N, recipe, self.say)
        return self.step[1]

    def network(self, arch, shape, inference):
        """The Network for that shape of batch, compiled. Raises InputError for an architecture that is unfit."""
        key = arch, tuple(shape), inference
        if unfit(arch):
            raise InputError(f"the kernels can't be used: {unfit(arch)}")
        if key not in self.networks:
            self.networks[key] = Network(self.xp, self.number, self.kernels, arch, key[1], inference, self.variant)
            self.networks[key].program.compile()
        return self.networks[key]
