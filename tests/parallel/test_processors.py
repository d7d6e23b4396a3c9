"""The number of processors is what a container grants."""
import os

import pytest

import demo
from core.errors import InputError
from core.parallel import processors, ranks
from core.parallel.processors import available_processors, check_number

QUOTAS = [                              # lines of /proc/self/cgroup, files of control groups, processors of six
    ("0::/job", {"job/cpu.max": "250000 100000"}, 2),
    ("0::/job", {"job/cpu.max": "50000 100000"}, 1),
    ("0::/job/step", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000"}, 3),
    ("0::/job/step", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "400000 100000"}, 3),
    ("0::/job/step", {"job/cpu.max": "400000 100000", "job/step/cpu.max": "300000 100000"}, 3),
    ("0::/job/step", {"cpu.max": "200000 100000", "job/cpu.max": "300000 100000"}, 2),
    ("0::/a:b", {"a:b/cpu.max": "200000 100000"}, 2),
    ("0::/", {"cpu.max": "max 100000"}, 6),
    ("0::/", {"cpu.max": "900000 100000"}, 6),
    ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "80000",
                            "cpu,cpuacct/job/cpu.cfs_period_us": "40000"}, 2),
    ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 6),
    ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "100000"}, 6),
    ("7:memory:/\n4:cpu:/", {"memory/cpu.max": "100000 100000", "cpu/cpu.max": "400000 100000"}, 4),
]


def test_the_quota_of_a_container_and_the_affinity_of_the_process_are_respected(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 2, 3, 5, 8, 9}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    for number, (lines, files, expected) in enumerate(QUOTAS):
        groups, own = tmp_path / f"{number}", tmp_path / f"{number}.own"
        own.write_text(lines + "\n")
        for name, text in files.items():
            (groups / name).parent.mkdir(parents=True, exist_ok=True)
            (groups / name).write_text(text + "\n")
        assert available_processors(groups, own) == expected, lines
    assert available_processors(tmp_path, tmp_path / "none") == 6
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_processors(tmp_path, tmp_path / "none") == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_processors(tmp_path, tmp_path / "none") == 1


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
