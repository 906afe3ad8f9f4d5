"""The public interface of a sandbox pool."""

import asyncio
import math
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeVar, cast

import msgspec

from media.processing.sandbox.exceptions import SandboxError
from media.processing.sandbox.job_functions import Job, NotAJob, Nothing, do_nothing, job_of
from media.processing.sandbox.pending_calls import JobCall, ResultReceiver, ResultStream, SingleResult
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.pool_supervisor import Supervisor
from media.processing.sandbox.protocol import FRAME_LIMIT, WINDOW, FrameTooLarge
from media.processing.sandbox.worker_process import START_TIMEOUT

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

CREDIT_BATCH = WINDOW // 4
HEADROOM = 4096
"""Bytes of a frame reserved for everything but its value."""


class SandboxPool:
    """Worker processes of one kind, started on first use.

    A pool may be used from any thread and any event loop, after a fork, and again after `close`.
    """

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._supervisor: Supervisor | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        _pools.add(self)

    def resize(self, threads: int) -> None:
        """Set how many jobs a process runs at once; holds for those that start after the pool was closed."""
        self._config = msgspec.structs.replace(self._config, threads=threads)

    async def warm_up(self) -> None:
        """Start a worker process ahead of the first job. Raises `SandboxError`."""
        await self.run(do_nothing, Nothing(), seconds=START_TIMEOUT)

    async def run(self, job: Callable[[A], R], work: A, *, seconds: float) -> R:
        """Run a job and return its result.

        `seconds` limits its running time; waiting for a free worker process does not count.

        Raises `MediaError` for what is wrong with the file, `SandboxError` and `SandboxBusy`. If cancelled,
        the call leaves the queue; a job that has started is stopped within seconds.
        """
        typed_job, pending = self._submit_single(job, work, seconds)
        try:
            return cast("R", _decode_result(typed_job, await asyncio.wrap_future(pending.future)))
        finally:
            pending.future.cancel()

    def run_blocking(self, job: Callable[[A], R], work: A, *, seconds: float) -> R:
        """Run a job like `run`, from a thread that may block."""
        typed_job, pending = self._submit_single(job, work, seconds)
        try:
            return cast("R", _decode_result(typed_job, pending.future.result()))
        finally:
            pending.future.cancel()

    async def stream(
        self,
        job: Callable[[A], Iterator[R]],
        work: A,
        *,
        seconds: float,
        idle_seconds: float = math.inf,
        alone: bool = False,
    ) -> AsyncGenerator[R, None]:
        """Yield the job's pieces as they are made, at most `WINDOW` ahead of their reader.

        `seconds` limits all of its work and `idle_seconds` the work on one piece. Waiting for the reader
        counts toward neither, but the reader only has `PoolConfig.reader_seconds`. Closing the
        generator cancels the job. With `alone`, no other job runs in its worker process. Raises what `run`
        raises.
        """
        typed_job = job_of(job)
        if not typed_job.streams:
            raise NotAJob(f"{typed_job.address} yields nothing: run it")
        stream = ResultStream()
        supervisor, call = self._submit(typed_job, work, stream, seconds, idle_seconds, alone=alone)
        try:
            uncredited = 0
            while (piece := await stream.next()) is not None:
                yield cast("R", _decode_result(typed_job, piece))
                uncredited += 1
                if uncredited == CREDIT_BATCH:
                    supervisor.credit(call, uncredited)
                    uncredited = 0
        finally:
            supervisor.cancel(call)

    def close(self) -> None:
        """Stop the worker processes within milliseconds, also at exit. Waiting callers get `SandboxError`."""
        with self._lock:
            supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.close()

    def _submit_single(self, job: Callable[[A], R], work: A, seconds: float) -> tuple[Job, SingleResult]:
        typed_job = job_of(job)
        if typed_job.streams:
            raise NotAJob(f"{typed_job.address} yields pieces: stream it")
        pending = SingleResult()
        supervisor, call = self._submit(typed_job, work, pending, seconds, math.inf)
        pending.future.add_done_callback(
            lambda future: supervisor.cancel(call) if future.cancelled() else None
        )
        return typed_job, pending

    def _submit(
        self,
        typed_job: Job,
        work: msgspec.Struct,
        receiver: ResultReceiver,
        seconds: float,
        idle_seconds: float,
        *,
        alone: bool = False,
    ) -> tuple[Supervisor, JobCall]:
        encoded = msgspec.msgpack.encode(work)
        if len(encoded) > FRAME_LIMIT - HEADROOM:
            raise FrameTooLarge("work of that size goes through a file")
        supervisor = self._open_supervisor()
        call = JobCall(
            typed_job,
            msgspec.Raw(encoded),
            receiver,
            seconds,
            idle_seconds,
            reader_seconds=self._config.reader_seconds,
            is_alone=alone,
        )
        supervisor.submit(call)
        return supervisor, call

    def _open_supervisor(self) -> Supervisor:
        with self._lock:
            if self._supervisor is None or not self._supervisor.is_open:
                self._supervisor = Supervisor(self._config)
                if self._finalizer is not None:
                    self._finalizer.detach()
                self._finalizer = weakref.finalize(self, self._supervisor.close)
            return self._supervisor

    def _reset_after_fork(self) -> None:
        """Reset the pool in a forked process.

        The worker processes belong to the parent, and the lock may be held forever.
        """
        self._lock = threading.Lock()
        supervisor, self._supervisor = self._supervisor, None
        if self._finalizer is not None:
            self._finalizer.detach()
        if supervisor is not None:
            supervisor.disown()


def _decode_result(typed_job: Job, value: msgspec.Raw) -> Any:
    try:
        return typed_job.decode_result(value)
    except msgspec.DecodeError as error:
        raise SandboxError from error


_pools: weakref.WeakSet[SandboxPool] = weakref.WeakSet()


def _reset_all_after_fork() -> None:
    for pool in tuple(_pools):
        pool._reset_after_fork()


os.register_at_fork(after_in_child=_reset_all_after_fork)
