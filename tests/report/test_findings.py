"""core/report/findings.py: what is said of a person's data."""
from types import SimpleNamespace

import numpy as np

from core.data.listing import KINDS, Finding
from core.report import findings


def test_every_kind_of_finding_has_its_number_and_its_first_examples():
    """In the order of KINDS, whatever the order in which they were found."""
    rng, found = np.random.default_rng(0), []
    numbers = {kind: n for n, kind in enumerate(KINDS)}                  # of the first there is none
    for kind in rng.permutation([kind for kind, n in numbers.items() for _ in range(n)]).tolist():
        found.append(Finding(kind, f"{kind}/{len(found)}\n.png", f"why \x1b{len(found)}" if len(found) % 2 else ""))
    told = findings.by_kind(found, 3)
    assert [(number, what) for number, what, _ in told] == [(n, KINDS[kind]) for kind, n in numbers.items() if n]
    lines = findings.lines_about(found, 3)
    for (number, what, examples), kind in zip(told, list(KINDS)[1:], strict=True):
        own = [finding for finding in found if finding.kind == kind][:3]
        expected = [f.path.replace("\n", "\\u000a") + (": " + f.detail.replace("\x1b", "\\u001b") if f.detail else "")
                    for f in own]
        assert examples == expected
        place = lines.index(f"{number:6d}  {what}")
        block = [f"          {text}" for text in expected] + [f"          and {number - 3} more"] * (number > 3)
        assert lines[place + 1:place + 1 + len(block)] == block
    assert len(lines) == sum(1 + min(n, 3) + (n > 3) for n in numbers.values() if n)


def data_of(train, validation=(), test=(), classes=("b\tb", "a", "c")):
    """Numbers of images of each class of each split."""
    splits = [SimpleNamespace(labels=np.repeat(np.arange(len(n)), n)) for n in (train, validation, test)]
    return SimpleNamespace(classes=classes, train=splits[0], validation=splits[1], test=splits[2])


def test_the_table_of_classes_has_every_split_under_its_name():
    lines = findings.class_table(data_of([5, 6, 7], [1, 2, 3], [8, 9, 4]))
    assert set(lines.pop(1)) == {"-"} and [line.split() for line in lines] == [
        ["class", "number", "training", "validation", "test"],
        ["b\\u0009b", "0", "5", "1", "8"], ["a", "1", "6", "2", "9"], ["c", "2", "7", "3", "4"]]
    assert [line.split() for line in findings.class_table(data_of([5, 6, 7], (), [0, 1]))][::2] == [
        ["class", "number", "training", "test"], ["b\\u0009b", "0", "5", "0"], ["c", "2", "7", "0"]]
    for C, left_out in ((40, 0), (41, 1), (100, 60)):
        made = data_of(range(50, 50 + C), classes=[f"c{c}" for c in range(C)])
        names = [line.split()[0] for line in findings.class_table(made)[2:]]
        shown = [f"c{c}" for c in range(C)]
        assert names == (shown if not left_out else [*shown[:20], "...", *shown[-20:]])


def test_the_classes_in_one_line():
    assert findings.classes_in_brief(data_of([5, 6, 7])) == "classes  b\\u0009b 5, a 6, c 7"
    names = [f"c{c}" for c in range(13)]
    assert findings.classes_in_brief(data_of(range(7, 19), classes=names[:12])).endswith("c10 17, c11 18")
    assert findings.classes_in_brief(data_of(range(7, 20), classes=names)).endswith(
        "c10 17, c11 18 and 1 more, 7 to 19 images each")


def test_uneven_classes_are_told_with_the_advice_that_is_not_followed_yet():
    for counts, uneven in (([9, 10, 99], False), ([9, 10, 100], True), ([1, 9, 9], False), ([1, 10, 10], True),
                           ([0, 10, 10], True), ([0, 9, 9], False), ([1, 1, 15], True), ([0, 0, 10], True),
                           ([0, 0, 9], False)):
        said = findings.unevenness(np.array(counts), "uniform")
        assert bool(said) == uneven, counts
        if uneven:
            told = f"the classes are uneven ({min(counts)} to {max(counts)} images)"
            assert said == [f"{told}: if they really are, say so with --prior given"]
            assert findings.unevenness(np.array(counts), "given")[0].startswith(f"{told}: taken to be as frequent as")
            assert findings.unevenness(np.array(counts), (.2, .3, .5)) == [told]


def test_the_sizes_of_stored_images():
    assert findings.stored_sizes(np.array([[30, 40]] * 3)) == "all are 40 x 30 pixels"
    text = findings.stored_sizes(np.array([[30, 40], [90, 20], [30, 40], [25, 80], [70, 60]]))
    assert text == "4 sizes, the short side 20 to 60 pixels, in the median 30"
