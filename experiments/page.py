"""The tables and pictures of docs/results.md, made from the logs in docs/runs.

    python -m experiments.page                     makes them again
    python -m experiments.page --keep FOLDER       first keeps the complete runs of FOLDER/NAME-SCALE/ in docs/runs

FOLDER is where `demo.py reproduce` keeps its runs, runs/reproduce. A kept run takes the place of an earlier one of the
same line. A picture's file names the runs that it was drawn from, so that a test notices when they change.
"""
import argparse
import json
from pathlib import Path
from types import SimpleNamespace

from core.data.cifar10 import is_official
from core.errors import InputError
from core.files import save_text
from core.measure import of_training
from core.report import pictures
from core.report.numbers import counted, percent
from core.run import sweep
from core.run.resume import stored
from experiments import figures, tables
from experiments.catalogue import EXPERIMENTS, SCALES, lines
from experiments.pseudo_labels import KEPT as PSEUDO
from experiments.reproduce import LEGEND, list_rows, stand_in
from experiments.runs import KEPT, groups, kept_file, read_folder, read_kept, record_of, refused, text_of

PAGE = KEPT.parent / "results.md"
PICTURES = KEPT.parent / "pictures"
BEGIN, END = "<!-- from here on: python -m experiments.page -->", "<!-- up to here -->"
EARLIER = {                            # pictures of single runs: their logs, and where labels were first updated
    "cifar10-sn-50": ("cifar10-sn-50-all", 9),
    "cifar10-an-40": ("cifar10-an-40-all", 10),
    "cifar10-sn-50-late": ("cifar10-sn-50-late", 44),
}
SCALE_WORDS = {"cpu": "", "medium": " --scale medium", "paper": " --scale paper"}


# ---- keeping -------------------------------------------------------------------------------------------------------

def keep(folder, kept=KEPT):
    """Add the complete runs of FOLDER/NAME-SCALE/ to those that are kept; returns a line for each file."""
    said = []
    for name in EXPERIMENTS:
        for scale in EXPERIMENTS[name].scales:
            there = Path(folder, f"{name}-{scale}")
            if there.is_dir():
                said += keep_one(name, scale, there, kept)
    return said


def keep_one(name, scale, folder, to):
    """The same for one folder of runs; seeds beside those of the lines are found by their folders."""
    configs, said = known_lines(name, scale), []
    kept = {run.line: run for run in read_kept(name, scale, configs, to)}
    for line, config in configs.items():
        path = folder / sweep.folder_name(line)
        if why := refused(config, path):
            said.append(f"left out: {why}")
        elif run := read_folder(line, config, path):
            kept[line] = run._replace(about={**run.about, "pixels": pixels_of(path)})
    if not kept:
        return said
    in_order = [kept[line] for line in configs if line in kept]
    path = kept_file(name, scale, to)
    save_text(path, "".join(f"{text_of(run)}\n" for run in in_order))
    return [*said, f"{path.name}: {counted(len(in_order), 'run')}"]


def known_lines(name, scale, seeds=5):
    """{line: Config}, for the seeds that may have been run; all seeds of a line follow each other."""
    return dict(lines(name, scale, options=stand_in(name), seeds=seeds))


def pixels_of(path):
    """Whether CIFAR-10's pixels were the official ones: "official", "other", or "" for other data or none at hand."""
    data = stored(path).data
    try:
        return "" if data == "digits" else "official" if is_official(data) else "other"
    except InputError:
        return ""


# ---- the page ------------------------------------------------------------------------------------------------------

def page():
    """(text, {name of a picture: (digest, function that draws it)}) of what the program makes in docs/results.md."""
    text, drawn = introduction(), {}
    for name in EXPERIMENTS:
        text += of_pseudo_labels() if name == "pl-cifar" else []
        for scale in EXPERIMENTS[name].scales:
            configs = known_lines(name, scale)
            runs = read_kept(name, scale, configs)
            if runs:
                text += of_experiment(name, scale, runs, [line for line, _ in lines(name, scale,
                                                                                    options=stand_in(name))])
                drawn[f"experiment-{name}-{scale}"] = (figures.origin(runs), name, runs, list(configs))
    return "\n".join(text).rstrip() + "\n", drawn


def introduction():
    """Lines: the list of all experiments."""
    scales = [f"* `--scale {scale}`: {found.words}." for scale, found in SCALES.items()]
    return ["## The paper's tables and figures", "",
            "    python demo.py reproduce --list",
            "    python demo.py reproduce sn-cifar --data cifar-10-python.tar.gz",
            "    python demo.py reproduce sn-cifar --data cifar-10-python.tar.gz --scale paper --gpu", "",
            "Each experiment is a sweep file in [experiments/](../experiments). Those that train networks on the "
            "images of CIFAR-10 come in three scales:", "",
            *scales, "", "What has been run, and what it costs:", "",
            *tables.markdown(list_rows(Path("no such folder"))), "",
            *(f"* {line[0].upper()}{line[1:]}." for line in LEGEND), "",
            "*Best* is the epoch with the best validation accuracy, *last* the last epoch. *Correct labels*: the "
            "training images whose label is the true one, the paper's recovery accuracy. The commit that each run was "
            "made with stands in [docs/runs](runs).", ""]


