"""What the paper's network launches, written down and not run."""
from functools import cache

import numpy as np

from core.batches import Images
from core.kernels.step import StepGraph
from core.kernels.variant import variant
from core.recipes import RECIPES
from nets.preact_resnet import Architecture
from nets.preact_resnet_launches import Network
from tests.lib.emulator import LARGEST, SMALLEST, Emulator

SHARED = SMALLEST, LARGEST


class Unfilled(Emulator):
    """Arrays of which nothing is looked at: they take no memory."""

    def empty(self, shape, dtype=float):
        return np.empty(shape, dtype)

    def zeros(self, shape, dtype=float):
        return np.empty(shape, dtype)


@cache
def launches(number, shared=SMALLEST, letters="rpc"):
    """All launches of the paper's network at batch 128: training, prediction; shared: bytes a block may ask for."""
    xp = Unfilled(shared=shared, capability=90 if shared == LARGEST else 80)
    pixels, mean = xp.empty((9, 32, 32, 3), np.uint8), xp.empty((32, 32, 3), np.float32)
    networks = [Network(xp, number, {}, Architecture(), (128, 32, 32, 3), inference, variant(letters))
                for inference in (False, True)]
    networks[0].program.compile = lambda: None                          # nothing to be run
    step = StepGraph(networks[0], Images(pixels, mean, 4, True), 1000, RECIPES["sn-70"])
    programs = step.program, networks[1].program
    return [launch for program in programs for section in program.sections.values() for launch in section]
