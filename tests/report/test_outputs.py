"""The tables and the manifest of a run folder: what they say, that they come back,
and that no spreadsheet runs anything in them."""
import csv
import hashlib
import json
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from core import quality
from core.batches import mean_image
from core.data import DataSet, Split
from core.data.csv_cells import plain
from core.data.label_files import read_labels
from core.data.listing import Listing
from core.data.table import read_table
from core.errors import InputError
from core.features import mean_and_std
from core.recipes import RECIPES
from core.report import console, issues, manifest, results
from core.report.about import About
from core.run import Config, Result, folder
from nets import preact_resnet, safetensors_file

N, CLASSES = 40, ("-1", "=dog", "a,b", "'+c", "plain")


def example(paths=None, truth=True, seed=0):
    """A data set with given labels (N,) and probabilities P (N, C)."""
    rng = np.random.default_rng(seed)
    true, P = rng.integers(0, 5, N), rng.random((N, 5)).astype(np.float32) ** 3 + 1e-6
    given = np.where(rng.random(N) < 0.4, rng.integers(0, 5, N), true)
    known = np.where(np.arange(N) % 7 == 0, -1, true) if truth else None
    train = Split(rng.integers(0, 256, (N, 8, 8, 3), np.uint8), given, rng.permutation(N), known, paths)
    empty = train.take(slice(0))
    return DataSet("example", CLASSES, train, empty, empty, pad=1, flip=False), given, P / P.sum(axis=1, keepdims=True)


