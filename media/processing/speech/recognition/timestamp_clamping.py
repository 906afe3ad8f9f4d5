"""Timestamps as readers of subtitles expect them: only moving forward, and inside the sound."""


class Clock:
    """A clock that places spans one after the other; times are in seconds, exact to the millisecond."""

    def __init__(self) -> None:
        self._now = 0.0

    def place_span(self, start: float, end: float, limit: float) -> tuple[float, float]:
        """Return the part of `start` to `end` that is after all earlier spans and before `limit`."""
        start = min(max(start, self._now), limit)
        end = min(max(end, start), limit)
        self._now = end
        return round(start, 3), round(end, 3)
