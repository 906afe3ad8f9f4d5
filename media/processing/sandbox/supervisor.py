"""The thread that keeps a workshop's children: starts them, gives them work, minds their time.

One thread owns all of a workshop's state and never waits for anything but its selector, so nothing in
here needs a lock but the inbox. Callers, in whatever loop or thread, put what they want into that.
"""

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from media.processing.sandbox.child_process import ChildGone, ChildProcess
from media.processing.sandbox.exceptions import (
    JobInterrupted,
    SandboxBusy,
    SandboxError,
    problem_of,
    took_too_long,
    was_closed,
    was_not_read,
)
from media.processing.sandbox.job_calls import JobCall
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.protocol import Cancel, ChildFrame, Credit, JobDone, JobFailed, Piece, Ready
from media.processing.sandbox.scheduling import child_for, more_children

logger = logging.getLogger("media.processing.sandbox")

QUEUE_LIMIT = 256
"""Calls that wait for a child."""
CRASH_PATIENCE = 1.0
"""Seconds between the end of a child's link and that of its process."""
CLOSE_PATIENCE = 10.0


class Supervisor:
    """`submit`, `cancel`, `credit` and `close` may be called anywhere; only `close` waits."""

    def __init__(self, plan: PoolConfig) -> None:
        self._plan = plan
        self._pid = os.getpid()
        self._inbox: deque[Callable[[], None]] = deque()
        self._door = threading.Lock()
        self._is_closed = False
        self._queue: deque[JobCall] = deque()
        self._children: list[ChildProcess] = []
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"workshop-{plan.name}", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """False also after a fork, which takes no threads along."""
        return not self._is_closed and self._pid == os.getpid()

    def submit(self, call: JobCall) -> None:
        if not self._tell(partial(self._enqueue, call)):
            call.caller.fail(was_closed())

    def cancel(self, call: JobCall) -> None:
        """Nobody waits for it any more. One that ended is left alone."""
        self._tell(partial(self._abandon, call))

    def credit(self, call: JobCall, pieces: int) -> None:
        self._tell(partial(self._pass_credit, call, pieces))

    def close(self) -> None:
        """End the children; whoever waits is told."""
        with self._door:
            if not self.is_open:
                return
            self._is_closed = True
            self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_PATIENCE)

    def disown(self) -> None:
        """In a forked process: close what leads to the parent's children."""
        for child in self._children:
            child.disown()
        self._close_own()

    def _tell(self, wish: Callable[[], None]) -> bool:
        with self._door:
            if not self.is_open:
                return False
            self._inbox.append(wish)
            self._wake()
            return True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has enough to wake from
            self._waker.send(b"\0")

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._turn()
        finally:
            self._end_all()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._patience()):
            if key.data is None:
                self._woken.recv(2**12)
            else:
                self._serve(key.data, key.fd, events)
        while self._inbox:
            self._inbox.popleft()()
        self._dispatch()
        now = time.monotonic()
        for child in tuple(self._children):
            if child.deadline <= now:
                self._call_time(child, now)
        self._dispatch()  # what ended may have left work, and room

    def _patience(self) -> float | None:
        soonest = min((child.deadline for child in self._children), default=float("inf"))
        return None if soonest == float("inf") else max(0, soonest - time.monotonic())

    def _end_all(self) -> None:
        with self._door:
            self._is_closed = True
        while self._inbox:
            self._inbox.popleft()()
        for child in self._children:
            child.end()
            self._queue.extend(child.calls.values())
        for call in self._queue:
            call.caller.fail(was_closed())
        self._close_own()

    def _close_own(self) -> None:
        self._selector.close()
        self._woken.close()
        self._waker.close()

    # --- wishes ---------------------------------------------------------------------------------

    def _enqueue(self, call: JobCall) -> None:
        if len(self._queue) >= QUEUE_LIMIT:
            call.caller.fail(SandboxBusy())
        else:
            self._queue.append(call)

    def _abandon(self, call: JobCall) -> None:
        if call in self._queue:
            self._queue.remove(call)
        for child in self._children:
            if call.number in child.calls and call.abandoned_at is None:
                call.abandon(time.monotonic())
                child.tell(Cancel(call.number))

    def _pass_credit(self, call: JobCall, pieces: int) -> None:
        for child in self._children:
            if call.number in child.calls:
                call.count_read(pieces, time.monotonic())
                child.tell(Credit(call.number, pieces))

    def _dispatch(self) -> None:
        for call in sorted(self._queue, key=lambda call: not call.is_alone):
            if child := child_for(call, self._children):
                self._queue.remove(call)
                child.begin(call)
        for _ in range(more_children(self._plan, self._children, self._queue)):
            if not self._hire():
                break

    def _hire(self) -> bool:
        try:
            self._children.append(ChildProcess(self._plan, self._selector))
        except OSError as error:
            logger.error("%s: a child cannot be started: %s", self._plan.name, error)
            self._fail_waiting()
            return False
        return True

    def _fail_waiting(self) -> None:
        """Whoever asks later starts the next attempt; nobody waits for a series of them."""
        while self._queue:
            self._queue.popleft().caller.fail(JobInterrupted())

    # --- reports --------------------------------------------------------------------------------

    def _serve(self, child: ChildProcess, ready: int, events: int) -> None:
        if child not in self._children:
            return  # it ended in this very turn
        try:
            for report in child.heed(ready, events):
                self._hear(child, report)
        except ChildGone:
            self._lose(child, "ended", patience=CRASH_PATIENCE)
        except (ValueError, msgspec.DecodeError) as error:
            self._lose(child, f"broke the rules ({error})")

    def _hear(self, child: ChildProcess, report: ChildFrame) -> None:
        if isinstance(report, Ready):
            child.become_ready()
            return
        call = child.calls.get(report.call)
        if call is None:
            raise ValueError("a report on no call")
        if isinstance(report, Piece):
            call.count_piece(time.monotonic())
            call.caller.put(report.value)
        elif isinstance(report, JobFailed):
            self._hear_failure(child, call, report)
        else:
            child.release(call)
            if isinstance(report, JobDone):
                call.caller.finish(report.value)
            else:
                call.caller.fail(problem_of(report))

    def _hear_failure(self, child: ChildProcess, call: JobCall, report: JobFailed) -> None:
        # whose caller left may have taken the job's files along
        level = logging.ERROR if call.abandoned_at is None else logging.DEBUG
        logger.log(level, "%s: the job %s failed\n%s", self._plan.name, call.job.address, report.trace)
        had_company = len(child.calls) > 1
        child.release(call)
        # what ran out of memory is fit for nothing more, and whoever took it may be another
        child.is_retiring |= report.out_of_memory
        if report.out_of_memory and had_company:
            self._repeat(call, or_else=SandboxError())
        else:
            call.caller.fail(SandboxError())

    # --- ends -----------------------------------------------------------------------------------

    def _call_time(self, child: ChildProcess, now: float) -> None:
        """Its deadline passed: find out which, and act."""
        if not child.is_ready:
            self._lose(child, "took too long to start")
        elif not child.calls:
            logger.debug("%s[%d] has nothing to do and is ended", self._plan.name, child.pid)
            self._children.remove(child)
            child.end()
        elif child.abandoned_deadline <= now:
            self._lose(child, "went on with what nobody waits for")
        else:
            late = min(child.calls.values(), key=lambda call: call.deadline)
            if late.waits_for_reader:
                late.caller.fail(was_not_read())
                self._abandon(late)
            else:
                self._lose(child, f"took too long for {late.job.address}", late=late)

    def _lose(
        self, child: ChildProcess, why: str, *, late: JobCall | None = None, patience: float = 0
    ) -> None:
        """End a child before its work is done, and settle that: the package says who is to blame."""
        self._children.remove(child)
        how = child.end(patience)
        work = [call for call in child.calls.values() if call.abandoned_at is None]
        jobs = ", ".join(call.job.address for call in work) or "nothing"
        name = f"{self._plan.name}[{child.pid}]"
        level = logging.ERROR if work else logging.INFO
        logger.log(level, "%s %s at work on %s: %s\n%s", name, why, jobs, how, child.last_lines)
        if not child.is_ready:
            self._fail_waiting()
        for call in reversed(work):
            if call is late:
                call.caller.fail(took_too_long())
            elif len(child.calls) == 1:
                call.caller.fail(SandboxError())
            else:
                self._repeat(call, or_else=JobInterrupted() if late else SandboxError())

    def _repeat(self, call: JobCall, *, or_else: SandboxError) -> None:
        """Once more, alone and before all others: then nothing but itself can be its end."""
        if call.is_alone or call.has_delivered:
            call.caller.fail(or_else)
        elif call.abandoned_at is None:
            call.is_alone = True
            self._queue.appendleft(call)
