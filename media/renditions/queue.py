"""Whose turn it is: what an answer waits for goes first, and no workspace or long work holds up the rest.

A worker's threads bring in what messages ask for, and take what is next in turn. What finds no place waits
in here, in the memory of its process, for a thread that has ended something of its kind: so a message is
gone from its queue in milliseconds, however long the work takes that it asks for. What a dying process had
in here is found by the sweep.
"""

import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from media.models import Rendition

LONG_MILLISECONDS = 300_000
"""A sound that takes seconds to transcode."""


class Lane(StrEnum):
    """Work that is alike in what it takes."""

    QUICK = "quick"
    LONG = "long"
    RECOGNITION = "recognition"


class LaneCapacity(NamedTuple):
    """How much of it is done at once in a process, and how much of that where no answer waits for it."""

    all: int
    background: int


CAPACITIES: Mapping[Lane, LaneCapacity] = {
    Lane.QUICK: LaneCapacity(3, 2),
    Lane.LONG: LaneCapacity(2, 1),
    Lane.RECOGNITION: LaneCapacity(3, 2),
}
"""Recognition takes all cores with one at a time already. Quick and long work share the threads of a workshop
(`shops.FILES_THREADS`), of which long work must leave one."""
THREADS = sum(places.all for places in CAPACITIES.values()) + 3
"""For a worker of all queues: more than there are places, so that no other task waits for one."""

_RECOGNISED = frozenset({Rendition.Kind.TEXT, Rendition.Kind.TRANSCRIPT})


class RenditionRequest(msgspec.Struct, frozen=True):
    """A rendition that is to be made."""

    id: UUID
    workspace_id: UUID
    lane: Lane
    is_awaited: bool = False


def lane_of(kind: str, milliseconds: int | None) -> Lane:
    if kind in _RECOGNISED:
        return Lane.RECOGNITION
    return Lane.LONG if (milliseconds or 0) > LONG_MILLISECONDS else Lane.QUICK


class WaitingLine:
    """What waits: a turn for each workspace, and within one the order in which it was asked for."""

    def __init__(self) -> None:
        self._of: dict[UUID, dict[UUID, RenditionRequest]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, wish: RenditionRequest) -> None:
        self._of.setdefault(wish.workspace_id, {}).setdefault(wish.id, wish)

    def remove(self, wish: RenditionRequest) -> None:
        waiting = self._of.get(wish.workspace_id, {})
        waiting.pop(wish.id, None)
        if not waiting:
            self._of.pop(wish.workspace_id, None)

    def first(self) -> RenditionRequest:
        return next(iter(next(iter(self._of.values())).values()))

    def pop(self) -> RenditionRequest:
        wish = self.first()
        waiting = self._of.pop(wish.workspace_id)
        del waiting[wish.id]
        if waiting:
            self._of[wish.workspace_id] = waiting  # behind the others
        return wish


class RenditionQueue:
    """Of one process; any of its threads may use it."""

    def __init__(self, places: Mapping[Lane, LaneCapacity] = CAPACITIES) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._awaited = {lane: WaitingLine() for lane in places}
        self._background = {lane: WaitingLine() for lane in places}
        self._taken: dict[Lane, list[UUID]] = {lane: [] for lane in places}
        self._hastened: set[UUID] = set()

    def ask(self, wish: RenditionRequest) -> None:
        """Asked for twice it stands in line once; once an answer waits for it, before the others."""
        with self._lock:
            if not wish.is_awaited:
                self._background[wish.lane].add(wish)
                return
            self._background[wish.lane].remove(wish)
            self._awaited[wish.lane].add(wish)
            if wish.id in self._taken[wish.lane]:
                self._hastened.add(wish.id)

    def take(self) -> RenditionRequest | None:
        """What is to be made now, and to be told of when it is `done`; None where nothing waits or no place
        is free for it."""
        with self._lock:
            line = self._next_line()
            if line is None:
                return None
            wish = line.pop()
            self._taken[wish.lane].append(wish.id)
            return wish

    def done(self, wish: RenditionRequest) -> bool:
        """Whether an answer waits for it, also where it began to while it was made."""
        with self._lock:
            self._taken[wish.lane].remove(wish.id)
            is_hastened = wish.id in self._hastened
            self._hastened.discard(wish.id)
            return wish.is_awaited or is_hastened

    def next(self) -> RenditionRequest | None:
        """What `take` would give."""
        with self._lock:
            line = self._next_line()
            return line.first() if line is not None else None

    def _next_line(self) -> WaitingLine | None:
        for lane, places in self._places.items():
            if self._awaited[lane] and len(self._taken[lane]) < places.all:
                return self._awaited[lane]
        for lane, places in self._places.items():
            if self._background[lane] and len(self._taken[lane]) < places.background:
                return self._background[lane]
        return None
