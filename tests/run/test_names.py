"""No name can end the program: any script, any output, names that are no text."""
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import demo
from nets import families
from tests.lib.own_data import write_folder, write_image

ROOT = Path(__file__).parents[2]
TINY = """
import sys
from nets import families
families.NETS["small"] = {"widths": (4,), "blocks": (1,)}
import demo
from core.report import pictures
from nets import families
sys.exit(demo.main())
"""
NAMES = ("łoś", "日本語", "🦉", "مرحبا", "a_{b}$c$\\frac", "e\u0301", "%s {0}", "\u202egnp", "=1+1")


def program(folder, encoding, *words):
    """The outcome of the program whose output goes to a file in an encoding, as on Windows or in a container."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    with open(folder / "out.txt", "wb") as out, open(folder / "err.txt", "wb") as err:
        done = subprocess.run([sys.executable, "-c", TINY, *words], cwd=folder, stdout=out, stderr=err, env=environment)
    text = [(folder / name).read_bytes().decode(encoding.partition(":")[0]) for name in ("out.txt", "err.txt")]
    assert "Traceback" not in text[1], text[1]
    return done.returncode, *text


SMALL = ("--net", "small", "--size", "8", "--epochs", "1", "--ranks", "1")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", *(pytest.param(name, marks=pytest.mark.thorough) for name in (
    "ascii", "latin-1", "cp437", "shift_jis", "utf-16"))])
def test_findings_about_any_name_on_any_output(tmp_path, encoding):
    root = write_folder(tmp_path / "写真", NAMES, images=1)
    (root / "łoś" / "破損.png").write_bytes(b"")
    os.rename(write_image(root / "日本語" / "x.png"), root / "日本語" / os.fsdecode(b"caf\xe9.png"))
    status, out, err = program(tmp_path, encoding, "check", "--data", "写真", *SMALL)
    assert status == 0 and err == "" and "images that cannot be read" in out and "names that other programs" in out


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_run_and_all_that_follows_on_an_output_that_cannot_express_the_names(tmp_path, monkeypatch, encoding):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
    root = write_folder(Path("写真"), NAMES, images=2)
    (root / "łoś" / "破損.png").write_bytes(b"")

    def status(*words):
        for stream in ("stdout", "stderr"):
            monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding))
        return demo.main([str(word) for word in words])
    assert status("--data", root, *SMALL) == 0
    run = Path("runs", "写真-seed0")
    assert set((run / "classes.txt").read_text(encoding="utf-8").splitlines()) >= {"łoś", "日本語", "🦉", "مرحبا"}
    assert status("resume", run) == 0 and status("predict", root, "--from", run) == 0
    Path("読.txt").write_text("--data 写真 " + " ".join(SMALL[:-2]) + "\n", encoding="utf-8")
    assert status("sweep", "読.txt", "--jobs", "1") == 0
    for label, expected in (("łoś", 0), ("犬", 2)):
        Path("d.csv").write_text(f"index,path,decision,label\n0,,change,{label}\n", encoding="utf-8")
        assert status("apply", "d.csv", "--from", run, "--out", f"{expected}.csv") == expected


@pytest.mark.parametrize("name", ["no\nsuch", "caf\udce9", "\x1b[31mred", "日本語", "a\u2028b"])
@pytest.mark.parametrize("words", [["check", "--data"], ["apply", "d.csv", "--from"], ["predict", "x.png", "--from"],
                                   ["resume"], ["sweep"]])
def test_a_name_in_an_error_is_one_line(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(out, "ascii"))
    assert demo.main([*words, name]) == 2
    sys.stderr.flush()
    text = out.getvalue().decode("ascii")
    assert text.startswith("error: ") and text.count("\n") == 1 and text.strip().isprintable()
