"""The number of processors is what a container grants."""
import os

import pytest

import demo
from core.errors import InputError
from core.parallel import processors, ranks
from core.parallel.processors import available_processors, check_number

UNLIMITED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize("line, files, expected", [
    ("0::/job", {"job/cpu.max": "150000 100000"}, 1),
    ("0::/job/step", {"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, 1),
    ("0::/", {"cpu.max": "50000 100000"}, 1),
    ("0::/", {"cpu.max": "max 100000"}, None),
    ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "100000",
                            "cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 1),
    ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ("7:memory:/", {}, None),
])
def test_the_quota_of_a_container_is_respected(tmp_path, line, files, expected):
    (tmp_path / "own").write_text(line + "\n")
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    assert available_processors(tmp_path / "groups", tmp_path / "own") == min(UNLIMITED, expected or UNLIMITED)


@pytest.mark.parametrize("found, most", [(1, 8), (2, 8), (3, 12), (64, 256)])
def test_far_more_processes_than_processors_are_refused_with_the_reason(monkeypatch, found, most):
    monkeypatch.setattr(processors, "available_processors", lambda: found)
    check_number("--ranks", 1)
    check_number("--ranks", most)
    for number, words in ((0, "choose 1 or more"), (-1, "choose 1 or more"),
                          (most + 1, f"may use {found} processors, .* choose at most {most}$")):
        with pytest.raises(InputError, match=f"^--ranks {number}: .*{words}"):
            check_number("--ranks", number)


@pytest.mark.parametrize("words", ["--quick --ranks 9999", "check --quick --ranks 9999", "sweep a.txt --jobs 9999",
                                   "predict a.png --from a --ranks 9999"])
def test_no_command_starts_them(words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert demo.main(words.split()) == 2
    assert " 9999: this program may use " in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size, spins", [(1, ranks.SPINS), (2, ranks.SPINS), (3, 0), (8, 0)])
def test_a_waiting_rank_sleeps_at_once_where_there_are_more_ranks_than_processors(monkeypatch, size, spins):
    monkeypatch.setattr(ranks, "available_processors", lambda: 2)
    slept, comm = [], ranks.Forked(size)
    monkeypatch.setattr(ranks.os, "sched_yield", lambda: slept.append("yield"))

    def rest(times):
        slept.append(times)
        for rank in range(size):
            comm.counters[rank] = 1

    comm.rest = rest
    if size > 1:
        comm.barrier()
        assert slept == ["yield"] * spins + [0]
