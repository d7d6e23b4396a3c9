"""A network in training: its parameters, its running statistics, and the ranks that share it.

With several ranks (core/parallel/ranks.py) each takes its part of a mini-batch through the network.
Logits are gathered and gradients summed here, so that core/train.py reads as if there were one
process: every rank sees z and dtheta of the whole mini-batch, and does everything else alike.
"""
from typing import NamedTuple

from core.backend import to_device
from core.optim import Flat, update_running
from core.parallel.ranks import Serial, gathered, part_of


class Model(NamedTuple):
    """A network and everything that training changes in it."""
    net: object                        # a network by the contract of nets/__init__.py
    arch: object
    theta: Flat                        # parameters
    running: Flat                      # running means and variances of batch normalisation
    velocity: object                   # v of momentum, of theta's size
    comm: object = Serial()            # the ranks that share the training

    def part(self, i):
        """This rank's part of the rows i (B,); all of them where there is one rank."""
        return i[part_of(self.comm, len(i))]

    def forward(self, x, B):
        """(z (B, C), cache): logits of the whole mini-batch, from this rank's part x of it."""
        z, cache = self.net.forward(self.theta.views, x, self.arch)
        return gathered(self.comm, z, B), cache

    def backward(self, dz, cache):
        """dL/dtheta of the whole mini-batch as a flat array, from dL/dz (B, C)."""
        gradient = self.theta.gather(self.net.backward(self.part(dz), cache))
        self.comm.allreduce(gradient)
        return gradient

    def update_running(self, cache):
        """The running statistics take in the moments of the mini-batch."""
        update_running(self.running.buffer, self.running.gather(self.net.moments(cache)))

    def predict(self, x):
        """Logits of this rank's images x in inference mode."""
        return self.net.predict(self.theta.views, self.running.views, x, self.arch)

    def buffers(self):
        """Everything that training changes, as flat arrays."""
        return self.theta.buffer, self.running.buffer, self.velocity


class Task(NamedTuple):
    """Data and seed shared by step 1 and step 2. Arrays lie on the device of the model."""
    train: object                      # Images
    validation: tuple                  # (Images, labels (N,))
    test: tuple                        # (Images, labels (N,))
    truth: object                      # (N,) true labels, -1 where unknown; None where all are
    seed: int


def fresh_model(net, arch, rng, xp, comm=Serial()):
    """A Model with new weights on the device of xp."""
    theta, running = ({name: to_device(a, xp) for name, a in arrays.items()}
                      for arrays in net.init(arch, rng))
    theta = Flat(theta)
    running = Flat(running, empty=theta.buffer[:0])          # none without batch normalisation
    return Model(net, arch, theta, running, xp.zeros_like(theta.buffer), comm)
