"""Signals as a program in a terminal has them. `nohup` and the `&` of a shell script ignore some,
and programs inherit that."""
import signal


def restore():
    """For a program that a test starts and sends signals to: Ctrl-C is an exception,
    SIGTERM and SIGHUP end the program."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        signal.signal(number, signal.SIG_DFL)


def heard_by_children():
    """For the process that runs the tests: signals that it ignores (`nohup`, the & of a script) get a handler that does
    nothing, so that it still ignores them, and programs that it starts do not."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
