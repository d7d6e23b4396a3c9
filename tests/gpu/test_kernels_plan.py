"""What the network on the kernels plans to launch: written down and not run, without a compiler and without a GPU."""
from collections import defaultdict
from math import ceil, log2, prod
from types import SimpleNamespace

import numpy as np
import pytest

from core.kernels.convolution import BLOCKS, SINGLE
from core.kernels.program import NULL
from nets import preact_resnet_gpu
from nets.preact_resnet import Architecture
from nets.preact_resnet_gpu import GpuNet
from nets.preact_resnet_launches import LAYERS, SCALE, Network, loss_scale
from tests.lib.paper_launches import SHARED, Unfilled, launches

SUMS = 13                                          # where the sums are among the arguments of conv.cu


def numbers(launch):
    """Those in the brackets of the kernel's name."""
    return launch.name[:-1].partition("<")[2].split(", ")


def of_file(file, shared=SHARED[0]):
    """Launches of the paper's network."""
    return [launch for launch in launches("half", shared) if launch.file == file]


@pytest.mark.parametrize("shared", SHARED)
def test_weight_gradients_of_one_shape_share_launches_that_fill_the_gpu(shared):
    layers = defaultdict(list)
    for launch in of_file("wgrad.cu", shared):
        layers[launch.name].append(launch.grid[2])
        room = BLOCKS * (SINGLE if numbers(launch)[1] == "1" else 1)
        assert 2 / 3 * room < prod(launch.grid) <= room
    assert sum(map(sum, layers.values())) == 1 + 3 * 5 * 2 + 3      # the first, two in each block, the projections
    for together in layers.values():                                # the last one, for which a step may wait, is short
        assert together == sorted(together, reverse=True) and len(together) == ceil(sum(together) / LAYERS)


def test_weight_gradients_of_a_stage_begin_before_the_next_stage_is_through():
    last = max(k for k, launch in enumerate(launches("half")) if "GRADIENT" in launch.name)
    late = [launch for launch in launches("half")[last:] if launch.file == "wgrad.cu"]
    assert {numbers(launch)[3] for launch in late} == {"32"}                                # of the first stage


def test_six_weight_gradients_are_launched_as_soon_as_they_are_wanted():
    """The backward passes of the three layers left of the shape, the first of its stage among them, come after."""
    names = [launch.name for launch in launches("half")]
    for of_shape in {launch.name for launch in of_file("wgrad.cu") if launch.grid[2] == LAYERS}:
        first, last = (k for k, name in enumerate(names) if name == of_shape)
        assert sum("GRADIENT" in name for name in names[first:last]) > 3


def test_sums_are_made_where_a_normalisation_reads_them():
    """A projection is only added to what has its own."""
    made = defaultdict(set)
    for launch in of_file("conv.cu"):
        made[numbers(launch)[1]].add(launch.arguments[SUMS] is not NULL)
    assert made["GIVEN"] == {False} and made["BATCH"] == {True}


@pytest.mark.parametrize("N", [1, 2, 7, 64, 100, 128, 1000])
def test_the_loss_scale_costs_no_digit_and_follows_the_batch(N):
    assert log2(loss_scale(N)) % 1 == 0 and 2 / 3 < loss_scale(N) / (SCALE * N) < 3 / 2


def test_the_loss_scale_is_that_of_the_number_of_images():
    network = Network(Unfilled(), "half", {}, Architecture(blocks=(1, 1, 1)), (7, 32, 16, 3), False)
    assert network.parameters.full_scale == loss_scale(7)


def test_a_network_is_made_once_for_each_architecture_shape_and_mode(monkeypatch):
    made, compiled = [], []
    monkeypatch.setattr(preact_resnet_gpu, "Network", lambda *asked: made.append(asked[3:6]) or SimpleNamespace(
        program=SimpleNamespace(compile=lambda: compiled.append(asked[3:6]))))
    net = GpuNet(np)
    wanted = [(Architecture(classes=classes), (N, 8, 8, 3), inference)
              for classes in (3, 4) for N in (1, 2) for inference in (False, True)]
    found = [[net.network(*asked) for asked in wanted] for _ in range(2)]
    assert made == compiled == wanted and all(a is b for a, b in zip(*found))
    assert len({id(network) for network in found[0]}) == len(wanted)
