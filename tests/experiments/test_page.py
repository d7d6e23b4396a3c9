"""docs/results.md: what experiments/page.py makes stands there, from the logs in docs/runs, and so do its pictures."""
import json
import re
import statistics
import sys
from types import SimpleNamespace

import pytest

from core.errors import InputError
from core.measure import of_training
from core.report.numbers import percent
from core.run.experiment import run
from core.run.sweep import folder_name
from experiments import figures, page
from experiments.catalogue import EXPERIMENTS
from experiments.pseudo_labels import KEPT as PSEUDO
from experiments.runs import KEPT, kept_file, read_kept, record_of
from tests.experiments.test_tables import all_runs
from tests.project.test_docs import section

RESULTS = page.PAGE.read_text(encoding="utf-8")
KEPT_FILES = {kept_file(name, scale).name for name in EXPERIMENTS for scale in EXPERIMENTS[name].scales}
ROWS = {                               # of the table of single runs: its log
    "A: symmetric 50 %, `small`, not augmented": "cifar10-sn-50-small",
    "B: asymmetric 40 %, `medium`, not augmented": "cifar10-an-40",
    "C: symmetric 50 %, `medium`, augmented": "cifar10-sn-50",
    "D: symmetric 50 %, `medium`, not augmented, all 45,000 images": "cifar10-sn-50-all",
    "E: asymmetric 40 %, `medium`, not augmented, all 45,000 images": "cifar10-an-40-all",
    "F: symmetric 50 %, `medium`, augmented, first update late, all 45,000 images": "cifar10-sn-50-late",
}


def test_the_page_has_what_the_program_makes_of_the_logs():
    text, _ = page.page()
    assert page.with_region(RESULTS, text) == RESULTS, "python -m experiments.page"


def test_every_picture_is_drawn_from_the_logs_that_are_there():
    _, drawn = page.page()
    origins = {name: digest for name, (digest, *_) in drawn.items()} | {
        name: page.earlier(name)[1] for name in page.EARLIER}
    assert {name: figures.source_of(page.PICTURES / f"{name}.png") for name in origins} == origins
    assert {path.stem for path in page.PICTURES.glob("experiment-*.png")} == set(drawn)
    assert all((page.PICTURES / f"{name}.png").stat().st_size < 250_000 for name in origins)


def test_every_log_belongs_to_an_experiment_or_to_a_single_run():
    assert {path.name for path in KEPT.iterdir()} <= KEPT_FILES | {PSEUDO.name} | {
        f"{log}.jsonl" for log in ROWS.values()}


@pytest.mark.parametrize("row", ROWS)
def test_the_table_of_single_runs_says_what_their_logs_say(row):
    cells = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", RESULTS, re.MULTILINE)[1].replace("*", "").split("|")
    log = (KEPT / f"{ROWS[row]}.jsonl").read_text(encoding="utf-8")
    records = [record_of(json.loads(line)) for line in log.splitlines()]
    last = {record.step: record for record in records}
    expected = [records[0].recovery, last["joint"].recovery, last["joint"].test, last["retrain"].test]
    assert [cell.strip() for cell in cells[:4]] == [percent(value) for value in expected]
    if "cross-entropy" in last:
        assert cells[4].strip().startswith(percent(last["cross-entropy"].test))


@pytest.mark.parametrize("name", ["sn-cifar", "an-cifar"])
def test_numbers_of_the_paper_are_marked_as_recalled(name):
    made = page.of_experiment(name, "cpu", all_runs(name), list(page.known_lines(name, "cpu", 1)))
    rows = [line for line in made if line.startswith("| the paper's")]
    assert len(rows) == 4 and all("recalled" in line for line in rows)


@pytest.mark.parametrize("name, scale", [(name, scale) for name in EXPERIMENTS for scale in EXPERIMENTS[name].scales])
def test_kept_runs_have_the_epochs_and_the_rate_of_their_lines(name, scale):
    for one in read_kept(name, scale, page.known_lines(name, scale)):
        recipe = one.config.recipe
        epochs = [len(of_training(one.records, step)) for step in ("joint", "retrain")]
        assert epochs == [recipe.epochs, recipe.epochs2], one.line
        assert of_training(one.records, "joint")[0].lr == pytest.approx(recipe.lr), one.line


def test_the_command_above_a_table_gives_its_seeds():
    for name, seeds, words in (("update", 3, " --seeds 3"), ("update", 1, ""), ("seeds", 1, "")):
        runs, listed = all_runs(name, seeds), list(page.known_lines(name, "cpu", 1))
        _, _, command, _, text, *_ = page.of_experiment(name, "cpu", runs, listed)
        assert command == f"    python demo.py reproduce {name} --data cifar-10-python.tar.gz{words}"
        assert ", several seeds of some" not in text
    command, text = (page.of_experiment("update", "cpu", all_runs("update", 3)[1:], ["--a", "--b"])[k] for k in (2, 4))
    assert command.endswith(" --seeds 3") and text.startswith("14 runs of the 2 lines, several seeds of some, ")


