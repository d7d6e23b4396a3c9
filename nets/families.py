"""The networks by name, and the functions that run them: the one place that chooses."""
from typing import NamedTuple

import numpy as np

from core import train
from nets import efficientnet_lite, head, preact_resnet, resnet
from nets.head import Head
from nets.preact_resnet import Architecture
from nets.preact_resnet_fast import FastNet
from nets.preact_resnet_gpu import net_for

NETS = {                               # widths and blocks of each stage
    "paper": dict(widths=(32, 64, 128), blocks=(5, 5, 5)),          # PreAct ResNet-32
    "medium": dict(widths=(32, 64, 128), blocks=(1, 1, 1)),
    "small": dict(widths=(16, 32, 64), blocks=(1, 1, 1)),
}
BACKBONES = (efficientnet_lite.NAME,)   # pretrained networks that make features: core/data/backbone.py
FINETUNED = "resnet"                   # all weights of a pretrained network: core/run/network.py
HEADS = {                              # on features of a pretrained network: units of the hidden layer
    "head": dict(hidden=256),
    "linear": dict(hidden=0),
}


def architecture(name, classes, features=None):
    """The architecture of that name for so many classes; features: their number, for a head."""
    if name in HEADS:
        return Head(features=features, classes=classes, **HEADS[name])
    return Architecture(classes=classes, **NETS[name])


def on_processors(arch, comm=None):
    """The fastest functions for this architecture on the CPU."""
    if isinstance(arch, resnet.Architecture):
        return resnet
    return head if isinstance(arch, Head) else FastNet(comm)


class Chosen(NamedTuple):
    """A network on a device."""
    net: object                        # its functions, by the contract of nets/__init__.py
    theta_epoch: object                # how it trains for one epoch
    prepare: object                    # prepare(arch, images, N, recipe): before the first epoch


def functions_for(arch, xp, comm, kernels=None, say=print):
    """The Chosen network on the device of xp.

    On a GPU the readable functions, or the kernels that store `kernels` ("half" or "float") where
    the GPU can run them; say(text) hears why not.
    """
    if xp is np:
        return Chosen(on_processors(arch, comm), train.theta_epoch, nothing)
    if isinstance(arch, Head):
        return Chosen(head, train.theta_epoch, nothing)
    net = net_for(xp, arch, say, kernels) if kernels else None
    return (Chosen(net, net.theta_epoch, net.prepare) if net else
            Chosen(preact_resnet, train.theta_epoch, nothing))


def nothing(*args):
    """There is nothing to prepare."""
