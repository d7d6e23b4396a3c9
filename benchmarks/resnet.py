"""How long a ResNet takes on the CPU, in inference and in a step of fine-tuning: this program beside PyTorch, in turns.

    python -m benchmarks.resnet                       ResNet-50, 224 pixels; writes benchmarks/results/resnet.md
    python -m benchmarks.resnet --depth 18 --rounds 3 --out FILE

All have the same random weights and images, and one thread. In every round each of them has its turn; the first round
is not counted, but features, logits and gradients are compared. The times are of the processor, so that a neighbour's
work hardly counts. A step: forward, backward, SGD with momentum, batch normalisation with its statistics frozen.
Needs torch; without it the program measures itself alone.
"""
import argparse
import os
import platform
import statistics
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.turns import Foreign
from core.data.resnet_weights import expected
from core.optim import Flat, sgd_step
from nets import resnet
from nets.resnet_fast import FastResnet
from nets.resnet_fast_memory import fast_training_bytes
from nets.resnet_fast_training import FastPretrained
from nets.resnet_memory import training_bytes

RESULTS = Path(__file__).parent / "results"
FAST, READABLE, LAST, FIRST = "fast", "readable", "PyTorch, channels_last", "PyTorch, default layout"
LR, MOMENTUM, DECAY = 1e-4, 0.9, 1e-3
BOUND = 1e-2                           # of float32 results: an activation near 0 may fall on the other side of ReLU


def weights(arch, seed=0):
    """(theta, running) of random weights that keep the activations finite."""
    rng = np.random.default_rng(seed)
    theta, running = resnet.init(arch, rng)
    last = 3 if arch.bottleneck else 2
    theta |= {name: a / 4 for name, a in theta.items() if name.endswith(f"bn{last}.gamma")}    # many blocks are added
    return theta, {name: a + rng.random(a.shape, np.float32) / 4 for name, a in running.items()}


# ---- contestants ---------------------------------------------------------------------------------------------------

def inference(arch, theta, running):
    """{name: the function from pixels (n, S, S, 3) uint8 to features (n, D)}"""
    found = {FAST: FastResnet(theta, running, arch).features,
             READABLE: lambda pixels: resnet.features(theta, running, resnet.centred(pixels), arch)}
    return found | {name: torch_features(arch, theta, running, name) for name in peers()}


def steps(arch, theta, running):
    """{name: the function from (pixels, dlogits) to (logits, gradient as {torchvision's name: array})}, which takes a
    step too."""
    found = {FAST: numpy_step(FastPretrained(theta, running), arch, theta),
             READABLE: numpy_step(resnet.Pretrained(theta, running), arch, theta)}
    return found | {name: torch_step(arch, theta, running, name) for name in peers()}


def peers():
    """PyTorch's layouts, where it is installed."""
    try:
        import torch
    except ImportError:
        return []
    torch.set_num_threads(1)
    return [LAST, FIRST]


def numpy_step(net, arch, theta):
    flat = Flat({name: a.copy() for name, a in theta.items()})
    velocity, names = np.zeros_like(flat.buffer), expected(arch)

    def step(pixels, dlogits):
        logits, cache = net.forward(flat.views, resnet.centred(pixels), arch)
        gradient = net.backward(dlogits, cache)
        sgd_step(flat.buffer, velocity, flat.gather(gradient), LR, MOMENTUM, DECAY)
        return logits, {names[name][0]: layout_there(a) for name, a in gradient.items()}

    return step


def layout_there(a):
    return a.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[a.ndim])


def module(arch, theta, running, name):
    """PyTorch's network with these weights, in one of its layouts."""
    import torch

    from tests.reference.twin_resnet import ResNet

    net, names = ResNet(arch.blocks, arch.bottleneck, arch.classes), expected(arch)
    tensors = {names[key][0]: torch.from_numpy(layout_there(a).copy()) for key, a in (theta | running).items()}
    net.load_state_dict(tensors, strict=False)             # but for num_batches_tracked
    layout = torch.channels_last if name == LAST else torch.contiguous_format
    return torch, net.eval().to(memory_format=layout), layout


