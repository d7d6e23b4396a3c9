"""Same seed, same bits: of weights, labels and records of both steps; again, in another process,
and however many threads."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import train
from core.model import fresh_model
from core.parallel.launch import launch
from nets import preact_resnet as net
from tests.paper.test_train import RECIPE, begin, state
from tests.parallel import test_train_on_ranks as on_ranks


def digest(seed=0):
    """One number for everything that both steps leave behind."""
    model, task, labels = begin(np, seed=seed)
    records = list(train.joint_optimization(model, task, labels, RECIPE))
    found = [*state(model), labels.Y, labels.ring]
    model = fresh_model(net, model.arch, np.random.default_rng(seed + 1), np)
    records += train.retrain(model, task, labels, RECIPE)
    text = repr([r._replace(seconds=0) for r in records]).encode()
    return hashlib.sha256(b"".join([text, *(a.tobytes() for a in [*found, *state(model)])])).hexdigest()


def test_same_seed_same_bits_and_another_seed_others():
    first = digest()
    assert digest() == first and digest(seed=1) != first


def digest_of_two_ranks():
    """The same for step 1 of the fast network, whose batches two ranks share."""
    return launch(lambda comm: on_ranks.digest("step 1", comm), 2)[0].hex()


@pytest.mark.parametrize("threads", [pytest.param("1", marks=pytest.mark.thorough), "2"])
@pytest.mark.parametrize("found_by", [digest, pytest.param(digest_of_two_ranks, marks=on_ranks.forking)])
def test_same_bits_in_another_process(found_by, threads):
    name = found_by.__name__
    command = [sys.executable, "-c", f"from tests.run.test_same_bits import {name}; print({name}())"]
    environment = {**os.environ, "PYTHONHASHSEED": threads, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    root = Path(__file__).parents[2]
    found = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == found_by(), found.stderr
