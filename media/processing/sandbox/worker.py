"""The main program of a worker process: runs jobs in threads.

Run as `python -m media.processing.sandbox.worker`. Frames are exchanged over the socket that is its standard
input. It exits when that socket closes or the thread that started it ends, so it never outlives its parent.
Whatever it prints, native code included, goes into a pipe that the parent reads.
"""

import contextlib
import importlib
import os
import resource
import socket
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from core.child_process import die_with_parent, ignore_stop_signals
from media.processing.exceptions import MediaError
from media.processing.sandbox.job_functions import job_at
from media.processing.sandbox.protocol import (
    WINDOW,
    Cancel,
    Credit,
    Frame,
    JobDone,
    JobFailed,
    MediaRejected,
    ParentFrame,
    Piece,
    Ready,
    Setup,
    Start,
    Unpacker,
    pack,
)

AUTOGROUP = Path("/proc/self/autogroup")
OOM_SCORE = 500
"""When memory runs out, the kernel kills a worker process before it kills the service."""
TRACE_LIMIT = 8000
"""Characters."""
NIL = msgspec.Raw(b"\xc0")

_decode_order = msgspec.msgpack.Decoder(ParentFrame).decode
_encode = msgspec.msgpack.Encoder().encode


def main() -> None:
    ignore_stop_signals()
    link = _open_link()
    frames = _read_frames(link)
    setup = msgspec.msgpack.decode(next(frames), type=Setup)
    die_with_parent(setup.parent)
    _apply_setup(setup)
    for module in setup.preload:
        _preload(module)
    job_threads = JobThreads(link, setup.threads)
    job_threads.send(Ready())
    for frame in frames:
        job_threads.handle_order(_decode_order(frame))


class RunningJob:
    """One job in progress."""

    def __init__(self, order: Start) -> None:
        self.order = order
        self.is_cancelled = False
        self._credits = threading.Semaphore(WINDOW)

    def wait_for_credit(self) -> None:
        self._credits.acquire()

    def handle_order(self, order: Credit | Cancel) -> None:
        if isinstance(order, Credit):
            self._credits.release(order.pieces)
        else:
            self.is_cancelled = True
            self._credits.release()


class JobThreads:
    """The threads that run the jobs."""

    def __init__(self, link: socket.socket, threads: int) -> None:
        self._link = link
        self._send_lock = threading.Lock()
        self._runs: dict[int, RunningJob] = {}
        self._queue: SimpleQueue[RunningJob] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run_thread, name=f"job-{number}", daemon=True).start()

    def handle_order(self, order: ParentFrame) -> None:
        if isinstance(order, Start):
            run = self._runs[order.call] = RunningJob(order)
            self._queue.put(run)
        elif order.call in self._runs:  # else it ended while the order was on its way
            self._runs[order.call].handle_order(order)

    def send(self, report: Frame) -> None:
        self._send_frame(pack(report))

    def _send_frame(self, frame: bytearray) -> None:
        with self._send_lock:
            self._link.sendall(frame)

    def _run_thread(self) -> None:
        try:
            while True:
                self._run_and_report(self._queue.get())
        except BaseException:  # noqa: BLE001 a dead thread would leave its call waiting forever
            traceback.print_exc()
            os._exit(1)

    def _run_and_report(self, run: RunningJob) -> None:
        frame = self._run_to_frame(run)
        del self._runs[run.order.call]
        self._send_frame(frame)

    def _run_to_frame(self, run: RunningJob) -> bytearray:
        call = run.order.call
        try:
            return pack(JobDone(call, self._run_job(run)))
        except MediaError as refusal:
            kind = f"{type(refusal).__module__}:{type(refusal).__qualname__}"
            return pack(MediaRejected(call, kind, refusal.message, refusal.code))
        except BaseException as error:  # noqa: BLE001 whatever a job raises is reported to its caller
            trace = "".join(traceback.format_exception(error))[-TRACE_LIMIT:]
            return pack(JobFailed(call, trace, isinstance(error, MemoryError)))

    def _run_job(self, run: RunningJob) -> msgspec.Raw:
        job = job_at(run.order.job)
        result = job.function(job.decode_work(run.order.work))
        if not job.streams:
            return msgspec.Raw(_encode(result))
        self._stream(run, result)
        return NIL

    def _stream(self, run: RunningJob, pieces: Generator[Any]) -> None:
        with contextlib.closing(pieces):
            for piece in pieces:
                run.wait_for_credit()
                if run.is_cancelled:
                    return
                self.send(Piece(run.order.call, msgspec.Raw(_encode(piece))))


def _open_link() -> socket.socket:
    """Return the link, out of reach of jobs that read standard input."""
    link = socket.socket(fileno=os.dup(0))
    null_device = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_device, 0)
    os.close(null_device)
    return link


def _read_frames(link: socket.socket) -> Iterator[bytes]:
    unpacker = Unpacker()
    while data := link.recv(2**18):
        yield from unpacker.feed(data)


def _apply_setup(setup: Setup) -> None:
    lower_priority(setup.niceness)
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if setup.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (setup.memory, setup.memory))


def lower_priority(niceness: int) -> None:
    """Increase the niceness of this process and of its session.

    Where Linux shares the cores among sessions, a process with its own session gives way to nobody by its own
    niceness alone (sched(7)).
    """
    own = os.nice(niceness)
    with contextlib.suppress(OSError):  # there are no autogroups, or this one was changed just now
        AUTOGROUP.write_text(str(own))


def _preload(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:  # noqa: BLE001 the job that needs it will report it to its caller
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
