"""A workshop's child: runs jobs in threads. Run as `python -m media.processing.sandbox.worker`.

Frames come and go over the socket that is its standard input. It lives until that ends or the thread
that started it does, so it outlives its parent by nothing. What anything prints, native code
included, goes to its standard error, which the parent reads.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from media.processing.exceptions import MediaError
from media.processing.sandbox.jobs import job_at
from media.processing.sandbox.protocol import (
    WINDOW,
    Cancel,
    Credit,
    Frame,
    JobDone,
    JobFailed,
    ParentFrame,
    Piece,
    Ready,
    Refused,
    Setup,
    Start,
    Unpacker,
    pack,
)

AUTOGROUP = Path("/proc/self/autogroup")
OOM_SCORE = 500
"""Where memory runs out, the kernel ends a child before it ends the service."""
TRACE_LIMIT = 8000
"""Characters."""
NIL = msgspec.Raw(b"\xc0")
PR_SET_PDEATHSIG = 1

_decode_order = msgspec.msgpack.Decoder(ParentFrame).decode
_encode = msgspec.msgpack.Encoder().encode


def main() -> None:
    # the parent decides when a Ctrl-C, or the service manager's signal to all, ends us
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    link = _take_link()
    frames = _frames(link)
    setup = msgspec.msgpack.decode(next(frames), type=Setup)
    _die_with_parent(setup.parent)
    _settle_in(setup)
    for module in setup.preload:
        _preload(module)
    crew = JobThreads(link, setup.threads)
    crew.send(Ready())
    for frame in frames:
        crew.heed(_decode_order(frame))


class RunningJob:
    """One job under way."""

    def __init__(self, order: Start) -> None:
        self.order = order
        self.is_cancelled = False
        self._places = threading.Semaphore(WINDOW)

    def wait_for_place(self) -> None:
        self._places.acquire()

    def heed(self, order: Credit | Cancel) -> None:
        if isinstance(order, Credit):
            self._places.release(order.pieces)
        else:
            self.is_cancelled = True
            self._places.release()


class JobThreads:
    """The threads that work."""

    def __init__(self, link: socket.socket, threads: int) -> None:
        self._link = link
        self._sending = threading.Lock()
        self._runs: dict[int, RunningJob] = {}
        self._waiting: SimpleQueue[RunningJob] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True).start()

    def heed(self, order: ParentFrame) -> None:
        if isinstance(order, Start):
            run = self._runs[order.call] = RunningJob(order)
            self._waiting.put(run)
        elif order.call in self._runs:  # or it ended while the order was on its way
            self._runs[order.call].heed(order)

    def send(self, report: Frame) -> None:
        self._send_frame(pack(report))

    def _send_frame(self, frame: bytearray) -> None:
        with self._sending:
            self._link.sendall(frame)

    def _work(self) -> None:
        try:
            while True:
                self._see_through(self._waiting.get())
        except BaseException:  # noqa: BLE001 a thread less would leave its call waiting for ever
            traceback.print_exc()
            os._exit(1)

    def _see_through(self, run: RunningJob) -> None:
        frame = self._outcome(run)
        del self._runs[run.order.call]
        self._send_frame(frame)

    def _outcome(self, run: RunningJob) -> bytearray:
        call = run.order.call
        try:
            return pack(JobDone(call, self._do(run)))
        except MediaError as problem:
            kind = f"{type(problem).__module__}:{type(problem).__qualname__}"
            return pack(Refused(call, kind, problem.message, problem.code))
        except BaseException as error:  # noqa: BLE001 whatever a job raises is told to its caller
            trace = "".join(traceback.format_exception(error))[-TRACE_LIMIT:]
            return pack(JobFailed(call, trace, isinstance(error, MemoryError)))

    def _do(self, run: RunningJob) -> msgspec.Raw:
        job = job_at(run.order.job)
        result = job.function(job.decode_work(run.order.work))
        if not job.streams:
            return msgspec.Raw(_encode(result))
        self._stream(run, result)
        return NIL

    def _stream(self, run: RunningJob, pieces: Generator[Any]) -> None:
        with contextlib.closing(pieces):
            for piece in pieces:
                run.wait_for_place()
                if run.is_cancelled:
                    return
                self.send(Piece(run.order.call, msgspec.Raw(_encode(piece))))


def _take_link() -> socket.socket:
    """The link, out of reach of jobs that read standard input."""
    link = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return link


def _frames(link: socket.socket) -> Iterator[bytes]:
    unpacker = Unpacker()
    while data := link.recv(2**18):
        yield from unpacker.feed(data)


def _die_with_parent(parent: int) -> None:
    """The link's end is seen late where a job holds the interpreter's lock; the kernel's signal is not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _settle_in(setup: Setup) -> None:
    give_way(setup.niceness)
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if setup.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (setup.memory, setup.memory))


def give_way(niceness: int) -> None:
    """Be nicer by so much, as a session too: where Linux shares out its cores by sessions, a process that
    has its own is not nice to anybody else (sched(7))."""
    own = os.nice(niceness)
    with contextlib.suppress(OSError):  # there are no such groups, or one was changed just now
        AUTOGROUP.write_text(str(own))


def _preload(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:  # noqa: BLE001 the job that needs it will say so to its caller
        traceback.print_exc()


if __name__ == "__main__":
    try:
        main()
    except OSError:
        pass  # the link broke: the parent is gone
    except BaseException:  # noqa: BLE001 whatever it is, no thread may keep the process alive
        traceback.print_exc()
    finally:
        os._exit(0)
