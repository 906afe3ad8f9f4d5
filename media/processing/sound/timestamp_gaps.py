"""Places sound in time when its timestamps leave gaps."""

JITTER = 0.1
"""Seconds. Timestamps are rounded, and clocks of sound cards drift; a smaller gap means nothing."""
LONGEST_GAP = 60.0
"""Seconds. On a longer gap or a step backward, the clock jumped: nobody meant an hour of silence."""


class Timeline:
    """Adds up the seconds of a sound piece by piece; a gap between timestamps counts as silence."""

    def __init__(self) -> None:
        self.position = 0.0
        self._origin: float | None = None

    def add(self, timestamp: float | None, seconds: float) -> float:
        """Add a piece, and return the seconds of silence that belong before it."""
        gap = self._gap_before(timestamp)
        self.position += gap + seconds
        return gap

    def _gap_before(self, timestamp: float | None) -> float:
        if timestamp is None:
            return 0.0
        if self._origin is None:
            self._origin = timestamp - self.position
        gap = timestamp - self._origin - self.position
        if abs(gap) <= JITTER:
            return 0.0
        if 0 < gap <= LONGEST_GAP:
            return gap
        self._origin = timestamp - self.position
        return 0.0
