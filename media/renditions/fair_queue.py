"""The order of work: what an answer waits for goes first, and no workspace or long work holds up the rest.

A worker's threads add what messages ask for, and take what is next. What finds no free place waits here, in
the memory of the process, for a thread that has finished something in the same lane. So a message leaves its
queue in milliseconds, however long the work takes that it asks for. What a dying process had in here is found
by the sweep.
"""

import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from media.models import Rendition

LONG_MILLISECONDS = 300_000
"""The length of a sound that takes seconds to transcode."""


class Lane(StrEnum):
    """A class of work that takes similar resources."""

    QUICK = "quick"
    LONG = "long"
    RECOGNITION = "recognition"


class LaneCapacity(NamedTuple):
    """How many jobs of a lane a process runs at once, and how many of those without an answer waiting."""

    all: int
    background: int


CAPACITIES: Mapping[Lane, LaneCapacity] = {
    Lane.QUICK: LaneCapacity(3, 2),
    Lane.LONG: LaneCapacity(2, 1),
    Lane.RECOGNITION: LaneCapacity(3, 2),
}
"""How much of each lane runs at once.

Recognition uses all cores even with one job at a time. Quick and long work share the threads of a sandbox
pool (`pools.FILES_THREADS`), of which long work must leave one.
"""
THREADS = sum(places.all for places in CAPACITIES.values()) + 3
"""Threads for a worker of all queues: more than there are places, so that no other task waits for one."""

_RECOGNITION_KINDS = frozenset({Rendition.Kind.TEXT, Rendition.Kind.TRANSCRIPT})


class RenditionRequest(msgspec.Struct, frozen=True):
    """A request to create a rendition."""

    id: UUID
    workspace_id: UUID
    lane: Lane
    is_awaited: bool = False


def lane_of(kind: str, milliseconds: int | None) -> Lane:
    if kind in _RECOGNITION_KINDS:
        return Lane.RECOGNITION
    return Lane.LONG if (milliseconds or 0) > LONG_MILLISECONDS else Lane.QUICK


class FairQueue:
    """What waits: workspaces take turns, and within one the order is that of the requests."""

    def __init__(self) -> None:
        self._by_workspace: dict[UUID, dict[UUID, RenditionRequest]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_workspace)

    def add(self, request: RenditionRequest) -> None:
        self._by_workspace.setdefault(request.workspace_id, {}).setdefault(request.id, request)

    def remove(self, request: RenditionRequest) -> None:
        waiting = self._by_workspace.get(request.workspace_id, {})
        waiting.pop(request.id, None)
        if not waiting:
            self._by_workspace.pop(request.workspace_id, None)

    def peek(self) -> RenditionRequest:
        return next(iter(next(iter(self._by_workspace.values())).values()))

    def pop(self) -> RenditionRequest:
        request = self.peek()
        waiting = self._by_workspace.pop(request.workspace_id)
        del waiting[request.id]
        if waiting:
            self._by_workspace[request.workspace_id] = waiting  # behind the others
        return request


class RenditionQueue:
    """The queue of one process; any of its threads may use it."""

    def __init__(self, places: Mapping[Lane, LaneCapacity] = CAPACITIES) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._awaited = {lane: FairQueue() for lane in places}
        self._background = {lane: FairQueue() for lane in places}
        self._running: dict[Lane, list[UUID]] = {lane: [] for lane in places}
        self._promoted: set[UUID] = set()

    def add(self, request: RenditionRequest) -> None:
        """Add a request.

        A rendition that is requested twice waits once; once an answer waits for it, it goes before the
        others.
        """
        with self._lock:
            if not request.is_awaited:
                self._background[request.lane].add(request)
                return
            self._background[request.lane].remove(request)
            self._awaited[request.lane].add(request)
            if request.id in self._running[request.lane]:
                self._promoted.add(request.id)

    def take(self) -> RenditionRequest | None:
        """Take the request to work on now; report it with `finish` afterwards.

        None if nothing waits, or nothing that waits has a free place.
        """
        with self._lock:
            line = self._next_line()
            if line is None:
                return None
            request = line.pop()
            self._running[request.lane].append(request.id)
            return request

    def finish(self, request: RenditionRequest) -> bool:
        """Free the request's place; tell whether an answer waits for it, even if only since it was taken."""
        with self._lock:
            self._running[request.lane].remove(request.id)
            is_promoted = request.id in self._promoted
            self._promoted.discard(request.id)
            return request.is_awaited or is_promoted

    def peek(self) -> RenditionRequest | None:
        """Return what `take` would return."""
        with self._lock:
            line = self._next_line()
            return line.peek() if line is not None else None

    def _next_line(self) -> FairQueue | None:
        for lane, places in self._places.items():
            if self._awaited[lane] and len(self._running[lane]) < places.all:
                return self._awaited[lane]
        for lane, places in self._places.items():
            if self._background[lane] and len(self._running[lane]) < places.background:
                return self._background[lane]
        return None
