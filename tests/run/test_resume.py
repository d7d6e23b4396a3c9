"""A run that was interrupted goes on to the same result, bit for bit, or says in one sentence why it cannot."""
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import demo
from core.errors import InputError
from core.files import previous
from core.recipes import Recipe
from core.report.config import read_config, settings
from core.run import Config, experiment, run, state, sweep
from core.run.commands import parse
from core.run.folder import begin
from core.run.resume import resume_hint, stored
from tests.lib.tiny_run import EPOCHS, RECIPE, contents, saved_state, stopped, tiny, tiny_runs  # noqa: F401   the fixture

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.thorough)], ids="{0} ranks".format)
def whole(request, tmp_path_factory):
    """(ranks, folder) of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(tiny(out, request.param))
    return request.param, out


def test_a_run_interrupted_after_any_epoch_ends_with_the_same_files(whole, tmp_path):
    ranks, out = whole
    expected = contents(out)
    assert {"log.jsonl", "soft_labels.npy", "weights.npz", "summary.json"} <= expected.keys()
    assert len(expected["log.jsonl"]) == EPOCHS and "checkpoint.npz" not in expected
    for epochs in range(EPOCHS + 1):
        stopped(tiny(tmp_path / f"{epochs}", ranks), epochs)
        run(stored(tmp_path / f"{epochs}"), resume=True)
        assert contents(tmp_path / f"{epochs}") == expected, epochs


def test_a_run_interrupted_after_every_epoch_passes_through_the_same_states(whole, tmp_path):
    ranks, out = whole
    stopped(tiny(tmp_path / "run", ranks), 1)
    for epochs in range(2, EPOCHS + 1):
        stopped(stored(tmp_path / "run"), 1, resume=True)
        stopped(tiny(tmp_path / f"{epochs}", ranks), epochs)
        assert saved_state(tmp_path / "run") == saved_state(tmp_path / f"{epochs}")
    run(stored(tmp_path / "run"), resume=True)
    assert contents(tmp_path / "run") == contents(out)


# ---- what is stored ------------------------------------------------------------------------------------------------

numbers = st.floats(allow_nan=False) | st.integers(-2**60, 2**60) | st.none()
recipes = st.builds(Recipe, numbers, numbers, numbers, prior=st.text() | st.lists(numbers).map(tuple), K=st.integers(),
                    drops2=st.lists(st.integers()).map(tuple))
maps = st.dictionaries(st.integers(0, 1000), st.integers(0, 1000))
configs = st.builds(Config, recipes, data=st.text(), rate=numbers, noise_file=st.none() | st.text(), augment=st.text(),
                    class_map=st.none() | maps, gpu=st.none() | st.integers(),
                    digits=st.lists(st.integers()).map(tuple), ranks=st.none() | st.integers(), force=st.booleans())


@given(config=configs)
def test_settings_come_back_from_config_json_exactly(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps({"settings": settings(config), "environment": {}}),
                                          encoding="utf-8")
    values, _ = read_config(tmp_path)
    back = Config(**{**values, "recipe": Recipe(**values["recipe"])})
    assert repr(back) == repr(config)                        # nan is nan, and 1 is neither 1.0 nor True


def test_numbers_of_numpy_and_paths_are_stored_as_numbers_and_texts():
    config = Config(RECIPE._replace(lr=np.float32(0.5), prior=np.array([1, 2])), seed=np.int64(7), data=Path("a/b"))
    found = settings(config)
    assert (found["seed"], found["data"], found["recipe"]["lr"], found["recipe"]["prior"]) == (7, "a/b", 0.5, [1, 2])


def test_a_checkpoint_holds_no_pickle_and_opens_as_an_ordinary_archive(tmp_path):
    stopped(tiny(tmp_path), 4)
    with np.load(tmp_path / "checkpoint.npz", allow_pickle=False) as file:
        shapes = {name: file[name].shape for name in file}
    assert shapes["retrain.ring"] == (1, 40, 10) and shapes["retrain.velocity"] == shapes["retrain.theta"]
    assert not {"joint.velocity", "joint.ring"} & shapes.keys(), "of a step that is over"


# ---- what cannot be resumed ----------------------------------------------------------------------------------------

def other_data(folder, monkeypatch):
    reading = experiment.read_data(None)
    data = reading.data
    pixels = data.train.images.copy()
    pixels[3, 4, 5, 0] ^= 1
    monkeypatch.setattr(experiment, "read_data", lambda config, source=None: reading._replace(
        data=data._replace(train=data.train._replace(images=pixels))))


def other_labels(folder, monkeypatch):
    labels = experiment.given_labels
    monkeypatch.setattr(experiment, "given_labels", lambda *args: np.roll(labels(*args), 1))


def both_damaged(folder, monkeypatch):
    for path in (folder / state.FILE, previous(folder / state.FILE)):
        path.write_bytes(path.read_bytes()[:-1])


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("change, words", [
    (other_data, "the data or the given labels are not the same"),
    (other_labels, "the data or the given labels are not"),
    (both_damaged, "the checkpoints in .* are damaged: delete that folder")])
def test_what_cannot_go_on_says_why_in_one_sentence_and_loses_nothing(tmp_path, monkeypatch, capsys, change, words):
    stopped(tiny(tmp_path), 2)
    change(tmp_path, monkeypatch)
    left = contents_raw(tmp_path)
    with pytest.raises(InputError, match=words):
        run(stored(tmp_path), resume=True)
    assert contents_raw(tmp_path) == left
    assert demo.main(["resume", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1


def contents_raw(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("arguments", ["--seed 1", "--epochs 2 --force", "--augment none", "--undecided suggested"])
def test_other_options_beside_resume_are_refused(tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        demo.main(["resume", str(tmp_path), *arguments.split()])
    assert stop.value.code == 2 and f"unrecognized arguments: {arguments}" in capsys.readouterr().err


def test_a_run_may_go_on_elsewhere(tmp_path):
    arguments = parse(["resume", str(tmp_path), "--ranks", "3"])
    begin(tmp_path, tiny(tmp_path, 2, gpu=1))
    assert (stored(tmp_path).gpu, stored(tmp_path).ranks) == (1, None)
    assert (demo.resumed(arguments).gpu, demo.resumed(arguments).ranks) == (None, 3)


def test_a_run_on_the_kernels_goes_on_on_another_gpu_with_them_and_on_processors_without(tmp_path, capsys):
    stopped(tiny(tmp_path), 4)
    rewrite(tmp_path / "config.json", lambda content: content["settings"].update(gpu=0, kernels="half"))
    on_gpu = demo.resumed(parse(["resume", str(tmp_path), "--gpu", "1"]))
    assert (on_gpu.gpu, on_gpu.kernels) == (1, "half")
    wider = demo.resumed(parse(["resume", str(tmp_path), "--kernels", "float"]))
    assert (wider.gpu, wider.kernels) == (0, "float") and state.identity(wider) == state.identity(on_gpu)
    assert demo.main(["resume", str(tmp_path), "--ranks", "1", "--kernels", "float"]) == 2
    assert "--kernels is for --gpu" in capsys.readouterr().err
    assert demo.main(["resume", str(tmp_path), "--ranks", "1"]) == 0
    assert "note     not as when the run began: --kernels; the last bits may differ" in capsys.readouterr().out


def test_a_run_that_is_complete_says_so(tmp_path, capsys):
    run(tiny(tmp_path))
    left = contents_raw(tmp_path)
    (tmp_path / "checkpoint.npz").touch()                      # as if it had been killed before the last thing it does
    assert demo.main(["resume", str(tmp_path)]) == 0
    assert "is complete" in capsys.readouterr().out and contents_raw(tmp_path) == left


def test_what_is_kept_is_said_with_what_to_type(tmp_path):
    folder = tmp_path / "a run"
    config = tiny(folder)
    assert resume_hint(config) == "nothing was written"
    stopped(config, 0)
    assert "as it was at its beginning" in resume_hint(config)
    stopped(stored(folder), 4, resume=True)
    assert "after epoch 1 of step 2" in resume_hint(config) and f"demo.py resume '{folder}'" in resume_hint(config)
    assert resume_hint(config._replace(seed=1)) == "nothing was written", (
        "the run that is there is another one, to be replaced")


# ---- sweeps --------------------------------------------------------------------------------------------------------

def test_a_sweep_goes_on_with_the_runs_that_were_interrupted(tmp_path, monkeypatch):
    runs = [("--seed 0", tiny("-")), ("--seed 1", tiny("-", seed=1)), ("--seed 2", tiny("-", seed=2))]
    table, errors = sweep.sweep(runs, tmp_path / "whole", jobs=1)
    assert not errors
    for (_, config), name in zip(runs, ("seed-0", "seed-1")):
        stopped(config._replace(out=str(tmp_path / "again" / name), force=True), 4)
    rewrite(tmp_path / "again" / "seed-1" / "config.json", lambda content: content["settings"].update(seed=5))
    lengths = []

    def counted(config, resume):
        with_epochs = []
        result = run(config, lambda records, *_: (with_epochs.append(r) or r for r in records), resume=resume)
        lengths.append(len(with_epochs))
        return result

    monkeypatch.setattr(sweep, "run", counted)
    again, errors = sweep.sweep(runs, tmp_path / "again", jobs=1)
    assert not errors and again == table and lengths == [EPOCHS - 4, EPOCHS, EPOCHS]
    for name in ("seed-0", "seed-1", "seed-2"):
        assert contents(tmp_path / "again" / name) == contents(tmp_path / "whole" / name)
