"""The program as its user meets it: one run from end to end, and every mistake answered by one sentence."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import demo
from core import recipes
from core.data.source import Source
from core.report import console, manifest
from core.run import config as run_config
from core.run import defaults, folder, options
from core.run.commands import parse
from nets import families
from tests.lib.tiny_demo import IMAGES, NO_PICTURES, started

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A quick run with everything switched on: (its folder, what it printed)."""
    out = tmp_path_factory.mktemp("demo") / "run"
    process = started("--quick", "--epochs", "3", "--compare", "--seed", "3", "--out", out, drawn=True, text=True,
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return out, printed


def test_the_run_folder_holds_what_it_promises(finished):
    out, _ = finished
    of_files = {"label_studio.json"}                           # the digits are none
    assert set(os.listdir(out)) == {*manifest.WHAT, "manifest.json", "summary.json", ".lock"} - of_files
    assert not [name for name in os.listdir(out) if name.endswith(".part")]


def test_the_files_agree_with_one_another_and_with_the_table(finished):
    out, printed = finished
    given, true, corrected, soft, index = (np.load(out / f"{name}.npy") for name in (
        "given_labels", "true_labels", "corrected_labels", "soft_labels", "index"))
    assert given.shape == true.shape == corrected.shape == index.shape == soft.shape[:1]
    assert (soft.argmax(axis=1) == corrected).all() and np.allclose(soft.sum(axis=1), 1, atol=1e-5)
    assert len(set(index)) == len(index)
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    joint = [r for r in records if r["step"] == "joint"]
    assert joint[-1]["recovery"] == pytest.approx((corrected == true).mean())
    assert f"{100 * (given == true).mean():.1f} % given" in printed
    assert f"{100 * (corrected == true).mean():.1f} % corrected" in printed
    assert {r["step"] for r in records} == {"joint", "retrain", "cross-entropy"}
    for title in console.TITLES.values():
        assert title in printed
    assert f"\nresults: {out}\nreview: {(out / 'report.html').as_uri()}\n" in printed


def test_the_configuration_is_written_with_versions_and_settings(finished):
    out, _ = finished
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["seed"] == 3 and config["settings"]["noise"] == "symmetric"
    assert config["settings"]["recipe"]["alpha"] == recipes.RECIPES["digits"].alpha
    assert config["environment"]["numpy"] == np.__version__


def test_the_weights_are_those_of_the_network_of_step_2(finished):
    """They classify the test images as the table says."""
    from core.batches import mean_image
    from core.data import digits
    from nets import preact_resnet
    out, _ = finished
    settings = json.loads((out / "config.json").read_text())["settings"]
    data = digits.load(3, *settings["digits"])
    with np.load(out / "weights.npz") as weights:
        weights = dict(weights)
    arch = preact_resnet.Architecture(classes=10, **families.NETS["small"])
    x = data.test.images.astype(np.float32) / 255 - mean_image(data.train.images)
    accuracy = (preact_resnet.predict(weights, weights, x, arch).argmax(axis=1) == data.test.labels).mean()
    last = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if '"retrain"' in line][-1]
    assert last["test"] == pytest.approx(accuracy, abs=1.01 / len(data.test.labels))


