"""The network of a run: trained from scratch, a head on features, or pretrained and trained on."""
from core import train
from core.run.task import features_in
from nets.families import Chosen, architecture, functions_for, nothing
from nets.resnet import Pretrained


def network_of(config, data, xp, comm, say):
    """(architecture, Chosen functions) on the device of xp; say(text) hears remarks. Raises InputError."""
    if not config.finetune:
        arch = architecture(config.net, len(data.classes), features_in(data))
        return arch, functions_for(arch, xp, comm, config.kernels, say)
    from core.data import resnet_weights  # imported where needed: demo.py starts sooner

    arch, theta, running = resnet_weights.read(config.backbone)
    arch = arch._replace(classes=len(data.classes))
    return arch, Chosen(Pretrained(theta, running, xp), train.theta_epoch, nothing)
