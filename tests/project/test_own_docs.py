"""docs/own-data.md and the program say the same: each message of its tables is in the code,
each message of the code in its tables."""
import ast
import errno
import re
import shlex
from functools import lru_cache
from types import SimpleNamespace

import pytest

import demo
from core import recipes
from core.errors import InputError
from core.files import disk_errors
from core.report import console
from core.report.manifest import WHAT
from core.run import Config, state
from core.run.commands import parse
from core.run.config import check
from tests.lib.own_data import write_folder
from tests.project.test_docs import ROOT, section

PAGE = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
MODULES = ("demo.py", "nets/safetensors_file.py", *(f"core/{name}.py" for name in (
    "errors", "files", "train", "data/archive", "data/array_images", "data/arrays", "data/backbone",
    "data/clothing1m", "data/columns", "data/feature_files", "data/folder", "data/images", "data/label_files",
    "data/named_labels", "data/nothing", "data/own", "data/places", "data/pth", "data/resnet_weights", "data/source",
    "data/splits", "data/table", "data/truth", "data/weights", "parallel/launch", "parallel/processors",
    "report/config", "report/manifest", "run/commands", "run/config", "run/defaults", "run/folder", "run/folds",
    "run/inputs", "run/options", "run/resume", "run/schema", "run/seen", "run/state", "use/apply", "use/networks",
    "use/predict")))
FEWEST = 12                            # letters of a text without its gaps that is taken for a message or a part of one
GAP = "<gap>"


