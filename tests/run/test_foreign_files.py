"""Run folders from somebody else: a config.json with other values, a checkpoint that was changed and sealed anew,
another summary. Each is one sentence, and nothing of it is believed."""
import json
import math
import zipfile

import numpy as np
import pytest

import demo
from core.errors import InputError
from core.files import load_json, load_sealed, save_sealed
from core.run import run, state, sweep
from core.run.resume import resume_hint, stored
from core.run.schema import as_config
from tests.lib.tiny_run import contents, stopped, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture(scope="module")
def interrupted(tiny_runs, tmp_path_factory):  # noqa: F811
    """{name: bytes} of a run that was interrupted in its second step."""
    folder = tmp_path_factory.mktemp("interrupted")
    stopped(tiny(folder), 4)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(interrupted, tmp_path):
    for name, raw in interrupted.items():
        (tmp_path / name).write_bytes(raw)
    return tmp_path


# ---- config.json -----------------------------------------------------------------------------------------------------

SETTINGS = [                           # a setting, its value
    ("seed", "0"), ("seed", 1.5), ("seed", None), ("seed", True), ("seed", 10**400), ("size", "32"), ("subset", 2.5),
    ("data", 3), ("data", None), ("truth", 1), ("digits", [40, 10]), ("digits", [40, 10, -1]),
    ("digits", [10**9, 1, 1]), ("digits", "big"),
    ("class_map", {"1": "x"}), ("class_map", {"-1": 3}), ("class_map", [1, 2]), ("force", 1),
    ("compare", "yes"), ("folds", "5"), ("rate", "half"), ("sure", "certain"), ("ranks", [2]), ("gpu", {}),
    ("noise", 1), ("net", None), ("recipe.lr", "fast"), ("recipe.lr", None), ("recipe.lr", float("nan")),
    ("recipe.epochs", 2.5), ("recipe.epochs", True), ("recipe.K", None), ("recipe.momentum", 1.5),
    ("recipe.momentum", -1), ("recipe.decay", 10**10), ("recipe.drops2", "1"), ("recipe.drops2", [-1]),
    ("recipe.drops2", [0.5]), ("recipe.predict", "both"), ("recipe.prior", []), ("recipe.prior", [-1, 2]),
    ("recipe.prior", [float("nan")]), ("recipe.prior", "even"), ("recipe.prior", {}), ("recipe.source", 7),
    ("recipe.source", "\x1b[2J"), ("recipe.source", "x" * 1000)]


def with_setting(folder, name, value):
    content = load_json(folder / "config.json")
    place, _, key = name.rpartition(".")
    (content["settings"][place] if place else content["settings"])[key] = value
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("name, value", SETTINGS, ids=str)
def test_a_setting_of_another_type_or_range_is_named(folder, name, value):
    with_setting(folder, name, value)
    with pytest.raises(InputError, match=f"config.json: {name.split('.')[-1]} cannot be|config.json cannot be read"):
        stored(folder)


@pytest.mark.parametrize("name", ["colour", "recipe.colour"])
def test_a_setting_that_this_version_does_not_know_is_not_ignored(folder, name):
    with_setting(folder, name, 1)
    with pytest.raises(InputError, match="was written by another version of this program"):
        stored(folder)


