"""The structure that the README promises: who may import whom, which library belongs where, and how long lines and files may be."""
import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(p for p in [ROOT / "demo.py", *(ROOT / "core").rglob("*.py"), *(ROOT / "nets").rglob("*.py")])
ALL = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "docs").rglob("*.py")])

ALLOWED = {                            # module: what of the project it may import
    "core/errors.py": set(),
    "core/backend.py": {"core.errors"},
    "core/layers.py": {"core.backend"},
    "core/objective.py": {"core.backend"},
    "core/labels.py": {"core.backend"},
    "core/optim.py": {"core.backend"},
    "core/noise.py": set(),
    "core/recipes.py": set(),
    "core/processors.py": set(),
    "core/ranks.py": {"core.errors"},
    "core/launch.py": {"core.errors", "core.processors", "core.ranks"},
    "core/checkpoint.py": {"core.errors"},
    "core/finite.py": {"core.backend"},
    "core/train.py": {"core.backend", "core.data.batches", "core.errors", "core.finite", "core.labels", "core.objective",
                      "core.optim", "core.ranks"},
    "core/posterior.py": {"core.objective"},
    "core/features.py": {"core.backend", "core.data.batches"},
    "nets/preact_resnet.py": {"core.layers"},
    "nets/head.py": {"core.backend", "core.features", "core.layers"},
}
HOME = {"cupy": ["core/backend.py"], "PIL": ["core/data/"], "matplotlib": ["core/report/", "core/data/digits.py"], "torch": [],
        "jinja2": ["core/report/page.py"]}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """The modules that a file imports, anywhere in it; for `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", ALLOWED)
def test_the_mathematics_imports_only_what_lies_below_it(name):
    own = {"core", "nets", "tests", "benchmarks", "demo"}
    modules = {p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for p in SOURCES}
    used = {module for module in imports(ROOT / name) if module.split(".")[0] in own}
    assert {m for m in used if m in modules} <= ALLOWED[name]


@pytest.mark.parametrize("library", HOME)
def test_a_library_is_imported_only_where_it_lives(library):
    strangers = [name_of(path) for path in SOURCES if library in {m.split(".")[0] for m in imports(path)}
                 and not any(name_of(path).startswith(home) for home in HOME[library])]
    assert strangers == []


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_lines_can_be_read_without_scrolling(path):
    long = [n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > 135 or "\t" in line]
    assert long == [], f"{name_of(path)}: lines {long}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_and_every_public_function_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert [node.name for node in public if not ast.get_docstring(node)] == []
    assert [node.name for node in public if len(ast.unparse(node).splitlines()) > 80] == []
