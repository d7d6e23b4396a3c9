"""core/run/options.py and commands.py: every option of every command is explained as it is, takes what it says, and
nothing else; and texts become numbers."""
import argparse
import re

import pytest

from core.errors import InputError
from core.noise import CIFAR10_MAP
from core.run.commands import COMMANDS, parse
from core.run.options import map_of, prior_of


def actions(command):
    """{flag or word: its argparse action} of a command."""
    p = argparse.ArgumentParser()
    COMMANDS[command].add(p)
    return {(action.option_strings or [action.dest])[0]: action for action in p._actions}


DIFFERENT = [command for command in COMMANDS if command != "check"]              # it has the options of a run
POSITIONAL = {"predict": ["x.png", "--from", "r"], "apply": ["d.csv", "--from", "r"], "resume": ["r"], "sweep": ["f"]}
WHOLE = {"--subset", "--size", "--epochs", "--begin", "--K", "--batch", "--folds", "--seed", "--ranks", "--jobs",
         "--seeds", "--gpu"}
NUMBERS = {"--held-out", "--rate", "--lr", "--alpha", "--beta", "--sure"}
SWITCHES = {"--follow-links", "--finetune", "--posterior", "--compare", "--quick", "--force", "--list", "--only-table"}
HIDDEN = {"--kernels"}                 # docs/gpu.md


def given(command, *words):
    """The arguments of a command line with what the command cannot do without."""
    return vars(parse([command, *POSITIONAL.get(command, []), *words]))


@pytest.mark.parametrize("command", DIFFERENT)
def test_every_option_is_explained_with_its_default_and_its_value_has_a_name(command):
    assert COMMANDS["check"].add is COMMANDS["run"].add
    for flag, action in actions(command).items():
        if flag == "-h" or flag in HIDDEN:
            assert (action.help == argparse.SUPPRESS) == (flag in HIDDEN)
            continue
        assert len(action.help) > 10 and (action.nargs == 0) == (flag in SWITCHES), flag
        if action.nargs != 0 and not action.choices:
            assert re.fullmatch("[A-Z](:B,\\.\\.\\.|[A-Z]*)", action.metavar), flag
        if action.default is not None and action.nargs != 0 and flag != "--data":
            named = re.search(r"Default: ([\w./-]+?)(?=[.;]?$)|([\w-]+) \(default", action.help)
            assert str(action.default).removeprefix("step") in named.groups(), flag


def values_of(flag, action):
    """((a word, what it means), words that it must refuse)"""
    if flag in WHOLE:
        return ("7", 7), ("1.5", "x")
    if flag in NUMBERS:
        return ("0.25", 0.25), ("x", "1:2")
    if action.choices:
        return ([*action.choices][-1],) * 2, ("other",)
    return ("x y",) * 2, ()


@pytest.mark.parametrize("command", DIFFERENT)
def test_every_option_takes_the_values_that_it_says_and_no_others(command, capsys):
    without = given(command)
    for flag, action in actions(command).items():
        if not flag.startswith("--"):
            continue
        if flag in SWITCHES:
            assert given(command, flag)[action.dest] is True and without[action.dest] in (False, None)
            continue
        (word, meant), wrong = values_of(flag, action)
        found = given(command, flag, word)
        assert {name: found[name] for name in found if name not in ("fail", action.dest)} == {
            name: without[name] for name in found if name not in ("fail", action.dest)}
        assert found[action.dest] == meant and type(found[action.dest]) is type(meant), flag
        for word in wrong:
            with pytest.raises(SystemExit):
                parse([command, *POSITIONAL.get(command, []), flag, word])
            assert f"argument {flag}" in capsys.readouterr().err
        if flag == "--gpu":
            assert given(command, flag)[action.dest] == 0 and without[action.dest] is None


@pytest.mark.parametrize("text, meant", [("9:1", {9: 1}), ("9:1,2:0", {9: 1, 2: 0}), ("0:0,1:0", {0: 0, 1: 0})])
def test_a_class_map_is_from_and_to(text, meant):
    assert map_of(text, papers=False) == map_of(text, papers=True) == meant
    assert map_of(None, papers=True) == CIFAR10_MAP and map_of(None, papers=False) is None


@pytest.mark.parametrize("text", ["1", "1:2,1:3", "a:b", "-1:2", "1:-2", "1:2,", "1:2:3", "1:2.5", ","])
def test_no_other_text_is_a_class_map(text):
    with pytest.raises(InputError, match=f"^--map {re.escape(text)}: write class numbers from 0 on"):
        map_of(text, papers=True)


@pytest.mark.parametrize("text, meant", [("uniform",) * 2, ("given",) * 2, ("1,2", (1, 2)), ("0,0.5,0", (0, 0.5, 0))])
def test_a_prior_is_a_word_or_a_weight_for_each_class(text, meant):
    assert prior_of(text) == meant


@pytest.mark.parametrize("text", ["1", "", "-1,2", "0,0", "a,b", "nan,1", "inf,1", "1e308,1e308", "Given"])
def test_no_other_text_is_a_prior(text):
    with pytest.raises(InputError, match=f"^--prior {text}: choose uniform, given, or a weight >= 0 for each class"):
        prior_of(text)
