"""The command line: every command, the flags that commands once were, what is refused, and what --help says."""
import argparse
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import demo
from core.run import resume
from core.run.commands import COMMANDS, OLD_FLAGS, parse, parser


def parser_of(command):
    """The flags of a command."""
    p = argparse.ArgumentParser()
    COMMANDS[command].add(p)
    return [flag for action in p._actions for flag in action.option_strings]


LINES = {                              # what is typed: the command that is meant, and some of its arguments
    "": ("run", {"data": "digits", "gpu": None}),
    "--gpu": ("run", {"gpu": 0}),
    "--data a --seed 3": ("run", {"data": "a", "seed": 3}),
    "run --data a --seed 3": ("run", {"data": "a", "seed": 3}),
    "--predictions evaluation": ("run", {"label_source": "evaluation"}),
    "--kernels half --gpu 1": ("run", {"kernels": "half", "gpu": 1}),
    "check --data a": ("check", {"data": "a"}),
    "predict a.png b --from c --ranks 2": ("predict", {
        "files": ["a.png", "b"], "run_folder": "c", "ranks": 2, "out": None}),
    "apply d.csv --from c": ("apply", {"decisions": "d.csv", "run_folder": "c", "undecided": "given", "force": False}),
    "resume c --gpu": ("resume", {"run_folder": "c", "gpu": 0, "ranks": None}),
    "resume c --ranks 1": ("resume", {"run_folder": "c", "gpu": None, "ranks": 1}),
    "sweep f.txt --out o --jobs 3": ("sweep", {"file": "f.txt", "out": "o", "jobs": 3}),
    "reproduce": ("reproduce", {"experiment": None, "list": False, "scale": "cpu", "data": "cifar-10-batches-py"}),
    "reproduce sn-cifar --scale paper --gpu": ("reproduce", {"experiment": "sn-cifar", "scale": "paper", "gpu": 0}),
}
OLD_LINES = {                          # as it was typed once: as it is now
    "--check": "check",
    "--data a --check --seed 3": "check --data a --seed 3",
    "check --check --data a": "check --data a",
    "--predict a.png b --from c": "predict a.png b --from c",
    "--from c --predict a.png b --out o": "predict a.png b --from c --out o",
    "--apply d.csv --from c --undecided suggested": "apply d.csv --from c --undecided suggested",
    "--from c --apply=d.csv": "apply d.csv --from c",
    "--resume c": "resume c",
    "--resume=c --ranks 1": "resume c --ranks 1",
    "--gpu --resume c": "resume c --gpu",
    "--out o --sweep f.txt --jobs 3": "sweep f.txt --out o --jobs 3",
}


def arguments(line):
    """What a line means, without the parser's own function and the name of an old flag."""
    return {name: value for name, value in vars(parse(line.split())).items() if name not in ("fail", "old_flag")}


@pytest.mark.parametrize("line", LINES)
def test_what_is_typed_is_what_is_meant(line):
    command, some = LINES[line]
    found = arguments(line)
    assert found["command"] == command and some.items() <= found.items() and parse(line.split()).old_flag is None


@pytest.mark.parametrize("line", OLD_LINES)
def test_an_old_flag_is_the_command_of_its_name(line):
    assert arguments(line) == arguments(OLD_LINES[line])
    flag = parse(line.split()).old_flag
    assert OLD_FLAGS[flag] == OLD_LINES[line].split()[0] and flag in line


@pytest.mark.parametrize("flag", OLD_FLAGS)
def test_an_old_flag_names_the_new_word_on_stderr_in_one_line(flag, monkeypatch, capsys):
    command = OLD_FLAGS[flag]
    monkeypatch.setitem(demo.DO, command, lambda args: 0)
    words = {"check": [], "apply": ["a", "--from", "b"], "predict": ["a", "--from", "b"]}.get(command, ["a"])
    assert demo.main([flag, *words]) == 0
    assert capsys.readouterr() == ("", f"note: {flag} is now `demo.py {command}`\n")


@pytest.mark.parametrize("line", ["", "run", "check", "predict a --from b", "apply a --from b", "resume a", "sweep a"])
def test_a_command_does_its_own_and_says_nothing_of_flags(line, monkeypatch, capsys):
    command = line.split()[0] if line else "run"
    for name in demo.DO:
        monkeypatch.setitem(demo.DO, name, lambda args, name=name: print(name, args.command))
    demo.main(line.split())
    assert capsys.readouterr() == (f"{command} {command}\n", "")


