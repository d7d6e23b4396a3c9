"""core/report/review.py: which images the page has, with a picture or by name, within its limit, and what it says."""
import json
import os
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image

from core.data.originals import Files
from core.report import page, review
from core.report.issues import run_identity
from core.report.pairs import samples_of_pairs
from tests.lib.document import Document
from tests.lib.pages import page_of, records


@pytest.fixture(scope="module")
def made():
    made = page_of(records=records(), begin=4)
    made.truth[:] = np.random.default_rng(1).integers(-1, len(made.classes), len(made.truth))
    return made


@pytest.fixture(scope="module")
def document(made):
    return Document(page.render(made))


def test_the_list_has_the_suspicious_images_the_most_suspicious_first_and_then_all_others(made, document):
    data, score = document.data, made.probs[np.arange(len(made.given)), made.given]
    doubted = made.given != made.suggested
    rows = np.concatenate([chosen[np.argsort(score[chosen], kind="stable")]
                           for chosen in (np.flatnonzero(doubted), np.flatnonzero(~doubted))])
    assert data["index"] == made.index[rows].tolist() and data["given"] == made.given[rows].tolist()
    assert data["suggested"] == made.suggested[rows][:doubted.sum()].tolist()
    assert data["score"] == pytest.approx(score[rows], abs=1e-4)
    assert data["probability"] == pytest.approx(made.probs[rows, made.suggested[rows]][:doubted.sum()], abs=1e-4)
    assert [data["folders"][folder] + name for folder, name in data["names"]] == made.paths[rows].tolist()
    assert all(len(str(p)) <= 6 for p in data["score"] + data["probability"]), "four digits are enough"
    assert data["truth"] == made.truth[rows].tolist() and data["classes"] == list(made.classes)
    assert data["run"] == run_identity(made.classes, made.index, made.given, made.suggested)
    assert data["key"].startswith(f"{data['run']} ")
    in_pairs = {int(attrs["data-index"]) for attrs in document.all("li") if "data-index" in attrs}
    without = {i for k, i in enumerate(data["index"]) if str(k) not in data["images"]}
    assert in_pairs == without, "each is in the page once"


def test_a_page_that_is_one_byte_too_large_is_made_anew_with_less():
    shares = review.Budget()
    assert shares.less(0, 1000) is shares.less(-1, 1000) is None
    assert 0 < sum(shares.less(1, 1000)) < sum(shares) and sum(shares.less(10**6, 1000)) == 0


class Repeated:
    """N images of which every hundredth is the same: noise, which takes the most room."""
    def __init__(self, N, side):
        self.shape = (N, side, side, 3)
        self.few = np.random.default_rng(0).integers(0, 256, (100, side, side, 3), np.uint8)

    def __getitem__(self, row):
        return self.few[row % 100]


def test_a_page_of_100_000_images_and_thousands_of_suspicious_ones_keeps_its_limit():
    made = page_of(100_000, [f"class {c}" for c in range(100)], size=1, wrong=.07, truth=False)
    made = made._replace(images=Repeated(100_000, 96))
    total = int((made.given != made.suggested).sum())
    html = page.render(made, jobs=2)
    assert total > 5000 and len(html.encode()) <= page.LIMIT
    document = Document(html)
    data = document.data
    pictured, listed = len(data["images"]), len(data["index"])
    in_pairs = sum("data-index" in attrs for attrs in document.all("li"))
    assert pictured + in_pairs > 1000 and listed > 50_000 and len(html) > .8 * page.LIMIT, "the room is used"
    assert len(data["suggested"]) == total, "all that is suspicious is listed"
    assert f"{listed - total:,} of {100_000 - total:,} others are listed" in document.text
    assert f"of {total:,} suspicious images have a picture here" in document.text
    assert "label_issues.csv lists all" in document.text


@pytest.mark.parametrize("limit", [120_000, 200_000, 400_000])
def test_what_is_left_out_is_said_and_every_count_is_that_of_the_page(limit):
    made = page_of(600, list("abc"), size=32, truth=False)
    html = page.render(made, limit=limit)
    assert len(html.encode()) <= limit
    document, doubted = Document(html), made.given != made.suggested
    data, total = document.data, int(doubted.sum())
    rows = {int(i): k for k, i in enumerate(made.index)}
    pictured = {int(attrs["data-index"]) for attrs in document.all("li") if "data-index" in attrs} | {
        data["index"][int(k)] for k in data["images"]}
    number = sum(bool(doubted[rows[i]]) for i in pictured)
    assert (f"{number} of {total} suspicious images have a picture" in document.text) == (number < total)
    listed = len(data["index"])
    words = f"{min(listed, total)} of {total} suspicious images and {max(0, listed - total)} of {600 - total} others"
    assert (f"{words} are listed" in document.text) == (listed < 600)


def test_where_there_is_little_room_the_ends_of_the_pairs_have_their_pictures_first():
    made = page_of(900, list("abc"), size=32, wrong=.9, truth=False)
    document = Document(page.render(made, limit=350_000))
    assert "suspicious images have a picture here" in document.text
    found, _ = samples_of_pairs(made, np.flatnonzero(made.given != made.suggested))
    ends = {int(made.index[row]) for _, _, _, most, least in found for row in most + least}
    shown = {int(attrs["data-index"]) for attrs in document.all("li") if "data-index" in attrs}
    assert shown == ends and len(ends) == 72


