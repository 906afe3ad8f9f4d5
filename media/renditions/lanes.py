"""The lanes of a process: how many renditions of which sort it creates at once, and which is next.

What waits is in the database alone. A process only counts what it runs, and remembers whose turn it was.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from media.models import Rendition
from media.renditions.due_renditions import Line, take_due

Lane = Rendition.Lane
Priority = Rendition.Priority


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
THREADS = sum(capacity.all for capacity in CAPACITIES.values()) + 3
"""Threads for a worker of all queues: more than there are places, so that no other task waits for one."""


class Lanes:
    """The lanes of one process; any of its threads may use them."""

    def __init__(self, capacities: Mapping[Lane, LaneCapacity] = CAPACITIES) -> None:
        self._capacities = capacities
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._served: dict[tuple[int, str], UUID] = {}
        self._has_turned_away = False

    def take(self, priorities: Sequence[Priority] = tuple(Priority)) -> Rendition | None:
        """Take the rendition to create now; report it with `leave` afterwards.

        What an answer waits for goes first, and workspaces take turns. None if nothing is due, or nothing
        that is due has a free place.
        """
        connection.ensure_connection()  # with the lock it would wait for threads that wait for the lock
        with self._lock:
            rendition = take_due(self._free(priorities))
            if rendition is not None:
                self._running[rendition.lane] += 1
                self._served[rendition.priority, rendition.lane] = rendition.workspace_id
            elif Priority.BACKGROUND in priorities:
                self._has_turned_away = any(
                    self._is_full(lane, Priority.BACKGROUND) for lane in self._capacities
                )
        return rendition

    def leave(self, rendition: Rendition) -> None:
        """Free the rendition's place."""
        with self._lock:
            self._running[rendition.lane] -= 1

    def pop_turned_away(self) -> bool:
        """Return, once, whether a thread may have found no place for what no answer waits for.

        That thread's message is used up. Threads that serve only answers ask for it when they are done: they
        leave the places that it lacked, and take nothing of it themselves.
        """
        with self._lock:
            had, self._has_turned_away = self._has_turned_away, False
            return had

    def _is_full(self, lane: Lane, priority: Priority) -> bool:
        capacity = self._capacities[lane]
        places = capacity.all if priority == Priority.AWAITED else capacity.background
        return self._running[lane] >= places

    def _free(self, priorities: Sequence[Priority]) -> Iterator[Line]:
        for priority in priorities:
            for lane in self._capacities:
                if not self._is_full(lane, priority):
                    yield Line(priority, lane, self._served.get((priority, lane)))
