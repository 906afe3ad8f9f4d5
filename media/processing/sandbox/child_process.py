"""The parent's side of one child: its process, what goes to it and what comes from it."""

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from media.processing.sandbox.job_calls import JobCall
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.protocol import ChildFrame, Frame, Setup, Start, Unpacker, pack

logger = logging.getLogger("media.processing.sandbox")

START_PATIENCE = 60.0
"""Seconds a child may take to say that it is ready."""
ABANDONED_PATIENCE = 5.0
"""Seconds a child may go on with what nobody waits for any more."""
END_PATIENCE = 5.0
CHUNK = 2**18
TAIL_LINES = 60
LINE_LIMIT = 500

PASSED_ON = frozenset({"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ"})
PASSED_ON_PREFIXES = ("LC_", "OMP_")
"""A child reads hostile bytes: of the environment it gets what it needs, and no secret is among that."""
IMPOSED = {
    # threads that spin at every barrier would fall to a tenth of their speed beside other work
    "OMP_WAIT_POLICY": "passive",
    # ONNX Runtime would report to its maker, and leave a database of that in the user's home
    "ORT_DISABLE_TELEMETRY": "1",
}

_decode_report = msgspec.msgpack.Decoder(ChildFrame).decode


class ChildGone(Exception):
    """The child's end of the link is closed."""


class ChildProcess:
    """One child. Only the keeper's thread uses it: the kernel ends the child with the thread that started it.

    Raises OSError where the process cannot be started.
    """

    def __init__(self, plan: PoolConfig, selector: selectors.BaseSelector) -> None:
        self.calls: dict[int, JobCall] = {}
        self.is_ready = False
        self.is_retiring = False
        """It gets no more work, and ends when it has done what it has."""
        self._plan = plan
        self._selector = selector
        self._unpacker = Unpacker()
        self._outgoing: deque[memoryview] = deque()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._line = b""
        self._idle_since = time.monotonic()
        self._link, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _spawn(theirs)
        except OSError:
            self._link.close()
            raise
        assert self._process.stdout is not None  # noqa: S101
        self._output = self._process.stdout.fileno()
        self._link.setblocking(False)
        os.set_blocking(self._output, False)
        selector.register(self._link, selectors.EVENT_READ, self)
        selector.register(self._output, selectors.EVENT_READ, self)
        self._send(Setup(os.getpid(), plan.threads, plan.memory, plan.preload, plan.niceness))

    @property
    def pid(self) -> int:
        return self._process.pid

    # --- work -----------------------------------------------------------------------------------

    @property
    def places(self) -> int:
        """How many calls more it may be given now or, while it starts, then."""
        return 0 if self.is_retiring or self.is_given_to_one else self._plan.threads - len(self.calls)

    @property
    def is_given_to_one(self) -> bool:
        return any(call.is_alone for call in self.calls.values())

    def become_ready(self) -> None:
        self.is_ready = True
        self._idle_since = time.monotonic()

    def begin(self, call: JobCall) -> None:
        self.calls[call.number] = call
        call.begin(time.monotonic())
        self._send(Start(call.number, call.job.address, call.work))

    def tell(self, order: Frame) -> None:
        self._send(order)

    def release(self, call: JobCall) -> None:
        del self.calls[call.number]
        self._idle_since = time.monotonic()

    @property
    def deadline(self) -> float:
        """When something must have happened."""
        if not self.is_ready:
            return self._idle_since + START_PATIENCE
        if self.calls:
            return min(self.abandoned_deadline, *(call.deadline for call in self.calls.values()))
        return self.idle_deadline

    @property
    def idle_deadline(self) -> float:
        if self.is_retiring:
            return self._idle_since
        return self._idle_since + (self._plan.idle_seconds or float("inf"))

    @property
    def abandoned_deadline(self) -> float:
        times = [call.abandoned_at for call in self.calls.values()]
        last = max(float("inf") if time is None else time for time in times)
        return last + ABANDONED_PATIENCE

    # --- input and output -----------------------------------------------------------------------

    def heed(self, ready: int, events: int) -> Iterator[ChildFrame]:
        """What it reports. Raises `ChildGone`, and ValueError where it broke the rules."""
        if ready == self._output:
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
            raise ChildGone from error
        if not data:
            raise ChildGone
        return data

    def _send(self, message: Frame) -> None:
        self._outgoing.append(memoryview(pack(message)))
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
            self._outgoing.clear()  # its end is seen by reading
        writing = selectors.EVENT_WRITE if self._outgoing else 0
        self._selector.modify(self._link, selectors.EVENT_READ | writing, self)

    def _read_output(self) -> bool:
        """Read what there is of it, not more than a chunk; False at its end."""
        try:
            data = os.read(self._output, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(self._output)
            return False
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LINE_LIMIT:
            lines.append(self._line)
            self._line = b""
        for line in lines:
            self._note(line)
        return True

    def _note(self, line: bytes) -> None:
        text = line[:LINE_LIMIT].decode(errors="backslashreplace")
        self._tail.append(text)
        logger.debug("%s[%d]: %s", self._plan.name, self.pid, text)

    @property
    def last_lines(self) -> str:
        return "\n".join(self._tail)

    # --- its end --------------------------------------------------------------------------------

    def end(self, patience: float = 0) -> str:
        """Let it end within `patience`, then end it; gives back how it ended."""
        status: int | None
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            status = self._kill()
        for _ in range(4):
            if self._output not in self._selector.get_map() or not self._read_output():
                break
        if self._line:
            self._note(self._line)
        self._close()
        return _how_it_ended(status)

    def _kill(self) -> int | None:
        os.killpg(self.pid, signal.SIGKILL)
        try:
            return self._process.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            return None

    def _close(self) -> None:
        self._selector.unregister(self._link)
        if self._output in self._selector.get_map():
            self._selector.unregister(self._output)
        self.let_go()

    def let_go(self) -> None:
        """Close what leads to it."""
        self._link.close()
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdout.close()

    def disown(self) -> None:
        """After a fork it is the parent's child, and no longer ours to wait for."""
        self.let_go()
        self._process.returncode = 0


def _spawn(link: socket.socket) -> subprocess.Popen[bytes]:
    # a session of its own: a Ctrl-C in the terminal must not end it before its work
    return subprocess.Popen(  # noqa: S603
        (sys.executable, "-P", "-u", "-X", "faulthandler", "-m", f"{__package__}.worker"),
        stdin=link.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env=environment(),
        start_new_session=True,
    )


def environment() -> dict[str, str]:
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**IMPOSED, **passed_on, "PYTHONPATH": path}


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "it does not end"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
