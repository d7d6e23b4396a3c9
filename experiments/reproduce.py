"""`demo.py reproduce`: the runs of a table or figure of the paper, and table and picture of those that are there.

Runs go to runs/reproduce/NAME-SCALE/, by core/run/sweep.py: complete ones are not repeated, interrupted ones resume.
"""
from pathlib import Path

from core.data.source import open_source
from core.errors import need
from core.files import disk_errors, save_text
from core.report.console import aligned
from core.run import sweep
from core.run.state import how_far
from experiments import costs, figures, tables
from experiments.catalogue import EXPERIMENTS, FEATURES, LABELS, SCALES, lines
from experiments.runs import read_kept, read_log, read_run, refused

RUNS = Path("runs", "reproduce")


def reproduce(args):
    """Do what was asked for; returns the lines to print and the errors of runs. Raises InputError."""
    if args.list or args.experiment is None:
        return listing(args.out or RUNS), []
    need(args.experiment in EXPERIMENTS,
         f"there is no experiment {args.experiment!r:.60}: choose one of {', '.join(EXPERIMENTS)}")
    for option in ("seeds", "jobs"):
        value = getattr(args, option)
        need(value is None or value >= 1, f"--{option} {value}: choose 1 or more")
    name, out = args.experiment, Path(args.out or RUNS)
    options = options_of(args)
    runs, errors = lines(name, args.scale, args.data, options, args.seeds), []
    folder = out / f"{name}-{args.scale}"
    if not args.only_table:
        check_data(name, args)
        _, errors = sweep.sweep(runs, folder, args.jobs or (1 if args.gpu is not None else None))
    kept = read_kept(name, args.scale, dict(runs)) if args.only_table else []
    others = [refused(config, folder / sweep.folder_name(line)) for line, config in runs]
    return report(name, args.scale, runs, folder, kept), [*errors, *filter(None, others)]


def options_of(args):
    """The words that are put in front of every line."""
    return [*([] if args.gpu is None else ["--gpu", str(args.gpu)]),
            *(["--noise-file", args.labels or LABELS] if args.experiment == "pl-cifar" else []),
            *(["--cache", str(Path(args.out or RUNS, "features"))]
              if EXPERIMENTS[args.experiment].scales is FEATURES else [])]


def check_data(name, args):
    """Raises InputError if the data are not those of the experiment: said once, not by every run."""
    if EXPERIMENTS[name].data == "cifar10":
        need(open_source(args.data).kind == "cifar10",
             f"{args.data} is not CIFAR-10: name the folder cifar-10-batches-py or the .tar.gz by --data")
    need(name != "pl-cifar" or Path(args.labels or LABELS).exists(),
         f"{args.labels or LABELS} does not exist: make it by `python -m experiments.pseudo_labels {args.data}`")


def report(name, scale, runs, folder, kept=()):
    """Lines with the table of the runs in a folder; writes them and the picture there. Raises InputError.

    kept: runs from docs/runs, for the lines without a run in the folder.
    """
    experiment, all_lines, kept = EXPERIMENTS[name], [line for line, _ in runs], {run.line: run for run in kept}
    here = [read_run(line, config, folder) for line, config in runs]
    found = [run or kept.get(line) for run, (line, _) in zip(here, runs)]
    there = [run for run in found if run]
    begun = [unfinished(line, folder / sweep.folder_name(line)) for line in all_lines]
    from_docs = len(there) - len([run for run in here if run])
    count = f"{len(there)} of {len(runs)} runs" + f" ({from_docs} kept in docs/runs)" * (from_docs > 0)
    text = [experiment.title, f"{count}, scale {scale}: {experiment.scales[scale].words}",
            *[experiment.caption] * bool(experiment.caption), *filter(None, begun)]
    if not there:
        return [*text, "no run is complete"]
    rows = tables.table(experiment, name, there, all_lines)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    save_text(folder / "table.md", "\n".join([*text, "", *tables.markdown(rows), ""]))
    figures.save(folder / "picture.png", figures.draw(experiment.picture, there, all_lines), figures.origin(there))
    return [*text, "", *aligned(rows), "", f"table and picture: {folder}"]


def unfinished(line, folder):
    """How far a run is that is not complete; None if it is, or has not begun."""
    records = read_log(folder) if sweep.outcome_in(folder) is None else []
    return f"not complete: {line}: {how_far(records)}" if records else None


# ---- the list --------------------------------------------------------------------------------------------------------

def listing(out):
    """Lines: every experiment, what has been run, and what it costs."""
    rows = list_rows(out)
    return [*aligned(rows), "", *(f"scale {scale}: {found.words}" for scale, found in SCALES.items()), *LEGEND]


LEGEND = ("runs: complete ones, in docs/runs or in this folder's runs/reproduce, for each scale",
          "time: of all runs, predicted, on two cores of an AMD EPYC (Zen 4); the GPU, an H200, with --scale paper: "
          "predicted for kernels that have not run on a GPU",
          "Clothing1M, the paper's other data set, is a run of its own and not yet run: python demo.py "
          "--data clothing1m --backbone resnet50.pth --finetune --gpu")


def list_rows(out):
    """The rows of the list, with a head."""
    head = ("experiment", "in the paper", "runs", *(f"{scale}: runs here, time" for scale in SCALES), "paper: GPU")
    rows = [head]
    for name, experiment in EXPERIMENTS.items():
        cells, configs = [], []
        for scale in SCALES:
            if scale in experiment.scales:
                runs = lines(name, scale, options=stand_in(name))
                configs = [config for _, config in runs]
                done = count(name, scale, runs, Path(out))
                state = f"{done}" if done else "not yet"
                cells.append(f"{state}, {costs.words(costs.on_cores(configs))}")
            else:
                cells.append("-")
        on_gpu = costs.words(costs.on_gpu(configs)) if experiment.data == "cifar10" else "-"
        rows.append((name, experiment.paper or "no", str(len(configs)), *cells, on_gpu))
    return rows


def stand_in(name):
    """PL-CIFAR needs a file of labels, where the lines are only counted as well."""
    return ["--noise-file", LABELS] if name == "pl-cifar" else []


def count(name, scale, runs, out):
    """How many of the runs are complete, kept in docs/runs or in a folder of runs."""
    kept = {run.line for run in read_kept(name, scale, dict(runs))}
    here = {line for line, config in runs if read_run(line, config, out / f"{name}-{scale}")}
    return len(kept | here)
