"""Times as a reader of subtitles may expect them: forward only, and inside the sound."""


class Clock:
    """Sets spans one after the other. Times are in seconds, exact to the millisecond."""

    def __init__(self) -> None:
        self._now = 0.0

    def span(self, start: float, end: float, limit: float) -> tuple[float, float]:
        """The part of `start` to `end` that lies after all spans before it and before `limit`."""
        start = min(max(start, self._now), limit)
        end = min(max(end, start), limit)
        self._now = end
        return round(start, 3), round(end, 3)
