"""Standard output and standard error that never end the program: on a full disk, to a reader that has left, or in an
encoding without the letters of a name.
"""
import os
import sys
from contextlib import contextmanager, suppress


class Lasting:
    """A text stream whose errors end nothing: from the first one on it is written to nowhere, and keeps the `error`."""

    def __init__(self, stream):
        self.stream, self.error = stream, None

    def write(self, text):
        """As the stream does."""
        self.attempt(self.stream.write, text)
        return len(text)

    def flush(self):
        """As the stream does."""
        self.attempt(self.stream.flush)

    def attempt(self, function, *args):
        """function(*args), unless the stream is or gets lost."""
        if self.error is None:
            try:
                function(*args)
            except (OSError, ValueError) as error:           # ValueError: it is closed
                self.error = error
                lead_nowhere(self.stream)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def lead_nowhere(stream):
    """Whatever is still in the stream's buffers can be written: Python would complain of it at the end."""
    with suppress(OSError, ValueError), open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextmanager
def lasting(silent=False):
    """In the block sys.stdout and sys.stderr are Lasting, and write what they cannot express as \\xe9.

    Streams that whoever started the program has closed lead nowhere; silent: all do. Yields the two.
    """
    before, changed = (sys.stdout, sys.stderr), []
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        streams = [nowhere if silent or stream is None else stream for stream in before]
        for stream in streams:
            if hasattr(stream, "reconfigure"):
                changed.append((stream, stream.errors))
                stream.reconfigure(errors="backslashreplace")
        sys.stdout, sys.stderr = map(Lasting, streams)
        try:
            yield sys.stdout, sys.stderr
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
            for stream, errors in changed:
                with suppress(OSError, ValueError):
                    stream.reconfigure(errors=errors)