@lru_cache
def tree_of(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def text_of(node, constants):
    """The text that an expression makes, with a GAP for every value that is not known before; None if it is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part.value, constants) or GAP if isinstance(part, ast.FormattedValue) else part.value
                       for part in node.values)
    if isinstance(node, ast.BinOp):
        sides = [text_of(side, constants) for side in (node.left, node.right)]
        return "".join(side or GAP for side in sides) if any(sides) else None
    return None


def texts(path, wanted=lambda node: True):
    """The texts that a module makes in those of its expressions that are wanted."""
    tree = tree_of(path)
    constants = {node.targets[0].id: text_of(node.value, {}) for node in tree.body if isinstance(node, ast.Assign)
                 and isinstance(node.targets[0], ast.Name)}
    found = (text_of(node, constants) for node in ast.walk(tree) if wanted(node))
    return {text for text in found if text and len(text.replace(GAP, "")) >= FEWEST}


def messages(path):
    """What a module says in an InputError: the last argument of every call of need, InputError or NotFinite."""
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)
             and getattr(node.func, "id", "") in ("need", "InputError", "NotFinite", "Refused")]
    return texts(path, [node.args[-1] for node in calls].__contains__)


@lru_cache(None)
def pattern(text):
    """The regular expression of a text with anything in its gaps."""
    return re.compile(".*".join(map(re.escape, text.split(GAP))))


@lru_cache
def told():
    """The messages in the tables of the page, each as its pieces of code."""
    cells = re.findall(r"^\| (`.+?`) \|", section(PAGE, "10. Every message"), re.MULTILINE)
    return [[piece.strip() for _, piece in re.findall(r"(`+)(.+?)\1(?!`)", cell)] for cell in cells]


@lru_cache
def said():
    """Every text in the program."""
    paths = [ROOT / "demo.py", *(ROOT / "core").rglob("*.py"), *(ROOT / "nets").rglob("*.py")]
    return set().union(*(texts(path.relative_to(ROOT).as_posix()) for path in paths))


@pytest.mark.parametrize("path", MODULES)
def test_every_message_of_the_program_is_on_the_page(path):
    assert [text for text in messages(path) if not any(pattern(text).fullmatch(" ".join(pieces))
                                                       for pieces in told())] == []


def test_every_message_on_the_page_is_one_of_the_program():
    invented = [piece for pieces in told() for piece in pieces
                if not any(pattern(text).fullmatch(piece) for text in said())]
    assert len(told()) > 100 and invented == []


def test_no_message_is_told_twice():
    assert [pieces for pieces in told() if told().count(pieces) > 1] == []


def test_faults_are_found():
    tree = ast.parse('need(x, f"{path} has no images: " + "give some"); need(y, "no text" if z else 3)')
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [text_of(call.args[1], {}) for call in calls] == ["<gap> has no images: give some", None]
    assert pattern("<gap> has no images: give some").fullmatch("<path> has no images: give some")
    assert not pattern("<gap> has no images: give some").fullmatch("<path> has no images: give more")


def test_the_files_are_those_of_the_manifest_in_its_words():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section(PAGE, "5. The files"), re.MULTILINE))
    assert WHAT.items() <= rows.items()


def test_the_recipes_are_those_of_the_code():
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| ([\d.]+) \| (\d+) \| (\d+) \|$", section(PAGE, "4. The run"),
                      re.MULTILINE)
    assert len(rows) > 5
    for N, batch, lr, epochs, epochs2 in rows:
        recipe = recipes.scaled(recipes.RECIPES["unknown"], int(N.replace(",", "")))
        assert (recipe.batch, recipe.lr, recipe.epochs, recipe.epochs2) == (int(batch), float(lr), int(epochs),
                                                                            int(epochs2))


def test_every_command_on_the_page_is_one_of_the_program():
    commands = [shlex.split(line, comments=True) for line in re.findall(r"^ +python demo\.py(.*)$", PAGE, re.MULTILINE)]
    assert len(commands) > 8 and {parse(words).command for words in commands} == {"run", "check", "predict", "apply"}
    assert not [words for words in commands if parse(words).old_flag]


# ---- messages that no other test brings about ------------------------------------------------------------------------

MISTAKES = {
    "check --apply d.csv": "check and apply are different commands: choose one",
    "--data=": "--data: the value is empty; give one, or check the shell variable that it comes from",
    "predict a.jpg --from a --ranks 0": "--ranks 0: choose 1 or more",
    "sweep runs.txt --jobs 0": "--jobs 0: choose 1 or more",
    "sweep nested.txt": "--out, --force and --ranks are not for the lines of a sweep: "
                        "every run has a folder and a process of its own",
    "sweep commands.txt": "a line of a sweep is a run: write the options of one, without 'check'",
    "--recipe unknown": "--recipe unknown is for your own images: name them with --data",
    "--test photos": "--test and --held-out are for your own images (--data PATH)",
    "--cache photos": "--size and --cache are for your own images (--data PATH) and for --backbone",
    "--truth truth.csv": "--truth is for data with labels of their own (--data PATH)",
    "--images photos": "--path-column, --images and --labels are for your own images (--data PATH)",
    "--label-column x": "--label-column is for a table, arrays and CIFAR-100 (--data PATH)",
    "--K 0": "--K, --batch and --epochs must be at least 1",
    "--folds 1": "--folds 1: choose 2 or more, for example 5",
    "--sure 90": "--sure 90.0: give a probability, 0 to 1",
    "--kernels half": "--kernels is for --gpu",
    "--data photos --truth truth.csv --noise symmetric --rate 0.2": "--noise symmetric is made from the true "
                                                                    "labels of all images: "
                                                                    "give --truth for all, or leave out --noise",
}


def is_told(message):
    """Whether the page has the message, with anything for the names in angle brackets."""
    return any(re.fullmatch(re.sub(r"<[\w ]+>", ".+", re.escape(" ".join(pieces))), message) for pieces in told())


@pytest.mark.parametrize("arguments", MISTAKES)
def test_mistakes_on_the_command_line_are_answered_as_the_page_says(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos")
    files = {"runs.txt": "--quick\n", "nested.txt": "--out a\n", "commands.txt": "check\n",
             "truth.csv": "index,label\n0,cat\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert demo.main(arguments.split()) == 2
    said = capsys.readouterr().err
    message = said.rpartition("error: ")[2].strip().removeprefix(f"{arguments.split()[-1]}, line 1: ")
    assert message == MISTAKES[arguments] and is_told(message)


@pytest.mark.parametrize("change", [{"net": "large"}, {"augment": "turn"}, {"precision": "half"}])
def test_mistakes_in_python_are_answered_as_the_page_says(change):
    with pytest.raises(InputError) as caught:
        check(Config(recipes.RECIPES["quick"])._replace(**{"noise": "none", "rate": None, **change}), "digits")
    assert is_told(str(caught.value))


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EFBIG", "ENOENT", "EACCES", "EROFS", "EIO"])
def test_what_the_disk_refuses_is_answered_as_the_page_says(number):
    with pytest.raises(InputError) as caught, disk_errors("runs/a"):
        raise OSError(getattr(errno, number), "Input/output error")
    message, remedy = str(caught.value), str(caught.value).removeprefix("cannot write runs/a: ")
    assert message != remedy and is_told(message) and is_told(remedy)


def test_notes_are_those_of_the_page(monkeypatch):
    worse, = console.warning(SimpleNamespace(initial=0.8, recovery=0.7))
    monkeypatch.setattr(state, "read_config", lambda folder: ({}, {}))
    changed, = state.changes("runs/a", Config(recipes.RECIPES["quick"]))
    assert is_told(worse) and is_told(changed)