def test_the_usage_of_a_command_names_what_is_written_after_it(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: demo.py [COMMAND] [options]" and lines[lines.index("commands:") + 1] == "  COMMAND"
    for name, command in COMMANDS.items():
        with pytest.raises(SystemExit):
            parse([name, "--help"])
        first, _, third, *_ = capsys.readouterr().out.splitlines()
        assert first == f"usage: demo.py {name} {command.usage}" and third.lower() == f"{command.what}.".lower()
        p = argparse.ArgumentParser()
        command.add(p)
        needed = [action.metavar for action in p._actions if not action.option_strings]
        assert all(word in command.usage for word in [*needed, "[options]"])


def test_every_command_is_done_by_a_function():
    assert demo.DO.keys() == COMMANDS.keys() and set(demo.SHARED) < COMMANDS.keys()


# ---- what is refused -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("line, commands", [
    ("--check --resume a", "check and resume"), ("--predict a.png --apply b --from c", "predict and apply"),
    ("check --sweep a", "check and sweep"), ("run --check", "run and check"), ("--sweep a --check", "sweep and check"),
    ("resume a --check --apply b", "resume and check and apply")])
def test_two_commands_at_once_are_refused(line, commands, capsys):
    assert demo.main(line.split()) == 2
    assert capsys.readouterr() == ("", f"error: {commands} are different commands: choose one\n")


@pytest.mark.parametrize("words, name", [
    (["--data", ""], "--data"), (["--data="], "--data"), (["check", "--data", ""], "--data"),
    (["--check", "--truth", ""], "--truth"),
    (["--out", ""], "--out"), (["sweep", ""], "sweep"), (["--sweep", ""], "--sweep"),
    (["predict", "", "--from", "a"], "predict"),
    (["predict", "a", "--from", ""], "--from"), (["apply", "", "--from", "a"], "apply"), (["resume", ""], "resume"),
    (["--resume="], "--resume"), ([""], "demo.py")])
def test_an_empty_value_is_refused_by_one_sentence(words, name, tmp_path, monkeypatch, capsys):
    """A path of no letters is the current folder: --data "$UNSET" would take whatever is there for photos."""
    monkeypatch.chdir(tmp_path)
    assert demo.main(words) == 2
    assert capsys.readouterr() == (
        "", f"error: {name}: the value is empty; give one, or check the shell variable that it comes from\n")
    assert list(tmp_path.iterdir()) == []


def test_a_value_may_end_with_an_equals_sign():
    assert parse(["--out", "a=", "--data=b="]).data == "b="


