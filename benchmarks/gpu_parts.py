"""The parts of a session on a GPU: commands with limits, ended with every process they started, and one archive.

    with Session(work, archive, seconds) as session:
        session.run(Part("kernels", 130, [...]), Part("compile", 90, [...]))       together
        session.run(Part("bench", 170, [...]))                                     when both have ended
    session.good                                                                   whether every part ended well

A part writes into `work`; its output goes to work/NAME.log. A machine that is lent for minutes may go at any moment, so
the archive of `work` is renewed after every part and every 30 seconds.
"""
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu_archive import pack

ROOT = Path(__file__).parent.parent
RENEWED = 30                           # seconds after which the archive is renewed
MARGIN = 12                            # seconds at the end in which nothing runs: for the last archive and its way home
READABLE = 150                         # characters of a log's last line in the table


class Part(NamedTuple):
    """A command, and the seconds that it may take."""
    name: str
    limit: float
    command: list


class Running(NamedTuple):
    """A part that has begun."""
    part: Part
    process: subprocess.Popen
    begun: float                       # by time.monotonic(), and so is the next
    until: float


class Session:
    """Runs parts for at most `seconds`; prints a line for each as it ends, and keeps the lines in work/session.txt."""

    def __init__(self, work, archive, seconds):
        self.work, self.archive, self.good = Path(work), Path(archive), True
        self.too_large = []            # names that the archive had no room for
        self.start = self.packed = time.monotonic()
        self.until = self.start + seconds - MARGIN
        self.work.mkdir(parents=True, exist_ok=True)
        self.archive.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pack()
        size = self.archive.stat().st_size / 2**20 if self.archive.exists() else 0
        left_out = f", without {', '.join(self.too_large)}" if self.too_large else ""
        print(f"{self.archive}: {size:.1f} MiB{left_out}", flush=True)

    def run(self, *parts):
        """Start the parts together and wait for all; returns {name: exit status}, None where the limit ended a part."""
        running, found = [], {}
        try:
            for part in parts:
                self.begin(part, running)
            while running:
                time.sleep(0.1)
                for one in [one for one in running if one.process.poll() is not None or time.monotonic() > one.until]:
                    found[one.part.name] = self.end(one)
                    running.remove(one)
                if time.monotonic() > self.packed + RENEWED:
                    self.pack()
        finally:
            for one in running:        # only if the session itself is ended
                end_all(one.process)
        return found

    def begin(self, part, running):
        """Start one part in a process group of its own, and enter it in `running`."""
        now = time.monotonic()
        if now >= self.until:
            self.skip(part.name, "the session's time is over")
            return
        with open(self.log(part.name), "w", encoding="utf-8") as log:
            log.write(shlex.join(part.command).replace("\n", " ") + "\n\n")
            log.flush()
            try:
                process = subprocess.Popen(
                    part.command, cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            except OSError as error:
                self.skip(part.name, f"{part.command[0]}: {error.strerror}")
                return
        running.append(Running(part, process, now, min(now + part.limit, self.until)))

    def end(self, one):
        """Enter a part in the table; nothing that it started lives on."""
        status, seconds = one.process.poll(), time.monotonic() - one.begun
        end_all(one.process)
        outcome = f"ended after {seconds:.0f} s" if status is None else f"failed ({status})" if status else "ok"
        self.enter(one.part.name, seconds, outcome, self.last_line(one.part.name), status == 0)
        return status

    def skip(self, name, reason):
        """Enter a part that cannot run."""
        self.enter(name, 0, "not run", reason, good=False)

    def enter(self, name, seconds, outcome, last_line, good):
        """One line of the table, and a new archive."""
        self.good &= good
        now = time.monotonic() - self.start
        self.say(f"{now:4.0f} s  {name:15} {seconds:4.0f} s  {outcome:16}  {last_line[:READABLE]}".rstrip())
        self.pack()

    def say(self, line):
        """To the terminal and into the archive."""
        print(line, flush=True)
        with open(self.work / "session.txt", "a", encoding="utf-8") as table:
            table.write(line + "\n")

    def log(self, name):
        """Where a part's output goes."""
        return self.work / f"{name.replace(' ', '-')}.log"

    def last_line(self, name):
        """The last line that a part has printed, or ""."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()[2:]
        return lines[-1].strip() if lines else ""

    def pack(self):
        """Renew the archive. An error is told and ends nothing."""
        self.packed = time.monotonic()
        try:
            self.too_large = pack(self.work, self.archive)
        except OSError as error:
            print(f"no archive: {error}", flush=True)


def end_all(process):
    """End a process with all that it has started: they are one process group. Harmless if they have ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):          # nobody is left; macOS: nobody but zombies
        pass
    process.wait()
