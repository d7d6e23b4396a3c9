"""The network of a run: trained from scratch, a head on features, or pretrained and trained on."""
import numpy as np

from core import train
from core.run.task import features_in
from nets.families import Chosen, architecture, functions_for, nothing
from nets.resnet import Pretrained
from nets.resnet_fast_memory import fast_training_bytes
from nets.resnet_fast_training import FastPretrained
from nets.resnet_memory import training_bytes


def network_of(config, data, xp, comm, say):
    """(architecture, Chosen functions) on the device of xp; say(text) hears remarks. Raises InputError."""
    if not config.finetune:
        arch = architecture(config.net, len(data.classes), features_in(data))
        return arch, functions_for(arch, xp, comm, config.kernels, say)
    from core.data import resnet_weights  # imported where needed: demo.py starts sooner

    arch, theta, running = resnet_weights.read(config.backbone)
    arch = arch._replace(classes=len(data.classes))
    net = FastPretrained(theta, running) if xp is np else Pretrained(theta, running, xp)
    if comm.rank == 0:
        needed = fast_training_bytes if xp is np else training_bytes
        share = -(-config.recipe.batch // comm.size)
        say(f"memory   {needed(arch, data.train.images.shape[1], share) / 1e9:.1f} GB for a training step of {share} "
            f"images{f', in each of {comm.size} processes' if comm.size > 1 else ''}, without the images")
    return arch, Chosen(net, train.theta_epoch, nothing)