def test_a_page_without_any_room_still_has_its_numbers():
    made = page_of(600, list("abc"))
    document, total = Document(page.render(made, limit=0)), int((made.given != made.suggested).sum())
    assert document.data["index"] == [] and not [a for a in document.all("img") if "src" in a]
    assert f"0 of {total} suspicious images have a picture" in document.text and "images 600" in document.text


def test_names_of_great_length_leave_room_for_fewer_and_the_page_keeps_its_limit():
    made = page_of(2000, list("abc"))
    made = made._replace(paths=np.array([f"{i:05d}{'x' * 240}/{'猫' * 60}{i}.png" for i in range(2000)]))
    html = page.render(made, limit=600_000)
    assert len(html.encode()) <= 600_000 and 0 < len(Document(html).data["index"]) < 2000


# ---- files ---------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    """A page of 30 photos of 80 x 60; that of row 3 is missing, that of row 4 another one by now."""
    root = tmp_path_factory.mktemp("my photos, ä")
    made = page_of(30, list("ab"), size=16, wrong=.9)
    rng, images = np.random.default_rng(0), made.images.copy()
    paths = np.array([f"c {i % 2}/#{i}?.jpg" for i in range(30)])
    for i in range(30):
        photo = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8)).resize((80, 60), 3)
        images[i] = np.asarray(photo.crop((10, 0, 70, 60)).resize((16, 16), 1))
        (root / paths[i]).parent.mkdir(exist_ok=True)
        if i != 3:
            (photo if i != 4 else photo.transpose(1)).save(root / paths[i])
    made.suggested[:6] = 1 - made.given[:6]
    return made._replace(images=images, paths=paths, root=str(root), originals=Files(str(root), paths))


def test_the_page_has_the_photo_itself_and_marks_what_the_network_saw(photographed):
    document = Document(page.render(photographed))
    data, rows = document.data, {int(i): k for k, i in enumerate(photographed.index)}
    sizes = {rows[data["index"][int(k)]]: tuple(size) for k, size in data["sizes"].items()}
    assert sizes == {row: (80, 60) for row in range(30) if row not in (3, 4)}
    squares = [attrs for attrs in document.all("rect") if attrs.get("width") == "60"]
    assert squares and all((a["x"], a["y"], a["height"]) == ("10.0", "0.0", "60") for a in squares)
    assert "2 of the suspicious images are shown as they were read for the run" in document.text


def test_images_without_doubt_are_smaller_than_suspicious_ones(tmp_path):
    made = page_of(12, list("ab"), size=16, wrong=0)
    images, paths = made.images.copy(), np.array([f"{i}.png" for i in range(12)])
    for i in range(12):
        photo = Image.fromarray(np.random.default_rng(i).integers(0, 256, (3, 4, 3), np.uint8)).resize((400, 300), 3)
        images[i] = np.asarray(photo.crop((50, 0, 350, 300)).resize((16, 16), 1))
        photo.save(tmp_path / paths[i])
    made = made._replace(images=images, paths=paths, originals=Files(str(tmp_path), paths))
    rows = np.arange(12)
    found = review.pictured(made, rows[:4], rows[4:], [], review.Budget(1e6, 1e6, 1e6), 1)
    assert [found[row].size for row in rows] == [(192, 144)] * 4 + [(128, 96)] * 8


def test_every_link_leads_to_the_file_of_its_image(photographed):
    document = Document(page.render(photographed))
    links = [attrs["href"] for attrs in document.all("a") if attrs.get("href", "").startswith("file:")]
    files = {unquote(urlparse(link).path) for link in links}
    assert len(links) == len(files) > 5 and files <= {str(Path(photographed.root, path)) for path in photographed.paths}
    assert all(os.path.isfile(file) for file in files if not file.endswith("#3?.jpg"))
    assert document.data["root"] == Path(photographed.root).as_uri()
    policy = next(a["content"] for a in document.all("meta") if "content" in a and "img-src" in a["content"])
    assert "img-src data: file:;" in policy


def test_without_files_nothing_is_linked_and_files_are_not_allowed(document, made):
    assert document.data["root"] is None and not [a for a in document.all("a") if a.get("href", "").startswith("file:")]
    policy = next(a["content"] for a in document.all("meta") if "content" in a and "img-src" in a["content"])
    assert "img-src data:;" in policy


def test_paths_are_split_into_folders_and_names_and_come_back():
    paths = np.array(["a/b/c.png", "d.png", "a/b/e.png", "/abs/f.png", "/g.png", "a/h.png"])
    folders, names = review.split_paths(paths)
    assert [folders[folder] + name for folder, name in names] == paths.tolist() and len(folders) == 5
    assert json.loads(json.dumps([folders, names])) == [folders, names]


def test_the_images_of_a_page_have_a_name_by_their_paths_or_else_by_their_pixels():
    made, other = page_of(150), page_of(150, seed=1)
    plain, changed = made._replace(paths=None), made.images.copy()
    changed[99] += 1
    names = [review.images_identity(one) for one in (made, made._replace(paths=other.paths), plain,
                                                     plain._replace(images=changed))]
    assert len(set(names)) == 4 and {len(name) for name in names} == {8}
    assert review.images_identity(made._replace(images=other.images)) == names[0]
    changed[99] -= 1
    changed[100:] = 0
    assert review.images_identity(plain._replace(images=changed)) == names[2], "the first hundred of a million"