MISTAKES = {
    "rate": (["--rate", "1.5"], "--rate 1.5"),
    "seed": (["--seed", "-1"], "--seed -1"),
    "epochs": (["--epochs", "0"], "--epochs"),
    "learning rate": (["--lr", "-1"], "--lr -1"),
    "not a number": (["--alpha", "nan"], "--alpha"),
    "update": (["--update", "hard-x"], "--update hard-x"),
    "begin": (["--begin", "0"], "--begin"),
    "prior": (["--quick", "--prior", "1,2"], "--prior has 2 weights for 10 classes"),
    "map without asymmetric": (["--map", "1:2"], "--map"),
    "map": (["--noise", "asymmetric", "--map", "1:2,1:3"], "--map 1:2,1:3"),
    "no map for the digits": (["--noise", "asymmetric"], "--map"),
    "noise file missing": (["--noise", "labels"], "--noise-file"),
    "noise file not asked for": (["--noise-file", "x.npy"], "--noise-file"),
    "subset of the digits": (["--subset", "100"], "--subset"),
    "rate of no noise": (["--noise", "none", "--rate", "0.3"], "--rate"),
    "update of none": (["--update", "hard-0"], "--update hard-0"),
    "update of a superscript": (["--update", "hard-\u00b2"], "--update hard-"),
    "begin after the end": (["--begin", "31"], "--begin 31"),
    "prior that overflows": (["--prior", ",".join(["1e308"] * 10)], "--prior"),
    "ranks of a GPU": (["--gpu", "--ranks", "2"], "--ranks"),
    "quick recipe": (["--quick", "--recipe", "sn-70"], "--quick"),
    "name too long": (["--out", "x" * 300], "x" * 300),
    "missing data": (["--data", "no/such/folder"], "no/such/folder"),
    "missing labels": (["--quick", "--noise", "labels", "--noise-file", "no-such.npy"], "no-such.npy"),
    "non-finite loss": (["--quick", "--lr", "1e30"], "--lr"),
}


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_by_one_sentence_and_status_2(name, capsys, tmp_path, monkeypatch):
    arguments, names = MISTAKES[name]
    monkeypatch.setattr(options, "QUICK", IMAGES)
    monkeypatch.chdir(tmp_path)
    assert demo.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and names in err and not err.endswith(".\n"), err
    assert "Traceback" not in out + err
    if name != "non-finite loss":
        assert os.listdir(tmp_path) == [], "nothing is left behind"


def test_a_folder_with_something_in_it_is_replaced_only_when_told(capsys, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    assert demo.main(["--quick", "--out", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err and os.listdir(tmp_path) == ["precious.txt"]
    assert demo.main(["--quick", "--out", str(tmp_path / "precious.txt")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_reader_that_leaves_ends_the_run_without_a_traceback(tmp_path):
    program = f'"{sys.executable}" -m tests.lib.tiny_demo {NO_PICTURES}'
    command = f'{program} --quick --ranks 1 --epochs 1 --out "{tmp_path}/run" | head -n 1'
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr and done.stdout.startswith("data ")


@pytest.mark.skipif(os.name != "posix", reason="needs file size limits")
def test_a_disk_that_is_full_ends_the_run_with_one_sentence(tmp_path):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); " \
            "import runpy; runpy.run_module('tests.lib.tiny_demo', run_name='__main__')"
    done = subprocess.run([sys.executable, "-B", "-c", limit, "--quick", "--out", tmp_path / "run"], cwd=ROOT,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "cannot write" in done.stderr, done.stderr
    left = os.listdir(tmp_path / "run")
    assert all(os.path.getsize(tmp_path / "run" / name) <= 20000 and not name.endswith(".part") for name in left), left


def test_the_default_folder_is_new_every_time(tmp_path):
    assert folder.free_name(tmp_path, "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    (tmp_path / "a-2").mkdir()
    assert folder.free_name(tmp_path, "a") == tmp_path / "a-3"


def test_recipes_bring_their_noise():
    for name in recipes.RECIPES:
        kind, rate = defaults.noise_of(name)
        if name not in ("digits", "quick", "unknown", "head", "linear", "clothing1m"):
            assert name == f"{'sn' if kind == 'symmetric' else 'an'}-{round(100 * rate)}"
    config = options.configuration(parse(["--data", "x.tar.gz", "--recipe", "an-40"]), Source("cifar10", "x.tar.gz"))
    assert (config.noise, config.rate, config.class_map[9], config.net) == ("asymmetric", 0.4, 1, "paper")


def test_help_names_every_recipe_and_every_noise(capsys):
    with pytest.raises(SystemExit) as stop:
        demo.main(["run", "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(name in text for name in [*recipes.RECIPES, *run_config.NOISES])