def of_experiment(name, scale, runs, listed):
    """Lines of one experiment at one scale."""
    experiment = EXPERIMENTS[name]
    words = experiment.scales[scale].words
    data = "" if experiment.data == "digits" else " --data cifar-10-python.tar.gz"
    seeds, some = seeds_of(runs, listed)
    count = f"{counted(len(runs), 'run')} of the {len(listed)} lines{', several seeds of some' * some}"
    rows = tables.table(experiment, name, runs, listed)
    return [f"### {experiment.title}", "",
            f"    python demo.py reproduce {name}{data}{SCALE_WORDS[scale]}{seeds}", "",
            f"{count}, {made_with(runs)}. Scale `{scale}`: {words}.{caption_of(experiment)}", "",
            *tables.markdown(rows), "",
            f"![{experiment.title}: the curves of the runs in the table]({picture_of(name, scale)})", ""]


def seeds_of(runs, listed):
    """(" --seeds 3", or "" where the lines name their seeds or have one; whether only some lines have several)."""
    numbers = {1} if "--seed" in "".join(listed) else {len(same) for same in groups(runs).values()}
    most = max(numbers)
    return f" --seeds {most}" * (most > 1), len(numbers) > 1


def of_pseudo_labels():
    """Lines on the labels of PL-CIFAR, where they have been made."""
    notes = map(json.loads, PSEUDO.read_text(encoding="utf-8").splitlines()) if PSEUDO.exists() else []
    rows = [("features", "images", "seed", "correct labels, best assignment", "by majority",
             "classes without a cluster then")]
    rows += [(note["features"], f"{note['images']:,}", f"{note['seed']}", percent(note["correct"]),
              percent(note["majority"]), f"{note['unnamed']}") for note in notes]
    return [] if len(rows) == 1 else [
        "### The labels of PL-CIFAR", "",
        "    python -m experiments.pseudo_labels cifar-10-python.tar.gz --keep", "",
        "k-means++, ten clusters, the best of ten starts, on standardised features. The paper, with pool5 of a "
        "ResNet-50: 62.5 % (certain).", "", *tables.markdown(rows), ""]


def caption_of(experiment):
    """The caption, if there is one."""
    return f" {experiment.caption}" if experiment.caption else ""


def picture_of(name, scale):
    """The link of a picture, from docs/."""
    return f"pictures/experiment-{name}-{scale}.png"


def made_with(runs):
    """Versions and pixels of the runs."""
    versions = sorted({f"Python {run.about.get('python')}, NumPy {run.about.get('numpy')}" for run in runs})
    pixels = {run.about.get("pixels") for run in runs}
    return "; ".join(versions) + ("; pixels that are not the official ones (JPEG)" if "other" in pixels else "")


def with_region(text, made):
    """The page with what was made between its two marks."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:start]}\n{made}{text[end:]}"


# ---- pictures ------------------------------------------------------------------------------------------------------

def earlier(name):
    """(SimpleNamespace like a Result, digest) of a single run whose log lies in docs/runs."""
    log = (KEPT / f"{EARLIER[name][0]}.jsonl").read_text(encoding="utf-8")
    records = [record_of(json.loads(line)) for line in log.splitlines()]
    recovery = of_training(records, "joint")[-1].recovery
    return SimpleNamespace(records=records, recovery=recovery), figures.digest(log)


def draw(drawn):
    """All pictures whose runs are others than those in the picture's file; returns their names."""
    made = []
    for name, (digest, experiment, runs, all_lines) in drawn.items():
        if stale(name, digest):
            figure = figures.draw(EXPERIMENTS[experiment].picture, runs, all_lines)
            figures.save(PICTURES / f"{name}.png", figure, digest)
            made.append(name)
    for name, (_, begin) in EARLIER.items():
        result, digest = earlier(name)
        if stale(name, digest):
            figures.save(PICTURES / f"{name}.png", pictures.curves(result, begin), digest)
            made.append(name)
    return made


def stale(name, digest):
    """Whether a picture is missing or of other runs."""
    path = PICTURES / f"{name}.png"
    return not path.exists() or figures.source_of(path) != digest


def main():
    """Keep, then make the page and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="FOLDER")
    args = parser.parse_args()
    if args.keep:
        said = keep(args.keep)
        if not said:
            parser.error(f"{args.keep} holds no run of an experiment: give the folder of `demo.py reproduce`, "
                         "runs/reproduce")
        print("\n".join(said))
    text, drawn = page()
    save_text(PAGE, with_region(PAGE.read_text(encoding="utf-8"), text))
    print("\n".join(["drawn:", *draw(drawn)]))


if __name__ == "__main__":
    main()