EDGES = {                              # values that a run may have, values that none has
    "momentum": ((0, 0.5), (1, -0.1)), "decay": ((0, 0.5), (1, -1e-9)), "source": (("x" * 999, ""), ("x" * 1000, "\n")),
    "drops2": (((), (0,), (7,) * 99), ((7,) * 100, (-1,), (True,))),
    "predict": (("training", "evaluation"), ("", None)),
    "digits": (((10, 0, 0), (10**6,) * 3), ((9, 10, 10), (10**6 + 1, 1, 1), (10, 10, 10**6 + 1), (10, 10))),
    "prior": (("given", "uniform", (0, 1), (2,)), ((0, 0), (), (1, -1), (1, True), ("1", "2"), None, 3)),
    "class_map": ((None, {0: 0}, {9999: 9999}, {}), ({10_000: 0}, {0: 10_000}, {0: -1}, {-1: 0}, {"a": 1}, {1: True})),
    "rate": ((None, 0.5, 1), ("1", True)), "seed": ((0, -1, 10**15 - 1), (10**15, 0.5, None)),
    "lr": ((1, 1e14, -0.5), (10**15, math.inf, -math.inf, math.nan, None)),
    "force": ((False, True), (0, None)), "out": ((None, "x"), (1,)), "net": (("x",), (None, 1)),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_setting_is_taken_up_to_its_edge(name):
    def answer(value):
        config = tiny("run")
        recipe = config.recipe._asdict() | ({name: value} if name in config.recipe._fields else {})
        others = {} if name in config.recipe._fields else {name: value}
        try:
            return as_config({**config._asdict(), **others, "recipe": recipe}, "file")
        except InputError as error:
            return str(error)

    taken, refused = EDGES[name]
    for value in taken:
        config = answer(value)
        assert (config.recipe if name in config.recipe._fields else config)._asdict()[name] == value
    assert [value for value in refused if not str(answer(value)).startswith(f"file: {name} cannot be ")] == []


def test_a_name_from_the_file_does_not_move_the_cursor_of_the_terminal(folder, capsys):
    content = load_json(folder / "config.json")
    content["settings"]["truth"] = content["paths"]["truth"] = "\x1b[2J\x07"
    (folder / "config.json").write_text(json.dumps(content))
    assert demo.main(["resume", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: \\u001b[2J\\u0007 does not exist") and err.rstrip("\n").isprintable()


def test_numbers_without_end_are_refused_by_the_run(folder):
    for name, value in (("epochs", 10**9), ("epochs2", 10**9), ("batch", 10**9)):
        with_setting(folder, f"recipe.{name}", value)
        with pytest.raises(InputError, match="--batch and --epochs must be at most 1,000,000"):
            run(stored(folder), resume=True)
        with_setting(folder, f"recipe.{name}", 3)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '{"settings": []}', '{"settings": {}, "environment": 3}',
                                  '{"settings": {"recipe": 3}, "environment": {}}', "[" * 100_000,
                                  '{"settings": ' + '{"a":' * 500 + "1" + "}" * 500 + ', "environment": {}}', "\udcff"])
def test_any_other_text_is_one_sentence(folder, text):
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="cannot be read|another version"):
        stored(folder)
    assert resume_hint(tiny(folder)) == "nothing was written"


# ---- the checkpoint --------------------------------------------------------------------------------------------------

def array(name, change):
    """Change an array of the checkpoint in place."""
    def changed(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][...] = change(arrays[name])
    return changed


def instead(name, value):
    return lambda arrays: arrays.update({name: value})


def entry(change):
    """Change the JSON of the checkpoint."""
    def changed(arrays):
        content = json.loads(arrays["about"].tobytes())
        arrays["about"] = np.frombuffer(json.dumps(change(content) or content).encode(), np.uint8)
    return changed


def record(at, value):
    return entry(lambda content: content["records"][-1].__setitem__(at, value))


CHANGES = {
    "negative labels": array("retrain.Y", lambda Y: -Y),
    "labels that are no distribution": array("joint.Y", lambda Y: Y / 2),
    "labels that are no numbers": array("retrain.Y", lambda Y: Y * np.nan),
    "weights that are no numbers": array("joint.theta", lambda x: x + np.inf),
    "variances that are no numbers": array("retrain.running", lambda x: x * np.nan),
    "probabilities above one": array("joint.s", lambda s: s + 9),
    "a ring of others": array("retrain.ring", lambda r: r - 2),
    "more epochs than records": array("retrain.epochs", lambda epochs: 10**9),
    "fewer epochs": array("joint.epochs", lambda epochs: epochs * 0 - 1),
    "epochs as a list": instead("retrain.epochs", np.array([1])),
    "epochs as text": instead("joint.epochs", np.array("3")),
    "another array": instead("retrain.colour", np.zeros(3)),
    "no weights": lambda arrays: arrays.pop("retrain.theta"),
    "weights of another type": instead("joint.theta", np.zeros(3, np.complex64)),
    "no JSON": instead("about", np.frombuffer(b"{", np.uint8)),
    "no entry": lambda arrays: arrays.pop("about"),
    "a list": entry(lambda content: [content]), "no records": entry(lambda content: content.pop("records") and None),
    "records as text": entry(lambda content: content.update(records="abc")),
    "records that are too short": entry(lambda content: content.update(records=[[1, 2]])),
    "an unknown step": record(0, "\x1b[2Jdance"), "a fold of text": record(1, "one"), "half an epoch": record(2, 0.5),
    "epoch 0": record(2, 0), "a loss of text": record(4, "low"), "a negative number": record(12, -3),
    "brackets without end": instead("about", np.frombuffer(b"[" * 100_000, np.uint8)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_that_was_changed_and_sealed_anew_is_one_sentence(folder, name):
    arrays = load_sealed(folder / state.FILE)
    CHANGES[name](arrays)
    save_sealed(folder / state.FILE, arrays)
    with pytest.raises(InputError, match="holds what no run writes: start a new|is of another network|of this program"):
        run(stored(folder), resume=True)
    assert "To resume it" in resume_hint(stored(folder))


def test_an_archive_that_is_larger_than_its_file_is_not_unpacked(folder):
    with zipfile.ZipFile(folder / state.FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", bytes(1000))
    with pytest.raises(InputError, match="is no checkpoint of this program"):
        load_sealed(folder / state.FILE)


def test_what_is_as_it_was_goes_on_to_the_same_end(folder, tmp_path_factory):
    arrays = load_sealed(folder / state.FILE)
    save_sealed(folder / state.FILE, arrays)
    run(stored(folder), resume=True)
    whole = tmp_path_factory.mktemp("whole")
    run(tiny(whole))
    assert contents(folder) == contents(whole)


# ---- the summary -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text", ["", "[]", "{}", '{"initial": "x"}', "[" * 100_000, json.dumps(
    {"initial": "0.5", "recovery": 1, "joint": {"test": None}, "retrain": {"test": None}}), json.dumps(
    {"initial": 1, "recovery": 1, "joint": 3, "retrain": {"test": None}})])
def test_another_summary_is_not_shown_in_the_table_of_a_sweep(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    assert sweep.outcome_in(tmp_path) is None
