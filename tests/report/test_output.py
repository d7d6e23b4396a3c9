"""core/report/output.py: nothing that happens to standard output or standard error ends the program."""
import errno
import io
import os
import sys

import pytest

from core.report.output import Lasting, lasting


class Full(io.StringIO):
    """A stream on a full disk."""
    tried = 0

    def write(self, text):
        self.tried += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_first_error_is_kept_and_the_rest_goes_nowhere():
    full = Full()
    stream = Lasting(full)
    assert stream.write("abc") == 3 and stream.error.errno == errno.ENOSPC
    first = stream.error
    print("more", file=stream, flush=True)
    assert stream.error is first and full.tried == 1


def test_what_is_left_in_the_buffers_of_a_lost_stream_is_no_error_at_the_end():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", encoding="utf-8") as stream:
        lost = Lasting(stream)
        print("abc", file=lost, flush=True)
        assert isinstance(lost.error, BrokenPipeError)                      # closing it writes what is left


def test_each_stream_gets_its_own_and_silence_is_kept(monkeypatch):
    for silent, expected in ((False, ("to the one\n", "to the other\n")), (True, ("", ""))):
        streams = io.StringIO(), io.StringIO()
        for name, stream in zip(("stdout", "stderr"), streams):
            monkeypatch.setattr(sys, name, stream)
        with lasting(silent):
            print("to the one"), print("to the other", file=sys.stderr)
        assert tuple(stream.getvalue() for stream in streams) == expected and (sys.stdout, sys.stderr) == streams


def test_a_stream_that_can_be_written_is_written_and_asked():
    stream = Lasting(io.StringIO())
    print("abc", file=stream, flush=True)
    assert stream.getvalue() == "abc\n" and stream.error is None and not stream.isatty()


def test_closed_streams_are_no_error():
    stream = io.StringIO()
    stream.close()
    lost = Lasting(stream)
    print("abc", file=lost, flush=True)
    assert isinstance(lost.error, ValueError)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_an_encoding_cannot_express_is_written_all_the_same(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    with lasting() as (out, err):
        print("caf\u00e9 \u732b \udcff \u00b1")
        assert (sys.stdout, sys.stderr) == (out, err) and out.error is None
    text = "caf\u00e9 \u732b \udcff \u00b1".encode(encoding, "backslashreplace")
    assert raw.getvalue() == text + b"\n"


def test_the_streams_are_afterwards_what_they_were(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict"))
    monkeypatch.setattr(sys, "stderr", None)
    before = sys.stdout
    with lasting():
        print("for whom?", file=sys.stderr)
    assert sys.stdout is before and before.errors == "strict" and sys.stderr is None


def test_a_stream_that_is_closed_meanwhile_is_no_error(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)
    with lasting():
        stream.close()
        print("for whom?")
    assert sys.stdout is stream
