"""What else would be compiled or read while something is timed: python -m benchmarks.gpu_warm half|float|torch

half, float: the kernels of a training step and of inference, for the paper's network; they are not run. CuPy keeps them
for the next process. NVRTC takes about 20 s for each kind of numbers. torch: its libraries, some GB of them.
"""
import argparse
import sys

from benchmarks.gpu import PAPER
from benchmarks.gpu_peers import Kernels
from core.backend import first_line
from core.errors import InputError

INFERENCE = 500                        # images in a batch of core.measure.predictions


def kernels(number):
    """Compile; returns how many kernels there are."""
    peer = Kernels(PAPER, number=number)
    peer.net.network(PAPER.arch, (INFERENCE, PAPER.size, PAPER.size, PAPER.arch.channels), inference=True)
    return len(peer.net.kernels)


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("half", "float", "torch"))
    what = parser.parse_args(argv).what
    try:
        if what == "torch":
            import torch
            print(f"{torch.__version__} on {torch.zeros(1).cuda().device}")
        else:
            print(f"{kernels(what)} kernels compiled")
    except (InputError, ImportError, AssertionError) as error:        # the last: a PyTorch without CUDA
        print(first_line(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