def test_runs_are_kept_once_in_the_order_of_the_lines(tmp_path, no_pictures, monkeypatch):
    lines = {line: config._replace(digits=(60, 20, 20), ranks=1,
                                   recipe=config.recipe._replace(epochs=2, begin=1, K=1, batch=20))
             for line, config in page.known_lines("sensitivity", "cpu").items()}
    monkeypatch.setattr(page, "known_lines", lambda name, scale: lines)
    first, second, third = list(lines)[:3]
    (tmp_path / "sensitivity-cpu" / folder_name(second)).mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    assert page.keep(tmp_path, tmp_path / "kept") == [] == list((tmp_path / "kept").iterdir())
    for n, line in enumerate((third, first), 1):
        run(lines[line]._replace(out=str(tmp_path / "sensitivity-cpu" / folder_name(line))))
        assert page.keep(tmp_path, tmp_path / "kept") == [f"sensitivity-cpu.jsonl: {n} run{'s' * (n > 1)}"]
    kept = read_kept("sensitivity", "cpu", lines, tmp_path / "kept")
    assert [one.line for one in kept] == [first, third] and len(kept[0].records) == 2 + 1

    file = kept_file("sensitivity", "cpu", tmp_path / "kept")
    text = file.read_text()
    file.write_text(text.replace('"python": "', '"python": "of an earlier run, '))
    page.keep(tmp_path, tmp_path / "kept")
    assert file.read_text() == text, "a run takes the place of an earlier one"
    text = page.of_experiment("sensitivity", "cpu", kept, list(lines))
    assert any(line.startswith("2 runs of the ") for line in text) and "| corrections, recall |" in "\n".join(text)
    assert page.keep(tmp_path / "nothing", tmp_path / "kept") == []

    lines[third] = lines[third]._replace(seed=9)
    why = f"{tmp_path / 'sensitivity-cpu' / folder_name(third)} holds a run that differs in seed: move it away"
    assert page.keep(tmp_path, tmp_path / "kept") == [
        f"left out: {why}, or choose another --out", "sensitivity-cpu.jsonl: 2 runs"]
    (tmp_path / "other").mkdir()
    assert [said[:9] for said in page.keep(tmp_path, tmp_path / "other")] == ["left out:", "sensitivi"]
    (tmp_path / "none").mkdir()
    lines[first] = lines[first]._replace(seed=9)
    assert [said[:9] for said in page.keep(tmp_path, tmp_path / "none")] == ["left out:"] * 2
    assert not list((tmp_path / "none").iterdir())


def test_a_folder_without_runs_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["page", "--keep", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        page.main()
    assert end.value.code == 2 and f"{tmp_path} holds no run of an experiment" in capsys.readouterr().err


def test_means_of_learning_rates_are_those_of_the_logs():
    """Of the last 20 epochs, over all seeds that are kept."""
    means = {}
    for one in read_kept("learning-rate", "cpu", page.known_lines("learning-rate", "cpu")):
        last = [record.test for record in of_training(one.records, "joint")[-20:]]
        means.setdefault((one.config.rate, one.config.recipe.lr), []).append(statistics.mean(last))
    head, _, *rows = re.search(r"^\| noise rate \|.*\n(?:\|.*\n)+", RESULTS, re.MULTILINE)[0].splitlines()
    lrs = [float(lr) for lr in re.findall(r"lr ([\d.]+)", head)]
    assert len(rows) == 3 and {(int(row.split()[1]) / 100, lr) for row in rows for lr in lrs} == set(means)
    for row in rows:
        rate, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells == [percent(statistics.mean(means[int(rate.split()[0]) / 100, lr])) for lr in lrs]


@pytest.mark.parametrize("data, official, words", [
    ("digits", True, ""), ("cifar", True, "official"), ("cifar", False, "other"), ("gone", None, "")])
def test_whether_the_pixels_were_the_official_ones(data, official, words, monkeypatch):
    def is_official(path):
        if official is None:
            raise InputError("there are no data")
        return official

    monkeypatch.setattr(page, "stored", lambda folder: SimpleNamespace(data=data))
    monkeypatch.setattr(page, "is_official", is_official)
    assert page.pixels_of("a run") == words


@pytest.mark.parametrize("name", page.EARLIER)
def test_the_curves_of_a_single_run_end_with_its_labels(name):
    result, _ = page.earlier(name)
    row = next(row for row, log in ROWS.items() if log == page.EARLIER[name][0])
    assert re.search(rf"^\| {re.escape(row)} \|[^|]*\| \*\*{percent(result.recovery)}\*\* ", RESULTS, re.MULTILINE)


def test_a_picture_is_drawn_anew_where_it_is_missing_or_of_other_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PICTURES", tmp_path)
    one, other = figures.digest("one"), figures.digest("other")
    assert page.stale("a", one)
    figures.save(tmp_path / "a.png", figures.sheet(1, 1), one)
    assert not page.stale("a", one) and page.stale("a", other)


def test_the_region_is_all_that_changes():
    text = f"a\n{page.BEGIN}\nold\n{page.END}\nb\n"
    assert page.with_region(text, "new\n") == f"a\n{page.BEGIN}\nnew\n{page.END}\nb\n"
    assert section(RESULTS, "The paper's tables and figures")
