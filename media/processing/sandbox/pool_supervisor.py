"""The thread that manages a pool's worker processes: starts them, assigns work and enforces deadlines.

This one thread owns all of the pool's state and blocks only on its selector, so nothing here needs a lock
except the inbox. Callers, in any event loop or thread, put their commands into that inbox.
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

from media.processing.sandbox.exceptions import (
    JobInterrupted,
    SandboxBusy,
    SandboxError,
    rebuild_media_error,
    shutdown_error,
)
from media.processing.sandbox.pending_calls import JobCall
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.protocol import Cancel, Credit, JobDone, JobFailed, Piece, Ready, WorkerFrame
from media.processing.sandbox.scheduling import choose_worker, count_workers_to_start
from media.processing.sandbox.worker_process import WorkerDisconnected, WorkerProcess

logger = logging.getLogger("media.processing.sandbox")

CRASH_TIMEOUT = 1.0
"""Seconds a worker process may take to exit after its end of the link has closed."""
CLOSE_TIMEOUT = 10.0


class Supervisor:
    """Manages the worker processes of one pool.

    `submit`, `cancel`, `credit` and `close` may be called from anywhere; only `close` blocks.
    """

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._pid = os.getpid()
        self._inbox: deque[Callable[[], None]] = deque()
        self._inbox_lock = threading.Lock()
        self._is_closed = False
        self._queue: deque[JobCall] = deque()
        self._workers: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"sandbox-{config.name}", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Also False after a fork, because threads do not survive it."""
        return not self._is_closed and self._pid == os.getpid()

    def submit(self, call: JobCall) -> None:
        if not self._post(partial(self._enqueue, call)):
            call.receiver.fail(shutdown_error())

    def cancel(self, call: JobCall) -> None:
        """Abandon a call that nobody waits for any more. A call that has ended is left alone."""
        self._post(partial(self._abandon, call))

    def credit(self, call: JobCall, pieces: int) -> None:
        self._post(partial(self._forward_credit, call, pieces))

    def close(self) -> None:
        """Stop the worker processes and fail the calls that are waiting."""
        with self._inbox_lock:
            if not self.is_open:
                return
            self._is_closed = True
            self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT)

    def disown(self) -> None:
        """Close this process's connections to the parent's worker processes after a fork."""
        for worker in self._workers:
            worker.disown()
        self._close_sockets()

    def _post(self, command: Callable[[], None]) -> bool:
        with self._inbox_lock:
            if not self.is_open:
                return False
            self._inbox.append(command)
            self._wake()
            return True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # enough wake-ups are pending
            self._wake_sender.send(b"\0")

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._run_once()
        finally:
            self._stop_all()

    def _run_once(self) -> None:
        for key, events in self._selector.select(self._select_timeout()):
            if key.data is None:
                self._wake_receiver.recv(2**12)
            else:
                self._handle_event(key.data, key.fd, events)
        while self._inbox:
            self._inbox.popleft()()
        self._dispatch()
        now = time.monotonic()
        for worker in tuple(self._workers):
            if worker.deadline <= now:
                self._enforce_deadline(worker, now)
        self._dispatch()  # stopped processes may have left calls to retry, and room

    def _select_timeout(self) -> float | None:
        soonest = min((worker.deadline for worker in self._workers), default=float("inf"))
        return None if soonest == float("inf") else max(0, soonest - time.monotonic())

    def _stop_all(self) -> None:
        with self._inbox_lock:
            self._is_closed = True
        while self._inbox:
            self._inbox.popleft()()
        for worker in self._workers:
            worker.stop()
            self._queue.extend(worker.calls.values())
        for call in self._queue:
            call.receiver.fail(shutdown_error())
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    # --- commands -------------------------------------------------------------------------------

    def _enqueue(self, call: JobCall) -> None:
        if len(self._queue) >= self._config.queue_limit:
            call.receiver.fail(SandboxBusy())
        else:
            self._queue.append(call)

    def _abandon(self, call: JobCall) -> None:
        if call in self._queue:
            self._queue.remove(call)
        for worker in self._workers:
            if call.number in worker.calls and call.abandoned_at is None:
                call.abandon(time.monotonic())
                worker.send_order(Cancel(call.number))

    def _forward_credit(self, call: JobCall, pieces: int) -> None:
        for worker in self._workers:
            if call.number in worker.calls:
                call.count_read(pieces, time.monotonic())
                worker.send_order(Credit(call.number, pieces))

    def _dispatch(self) -> None:
        for call in sorted(self._queue, key=lambda call: not call.is_alone):
            if worker := choose_worker(call, self._workers):
                self._queue.remove(call)
                worker.begin(call)
        for _ in range(count_workers_to_start(self._config, self._workers, self._queue)):
            if not self._start_worker():
                break

    def _start_worker(self) -> bool:
        try:
            self._workers.append(WorkerProcess(self._config, self._selector))
        except OSError as error:
            logger.error("%s: a child cannot be started: %s", self._config.name, error)
            self._fail_queued()
            return False
        return True

    def _fail_queued(self) -> None:
        """Fail all queued calls, so that nobody waits through a series of failed starts.

        A later call makes the next attempt.
        """
        while self._queue:
            self._queue.popleft().receiver.fail(JobInterrupted())

    # --- reports --------------------------------------------------------------------------------

    def _handle_event(self, worker: WorkerProcess, descriptor: int, events: int) -> None:
        if worker not in self._workers:
            return  # it was stopped earlier in this iteration
        try:
            for report in worker.read_reports(descriptor, events):
                self._handle_report(worker, report)
        except WorkerDisconnected:
            self._terminate_worker(worker, "ended", patience=CRASH_TIMEOUT)
        except (ValueError, msgspec.DecodeError) as error:
            self._terminate_worker(worker, f"broke the rules ({error})")

    def _handle_report(self, worker: WorkerProcess, report: WorkerFrame) -> None:
        if isinstance(report, Ready):
            worker.mark_ready()
            return
        call = worker.calls.get(report.call)
        if call is None:
            raise ValueError("a report on no call")
        if isinstance(report, Piece):
            call.count_piece(time.monotonic())
            call.receiver.put(report.value)
        elif isinstance(report, JobFailed):
            self._handle_failure(worker, call, report)
        else:
            worker.release(call)
            if isinstance(report, JobDone):
                call.receiver.finish(report.value)
            else:
                call.receiver.fail(rebuild_media_error(report))

    def _handle_failure(self, worker: WorkerProcess, call: JobCall, report: JobFailed) -> None:
        # a caller that left may have deleted the job's files
        level = logging.ERROR if call.abandoned_at is None else logging.DEBUG
        logger.log(level, "%s: the job %s failed\n%s", self._config.name, call.job.address, report.trace)
        had_other_calls = len(worker.calls) > 1
        worker.release(call)
        # a process that ran out of memory is no longer usable, and another job may have used the memory
        worker.is_retiring |= report.out_of_memory
        if report.out_of_memory and had_other_calls:
            self._retry_alone(call, or_else=SandboxError())
        else:
            call.receiver.fail(SandboxError())

    # --- stopping worker processes --------------------------------------------------------------

    def _enforce_deadline(self, worker: WorkerProcess, now: float) -> None:
        """Act on a worker process whose deadline has passed, depending on which deadline it was."""
        if not worker.is_ready:
            self._terminate_worker(worker, "took too long to start")
        elif not worker.calls:
            logger.debug("%s[%d] has nothing to do and is ended", self._config.name, worker.pid)
            self._workers.remove(worker)
            worker.stop()
        elif worker.abandoned_deadline <= now:
            self._terminate_worker(worker, "went on with what nobody waits for")
        else:
            late = min(worker.calls.values(), key=lambda call: call.deadline)
            if late.is_waiting_for_reader:
                late.receiver.fail(SandboxError("The result was not read in time."))
                self._abandon(late)
            else:
                self._terminate_worker(worker, f"took too long for {late.job.address}", late=late)

    def _terminate_worker(
        self, worker: WorkerProcess, reason: str, *, late: JobCall | None = None, patience: float = 0
    ) -> None:
        """Stop a worker process before its work is done, and settle its calls.

        The package's docstring says who is to blame.
        """
        self._workers.remove(worker)
        outcome = worker.stop(patience)
        work = [call for call in worker.calls.values() if call.abandoned_at is None]
        jobs = ", ".join(call.job.address for call in work) or "nothing"
        name = f"{self._config.name}[{worker.pid}]"
        level = logging.ERROR if work else logging.INFO
        logger.log(level, "%s %s at work on %s: %s\n%s", name, reason, jobs, outcome, worker.last_lines)
        if not worker.is_ready:
            self._fail_queued()
        for call in reversed(work):
            if call is late:
                call.receiver.fail(SandboxError("The file took too long to process."))
            elif len(worker.calls) == 1:
                call.receiver.fail(SandboxError())
            else:
                self._retry_alone(call, or_else=JobInterrupted() if late else SandboxError())

    def _retry_alone(self, call: JobCall, *, or_else: SandboxError) -> None:
        """Retry a call once, alone and ahead of all others, so that nothing but itself can make it fail."""
        if call.is_alone or call.has_delivered:
            call.receiver.fail(or_else)
        elif call.abandoned_at is None:
            call.is_alone = True
            self._queue.appendleft(call)
