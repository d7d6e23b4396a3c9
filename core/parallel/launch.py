"""launch(main, size) calls main(comm) on all ranks of a training (core/parallel/ranks.py),
and sees to it that all of them end.

    another rank raises     its traceback is printed, nobody waits for it any longer, and rank 0 raises RankFailed
                            with the reason; an InputError, which needs no traceback, is raised again by rank 0
    another rank is killed  the same, and the reason is the signal
    rank 0 raises, Ctrl-C   the others are released, and killed if that takes longer than 2 s; the exception goes on
    rank 0 is killed        the others notice the next time that they wait, and end
    under mpirun            whichever it is, all end, and mpirun with them; its exit status is that of the plain program
"""
import math
import os
import signal
import sys
import time
import traceback
import warnings

from core.errors import InputError, Refused, refused
from core.parallel.processors import available_processors
from core.parallel.ranks import Forked, Mpi, RankFailed, Serial

MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")      # what the launchers of MPI set
MPI_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MPI_LOCALRANKID")
RAISED, QUIET, BAD_INPUT, REFUSED = 1, 3, 4, 5     # exit statuses of a rank; QUIET: it ended because of another
ENDING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


def launch(main, size=None, portable=None):
    """main(comm) on all ranks, with one BLAS thread in each; returns, on rank 0 alone, what main did.

    One thread for a single rank as well: the fast network's products are too small to share, and on a busy machine
    threads of the BLAS that wait for each other took 8 s for a step of 0.5 s.
    size None: the ranks of mpirun where it started this program, else one for each available processor. portable: what
    the other ranks do in place of main where processes can't be forked; there it goes to them by pickle, so that it is
    a function of a module or a partial of one (core/parallel/spawn.py). Errors: see above. Raises InputError for a size
    that cannot be had here.
    """
    from threadpoolctl import threadpool_limits  # imported where needed: demo.py starts sooner

    if under_mpirun():
        if size is not None:
            raise InputError("under mpirun the number of ranks is mpirun's: leave out --ranks, --gpu and sweeps, or "
                             "mpirun")
        return launch_mpi(main, Mpi())
    size = size or available_processors()
    with threadpool_limits(1, "blas"):
        if size == 1:
            return main(Serial())
        return launch_forked(main, size) if can_fork() else launch_spawned(main, size, portable or main)


def can_fork():
    """Whether a rank can begin as a copy of this process. macOS can fork, but its libraries can't."""
    return hasattr(os, "fork") and sys.platform != "darwin"


def under_mpirun():
    """Whether this is one of several processes that mpirun has started."""
    return any(int(os.environ.get(name) or 1) > 1 for name in MPI_SIZES)


def is_main():
    """Whether this is the main process, which prints: under mpirun rank 0, else always."""
    return all(os.environ.get(name, "0") == "0" for name in MPI_RANKS)


def launch_mpi(main, comm):
    """The same for the ranks of mpirun: an exception of one ends all, because the others would wait for it for ever.

    MPI ends with it: the other ranks leave the program here, and rank 0 goes on alone.
    Raises InputError if mpi4py belongs to another MPI library.
    """
    from threadpoolctl import threadpool_limits

    if comm.size == 1:
        raise InputError("mpirun has started several processes, but mpi4py sees one alone: "
                         f"it was made for another MPI library than this mpirun's ({comm.library})")
    status = 1
    try:
        with threadpool_limits(1, "blas"):
            result = main(comm)
        comm.finalize()
        status = 0
    except InputError as error:                              # of all ranks, or of rank 0 alone, which writes the files
        if comm.rank:
            time.sleep(2)                                    # until rank 0 has said it and ended all
        print(f"error: {error}", file=sys.__stderr__, flush=True)   # sys.stderr may be shut while rank 0 speaks for all
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BaseException as error:
        if limit := refused(error):
            print(f"error: {limit}", file=sys.__stderr__, flush=True)
            status = 2
        else:
            traceback.print_exc(file=sys.__stderr__)
    if status:
        comm.abort(status)
        os._exit(status)                                     # MPICH's abort returns
    if comm.rank:
        sys.exit(0)
    return result


def launch_forked(main, size):
    """The same for processes of this machine, of which this one is rank 0.

    Raises RankFailed, or the InputError of a rank.
    """
    comm = Forked(size)
    return shared(comm, main, lambda rank, mask: fork(comm, main, rank, mask))


