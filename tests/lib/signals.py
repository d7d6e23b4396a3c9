"""Signals as a program in a terminal has them. `nohup` and the `&` of a shell script ignore some,
and programs inherit that."""
import signal


def restore():
    """For a program that a test starts and sends signals to: Ctrl-C is an exception,
    SIGTERM and SIGHUP end the program."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        signal.signal(number, signal.SIG_DFL)
