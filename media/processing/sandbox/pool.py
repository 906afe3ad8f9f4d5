"""A workshop, as its users see it."""

import asyncio
import math
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeVar, cast

import msgspec

from media.processing.sandbox.child_process import START_PATIENCE
from media.processing.sandbox.exceptions import SandboxError
from media.processing.sandbox.job_calls import JobCall, ResultReceiver, ResultStream, SingleResult
from media.processing.sandbox.jobs import Job, NotAJob, Nothing, job_of, rest
from media.processing.sandbox.pool_config import PoolConfig
from media.processing.sandbox.protocol import FRAME_LIMIT, WINDOW, FrameTooLarge
from media.processing.sandbox.supervisor import Supervisor

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

CREDIT_BATCH = WINDOW // 4
NICENESS = 5
"""Whoever waits for the web process comes first."""
HEADROOM = 4096
"""Bytes of a frame beside its value."""


class SandboxPool:
    """Child processes of one kind, started on first use.

    A child works on `threads` jobs at once; there are up to `processes` children. `memory` bounds the
    address space of each, in bytes. One that had no work for `idle_seconds` is ended. `preload` are
    modules it imports at its start. It gives way to others by `niceness`.

    May be used from any thread and any event loop, after a fork, and again after `close`.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int = 1,
        processes: int = 1,
        memory: int | None = None,
        idle_seconds: float | None = None,
        preload: tuple[str, ...] = (),
        niceness: int = NICENESS,
    ) -> None:
        self._plan = PoolConfig(name, threads, processes, memory, idle_seconds, preload, niceness)
        self._lock = threading.Lock()
        self._keeper: Supervisor | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        _workshops.add(self)

    async def warm(self) -> None:
        """Start a child ahead of the first job. Raises `SandboxError`."""
        await self.ask(rest, Nothing(), seconds=START_PATIENCE)

    async def ask(self, job: Callable[[A], R], work: A, *, seconds: float) -> R:
        """The job's result. `seconds` are for its work; waiting for a free child does not count.

        Raises what is wrong with the file (`MediaProblem`), `SandboxError` and `WorkshopBusy`.
        Cancelled, it leaves the queue; a job that has begun is ended within seconds.
        """
        kind, answer = self._ask(job, work, seconds)
        try:
            return cast("R", _decoded(kind, await asyncio.wrap_future(answer.future)))
        finally:
            answer.future.cancel()

    def ask_blocking(self, job: Callable[[A], R], work: A, *, seconds: float) -> R:
        """`ask`, from a thread that may wait."""
        kind, answer = self._ask(job, work, seconds)
        try:
            return cast("R", _decoded(kind, answer.future.result()))
        finally:
            answer.future.cancel()

    async def follow(
        self,
        job: Callable[[A], Iterator[R]],
        work: A,
        *,
        seconds: float,
        idle_seconds: float = math.inf,
        alone: bool = False,
    ) -> AsyncGenerator[R, None]:
        """The job's pieces as they are made, never more than `WINDOW` ahead of their reader.

        `seconds` are for all of its work and `idle_seconds` for the work on one piece; waiting for the
        reader counts for neither, but a reader has `calls.READER_PATIENCE`. Closing it cancels the job.
        With `alone` no other works in its child.
        Raises as `ask` does.
        """
        kind = job_of(job)
        if not kind.streams:
            raise NotAJob(f"{kind.address} yields nothing: ask for it")
        stream = ResultStream()
        keeper, call = self._submit(kind, work, stream, seconds, idle_seconds, alone=alone)
        try:
            unread = 0
            while (piece := await stream.next()) is not None:
                yield cast("R", _decoded(kind, piece))
                unread += 1
                if unread == CREDIT_BATCH:
                    keeper.credit(call, unread)
                    unread = 0
        finally:
            keeper.cancel(call)

    def close(self) -> None:
        """End the children, within milliseconds; whoever waits gets `SandboxError`. Exit does it too."""
        with self._lock:
            keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    def _ask(self, job: Callable[[A], R], work: A, seconds: float) -> tuple[Job, SingleResult]:
        kind = job_of(job)
        if kind.streams:
            raise NotAJob(f"{kind.address} yields pieces: follow it")
        answer = SingleResult()
        keeper, call = self._submit(kind, work, answer, seconds, math.inf)
        answer.future.add_done_callback(lambda future: keeper.cancel(call) if future.cancelled() else None)
        return kind, answer

    def _submit(
        self,
        kind: Job,
        work: msgspec.Struct,
        caller: ResultReceiver,
        seconds: float,
        idle_seconds: float,
        *,
        alone: bool = False,
    ) -> tuple[Supervisor, JobCall]:
        encoded = msgspec.msgpack.encode(work)
        if len(encoded) > FRAME_LIMIT - HEADROOM:
            raise FrameTooLarge("work of that size goes through a file")
        keeper = self._open_keeper()
        call = JobCall(kind, msgspec.Raw(encoded), caller, seconds, idle_seconds, is_alone=alone)
        keeper.submit(call)
        return keeper, call

    def _open_keeper(self) -> Supervisor:
        with self._lock:
            if self._keeper is None or not self._keeper.is_open:
                self._keeper = Supervisor(self._plan)
                if self._finalizer is not None:
                    self._finalizer.detach()
                self._finalizer = weakref.finalize(self, self._keeper.close)
            return self._keeper

    def _forget(self) -> None:
        """In a forked process: the children are the parent's, and a lock may be held for ever."""
        self._lock = threading.Lock()
        keeper, self._keeper = self._keeper, None
        if self._finalizer is not None:
            self._finalizer.detach()
        if keeper is not None:
            keeper.disown()


def _decoded(kind: Job, value: msgspec.Raw) -> Any:
    try:
        return kind.decode_result(value)
    except msgspec.DecodeError as error:
        raise SandboxError from error


_workshops: weakref.WeakSet[SandboxPool] = weakref.WeakSet()


def _forget_all() -> None:
    for workshop in tuple(_workshops):
        workshop._forget()


os.register_at_fork(after_in_child=_forget_all)