def launch_spawned(main, size, portable):
    """The same where processes start anew and have nothing of this one but what they are sent.

    Raises RankFailed, or the InputError of a rank.
    """
    from core.parallel.spawn import Spawned  # imported where needed: demo.py starts sooner

    comm = Spawned(size, portable)
    return shared(comm, main, comm.spawn)


def shared(comm, main, start):
    """What main does on rank 0, while the processes that start(rank, mask) starts do their parts.

    Raises RankFailed, or the InputError of a rank.
    """
    patience, lost = 2, None
    try:
        start_all(comm, start)
        result = main(comm)
        patience = math.inf
    except RankFailed as error:
        lost = error                                         # below is known which, and why
    finally:
        finish(comm, patience)
    if reason := failure(comm) or lost:
        raise reason
    return result


def start_all(comm, start):
    """The processes of ranks 1, 2, ...: comm.children[rank] = start(rank, mask).

    mask: the signals that are blocked; while processes start, those that end the program are, too: Ctrl-C waits until
    a child is noted, and knows that it is one. Raises InputError if the system starts no more processes.
    """
    flush()                                                  # or every child would write it again
    masks = hasattr(signal, "pthread_sigmask")               # not on Windows
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, []) if masks else set()
    try:
        if masks:
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        for rank in range(1, comm.size):
            comm.children[rank] = start(rank, mask)
    except OSError as error:
        raise InputError(f"--ranks {comm.size}: the system starts no more processes ({error.strerror}): "
                         "choose fewer") from None
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def fork(comm, main, rank, mask):
    """A process that calls main as that rank and ends with it; returns its number."""
    with warnings.catch_warnings():                    # Python 3.12 warns where there are threads, whose locks may stay
        warnings.simplefilter("ignore", DeprecationWarning)                 # shut in the child: it takes none of theirs
        pid = os.fork()
    return pid or child(comm, main, rank, mask)


def child(comm, main, rank, mask):
    """The life of another rank. Whatever happens, it ends here: beyond lies the program of rank 0."""
    status, said = RAISED, None
    try:
        for number in ENDING:
            if callable(signal.getsignal(number)):           # made for rank 0
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)         # Ctrl-C is for rank 0, which releases the others
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        comm.rank = rank
        main(comm)
        status = 0
    except RankFailed:
        status = QUIET                                       # the rank that failed says why
    except InputError as error:
        status, said = REFUSED if isinstance(error, Refused) else BAD_INPUT, str(error)
    except BaseException as error:
        if limit := refused(error):
            status, said = REFUSED, str(limit)
        else:
            said = traceback.format_exception_only(error)[-1].strip()
            traceback.print_exc()
    finally:
        try:
            if said:
                comm.notes[rank] = said.encode(errors="replace")
            if status:
                comm.give_up()
            flush()
        finally:
            os._exit(status)


def finish(comm, patience):
    """Waits for the other ranks, and kills those that take longer than `patience` seconds,
    and all on a second Ctrl-C."""
    comm.give_up()                                           # whoever still waits for rank 0 waits in vain
    deadline = time.monotonic() + patience
    try:
        while comm.alive() and time.monotonic() < deadline:
            time.sleep(1e-3)
    finally:
        for rank in comm.alive():
            comm.kill(rank)
            comm.ended[rank] = QUIET


def failure(comm):
    """The exception that tells what became of the other ranks, or None if all is well."""
    said = {rank: comm.notes[rank].decode(errors="replace") for rank in comm.children}
    words = []
    for rank, code in sorted(comm.ended.items()):
        if code in (BAD_INPUT, REFUSED):
            return (InputError if code == BAD_INPUT else Refused)(said[rank])
        if said[rank]:
            words.append(f"rank {rank} raised an exception, which is printed above: {said[rank]}")
        elif code not in (0, QUIET, None):
            words.append(f"rank {rank} " + (f"ended with status {code}" if code > 0 else
                                            f"was ended by signal {-code} ({signal.strsignal(-code)})"))
        if code == -9:                                       # SIGKILL, which Windows has no name for
            words.append("the system does that when memory runs out: choose a smaller --batch, or fewer --ranks")
    return RankFailed("; ".join(words)) if words else None


def flush():
    """Writes what is still to be written; a stream that the user has closed is None."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
