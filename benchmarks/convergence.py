"""Does a training on the CUDA kernels end where the readable one ends?

    python -m benchmarks.convergence                        on a GPU: the digits, both steps; minutes
    python -m benchmarks.convergence --data PATH --recipe sn-70 --rate 0.7 --net paper --seeds 3
    python -m benchmarks.convergence --emulated --jobs 2    in the tests' emulator: 240 images of 3 digits; ten minutes

Images and wrong labels are the same in all trainings; a seed decides weights, order and augmentation. The yardstick is
what changes when nothing essential does: other seeds (their standard deviation, of the readable path), and the same
seed with weights that are rounded once, to 11 bits, before the first step ("nudged"). --compared: how many seeds the
kernels get. --jobs: trainings at a time.
"""
import argparse
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.gpu_report import circumstances
from core import backend, train
from core.files import save_text
from core.labels import SoftLabels, one_hot
from core.measure import of_training
from core.model import fresh_model
from core.recipes import RECIPES, Recipe
from core.run.config import Config
from core.run.inputs import given_labels, read_data
from core.run.task import as_task
from nets import preact_resnet
from nets.families import architecture
from nets.preact_resnet_gpu import GpuNet

OUT = Path(__file__).parent / "results" / "kernels-convergence.md"
PATHS = ("readable", "nudged", "kernels, half", "kernels, float")
SMALL = Config(Recipe(lr=0.1, alpha=1.2, beta=0.8, epochs=16, begin=10, K=5, epochs2=0, batch=32), digits=(800, 0, 300))
SEEDS = 5


def few(data, C=3):
    """The images of the first C classes, shifted by one pixel at most: SMALL is learned in 128 steps."""
    def part(split):
        kept = split.labels < C
        return split._replace(**{name: getattr(split, name)[kept] for name in ("images", "labels", "index", "truth")})
    splits = {name: part(getattr(data, name)) for name in ("train", "validation", "test")}
    return data._replace(classes=data.classes[:C], pad=1, **splits)


def trained(config, xp, path, seed):
    """The records of both steps on one path."""
    data, recipe = read_data(config).data, config.recipe
    data = few(data) if config == SMALL else data
    net = GpuNet(xp, path.split()[-1]) if path.startswith("kernels") else preact_resnet
    task, arch = as_task(data, seed, xp), architecture(config.net, len(data.classes))
    given = one_hot(xp.asarray(given_labels(config, data)), len(data.classes))

    def model(step):
        fresh = fresh_model(net, arch, np.random.default_rng([seed, step]), xp)
        if path == "nudged":
            fresh.theta.buffer[...] = fresh.theta.buffer.astype(np.float16)
        return fresh

    labels, records = SoftLabels(given, recipe.K), []
    theta_epoch = getattr(net, "theta_epoch", train.theta_epoch)
    for record in train.joint_optimization(model(1), task, labels, recipe, theta_epoch=theta_epoch):
        shown = ("epoch", "loss", "recovery", "test")
        print(path, seed, *(f"{name} {getattr(record, name):.4f}" for name in shown), flush=True)
        records.append(record)
    return records + list(train.retrain(model(2), task, SoftLabels(labels.Y, 1), recipe, theta_epoch=theta_epoch))


def one(config, emulated, path, seed):
    """The same in a process of its own."""
    if emulated:
        from tests.lib.emulator import Emulator
        backend.cupy = Emulator()
    else:
        backend.use_gpu()
    return trained(config, backend.cupy, path, seed)


def measured(records):
    """{what: its value at the end}"""
    joint = of_training(records, "joint")[-1]
    found = {"loss": joint.loss, "labels, %": 100 * joint.recovery, "test, %": 100 * joint.test}
    return found | ({"test after step 2, %": 100 * records[-1].test} if records[-1] is not joint else {})


def table(found):
    """Markdown lines; found: {(path, seed): records}."""
    ends = {key: measured(records) for key, records in found.items()}
    seeds = sorted(seed for path, seed in ends if path == "readable")
    lines = ["| at the end | readable: mean | sd over seeds | "
             + " | ".join(f"{path}: differences" for path in PATHS[1:]) + " |", "|---" * (2 + len(PATHS)) + "|"]
    for what in ends["readable", seeds[0]]:
        value = {key: end[what] for key, end in ends.items()}
        plain = [value["readable", seed] for seed in seeds]
        apart = [", ".join(f"{value[path, seed] - value['readable', seed]:+.2g}" for seed in seeds
                           if (path, seed) in value)
                 for path in PATHS[1:]]
        lines.append(f"| {what} | {np.mean(plain):.4g} | {np.std(plain, ddof=1):.2g} | {' | '.join(apart)} |")
    return [*lines, "", *parting(found, seeds)]


def parting(found, seeds):
    """How the losses part: the largest difference to the readable training of the same seed, epoch by epoch."""
    epochs = [e for e in (1, 2, 4, 8, 16, 32, 64, 128) if e <= len(found["readable", seeds[0]])]
    lines = ["| loss apart in epoch | " + " | ".join(map(str, epochs)) + " |", "|---" * (1 + len(epochs)) + "|"]
    for path in PATHS[1:]:
        both = [(found[path, seed], found["readable", seed]) for seed in seeds if (path, seed) in found]
        apart = [max((abs(a[e - 1].loss - b[e - 1].loss) for a, b in both), default=np.nan) for e in epochs]
        lines.append(f"| {path} | {' | '.join(f'{x:.1e}' for x in apart)} |")
    return lines


def main():
    """All trainings, then the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulated", action="store_true")
    for name, default in dict(data="digits", recipe="digits", rate=0.5, net="small", seeds=SEEDS, compared=2, jobs=1,
                              out=OUT).items():
        parser.add_argument(f"--{name}", default=default, type=type(default))
    args = parser.parse_args()
    config = SMALL if args.emulated else Config(RECIPES[args.recipe], args.data, net=args.net, rate=args.rate)
    keys = [(path, seed) for path in PATHS[::-1]
            for seed in range(args.compared if path.startswith("kernels") else args.seeds)]
    with get_context("spawn").Pool(args.jobs) as pool:
        found = dict(zip(keys, pool.starmap(one, [(config, args.emulated, *key) for key in keys], chunksize=1),
                         strict=True))
    head = ("# Trainings on the kernels and on the readable "
            f"path\n\n{'Emulated. ' * args.emulated}{circumstances(args.emulated)}\n\n"
            f"    {' '.join(['python -m benchmarks.convergence', *sys.argv[1:]])}\n")
    text = "\n".join([head, *table(found), ""])
    print(text)
    save_text(args.out, text)


if __name__ == "__main__":
    main()