def test_a_path_without_its_option_is_answered_by_the_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert demo.main(["photos"]) == 2
    assert capsys.readouterr().err == "error: photos is not a command: did you mean --data photos?\n"
    with pytest.raises(SystemExit) as stop:
        demo.main(["check", "photos"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("unrecognized arguments: photos (did you mean --data photos?)\n")


def test_a_path_with_spaces_is_answered_by_itself_in_quotes(tmp_path, monkeypatch, capsys):
    """And not by another folder that is called like its first word."""
    monkeypatch.chdir(tmp_path)
    for name in ("my photos 2024", "photos"):
        (tmp_path / name).mkdir()
    for words in (["--data", "my", "photos", "2024"], ["check", "--data", "my", "photos", "2024", "--seed", "1"]):
        with pytest.raises(SystemExit):
            demo.main(words)
        assert "unrecognized arguments: photos 2024 (did you mean --data 'my photos 2024'?)" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        demo.main(["check", "--data", "my", "photos"])
    assert "photos (did you mean --data photos?)" in capsys.readouterr().err


REFUSED = {
    "chekc --data a": "invalid choice: 'chekc'",
    "photos": "invalid choice: 'photos'",
    "--sedd 2": "unrecognized arguments: --sedd 2",
    "--data photos extra": "unrecognized arguments: extra",
    "--jobs 2": "unrecognized arguments: --jobs 2",
    "--from a": "unrecognized arguments: --from a",
    "--undecided given": "unrecognized arguments: --undecided given",
    "check --jobs 2": "unrecognized arguments: --jobs 2",
    "predict a": "required: --from",
    "predict --from a": "required: IMAGES",
    "predict a --from b --seed 1": "unrecognized arguments: --seed 1",
    "--predict a --from b --force": "unrecognized arguments: --force",
    "apply a": "required: --from",
    "apply a --from b --seed 1": "unrecognized arguments: --seed 1",
    "apply a b --from c": "b",
    "apply a --from b --undecided all": "invalid choice: 'all'",
    "resume": "required: RUN",
    "--resume": "required: RUN",
    "resume a --epochs 3": "unrecognized arguments: --epochs 3",
    "resume a b": "unrecognized arguments: b",
    "resume --gpu a": "invalid int value: 'a'",
    "sweep": "required: FILE",
    "sweep a --seed 1": "unrecognized arguments: --seed 1",
    "--seed x": "invalid int value: 'x'",
    "--noise loud": "invalid choice: 'loud'",
    "check photos": "unrecognized arguments: photos",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_no_command_knows_ends_with_status_2_and_the_usage_of_the_command(line, capsys):
    with pytest.raises(SystemExit) as stop:
        demo.main(line.split())
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == ""
    assert err.startswith("usage: demo.py ") and err.count("\n") == 2 and REFUSED[line] in err


OF_OTHERS = {"predict": {"--out", "--ranks", "--backbone", "--network"}, "apply": {"--out", "--force"},
             "sweep": {"--out"}, "resume": {"--gpu", "--ranks", "--cache", "--kernels"}}
FLAGS = sorted({flag for name in COMMANDS for flag in parser_of(name)} - {"-h", "--help"})


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("command", OF_OTHERS)
def test_an_option_is_a_commands_own_or_refused_and_never_ignored(command, flag, capsys):
    """Under the command's word and under the flag that it once was."""
    own = OF_OTHERS[command] | {"predict": {"--from"}, "apply": {"--from", "--undecided"}, "sweep": {"--jobs"}}.get(
        command, set())
    given = {"--force": [flag], "--compare": [flag], "--quick": [flag], "--gpu": [flag]}.get(flag, [flag, "1"])
    needs = ["--from", "c"] * ("--from" in own)
    for words in ([command, "a", *needs, *given], [*needs, *given, f"--{command}", "a"]):
        if any(option.startswith(flag) for option in own):   # argparse takes beginnings of names
            with suppress(SystemExit):                       # the value may be none of its choices
                parse(words)
            assert "unrecognized" not in capsys.readouterr().err
        else:
            with pytest.raises(SystemExit) as stop:
                parse(words)
            assert stop.value.code == 2 and f"unrecognized arguments: {flag}" in capsys.readouterr().err


def test_a_mistake_in_options_shows_the_usage_of_their_command(capsys):
    with pytest.raises(SystemExit):
        demo.main(["resume", "a", "--seed", "1"])
    assert capsys.readouterr().err.splitlines() == ["usage: demo.py resume RUN [options]",
                                                    "demo.py resume: error: unrecognized arguments: --seed 1"]


# ---- help ------------------------------------------------------------------------------------------------------------

def help_of(words, capsys):
    with pytest.raises(SystemExit) as stop:
        demo.main([*words, "--help"])
    out, err = capsys.readouterr()
    assert stop.value.code == 0 and err == ""
    return out


def test_help_lists_every_command(capsys):
    text = help_of([], capsys)
    assert [line.split()[0] for line in text.splitlines() if line.startswith("    ") and line[4] != " "] == [*COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_its_own_examples_alone_and_they_can_be_typed(command, capsys):
    text = help_of([command], capsys)
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("python demo.py")]
    assert lines == [line.strip() for line in COMMANDS[command].examples.splitlines() if "python demo.py" in line]
    for line in lines:
        words = line.partition("   ")[0].split()[2:]          # then come words about it
        assert parse(words).command == command


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_says_nothing_of_old_flags_and_kernels_that_have_not_run(words, capsys):
    text = help_of(words, capsys)
    assert not [flag for flag in [*OLD_FLAGS, "--kernels"] if re.search(rf"{flag}\b", text)]


def test_no_two_options_of_a_command_have_one_meaning():
    """Nor does one of a command mean something else in another."""
    meanings = {}
    for command in COMMANDS:
        words = {"run": [], "check": [], "resume": ["a"], "sweep": ["a"], "reproduce": []}.get(
            command, ["a", "--from", "b"])
        for name in vars(parser().parse_args([command, *words])):
            meanings.setdefault(name, []).append(command)
    assert meanings["files"] == ["predict"] and meanings["images"] == ["run", "check"]
    assert meanings["run_folder"] == ["predict", "apply", "resume"]
    assert meanings["label_source"] == ["run", "check"] and "predict" not in meanings and "source" not in meanings


# ---- what to type --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("executable, path, shown", [
    ("{root}/.venv/bin/python", "/usr/bin", ".venv/bin/python demo.py resume 'my run'"),
    ("{root}/.venv/bin/python3", "{root}/.venv/bin", "python3 demo.py resume 'my run'"),
    ("/elsewhere/bin/python", "/usr/bin", "/elsewhere/bin/python demo.py resume 'my run'")],
    ids=["not activated", "activated", "elsewhere"])
@pytest.mark.skipif(sys.platform == "win32", reason="quotes and paths of a POSIX shell")
def test_a_hint_names_the_interpreter_as_it_can_be_typed(executable, path, shown, tmp_path, monkeypatch):
    executable = Path(executable.format(root=tmp_path))
    if executable.is_relative_to(tmp_path):
        executable.parent.mkdir(parents=True)
        executable.write_text("#!/bin/sh\n")
        executable.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(executable))
    monkeypatch.setattr(resume, "DEMO", tmp_path / "demo.py")
    monkeypatch.setenv("PATH", path.format(root=tmp_path))
    assert resume.command("resume", "my run") == shown


def test_a_hint_from_another_folder_names_the_program_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(resume.DEMO) in resume.command("resume", "a") and resume.DEMO.is_file()
