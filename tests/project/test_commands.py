"""Every command of README.md and docs/ can be pasted as it stands: the parser takes it, its modules are there."""
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from core.errors import InputError
from core.run.commands import COMMANDS, parse
from tests.project.test_docs import PAGES, ROOT, every_page

STARTS = ("python", "py ", "pip ", "mpirun ", "sbatch ", ". ", ".venv", "export ", "git ", "ruff ", "nvcc ")
COLUMNS = 110                                            # GitHub shows 112 on a page of 1,012 pixels


def blocks(text):
    """The blocks of code of a page, without their indentation: fenced ones, and paragraphs indented by four spaces."""
    fenced = r"^```[^\n]*\n(.*?)^```$"
    for block in re.findall(fenced, text, re.MULTILINE | re.DOTALL):
        yield block
    rest = re.sub(fenced, "", text, flags=re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?<=\n\n)((?: {4}[^\n]*\n)+)", rest):
        yield re.sub("^ {4}", "", block, flags=re.MULTILINE)
    yield from re.findall(r"^<code>\n(.*?)^</code>$", rest, re.MULTILINE | re.DOTALL)


def commands(text):
    """The commands of a page as they would be pasted: lines of its blocks, joined at a backslash, and code in text."""
    for block in blocks(text):
        for line in re.sub(r"\\\n *", "", block).splitlines():
            line = line.removeprefix("$ ")
            if line.startswith(STARTS):
                yield line
    yield from re.findall(r"`(python3? [^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def fault(command):
    """What is wrong with a command, or None."""
    before = command.partition(" # ")[0].rstrip()
    if re.search(r"\S {2,}\S", before):
        return "words behind it"
    faults = (fault_of_part(shlex.split(part)) for part in before.split(" && "))
    return next(filter(None, faults), None)


def fault_of_part(words):
    """What is wrong with the words of one program call, or None."""
    if words[0] == "mpirun":
        words = words[words.index(next(word for word in words if word.startswith("python"))):]
    if words[0] in ("pip", "sbatch"):
        files = [word for word in words if re.search(r"(requirements\S*\.txt|\.sh)$", word)]
        missing = [file for file in files if not (ROOT / file).exists()]
        return f"no {missing[0]}" if missing else None
    if not words[0].endswith(("python", "python3")):
        return None
    if words[1] == "demo.py":
        return fault_of_demo(words[2:])
    if words[1] == "-m":
        return fault_of_module(words[2], words[3:])
    return None if words[1].startswith("-") or (ROOT / words[1]).exists() else f"no {words[1]}"


def fault_of_demo(words):
    """What the program's parser says, or None."""
    if words[-1:] == ["--help"] and (len(words) == 1 or words[0] in [*COMMANDS, "COMMAND"]):
        return None
    try:
        parse(words)
    except (InputError, SystemExit) as error:
        return f"the parser refuses it ({error})"


def fault_of_module(name, words):
    """None if there is such a module, and, if it is the project's, it has the options in its text."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        return f"no module {name}"
    if ROOT not in Path(found.origin or ROOT / name).parents or name == "pytest":
        missing = [word for word in words if word.startswith("tests/") and not (ROOT / word).exists()]
        return f"no {missing[0]}" if name == "pytest" and missing else None
    source = Path(found.origin)
    source = source.with_name("__main__.py") if source.name == "__init__.py" else source
    unknown = [word for word in words if word.startswith("--") and word not in source.read_text(encoding="utf-8")]
    return f"{name} has no {unknown[0]}" if unknown else None


@every_page
def test_every_command_can_be_pasted(page):
    found = {command: fault(command) for command in commands(PAGES[page].read_text(encoding="utf-8"))}
    assert {command: what for command, what in found.items() if what} == {}


@every_page
def test_every_command_fits_into_its_block(page):
    """But for the command in <code>, which the browser wraps."""
    text = PAGES[page].read_text(encoding="utf-8")
    lines = [line for block in blocks(text) for line in block.splitlines()]
    assert [line for line in lines if len(line) > COLUMNS and line.startswith(STARTS)] == []


def test_the_pages_have_commands():
    number = {page: len(list(commands(path.read_text(encoding="utf-8")))) for page, path in PAGES.items()}
    assert number["README.md"] >= 8 and number["docs/running.md"] >= 10 and number["docs/own-data.md"] >= 8


@pytest.mark.parametrize("command", [
    "python demo.py --alpha 0   the method without its prior loss",
    "python demo.py --alpha 0 the method without its prior loss",
    "python demo.py clean --data photos",
    "python demo.py clean --help",
    "python demo.py check --data photos --beta",
    "python -m benchmarks.nothing",
    "python -m benchmarks.cpu --no-such-option",
    "python docs/nothing.py",
    "python -m pytest -q tests/nothing.py",
    "pip install -qr requirements-none.txt && python demo.py",
    "mpirun -n 8 python demo.py --seeds 3",
])
def test_faults_are_found(command, capsys):
    assert fault(command)


def test_commands_are_found():
    text = ("# A\n\n    python demo.py  # one\n    --seed 1\n\nthen `python -m tests`:\n\n"
            "```\n$ python demo.py \\\n    --gpu\nE  no\n```\n<code>\npy -m venv .venv\n</code>\n")
    assert [" ".join(command.split()) for command in commands(text)] == [
        "python demo.py --gpu", "python demo.py # one", "py -m venv .venv", "python -m tests"]
    assert fault("python demo.py --alpha 0          # without the prior loss") is None
    assert fault("python demo.py check --data photos  # dry run") is None
