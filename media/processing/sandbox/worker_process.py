"""The parent's side of one worker process: the process itself, and what it is sent and sends back."""

import logging
import os
import selectors
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterator

import msgspec

from core.child_process import end, spawn
from media.processing.sandbox.pending_calls import JobCall
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.protocol import Frame, Setup, Start, Unpacker, WorkerFrame, pack

logger = logging.getLogger("media.processing.sandbox")

START_TIMEOUT = 60.0
"""Seconds a worker process may take to report that it is ready."""
CHUNK = 2**18
TAIL_LINES = 60
LINE_LIMIT = 500

_decode_report = msgspec.msgpack.Decoder(WorkerFrame).decode


class WorkerDisconnected(Exception):
    """The worker process's end of the link is closed."""


class WorkerProcess:
    """One worker process, used only by the supervisor's thread.

    The kernel kills the process when the thread that started it ends. Raises OSError if the process cannot be
    started.
    """

    def __init__(self, config: PoolConfig, selector: selectors.BaseSelector) -> None:
        self.calls: dict[int, JobCall] = {}
        self.is_ready = False
        self.is_retiring = False
        """It gets no more work, and is stopped when its current calls are done."""
        self._config = config
        self._selector = selector
        self._unpacker = Unpacker()
        self._outgoing: deque[memoryview] = deque()
        self._recent_lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._partial_line = b""
        self._idle_since = time.monotonic()
        self._link, worker_end = socket.socketpair()
        try:
            with worker_end:
                self._process = spawn(config.command, stdin=worker_end.fileno(), stderr=subprocess.STDOUT)
        except OSError:
            self._link.close()
            raise
        assert self._process.stdout is not None  # noqa: S101
        self._output = self._process.stdout.fileno()
        self._link.setblocking(False)
        os.set_blocking(self._output, False)
        selector.register(self._link, selectors.EVENT_READ, self)
        selector.register(self._output, selectors.EVENT_READ, self)
        self.send_order(Setup(os.getpid(), config.threads, config.memory, config.preload, config.niceness))

    @property
    def pid(self) -> int:
        return self._process.pid

    # --- work -----------------------------------------------------------------------------------

    @property
    def free_slots(self) -> int:
        """How many more calls it can take: now or, while it starts, once it is ready."""
        return 0 if self.is_retiring or self.is_exclusive else self._config.threads - len(self.calls)

    @property
    def is_exclusive(self) -> bool:
        return any(call.is_alone for call in self.calls.values())

    def mark_ready(self) -> None:
        self.is_ready = True
        self._idle_since = time.monotonic()

    def begin(self, call: JobCall) -> None:
        self.calls[call.number] = call
        call.begin(time.monotonic())
        self.send_order(Start(call.number, call.job.address, call.work))

    def release(self, call: JobCall) -> None:
        del self.calls[call.number]
        self._idle_since = time.monotonic()

    @property
    def deadline(self) -> float:
        """The time at which the supervisor must step in."""
        if not self.is_ready:
            return self._idle_since + START_TIMEOUT
        if self.calls:
            return min(self.abandoned_deadline, *(call.deadline for call in self.calls.values()))
        return self.idle_deadline

    @property
    def idle_deadline(self) -> float:
        if self.is_retiring:
            return self._idle_since
        return self._idle_since + (self._config.idle_seconds or float("inf"))

    @property
    def abandoned_deadline(self) -> float:
        times = [call.abandoned_at for call in self.calls.values()]
        last = max(float("inf") if time is None else time for time in times)
        return last + self._config.abandoned_seconds

    # --- input and output -----------------------------------------------------------------------

    def read_reports(self, descriptor: int, events: int) -> Iterator[WorkerFrame]:
        """Yield the frames it sent. Raises `WorkerDisconnected`, and ValueError if it broke the protocol."""
        if descriptor == self._output:
            self._read_output()
            return
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            for frame in self._unpacker.feed(self._receive()):
                yield _decode_report(frame)

    def _receive(self) -> bytes:
        try:
            data = self._link.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise WorkerDisconnected from error
        if not data:
            raise WorkerDisconnected
        return data

    def send_order(self, order: Frame) -> None:
        self._outgoing.append(memoryview(pack(order)))
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                sent = self._link.send(self._outgoing[0][:CHUNK])
                self._outgoing[0] = self._outgoing[0][sent:]
                if not self._outgoing[0]:
                    self._outgoing.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()  # reading will notice the closed link
        writing = selectors.EVENT_WRITE if self._outgoing else 0
        self._selector.modify(self._link, selectors.EVENT_READ | writing, self)

    def _read_output(self) -> bool:
        """Read up to one chunk of its output. Return False if there is none, now or at its end."""
        try:
            data = os.read(self._output, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(self._output)
            return False
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if len(self._partial_line) > LINE_LIMIT:
            lines.append(self._partial_line)
            self._partial_line = b""
        for line in lines:
            self._log_line(line)
        return True

    def _log_line(self, line: bytes) -> None:
        text = line[:LINE_LIMIT].decode(errors="backslashreplace")
        self._recent_lines.append(text)
        logger.debug("%s[%d]: %s", self._config.name, self.pid, text)

    @property
    def last_lines(self) -> str:
        return "\n".join(self._recent_lines)

    # --- stopping -------------------------------------------------------------------------------

    def stop(self, patience: float = 0) -> str:
        """Give it `patience` seconds to exit, then kill it. Return a description of how it ended."""
        outcome = end(self._process, patience)
        for _ in range(4):
            if self._output not in self._selector.get_map() or not self._read_output():
                break
        if self._partial_line:
            self._log_line(self._partial_line)
        self._close()
        return outcome

    def _close(self) -> None:
        self._selector.unregister(self._link)
        if self._output in self._selector.get_map():
            self._selector.unregister(self._output)
        self._close_pipes()

    def _close_pipes(self) -> None:
        """Close the link and the output pipe."""
        self._link.close()
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdout.close()

    def disown(self) -> None:
        """Drop the process after a fork: it is the parent's child, and not this process's to wait for."""
        self._close_pipes()
        self._process.returncode = 0
