"""Small relatives of the ResNets, with parameters and images for them; weights by the names of other libraries."""
import re
import tracemalloc

import numpy as np

from core import train
from core.batches import Images
from core.data.resnet_weights import expected
from core.labels import SoftLabels
from core.model import Task, fresh_model
from core.objective import Objective
from core.recipes import Recipe
from nets import resnet
from nets.resnet import Architecture

BASIC = Architecture(classes=4, widths=(3, 5), blocks=(2, 1), bottleneck=False)
BOTTLENECK = Architecture(classes=3, widths=(2, 3), blocks=(1, 2), bottleneck=True)


def drawn(arch, seed=0, dtype=np.float64):
    """theta and running of which nothing is 0 or 1 on purpose, since zeros and ones hide errors."""
    rng = np.random.default_rng(seed)
    theta, running = resnet.init(arch, rng, dtype)
    theta = {name: a if a.ndim == 4 else (a + rng.standard_normal(a.shape) / 2).astype(dtype)
             for name, a in theta.items()}
    return theta, {name: (a + rng.random(a.shape)).astype(dtype) for name, a in running.items()}


def images(N=3, H=19, W=16, seed=1, dtype=np.float64):
    return (np.random.default_rng(seed).standard_normal((N, H, W, 3)) / 4).astype(dtype)


def tensors(arch, dtype=np.float32, seed=0):
    """{torchvision's name: array} of random weights, with num_batches_tracked."""
    rng, found = np.random.default_rng(seed), {}
    for name, (there, shape) in expected(arch).items():
        a = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) / 2)
        found[there] = (0.5 + abs(a) if name.endswith(".var") else a).astype(dtype)
        if name.endswith(".var"):
            found[there.replace("running_var", "num_batches_tracked")] = np.array(7)
    return found


def transformers_name(name):
    """The name in transformers of a tensor of torchvision's: fc.weight -> classifier.1.weight"""
    rules = [(r"^fc\.", "classifier.1."), (r"^conv1\.", "resnet.embedder.embedder.convolution."),
             (r"^bn1\.", "resnet.embedder.embedder.normalization."),
             (r"^layer(\d)\.(\d+)\.downsample\.0\.", r"resnet.encoder.stages.<\1>.layers.\2.shortcut.convolution."),
             (r"^layer(\d)\.(\d+)\.downsample\.1\.", r"resnet.encoder.stages.<\1>.layers.\2.shortcut.normalization."),
             (r"^layer(\d)\.(\d+)\.conv(\d)\.", r"resnet.encoder.stages.<\1>.layers.\2.layer.<\3>.convolution."),
             (r"^layer(\d)\.(\d+)\.bn(\d)\.", r"resnet.encoder.stages.<\1>.layers.\2.layer.<\3>.normalization.")]
    for pattern, there in rules:
        if re.match(pattern, name):
            return re.sub(r"<(\d)>", lambda m: str(int(m[1]) - 1), re.sub(pattern, there, name))
    raise AssertionError(f"no rule for {name}")


def peak_of_a_step(arch, size, N, pretrained=resnet.Pretrained):
    """Bytes at the worst moment of the second step, all that the model allocates included."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(2 * N, size, size, 3), dtype=np.uint8)
    images = Images(pixels, np.broadcast_to(resnet.MEAN.astype(np.float32), (size, size, 3)), 0, True)
    task, labels = Task(images, None, None, None, 0), SoftLabels(np.full((2 * N, 10), 0.1, np.float32), 1)
    tracemalloc.start()
    try:
        net = pretrained(*resnet.init(arch, rng)) if arch.frozen else resnet
        model = fresh_model(net, arch, rng, np)
        if arch.frozen:
            net.theta = None           # what it began with is the file's, not the step's
        steps = train.theta_iterations(model, task, labels, Objective(labels.Y[0], 1.2, 0.8), 1e-4,
                                       Recipe(1e-4, 1.2, 0.8, batch=N), 0)
        next(steps)
        tracemalloc.reset_peak()
        next(steps)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
