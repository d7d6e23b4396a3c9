"""How long the features of a pretrained network take on the CPU: this program beside PyTorch, in turns.

    python -m benchmarks.backbone IMAGES.npy --out FILE       (N, H, W, 3) uint8; or CIFAR-10's folder

Contestants, with one thread each: the fast network, and PyTorch eager in both its layouts (left out where torch or
efficientnet-lite-pytorch is not installed). In every round each of them has the same resized images; the first round is
not counted, but the features are compared. The times are of the processor, so that a neighbour's work hardly counts.
Then the whole: features() of many images on all processors, with resizing and the start of the processes.
"""
import argparse
import os
import pickle
import platform
import resource
import statistics
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.turns import Foreign
from core.data import backbone, weights
from core.parallel.processors import available_processors
from nets.efficientnet_lite import parameters
from nets.efficientnet_lite_fast import FastLite

FAST, LAST, FIRST = "this program", "PyTorch, channels_last", "PyTorch, default layout"
BLOCK = 32                             # images of a turn


def contestants(size):
    """{name: the function from pixels (n, S, S, 3) uint8 to features (n, 1280)}"""
    path = backbone.weights()
    found = {FAST: FastLite(parameters(weights.read(path), path), size).features}
    try:
        import torch
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return found
    torch.set_num_threads(1)
    for name, layout in ((LAST, torch.channels_last), (FIRST, torch.contiguous_format)):
        found[name] = peer(torch, EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)), layout)
    return found


def peer(torch, net, layout):
    """The same function of PyTorch's network in one of its layouts."""
    net = net.eval().to(memory_format=layout)

    @torch.no_grad()
    def features(pixels):
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
        return net.extract_features((x - 127) / 128).mean((2, 3)).numpy()

    return features


def compete(images, size, rounds):
    """({contestant: ms of a processor for an image in each round}, ms for the resizing of one)"""
    running, spent, resizing, expected = contestants(size), {}, [], None
    for turn in range(rounds + 1):
        part = images[turn * BLOCK % len(images):][:BLOCK]
        start = time.process_time()
        large = backbone.resized(part, size)
        resizing.append(time.process_time() - start)
        for name, features in running.items():
            start = time.process_time()
            found = features(large)
            taken = 1e3 * (time.process_time() - start) / len(large)
            if turn:
                spent.setdefault(name, []).append(taken)
            else:
                expected = found if expected is None else expected
                assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected), f"{name} has other features"
    return spent, 1e3 * statistics.median(resizing) / BLOCK


def whole(images, size, jobs):
    """(wall seconds, seconds of processors) of features() with all that belongs to it."""
    def used():
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in both)

    start, before = time.perf_counter(), used()
    backbone.features(images, size, jobs=jobs)
    return time.perf_counter() - start, used() - before


def read(path):
    """The images of an .npy file, or the training images of CIFAR-10's folder."""
    if path.suffix == ".npy":
        return np.load(path)
    batches = [pickle.loads((path / f"data_batch_{k}").read_bytes(), encoding="bytes")[b"data"] for k in range(1, 6)]
    return np.ascontiguousarray(np.concatenate(batches).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def table(spent, resizing, size):
    """Lines of Markdown."""
    fast = statistics.median(spent[FAST])
    lines = ["| | ms of a processor for an image | fastest round | times this program's |", "|---|---|---|---|"]
    for name, taken in spent.items():
        median = statistics.median(taken)
        lines.append(f"| {name} | {median:.1f} | {min(taken):.1f} | {median / fast:.2f} |")
    return [*lines, "", f"Resizing to {size} pixels takes {resizing:.2f} ms, which all need alike."]


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--whole", type=int, default=10_000, help="images of the whole; 0: leave it out")
    parser.add_argument("--jobs", type=int, default=available_processors())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images, foreign = read(options.images), Foreign()
    with threadpool_limits(1):
        lines = table(*compete(images, options.size, options.rounds), options.size)
    if options.whole:
        part = images[:options.whole]
        wall, processors = whole(part, options.size, options.jobs)
        lines += ["", f"{len(part)} images on {options.jobs} processes: {wall:.0f} s, {processors:.0f} s of "
                  f"processors, {1e3 * processors / len(part):.1f} ms for an image."]
    lines += ["", f"{foreign.sentence()} {date.today()}, Python {platform.python_version()}, NumPy {np.__version__}"
              + (f", torch {version('torch')}" if LAST in "".join(lines) else "") + f", {os.cpu_count()} processors, "
              f"{options.rounds} rounds of {BLOCK} images at {options.size} pixels."]
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(f"# Features of EfficientNet-Lite0 on the CPU\n\n    python -m benchmarks.backbone "
                               f"{options.images.name} --size {options.size}\n\n{text}\n")


if __name__ == "__main__":
    main()
