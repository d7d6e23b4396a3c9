"""The structure that the README promises: who may import whom, and where each library belongs. The rest is ruff's."""
import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([ROOT / "demo.py", *(path for folder in ("core", "nets", "experiments", "docs/beside")
                                      for path in (ROOT / folder).rglob("*.py"))])
BESIDE_THE_PAPER = sorted([*(ROOT / "core").glob("*.py"), ROOT / "nets/preact_resnet.py"])

FLAT = "core/*.py"
ALLOWED = {                                # a folder or file: what of the project it may import beside its own folder
    "core/errors.py": [], "core/noise.py": [], "core/recipes.py": [],
    "core/backend.py": ["core/errors.py"], "core/files.py": ["core/errors.py"],
    "core/layers.py": ["core/backend.py"], "core/objective.py": ["core/backend.py"],
    "core/labels.py": ["core/backend.py"], "core/optim.py": ["core/backend.py"],
    "core/finite.py": ["core/backend.py", "core/errors.py"],
    FLAT: [FLAT, "core/parallel/ranks.py"],
    "core/parallel/": ["core/errors.py"],
    "core/fast/": [FLAT],
    "core/kernels/": [FLAT],
    "nets/preact_resnet.py": ["core/layers.py"],
    "nets/": [FLAT, "core/fast/", "core/kernels/", "core/parallel/ranks.py"],
    "core/data/backbone.py": ["core/data/", "core/backend.py", "core/errors.py", "core/files.py",
                              "nets/efficientnet_lite.py", "nets/efficientnet_lite_fast.py", "nets/resnet.py",
                              "nets/resnet_fast.py"],
    "core/data/resnet_weights.py": ["core/data/", "core/errors.py", "core/files.py", "nets/resnet.py",
                                    "nets/safetensors_file.py"],
    "core/data/": ["core/errors.py", "core/files.py", "core/backend.py"],
    "core/report/": ["core/errors.py", "core/files.py", "core/batches.py", "core/features.py", "core/measure.py",
                     "core/quality.py", "core/data/", "nets/families.py", "nets/safetensors_file.py",
                     "nets/head_file.py"],
    "core/run/": [FLAT, "core/data/", "core/fast/", "core/kernels/", "core/parallel/", "core/report/", "nets/"],
    "core/use/": [FLAT, "core/data/", "core/fast/", "core/kernels/", "core/parallel/", "core/report/", "nets/"],
    "docs/beside/": [FLAT, "core/report/page.py", "nets/"],
    "experiments/": [FLAT, "core/data/", "core/parallel/", "core/report/", "core/run/", "nets/"],
    "demo.py": [""],                       # everything
}
HOME = {"cupy": ["core/backend.py"], "PIL": ["core/data/"], "matplotlib": ["core/report/", "core/data/digits.py"],
        "jinja2": ["core/report/", "docs/beside/"], "pygments": ["docs/beside/"], "latex2mathml": ["docs/beside/"],
        "torch": []}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def module_of(path):
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


FILES = {module_of(path): name_of(path) for path in SOURCES}


@cache
def imports(path):
    """The modules that a file imports, anywhere in it; for `from a import b` a.b if that is a module, else both."""
    return tuple(imported(path))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from found if all(module in FILES for module in found) else [node.module, *found]


def fits(file, place):
    """Whether a file is the one that is named, is in the folder, or is one of core/*.py."""
    flat = Path(file).parent.as_posix() == "core"
    return flat if place == FLAT else file == place or (place.endswith("/") or not place) and file.startswith(place)


def rule_of(file):
    """The first that fits: a file stands before its folder."""
    return next(place for place in ALLOWED if fits(file, place))


@pytest.mark.parametrize("rule", ALLOWED)
def test_a_file_imports_only_what_lies_below_it(rule):
    files = [file for file in FILES.values() if rule_of(file) == rule]
    places = [*ALLOWED[rule], *[rule] * rule.endswith("/")]
    assert files and [(file, FILES[module]) for file in files for module in imports(ROOT / file)
                      if module in FILES and not any(fits(FILES[module], place) for place in places)] == []


@pytest.mark.parametrize("library", HOME)
def test_a_library_is_imported_only_where_it_lives(library):
    strangers = [file for file in FILES.values() if library in {m.split(".")[0] for m in imports(ROOT / file)}
                 and not any(fits(file, home) for home in HOME[library])]
    assert strangers == []


def test_ruff_finds_nothing():
    """Errors, order of imports, docstrings of what is public, lines that need no scrolling: pyproject.toml."""
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--output-format", "concise", ROOT], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_read_beside_the_paper_takes_half_a_screen():
    wide = [f"{name_of(path)}:{n}" for path in BESIDE_THE_PAPER
            for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > 100]
    assert wide == []


def test_functions_and_classes_fit_on_a_screen():
    long = [f"{name_of(path)}: {node.name}" for path in SOURCES
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and len(ast.unparse(node).splitlines()) > 85]
    assert long == []


def raises_for_the_user(function):
    """Whether the function itself raises InputError or NotFinite, by a raise or by need()."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc]
    return "need" in map(ast.unparse, calls) or any(
        ast.unparse(exception).split("(")[0] in ("InputError", "NotFinite") for exception in raised)


@pytest.mark.parametrize("file", [file for file in FILES.values() if file.startswith(("core/", "nets/"))])
def test_what_raises_for_the_user_says_so(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    public = [node for body in (tree, *classes) for node in body.body
              if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    assert [node.name for node in public if raises_for_the_user(node)
            and not re.search(r"\bRaises\b|\bInputError\b", ast.get_docstring(node) or "")] == []
