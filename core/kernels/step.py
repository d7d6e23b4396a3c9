"""A whole training step as one CUDA graph: batch, forward, objective, backward, SGD. The host only replays it.

Everything that changes between steps lies on the device: the number of the batch (state), learning rate, alpha and beta
(settings), the order of the samples. The kernels count the steps themselves, and skip one whose gradient is not finite.
An epoch copies parameters and labels in at its start, parameters and predictions out at its end, and does not
synchronise in between.

N images, B batch, C classes.
"""
import math

import numpy as np

from core.batches import batches, mixed
from core.errors import NotFinite
from core.finite import all_finite
from core.kernels.graph import with_priorities
from core.kernels.program import integers

SECTIONS = ("gather", "forward", "objective", "backward", "update")
THREADS = 256             # of the block of objective.cu
RATE = 0.1                # of the running statistics, as in update_running of core/optim.py
ENOUGH = 20               # consecutive skipped steps after which the loss scale is not the cause


class StepGraph:
    """The graph for one network and the images of one training. begin, run, run, ..., end: inside `with step.stream`.

    say(text) receives a message about skipped steps.
    """

    def __init__(self, network, images, N, recipe, say=lambda text: None):
        self.network, self.program, self.images, self.again = network, network.program, images, None
        array, (B, *_), C = self.program.array, network.shape, network.arch.classes
        self.order = array((-(-N // B) + 1) * B, np.int32)
        self.state, self.settings = array(4, np.int32), array(3, np.float32)
        self.Y, self.ring, self.p = array((N, C), np.float32), array((N, C), np.float32), array(C, np.float32)
        self.log_s, self.sums, self.say, self.trained = array((B, C), np.float32), array(5, np.float32), say, None
        self.velocity = array(network.parameters.size, np.float32)
        self.stream = self.program.xp.cuda.Stream(non_blocking=True, priority=-1)          # above the launches aside
        for name, write in (("gather", gather), ("objective", objective), ("update", update)):
            self.program.sections.pop(name, None)                               # of an earlier StepGraph
            with self.program.section(name):
                write(self, recipe)
        self.program.compile()

    def theta_epoch(self, model, task, labels, objective, lr, epoch):
        """theta_epoch of core/train.py, with the same arguments. Raises NotFinite."""
        xp, (p, alpha, beta) = self.program.xp, objective
        xp.cuda.get_current_stream().synchronize()                              # wait for results of other streams
        with self.stream:
            steps = self.begin(model, task.seed, labels, p, (lr, alpha, beta), epoch)
            for _ in range(steps):
                self.run()
            self.end(model, labels)
            means, (_, left_out, _, _, most) = (self.sums / steps).tolist(), self.network.parameters.fate.tolist()
            finite = all(map(math.isfinite, means)) and bool(all_finite(*model.buffers()))
        self.stream.synchronize()
        check(finite, left_out, most, self.program.number == "half", epoch, lr)
        if left_out:
            self.say(f"note     epoch {epoch + 1}: {left_out} of {steps} steps left out, since a gradient did not fit "
                     f"into 16 bits; loss scale {float(self.network.parameters.scale[0]):g} from now on")
        return means

    def begin(self, model, seed, labels, p, settings, epoch):
        """Copy in everything that the epoch's steps read; returns their number."""
        xp, B = self.program.xp, self.network.shape[0]
        found = list(batches(len(labels.Y), B, seed, epoch))
        order = np.concatenate([i for i, _ in found]).astype(np.int32)
        key = mixed(mixed(np.array([seed & 0xFFFFFFFF], np.uint32)) ^ np.uint32(epoch)).view(np.int32)[0]
        self.order[:len(order)] = xp.asarray(order)
        self.state[...] = xp.asarray(np.array([0, len(found), found[-1][1], key], np.int32))
        self.settings[...] = xp.asarray(np.array(settings, np.float32))
        self.sums[...], parameters = 0, self.network.parameters
        if self.trained is not model.theta.buffer:                              # a new training
            self.trained, parameters.scale[...], parameters.fate[...] = model.theta.buffer, parameters.full_scale, 0
        parameters.fate[:2] = 0                                                 # BAD, SKIPPED of sgd.cu
        for mine, theirs in self.pairs(model, labels):
            mine[...] = theirs
        self.program.run("cast")
        self.Y[...], self.p[...] = labels.Y, p
        return len(found)

    def end(self, model, labels):
        """Copy the results to the model and the labels."""
        for mine, theirs in self.pairs(model, labels):
            theirs[...] = mine

    def pairs(self, model, labels):
        """(array of the graph, array of the training) for everything that an epoch changes."""
        slot = labels.ring[labels.epochs % len(labels.ring)]
        return ((self.network.parameters.theta, model.theta.buffer), (self.velocity, model.velocity),
                (self.network.running, model.running.buffer), (self.ring, slot))

    def run(self):
        """One step. The first runs launch by launch, which loads the kernels, and is captured; all others replay it."""
        if self.again is not None:
            self.again()
            return
        self.program.run(*SECTIONS)
        self.stream.begin_capture()
        self.program.run(*SECTIONS)
        graph = self.stream.end_capture()
        self.again = with_priorities(graph, self.stream) if self.program.variant.priorities else graph.launch


def check(finite, left_out, most, half, epoch, lr):
    """Raises NotFinite if training cannot continue after this epoch. left_out, most: SKIPPED and MOST of sgd.cu."""
    again = "start again with a smaller --lr" + ", or resume the run with --kernels float" * half
    if not finite or (left_out and not half):
        raise NotFinite(f"the loss is no longer finite in epoch {epoch + 1} (learning rate {lr}): {again}")
    if most >= ENOUGH:
        raise NotFinite(f"the gradients of {most} steps in a row did not fit into 16 bits, until epoch {epoch + 1}: "
                        f"{again}")


# ---- launches around the network -----------------------------------------------------------------------------------

def gather(step, recipe):
    """x = the augmented images of the batch."""
    (B, H, W, channels), images = step.network.shape, step.images
    step.program.launch("head_stem.cu", "gather<T>", (-(-B * H * W // 256),), 256, (
        images.pixels, images.mean, step.order, step.state, step.network.x,
        *integers(B, H, W, channels, images.pad, images.flip)))


def objective(step, recipe):
    """dlogits, the epoch's sums of the loss terms, and the predictions."""
    network, scale, (B, C) = step.network, step.network.parameters.scale, step.log_s.shape
    step.program.launch("objective.cu", "objective", (1,), THREADS, (
        network.logits, step.Y, step.p, step.settings, step.state, step.order, scale, step.log_s, network.dlogits,
        step.ring, step.sums, *integers(B, C)), 4 * (2 * C + 3 * THREADS))


def update(step, recipe):
    """theta, weights, running statistics, step number, and loss scale."""
    network, parameters, size = step.network, step.network.parameters, len(step.network.running)
    parameters.update(step.velocity, step.settings, recipe.momentum, recipe.decay)
    step.program.launch("sgd.cu", "advance", (-(-size // 256),), 256, (
        network.running, network.moments, np.float32(RATE), *integers(size), step.state, parameters.scale,
        np.float32(parameters.full_scale), parameters.fate))