def input_of(torch, pixels, layout):
    """x (n, 3, S, S), normalised."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
    mean, std = (torch.from_numpy(a.astype(np.float32))[:, None, None] for a in (resnet.MEAN, resnet.STD))
    return (x / 255 - mean) / std


def torch_features(arch, theta, running, name):
    torch, net, layout = module(arch, theta, running, name)

    @torch.no_grad()
    def features(pixels):
        return net.features(input_of(torch, pixels, layout)).numpy()

    return features


def torch_step(arch, theta, running, name):
    torch, net, layout = module(arch, theta, running, name)
    sgd = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=DECAY)

    def step(pixels, dlogits):
        sgd.zero_grad()
        logits = net(input_of(torch, pixels, layout))
        logits.backward(torch.from_numpy(dlogits))
        gradient = {key: a.grad.numpy() for key, a in net.named_parameters()}
        sgd.step()
        return logits.detach().numpy(), gradient

    return step


# ---- turns ---------------------------------------------------------------------------------------------------------

def compete(running, arguments, images, rounds):
    """{contestant: seconds of a processor for an image in each round}"""
    spent, first = {name: [] for name in running}, None
    for turn in range(rounds + 1):
        for name, function in running.items():
            start = time.process_time()
            found = function(*arguments)
            spent[name].append((time.process_time() - start) / images)
            if turn == 0:
                first = first or found_of(found)
                compare(found_of(found), first, name)
    return {name: seconds[1:] for name, seconds in spent.items()}


def found_of(found):
    """What is compared, by name."""
    return {"features": found.copy()} if isinstance(found, np.ndarray) else {"logits": found[0]} | {
        name: a.copy() for name, a in found[1].items()}


def compare(found, first, name):
    for key, a in first.items():
        error = np.linalg.norm(found[key] - a) / np.linalg.norm(a)
        assert error <= BOUND, f"{name} has another {key}: {error:.1e}"


def table(title, spent, ours):
    """Lines of Markdown."""
    base = statistics.median(spent[ours])
    lines = [f"### {title}", "", "| | seconds of a processor for an image | fastest round | times this program's |",
             "|---|---|---|---|"]
    for name, seconds in spent.items():
        median = statistics.median(seconds)
        lines.append(f"| {name} | {median:.3f} | {min(seconds):.3f} | {median / base:.2f} |")
    return [*lines, ""]


def circumstances(foreign, rounds):
    """One line: hardware and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")),
                     platform.machine())
    torch = f", torch {version('torch')}" if peers() else ""
    return (f"{foreign.sentence()} {date.today()}, {processor}, {os.cpu_count()} processors, Python "
            f"{platform.python_version()}, NumPy {np.__version__}{torch}, {rounds} rounds.")


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, choices=resnet.BLOCKS, default=50)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8, help="images of a turn in inference")
    parser.add_argument("--step", type=int, default=8, help="images of a step")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--note", default="", help="a sentence for the report")
    parser.add_argument("--out", type=Path, default=RESULTS / "resnet.md")
    options = parser.parse_args()
    arch, foreign = resnet.architecture(options.depth, frozen=True), Foreign()
    theta, running = weights(arch)
    rng = np.random.default_rng(1)
    pixels = rng.integers(256, size=(options.batch, options.size, options.size, 3), dtype=np.uint8)
    dlogits = rng.standard_normal((options.step, arch.classes)).astype(np.float32) / 100
    with threadpool_limits(1):
        lines = table(f"Features, {options.batch} images",
                      compete(inference(arch, theta, running), [pixels], options.batch, options.rounds), FAST)
        lines += table(f"A step of fine-tuning, {options.step} images",
                       compete(steps(arch, theta, running), [pixels[:options.step], dlogits], options.step,
                               options.rounds), FAST)
    fast, readable = (bytes_of(arch, options.size, options.step) / 1e6
                      for bytes_of in (fast_training_bytes, training_bytes))
    lines += [f"A step on {options.step} images needs {fast:.0f} MB, of the readable network {readable:.0f} MB "
              "(nets/resnet_fast_memory.py, nets/resnet_memory.py).", "",
              f"{options.note} {circumstances(foreign, options.rounds)}".strip()]
    print("\n".join(lines))
    options.out.write_text("\n".join([f"# ResNet-{options.depth} on the CPU at {options.size} pixels", "",
                                      f"    python -m benchmarks.resnet {' '.join(sys.argv[1:])}".rstrip(), "",
                                      *lines, ""]))


if __name__ == "__main__":
    main()
