"""One experiment with several seeds, as the tasks of a Dask cluster: of this machine's processors, or of many machines.

    python -m examples.on_dask --seeds 5                                    on this machine
    python -m examples.on_dask --seeds 50 --cluster tcp://head:8786         on workers that were started in this folder

core.run.run(config) is a plain function of a plain value: Ray,
joblib or a Slurm array (examples/slurm.sh) call it just so.
"""
import argparse
import statistics

from dask.distributed import Client, LocalCluster, as_completed

from core.parallel.processors import available_processors
from core.recipes import RECIPES, shortened
from core.run import Config, run


def experiment(seed, epochs, out):
    """What a worker does: (seed, fraction of correct labels). One rank,
    for the processors are taken by the other seeds."""
    recipe = shortened(RECIPES["digits"], epochs)
    return seed, run(Config(recipe, seed=seed, ranks=1, out=f"{out}/seed{seed}", force=True)).recovery


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m examples.on_dask", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1. Default: 3")
    parser.add_argument("--epochs", type=int, default=RECIPES["digits"].epochs, metavar="E", help="of step 1")
    parser.add_argument("--cluster", metavar="ADDRESS",
                        help="of a Dask scheduler. Default: one of this machine's processors")
    parser.add_argument("--out", default="runs/dask", metavar="FOLDER", help="for the run folders. Default: runs/dask")
    args = parser.parse_args(argv)
    cluster = args.cluster or LocalCluster(available_processors(), threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        tasks = [client.submit(experiment, seed, args.epochs, args.out, pure=False) for seed in range(args.seeds)]
        found = []
        for _, (seed, recovery) in as_completed(tasks, with_results=True):
            found.append(recovery)
            print(f"seed {seed}: {100 * recovery:.1f} % of the labels correct", flush=True)
    print(f"mean {100 * statistics.mean(found):.1f} %, least {100 * min(found):.1f} %")


if __name__ == "__main__":                                   # the workers import this file
    main()
