"""The pictures of a run, read back by what their artists hold: the right axis, the right colour, the right order."""
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from core.data.originals import Files
from core.errors import InputError
from core.report import curve_pictures, label_pictures, pictures
from core.report.palette import RIGHT, WRONG
from tests.lib.pages import finished_run


@pytest.fixture(scope="module")
def run():
    run = finished_run(400, list("abcd"), wrong=.4)
    run.truth[::9] = -1
    return run


def texts_of(axes):
    """{(row, column): number} that is written into the matrix."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}


def test_the_matrices_have_what_is_true_in_rows_and_what_is_given_in_columns(run):
    figure = label_pictures.confusions(run)
    assert [axes.get_ylabel() for axes in figure.axes] == ["true", "true"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["given", "corrected"]
    for axes, labels in zip(figure.axes, (run.given, run.corrected)):
        share = axes.images[0].get_array()
        for i in range(4):
            rows = run.truth == i
            for j in range(4):
                assert share[i, j] == pytest.approx((labels[rows] == j).mean())
                percent = 100 * share[i, j]
                assert texts_of(axes)[i, j] == (f"{percent:.0f}" if percent > .5 else "")
        for ticks in (axes.get_yticklabels(), axes.get_xticklabels()):
            assert [text.get_text() for text in ticks] == list("abcd")


def test_half_a_percent_is_the_least_that_is_written():
    share = np.array([[.9951, .0049], [.005, .995]])
    axes = curve_pictures.sheet(3, 3).subplots()
    label_pictures.confusion(axes, share, ["a", "b"], ["DejaVu Sans"])
    assert texts_of(axes) == {(0, 0): "100", (0, 1): "", (1, 0): "1", (1, 1): "100"}
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours["100"] == "white" and colours["1"] == "black", "as the cells are dark and light"


def test_where_no_truth_is_known_given_labels_stand_against_suggested_ones():
    run = finished_run(400, list("abcd"), wrong=.4, truth=False)
    axes, = label_pictures.confusions(run).axes
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("given", "suggested")
    share = axes.images[0].get_array()
    assert share[1, 2] == pytest.approx((run.suggested[run.given == 1] == 2).mean()) and share[1, 2] != share[2, 1]


def test_of_many_classes_those_that_change_most_are_shown_and_a_line_says_so():
    run = finished_run(3000, [f"c{i}" for i in range(100)], truth=False)
    figure = label_pictures.confusions(run)
    share = figure.axes[0].images[0].get_array()
    assert share.shape == (40, 40) and not figure.axes[0].texts, "more than 20 have no numbers"
    shown = [int(text.get_text()[1:]) for text in figure.axes[0].get_yticklabels()]
    assert shown == sorted(shown) != list(range(len(shown)))
    assert shown == [int(text.get_text()[1:]) for text in figure.axes[0].get_xticklabels()]
    for a, i in enumerate(shown):
        assert share[a].tolist() == pytest.approx([(run.suggested[run.given == i] == j).mean() for j in shown])
    assert figure.get_supxlabel() == "the 40 of 100 classes that change most"


def corrections(run):
    """The corrected rows, the most confident first."""
    rows = np.flatnonzero(run.corrected != run.given)
    return rows[np.argsort(-run.soft.max(axis=1)[rows], kind="stable")]


def test_the_most_confident_corrections_are_shown_first_with_both_labels_and_their_colour(run):
    run.truth[corrections(run)[1]] = -1
    figure = label_pictures.corrected_sheet(run)
    rows = corrections(run)
    assert len(figure.axes) == 40 < len(rows)
    for axes, row in zip(figure.axes, rows):
        assert (axes.images[0].get_array() == run.images[row]).all()
        given, = axes.texts
        assert (given.get_text(), axes.get_title()) == (run.classes[run.given[row]], run.classes[run.corrected[row]])
        expected = "#000000" if run.truth[row] < 0 else RIGHT if run.corrected[row] == run.truth[row] else WRONG
        assert to_hex(given.get_color()) == to_hex(axes.title.get_color()) == expected
        assert given.get_fontsize() >= 9
    assert {to_hex(axes.title.get_color()) for axes in figure.axes} >= {RIGHT, WRONG}


def test_green_is_explained_where_a_truth_is_known():
    for truth in (True, False):
        run = finished_run(100, list("ab"), wrong=.5, truth=truth)
        run.truth = run.truth if truth else None
        assert ("(green: the true class)" in label_pictures.corrected_sheet(run).texts[0].get_text()) == truth


def test_a_line_goes_through_every_given_label_and_no_other(run):
    figure = label_pictures.corrected_sheet(run)
    figure.draw_without_rendering()                            # as saving does: the lines have to stay on the texts
    for axes in figure.axes:
        low, high = (text.get_window_extent() for text in (axes.title, axes.texts[0]))
        assert axes.bbox.y1 < low.y0 < low.y1 <= high.y0 + 1 < low.y1 + low.height, "above the image, and one another"
    given = [axes.texts[0].get_window_extent().transformed(figure.transFigure.inverted()) for axes in figure.axes]
    assert len(figure.artists) == len(given)
    for line, place in zip(figure.artists, given):
        assert line.get_xdata() == pytest.approx((place.x0, place.x1))
        assert line.get_ydata() == pytest.approx([(place.y0 + place.y1) / 2] * 2)


@pytest.mark.parametrize("number, panels", [(1, 4), (3, 4), (9, 9), (11, 20)])
def test_there_are_no_more_rows_than_the_corrections_fill(run, number, panels):
    few = run.given.copy()
    few[corrections(run)[:number]] = run.corrected[corrections(run)[:number]]
    figure = label_pictures.corrected_sheet(finished_run(400, list("abcd"), wrong=.4, corrected=few))
    for axes in figure.axes:
        assert axes.get_position().size * figure.get_size_inches() == pytest.approx([1.05, 1.05])
    assert len(figure.axes) == panels and sum(bool(axes.images) for axes in figure.axes) == number
    assert figure.texts[0].get_wrap()
    title = figure.texts[0].get_text()
    assert title.startswith("One correction:" if number == 1 else f"The most confident of {number} corrections:")


def test_a_photo_is_shown_whole_where_its_file_is_there(tmp_path, run):
    row = corrections(run)[0]
    low = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)).resize((80, 60), 3)
    low.save(tmp_path / "a.png")
    images = run.images.copy()
    images[row] = np.asarray(low.crop((10, 0, 70, 60)).resize(images.shape[1:3], 1))
    originals = Files(str(tmp_path), np.array(["a.png"] * 400))
    figure = label_pictures.corrected_sheet(finished_run(400, list("abcd"), wrong=.4, images=images), originals)
    assert figure.axes[0].images[0].get_array().shape == (60, 80, 3)
    assert figure.axes[1].images[0].get_array().shape == images.shape[1:], "a.png is not that image"


@pytest.mark.parametrize("truth", [True, False])
def test_all_pictures_of_names_in_any_script_are_drawn_without_a_warning(tmp_path, truth):
    run = finished_run(100, ["猫", "γάτα", "ประเทศ", "$x^2$", "🦉"], wrong=.5, truth=truth)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.draw_all(tmp_path, run, 4)
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "losses.png", "confusion.png", "corrected.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_every_picture_has_its_name_and_without_a_correction_there_is_none_of_them(tmp_path, monkeypatch):
    saved = {}
    monkeypatch.setattr(pictures, "save", lambda path, figure: saved.update({path: figure}))
    monkeypatch.setattr(pictures, "corrected_sheet", lambda *args: args)
    run = finished_run(100, list("ab"), wrong=.5)
    pictures.draw_all(tmp_path, run, 4, "the originals")
    assert saved.pop(tmp_path / "corrected.png") == (run, "the originals")
    assert {path.name: figure.axes[0].get_title() for path, figure in saved.items()} == {
        "curves.png": "step 1, joint", "losses.png": "step 1: the terms of the loss",
        "confusion.png": "given labels, % of each row"}
    before = set(saved)
    saved.clear()
    run.corrected = run.given
    pictures.draw_all(tmp_path, run, 4)
    assert set(saved) == before


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    resource = pytest.importorskip("resource", reason="files are not limited here")
    (tmp_path / "a.png").write_bytes(b"as it was")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9, before[1]))          # as on a disk that is full
        with pytest.raises(InputError):
            pictures.save(tmp_path / "a.png", curve_pictures.sheet(1, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"as it was"]


def test_the_curves_count_epochs_in_whole_numbers_and_accuracies_in_percent(run):
    figure = curve_pictures.curves(run, 4)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(float(x) == int(x) for x in axes.xaxis.get_major_locator()())
        assert {text.get_text()[-2:] for text in axes.get_yticklabels()} == {" %"}


def test_every_panel_has_the_values_of_its_training_over_its_epochs():
    for truth in (True, False):
        run = finished_run(100, list("ab"), truth=truth)
        for record in run.records:
            record.epoch += 4 if record.step == "joint" else 5
        joint, retrain = run.records[:10], run.records[10:]
        fields = {"correct labels": "recovery", "test": "test", "training, labels in use": "accuracy",
                  "_child0": "changed", "L_c classification": "L_c", "L_p prior": "L_p", "L_e entropy": "L_e"}
        panels = [("step 1, joint", joint, "accuracy", (0, 1.02), ["correct labels"] * truth + [*list(fields)[1:3]]),
                  ("step 2, retrained", retrain, "", (0, 1.02), [*list(fields)[1:3]]),
                  *[("step 1: labels changed by the update", joint, "", None, ["_child0"])] * (not truth),
                  ("step 1: the terms of the loss", joint, "nats", None, [*list(fields)[4:]])]
        found = [*curve_pictures.curves(run, 8).axes, *curve_pictures.losses(run, 8).axes]
        for axes, (title, own, unit, limits, names) in zip(found, panels, strict=True):
            assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (title, "epoch", unit)
            assert axes.get_ylim()[0] == 0 and limits in (None, axes.get_ylim())
            if names == ["_child0"]:
                assert all(float(y).is_integer() for y in axes.yaxis.get_major_locator().tick_values(0, 2))
            *drawn, mark = axes.lines if own is joint else [*axes.lines, None]
            assert [line.get_label() for line in drawn] == names
            assert mark is None or (mark.get_label(), *mark.get_xdata()) == ("labels first updated", 7.5, 7.5)
            for line in drawn:
                assert list(line.get_xdata()) == [r.epoch for r in own]
                assert list(line.get_ydata()) == [getattr(r, fields[line.get_label()]) for r in own]
            legend = axes.get_legend().get_texts() if axes.get_legend() else []
            assert [text.get_text() for text in legend] == [
                *(name for name in names if name[0] != "_"), *["labels first updated"] * (own is joint)]