def lines_of(path):
    """The rows of a table as dictionaries of the texts that were written."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: plain(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def test_the_list_of_suspicious_labels(tmp_path):
    paths = np.array([f"@{c}/=1+{i},é\".png" for i, c in enumerate("abcde" * 8)])
    data, given, P = example(paths)
    corrected, agreement = P.argmax(axis=1), np.arange(N) / N
    issues.save_issues(tmp_path, CLASSES, data.train._replace(agreement=agreement), given, corrected, P)
    lines = lines_of(tmp_path / "label_issues.csv")
    assert sorted(int(line["index"]) for line in lines) == sorted(data.train.index)
    scores = [float(line["label_score"]) for line in lines]
    assert scores == sorted(scores)
    place = {row: i for i, row in enumerate(data.train.index)}
    for line in lines:
        i = place[int(line["index"])]
        k, j = given[i], corrected[i]
        truth = data.train.truth[i]
        assert (line["path"], line["given_label"], line["suggested_label"]) == (paths[i], CLASSES[k], CLASSES[j])
        assert line["true_label"] == (CLASSES[truth] if truth >= 0 else "")
        assert line["is_label_issue"] == str(k != j)
        assert float(line["label_score"]) == float(line["p_given"]) == pytest.approx(P[i, k], rel=1e-5)
        assert float(line["p_suggested"]) == pytest.approx(P[i, j], rel=1e-5)
        assert float(line["agreement"]) == pytest.approx(agreement[i], rel=1e-5)
        assert float(line["margin"]) == pytest.approx(P[i, k] - max(np.delete(P[i], k)), rel=1e-4, abs=1e-5)


def test_columns_of_what_is_not_known_are_not_there(tmp_path):
    data, given, P = example(truth=False)
    issues.save_issues(tmp_path, CLASSES, data.train, given, given, P)
    head = (tmp_path / "label_issues.csv").read_text().splitlines()[0]
    assert head.replace('"', "") == ("index,given_label,suggested_label,is_label_issue,label_score,p_given,p_suggested,"
                                     "margin")


def test_no_cell_is_a_formula(tmp_path):
    data, given, P = example(np.array([f"{start}cmd|' /C calc'!A{i}" for i, start in enumerate("=+-@\t" * 8)]))
    issues.save_issues(tmp_path, CLASSES, data.train, given, given, P)
    issues.save_corrected(tmp_path, CLASSES, data.train, given, "")
    for name in ("label_issues.csv", "corrected_labels.csv"):
        with open(tmp_path / name, newline="") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                try:
                    float(cell)
                except ValueError:
                    assert cell[:1] not in tuple("=+-@\t\r\n"), cell


def test_corrected_labels_by_index_are_read_back(tmp_path):
    data, _, P = example()
    classes = ("cat", "dog", "bird", "a,b", "plain")
    corrected = P.argmax(axis=1)
    issues.save_corrected(tmp_path, classes, data.train, corrected, "")
    labels = read_labels(tmp_path / "corrected_labels.csv", classes, N)
    assert (labels[data.train.index] == corrected).all()


@pytest.mark.parametrize("table", [False, True])
def test_corrected_labels_by_path_are_read_back_from_anywhere(tmp_path, monkeypatch, table):
    root = tmp_path / "photos, all"
    paths = np.array([f"c{i % 3}/@{i} é.png" for i in range(N)])
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    data, _, P = example(paths)
    classes, corrected = ("cat", "dog", "bird", "a,b", "plain"), P.argmax(axis=1)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    source = root / "labels.csv" if table else root.relative_to(tmp_path)
    issues.save_corrected(tmp_path / "run", classes, data.train, corrected, source)
    monkeypatch.chdir("/")
    listing = read_table(tmp_path / "run" / "corrected_labels.csv")
    assert listing.findings == [] and listing.labels == [classes[c] for c in corrected]
    assert listing.paths == [(root / path).as_posix() for path in paths]


def test_a_name_that_is_no_text_spoils_no_table(tmp_path):
    data, given, P = example(np.array(["a\udcff.png"] * N))
    issues.save_issues(tmp_path, CLASSES, data.train, given, given, P)
    issues.save_corrected(tmp_path, CLASSES, data.train, given, "")
    assert "a\\udcff.png" in (tmp_path / "label_issues.csv").read_text(encoding="utf-8")


def test_the_tasks_for_label_studio_are_the_suspicious_images_the_most_suspicious_first(tmp_path):
    paths = np.array([f"c{i % 3}/é #{i}?%\udcff.png" for i in range(N)])
    data, given, P = example(paths)
    suggested = P.argmax(axis=1)
    result = SimpleNamespace(given=given, suggested=suggested, paths=paths, classes=CLASSES, index=data.train.index,
                             verdict=SimpleNamespace(probs=P))
    issues.save_tasks(tmp_path, result, tmp_path)
    tasks = json.loads((tmp_path / "label_studio.json").read_text())
    rows = sorted(np.flatnonzero(given != suggested), key=lambda row: P[row, given[row]])
    for task, row in zip(tasks, rows, strict=True):
        folder, _, image = task["data"]["image"].partition("=")
        assert folder == "/data/local-files/?d" and image.isascii() and not set(image) & set("#? ")
        assert unquote(image, errors="surrogateescape") == f"{tmp_path}/{paths[row]}".lstrip("/")
        assert task["data"] == {"image": task["data"]["image"], "index": data.train.index[row],
                                "given_label": CLASSES[given[row]],
                                "label_score": pytest.approx(P[row, given[row]], rel=1e-5)}
        choice = {"from_name": "label", "to_name": "image", "type": "choices",
                  "value": {"choices": [CLASSES[suggested[row]]]}}
        assert task["predictions"] == [{"score": pytest.approx(P[row, suggested[row]], rel=1e-5), "result": [choice]}]


def test_whatever_its_decisions_are_about_gives_a_run_another_name():
    parts = ("a", "b,c"), np.array([3, 4]), np.array([0, 1]), np.array([1, 0])
    others = [("b,c", "a"), ("a,b", "c"), ("a", "b,c", "d")], [np.array([4, 3])], [np.array([1, 1])], [np.array([1, 1])]
    found = [issues.run_identity(*parts), *(issues.run_identity(*parts[:k], other, *parts[k + 1:])
                                            for k, changed in enumerate(others) for other in changed)]
    assert len(set(found)) == len(found) == 7 and {len(name) for name in found} == {12}
    text = json.dumps(list(parts[0])).encode() + b"".join(array.astype("<i8").tobytes() for array in parts[1:])
    assert found[0] == hashlib.sha256(text).hexdigest()[:12], "decisions of earlier versions know the run by it"
    assert issues.run_identity(parts[0], *(array.astype(np.int32)[::1] for array in parts[1:])) == found[0]


# ---- the whole folder ----------------------------------------------------------------------------------------------

@pytest.fixture
def finished(tmp_path, no_pictures):
    """The folder of a run of which nothing but the training is left out, and its result."""
    data, given, P = example()
    soft = np.eye(5, dtype=np.float32)[P.argmax(axis=1)]                        # as a hard update leaves them
    config = Config(RECIPES["digits"]._replace(update="hard"))
    theta, running = preact_resnet.init(preact_resnet.Architecture(5, (4, 5), (1, 2)), np.random.default_rng(0))
    verdict = quality.judge(given, soft, P, P, data.train.truth)
    result = Result([], CLASSES, data.train.images, data.train.index, None, given, data.train.truth, soft, P, verdict,
                    {**theta, **running}, results.summary(verdict, given, []),
                    {name: array + 1 for name, array in {**theta, **running}.items()})
    folder.begin(tmp_path, config)
    results.save_labels(tmp_path, data, given, soft, P, verdict, config.data)
    results.finish(tmp_path, result, config, "example", data)
    return tmp_path, result


def test_the_arrays_are_what_other_programs_expect(finished):
    out, result = finished
    P, given = np.load(out / "pred_probs.npy"), np.load(out / "given_labels.npy")
    assert P.dtype == np.float32 and (P == result.pred_probs).all() and given.dtype == np.int64
    assert (np.load(out / "soft_labels.npy") == result.soft).all()
    assert (out / "classes.txt").read_text().splitlines() == list(CLASSES)
    assert (np.load(out / "noise_matrix.npy") == quality.noise_matrix(quality.confident_joint(P, given))).all()
    assert not np.load(out / "given_is_wrong.npy")[np.load(out / "true_labels.npy") < 0].any()


def test_every_array_and_table_is_that_of_its_name(tmp_path):
    """Of a verdict in which all labels and probabilities are different ones."""
    data, given, P = example()
    rng = np.random.default_rng(5)
    suggested, corrected = rng.integers(5, size=(2, N))
    soft, probs, matrix = (rng.dirichlet(np.ones(5), n).astype(np.float32) for n in (N, N, 5))
    verdict = SimpleNamespace(suggested=suggested, corrected=corrected, matrix=matrix, probs=probs)
    results.save_labels(tmp_path, data, given, soft, P, verdict, "")
    truth = data.train.truth
    arrays = {"given_labels": given, "suggested_labels": suggested, "corrected_labels": corrected, "soft_labels": soft,
              "index": data.train.index, "pred_probs": P, "noise_matrix": matrix, "true_labels": truth,
              "given_is_wrong": [t >= 0 and t != g for t, g in zip(truth, given)]}
    assert {path.stem for path in tmp_path.glob("*.npy")} == set(arrays)
    assert all(np.array_equal(np.load(tmp_path / f"{name}.npy"), array) for name, array in arrays.items())
    lines, place = lines_of(tmp_path / "label_issues.csv"), {int(i): row for row, i in enumerate(data.train.index)}
    rows = [place[int(line["index"])] for line in lines]
    for line, row in zip(lines, rows, strict=True):
        assert (line["given_label"], line["suggested_label"]) == (CLASSES[given[row]], CLASSES[suggested[row]])
        assert float(line["p_given"]) == pytest.approx(probs[row, given[row]], rel=1e-5)
    assert [(int(line["index"]), line["label"]) for line in lines_of(tmp_path / "corrected_labels.csv")] == [
        (i, CLASSES[c]) for i, c in zip(data.train.index, corrected)]


def test_every_network_is_in_the_file_of_its_step_with_its_mean_and_number_of_batches(finished):
    out, result = finished
    recipe = RECIPES["digits"]
    for name, weights, epochs in (("model.safetensors", result.weights, recipe.epochs2),
                                  ("model_step1.safetensors", result.first_weights, recipe.epochs)):
        batches = -(-epochs * N // min(recipe.batch, N))
        safetensors_file.save(out / "expected", weights, mean_image(result.images), CLASSES, batches, None)
        assert (out / name).read_bytes() == (out / "expected").read_bytes()
    with np.load(out / "weights.npz") as found:
        assert all(np.array_equal(found[name], array) for name, array in result.weights.items())


@pytest.mark.parametrize("folds, posterior, sure", [(None, False, .9), (5, False, 0), (5, True, .9)])
def test_the_page_gets_what_the_run_found(finished, monkeypatch, folds, posterior, sure):
    """The threshold is compared with probabilities of step 1, or of the posterior; where others are shown, no line."""
    out, result = finished
    pages = []
    monkeypatch.setattr(results.page, "write", lambda path, page, jobs: pages.append((page, jobs)))
    monkeypatch.setattr(results.pictures, "draw_all", lambda *args: drawn.append(args))
    about, drawn = About("the command"), []
    config = Config(RECIPES["digits"], sure=.9, folds=folds, posterior=posterior)
    result = result._replace(verdict=result.verdict._replace(probs=result.pred_probs[::-1]))
    results.finish(out, result, config, "title", example()[0], about, jobs=3)
    (page, jobs), = pages
    assert (page.sure, page.title, jobs, page.about.command) == (sure, "title", 3, "the command")
    assert page.about.environment == json.loads((out / "config.json").read_text())["environment"]
    for name in ("given", "suggested", "corrected", "truth", "index", "images"):
        assert getattr(page, name) is getattr(result, name), name
    assert page.probs is result.verdict.probs and page.joint is result.verdict.joint
    assert page.noise_rate == result.verdict.rate and page.root is None and page.posterior is posterior
    assert (page.records, page.classes) == (result.records, CLASSES) and page.begin == config.recipe.begin
    assert page.facts == results.facts(result, config) and config.recipe.begin != config.recipe.K
    assert drawn == [(out, result, config.recipe.begin, None)]


def test_the_pictures_get_the_photographs_and_the_tasks_a_checksum(finished, monkeypatch):
    out, result = finished
    drawn, pages = [], []
    monkeypatch.setattr(results.pictures, "draw_all", lambda *args: drawn.append(args))
    monkeypatch.setattr(results.page, "write", lambda path, page, jobs: pages.append(page))
    (out / "photos").mkdir()
    (out / "photos" / "1.png").touch()
    config = Config(RECIPES["digits"], data=str(out / "photos"))
    result = result._replace(paths=np.array(["1.png"] * N))
    results.finish(out, result, config, "title", example()[0])
    (*others, originals), = drawn
    assert others == [out, result, config.recipe.begin] and pages[0].originals is originals
    assert originals.of([], None)(3) == str(out / "photos" / "1.png")
    assert "label_studio.json" in json.loads((out / "manifest.json").read_text())["files"]


def test_the_pictures_of_an_archive_or_array_are_made_by_the_levels_of_the_data(finished, monkeypatch):
    out, result = finished
    drawn = []
    monkeypatch.setattr(results.pictures, "draw_all", lambda *args: drawn.append(args))
    listing = Listing(out, [f"images[{i}]" for i in range(3 * N)], [], list(range(3 * N)), 3 * N, [], packed=object())
    data = example()[0]._replace(levels={1: (0., 510.)})
    results.finish(out, result, Config(RECIPES["digits"]), "title", data, jobs=2, listing=listing)
    originals = drawn[0][-1]
    assert (originals.listing, originals.levels, originals.jobs) == (listing, data.levels, 2)
    assert originals.index is result.index


def with_features(levels=None):
    data = example()[0]
    features = np.random.default_rng(0).standard_normal((N, 2, 6)).astype(np.float32)
    return data._replace(train=data.train._replace(features=features), levels=levels,
                         backbone={"name": "n", "size": 224, "sha256": "0" * 64, "file": "w"})


def test_a_head_is_stored_with_all_that_it_takes_to_use_it(finished, monkeypatch):
    _, result = finished
    saved, data = [], with_features({1: (0.0, 4095.0)})
    monkeypatch.setattr(results.head_file, "save", lambda *args: saved.append(args))
    results.save_network("m", "weights", 1, result, RECIPES["digits"], data)
    (path, weights, mean, std, *rest), = saved
    assert (path, weights, rest) == ("m", "weights", [CLASSES, data.backbone, data.levels])
    assert all(map(np.array_equal, (mean, std), mean_and_std(data.train.features)))


def test_the_page_says_what_the_network_saw():
    assert results.seen(example()[0], None) is None
    assert results.seen(with_features(), None) == "224 × 224 pixels as n saw them"
    assert results.seen(with_features()._replace(backbone=None), Config(RECIPES["digits"], features="f.npz")) == (
        "the network saw the features in f.npz")


def test_the_folder_of_files_is_known_where_some_are_there(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").touch()
    (tmp_path / "t.csv").touch()
    paths = np.array(["cat/0.png", "cat/1.png"])
    for source in (tmp_path, tmp_path / "t.csv"):
        assert issues.folder_of_files(paths, source) == str(tmp_path)
    assert issues.folder_of_files(paths, tmp_path / "cat") is issues.folder_of_files(None, tmp_path) is None
    assert issues.folder_of_files(np.array([]), tmp_path) is None
    many = np.array([*(f"cat/{i + 2}.png" for i in range(38)), "cat/1.png", "cat/40.png"])
    assert issues.folder_of_files(many, tmp_path) == str(tmp_path), "one of twenty is looked for, and there"


@pytest.mark.parametrize("place", ["", "annotations", "annotations/clean_train_key_list.txt"])
def test_files_of_clothing1m_are_found_whichever_part_was_given(tmp_path, place):
    """Its images lie beside the folder of its lists, not in it."""
    for name in ("annotations/noisy_train_key_list.txt", "annotations/clean_train_key_list.txt", "images/0/0.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert issues.absolute(["images/0/0.jpg"], tmp_path / place) == [f"{tmp_path}/images/0/0.jpg"]
    assert issues.folder_of_files(np.array(["images/0/0.jpg"]), tmp_path / place) == str(tmp_path)


def test_what_the_disk_refuses_ends_the_run_and_what_cannot_be_drawn_is_a_note(finished, monkeypatch):
    out, result = finished
    for error, ends in ((ValueError("too\n wide"), False), (InputError("the disk is full"), True)):
        def write(*args, error=error):
            raise error
        monkeypatch.setattr(results.page, "write", write)
        if ends:
            with pytest.raises(InputError, match="the disk is full"):
                results.finish(out, result, Config(RECIPES["digits"]), "title", example()[0])
        else:
            assert results.finish(out, result, Config(RECIPES["digits"]), "title", example()[0]) == [
                "note     report.html could not be made (ValueError: too wide); everything else is there"]


def test_the_manifest_describes_every_file(finished):
    out, _ = finished
    content = json.loads((out / "manifest.json").read_text())
    files = content["files"]
    assert set(files) == {path.name for path in out.iterdir()} - {"manifest.json", "summary.json"}
    for name, about in files.items():
        raw = (out / name).read_bytes()
        assert about["what"] and about["bytes"] == len(raw) and about["sha256"] == hashlib.sha256(raw).hexdigest(), name
    assert (files["pred_probs.npy"]["shape"], files["pred_probs.npy"]["dtype"]) == ([N, 5], "float32")
    assert content["settings"]["recipe"]["update"] == "hard" and content["environment"]["numpy"] == np.__version__
    assert content["definitions"]["pred_probs"].startswith("NOT out-of-sample: mean over the last 5 epochs")


def test_the_manifest_says_what_the_probabilities_and_the_soft_labels_of_this_run_are():
    def said(**more):
        recipe = {"K": 10, "epochs": 30, "begin": 7, "predict": "training", **more.pop("recipe", {})}
        return manifest.probabilities({"recipe": recipe, **more})
    for folds, words in (({}, "the whole method, each on all folds but one, and the network of step 2 on"),
                         ({"features": "f.npy"}, "step 1, each on all folds but one, and the network of step 1 on"),
                         ({"backbone": "b"}, "step 1, each on all folds but one, and the network of step 1 on"),
                         ({"backbone": "b", "finetune": True}, "the whole method, each on all folds but one, and the "
                                                               "network of step 2 on")):
        assert said(folds=4, **folds).startswith(f"out-of-sample: 4 trainings of {words} the images of that one")
    for recipe, words in (({}, "last 10 epochs of step 1 of the network's softmax in the training pass (augmented"),
                          ({"epochs": 6}, "last 6 epochs of step 1 of the network's softmax in the training pass"),
                          ({"predict": "evaluation"}, "last 10 epochs of step 1 of the network's softmax in an "
                                                      "evaluation pass (images as they are")):
        assert said(recipe=recipe).startswith(f"NOT out-of-sample: mean over the {words}")
        assert "for the first 7 epochs" in said(recipe=recipe)
    plain, posterior = (manifest.by_soft_labels({"folds": 5, "posterior": chosen}) for chosen in (False, True))
    assert plain.keys() == posterior.keys() == {"soft_labels", "p_given, p_suggested", "noise_matrix"}
    assert plain["soft_labels"] == "the label distributions that step 1 ended with"
    assert plain["p_given, p_suggested"] == "entries of pred_probs"
    assert posterior["soft_labels"].startswith("the posterior of the true class given image and given label")
    assert posterior["p_given, p_suggested"] == "entries of soft_labels"


def test_the_log_is_on_the_disk_before_the_manifest_has_its_checksum(finished, monkeypatch):
    out, _ = finished
    order = []
    monkeypatch.setattr(manifest, "force", order.append)
    monkeypatch.setattr(manifest, "save_text", lambda path, text: order.append(path))
    (out / "log.jsonl").write_text("{}")
    manifest.save_manifest(out)
    assert order == [out / "log.jsonl", out / "manifest.json"]


def test_a_file_that_has_changed_is_told_by_its_checksum(finished):
    out, _ = finished
    path = manifest.checked(out, "model.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="model.safetensors is damaged, its checksum"):
        manifest.checked(out, "model.safetensors")
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        manifest.checked(out, "model.safetensors")
    for text in ("", "[]", "{}"):
        (out / "manifest.json").write_text(text)
        with pytest.raises(InputError, match="no manifest.json that knows model.safetensors"):
            manifest.checked(out, "model.safetensors")


def test_the_summary_says_how_well_wrong_labels_were_found(finished):
    out, result = finished
    found, known = json.loads((out / "summary.json").read_text()), result.truth >= 0
    P, given = result.pred_probs, result.given
    expected = quality.detection((given != result.truth)[known], (P.argmax(axis=1) != given)[known],
                                 quality.self_confidence(P, given)[known])
    assert found["detection"] == pytest.approx(expected._asdict())
    assert found["estimated_rate"] == pytest.approx(quality.estimated_errors(quality.confident_joint(P, given))[1])
    text = console.table(result)
    assert f"AUROC {expected.auroc:.3f}, average precision {expected.average_precision:.3f}" in text
    assert f"precision {100 * expected.precision:.1f} %, recall {100 * expected.recall:.1f} %" in text


def test_without_a_truth_only_the_estimate_is_told(finished):
    _, result = finished
    verdict = quality.judge(result.given, result.soft, result.pred_probs, result.pred_probs)
    outcome = results.summary(verdict, result.given, [])
    assert ("detection" not in outcome and 0 <= outcome["estimated_rate"] <= 1
            and outcome["initial"] is outcome["recovery"] is None)
    table = console.table(result._replace(truth=None, verdict=verdict, summary=outcome))
    assert "estimated label noise: " in table and "AUROC" not in table


def test_without_a_truth_the_table_tells_what_is_doubted_and_what_was_corrected():
    result = SimpleNamespace(given=np.array([0, 0, 1, 1]), suggested=np.array([1, 0, 0, 0]),
                             corrected=np.array([1, 0, 1, 1]),
                             recovery=float("nan"))
    assert console.label_line(result) == "labels: 3 of 4 suspicious, 1 corrected (the true labels are unknown)"
