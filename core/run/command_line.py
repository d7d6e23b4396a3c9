"""The command that repeats a run, from its settings: for the page, and for whoever has lost the command.

A run may come from a command line, a sweep or Python. The command is found by trying: it is shown only if its
options give the same Config.
"""
import argparse
import io
import re
import shlex
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

from core.errors import InputError
from core.recipes import RECIPES
from core.report.config import BUILT_IN, PLACES
from core.run.commands import parse
from core.run.options import configuration, run_options

PLACE = ("out", "force", "ranks")      # where a run writes and computes, not what
FLAGS = {"label_source": "--predictions", "predict": "--predictions", "class_map": "--map"}
PATHS = (*PLACES, "cache")
NOT = {"backbone": ["--backbone", "none"], "folds": ["--folds", "0"], "posterior": ["--no-posterior"]}
TURNS = 3                              # a recipe's other noise changes the default of the rate


def command(config, source):
    """The text of the command whose Config is `config`, or None. source: the Source of config.data."""
    if source.kind == "own" and source.listing is None:                  # its recipe follows from the number of images
        return None
    data = [] if source.kind == "digits" else ["--data", absolute(config.data)]
    quick = [["--quick"]] if source.kind == "digits" else []
    starts = [[], *quick, *(["--recipe", name] for name in RECIPES)]
    tried = (attempt(config, source, [*data, *more]) for more in starts)
    words = next((words for words in tried if words is not None), None)
    return None if words is None else shlex.join(["python", "demo.py", *words])


def attempt(config, source, words):
    """The words with all options that they lack for this Config, or None if no options make it."""
    wanted = flat(config)
    for _ in range(TURNS):
        try:
            with redirect_stderr(io.StringIO()):
                made = flat(configuration(parse(["run", *words]), source))
        except (InputError, SystemExit):                             # argparse exits
            return None
        missing = [name for name in wanted if made[name] != wanted[name]]
        if not missing:
            return words
        if "epochs" in missing:        # the lengths of both steps follow from it
            missing = ["epochs"]
        more = [option for name in missing for option in option_of(name, wanted[name])]
        if not more:
            return None
        words = [*words, *more]
    return None


def flat(config):
    """{name: value} of the settings and the recipe that decide on the result."""
    fields = {**config._asdict(), **config.recipe._asdict()}
    found = {name: value for name, value in fields.items() if name not in (*PLACE, "recipe", "source")}
    return found | {name: absolute(found[name]) for name in PATHS
                    if found.get(name) and (name, found[name]) not in BUILT_IN}


def option_of(name, value):
    """The words of the option that sets it, [] where there is none."""
    flag = FLAGS.get(name, "--" + name.replace("_", "-"))
    if name in NOT and value in (None, False):
        return NOT[name]
    if flag not in flags() or value is None:
        return []
    if value is True:
        return [flag]
    if isinstance(value, dict):
        return [flag, ",".join(f"{a}:{b}" for a, b in value.items())]
    return [flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]


@cache                                 # asked about a hundred times for one command
def flags():
    """The options of a run."""
    p = argparse.ArgumentParser()
    run_options(p)
    return frozenset(re.findall(r"--[\w-]+", p.format_usage())) | {"--kernels"}      # which the usage does not show


def absolute(path):
    """A path that means the same everywhere."""
    return str(Path(path).absolute())
