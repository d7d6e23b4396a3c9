"""A whole training step as one CUDA graph: batch, forward, objective, backward, SGD; the host says "again" and nothing else.

What changes from step to step lies on the device: which batch (state), learning rate, alpha and beta (settings), the order of the
samples. The kernels count the steps themselves. At the beginning of an epoch parameters and labels are copied in, at its end
parameters and predictions are copied out; between them the host waits for nothing.

N images, B batch, C classes.
"""
import math

import numpy as np

from core.batches import batches, mixed
from core.errors import NotFinite
from core.finite import all_finite
from core.kernels.program import integers

SECTIONS = ("gather", "forward", "objective", "backward", "update")
THREADS = 256             # of the block of objective.cu
RATE = 0.1                # of the running statistics: core/optim.py, update_running


class Step:
    """The graph for one network and the images of one training. begin, run, run, ..., end: inside `with step.stream`."""

    def __init__(self, network, images, N, recipe):
        self.network, self.program, self.images, self.graph = network, network.program, images, None
        array, (B, *_), C = self.program.array, network.shape, network.arch.classes
        self.order = array((-(-N // B) + 1) * B, np.int32)
        self.state, self.settings = array(4, np.int32), array(3, np.float32)
        self.Y, self.ring, self.p = array((N, C), np.float32), array((N, C), np.float32), array(C, np.float32)
        self.log_s, self.sums, self.not_finite = array((B, C), np.float32), array(5, np.float32), array(1, np.int32)
        self.velocity = array(network.parameters.size, np.float32)
        self.stream = self.program.xp.cuda.Stream(non_blocking=True, priority=-1)          # before what is launched aside
        for name, write in (("gather", gather), ("objective", objective), ("update", update)):
            self.program.sections.pop(name, None)                               # of a Step before this one
            with self.program.section(name):
                write(self, recipe)
        self.program.compile()

    def theta_epoch(self, model, task, labels, objective, lr, epoch):
        """core/train.py: theta_epoch, with the same meaning of all arguments."""
        xp, (p, alpha, beta) = self.program.xp, objective
        xp.cuda.get_current_stream().synchronize()                              # what was computed elsewhere is there
        with self.stream:
            steps = self.begin(model, task.seed, labels, p, (lr, alpha, beta), epoch)
            for _ in range(steps):
                self.run()
            self.end(model, labels)
            means, not_finite = (self.sums / steps).tolist(), int(self.not_finite[0])
            finite = all(map(math.isfinite, means)) and bool(all_finite(*model.buffers()))
        self.stream.synchronize()
        if not_finite and self.program.number == "half":
            raise NotFinite(f"{not_finite} numbers of the gradients in epoch {epoch + 1} did not fit into 16 bits: begin again with "
                            "a smaller --lr, or with --kernels float")
        if not_finite or not finite:
            raise NotFinite(f"the loss is no longer finite in epoch {epoch + 1} (learning rate {lr}): begin again with a smaller --lr")
        return means

    def begin(self, model, seed, labels, p, settings, epoch):
        """Everything that the epoch's steps read; returns their number."""
        xp, B = self.program.xp, self.network.shape[0]
        found = list(batches(len(labels.Y), B, seed, epoch))
        order = np.concatenate([i for i, _ in found]).astype(np.int32)
        key = mixed(mixed(np.array([seed & 0xFFFFFFFF], np.uint32)) ^ np.uint32(epoch)).view(np.int32)[0]
        self.order[:len(order)] = xp.asarray(order)
        self.state[...] = xp.asarray(np.array([0, len(found), found[-1][1], key], np.int32))
        self.settings[...] = xp.asarray(np.array(settings, np.float32))
        self.sums[...], self.not_finite[...] = 0, 0
        for mine, theirs in self.pairs(model, labels):
            mine[...] = theirs
        self.program.run("cast")
        self.Y[...], self.p[...] = labels.Y, p
        return len(found)

    def end(self, model, labels):
        """Back to the model and the labels."""
        for mine, theirs in self.pairs(model, labels):
            theirs[...] = mine

    def pairs(self, model, labels):
        """(array of the graph, array of the training) of all that an epoch changes."""
        slot = labels.ring[labels.epochs % len(labels.ring)]
        return ((self.network.parameters.theta, model.theta.buffer), (self.velocity, model.velocity),
                (self.network.running, model.running.buffer), (self.ring, slot))

    def run(self):
        """One step. The first runs launch by launch, which loads the kernels, and is then captured for all others."""
        if self.graph is not None:
            self.graph.launch()
            return
        self.program.run(*SECTIONS)
        self.stream.begin_capture()
        self.program.run(*SECTIONS)
        self.graph = self.stream.end_capture()


# ---- what is launched beside the network -------------------------------------------------------------------------------

def gather(step, recipe):
    """x = the augmented images of the batch."""
    (B, H, W, channels), images = step.network.shape, step.images
    step.program.launch("ends.cu", "gather<T>", (-(-B * H * W // 256),), 256, (
        images.pixels, images.mean, step.order, step.state, step.network.x, *integers(B, H, W, channels, images.pad, images.flip)))


def objective(step, recipe):
    """dlogits, the sums of the epoch, and the predictions."""
    network, (B, C) = step.network, step.log_s.shape
    step.program.launch("objective.cu", "objective", (1,), THREADS, (
        network.logits, step.Y, step.p, step.settings, step.state, step.order, step.log_s, network.dlogits, step.ring, step.sums,
        np.float32(network.scale), *integers(B, C)), 4 * (2 * C + 3 * THREADS))


def update(step, recipe):
    """theta, the weights of the next step, the running statistics, and the number of the step."""
    network, parameters, size = step.network, step.network.parameters, len(step.network.running)
    parameters.update(step.velocity, step.settings, recipe.momentum, recipe.decay)
    step.program.launch("sgd.cu", "advance", (-(-size // 256),), 256, (
        network.running, network.moments, np.float32(RATE), *integers(size), step.state, parameters.bad,
        *integers(len(parameters.bad)), step.not_finite), 4 * 256)
