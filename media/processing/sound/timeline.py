"""Where sound belongs in time when the stamps on it leave gaps."""

JITTER = 0.1
"""Seconds. Stamps are rounded, and clocks of sound cards drift; below it nothing is missing."""
LONGEST_GAP = 60.0
"""Seconds. Beyond, and backwards, it was the clock that jumped: nobody meant an hour of silence."""


class Timeline:
    """Counts the seconds of a sound piece by piece; a gap between stamps counts as silence."""

    def __init__(self) -> None:
        self.position = 0.0
        self._origin: float | None = None

    def add(self, stamp: float | None, seconds: float) -> float:
        """Take in a piece, and return the seconds of silence that belong before it."""
        gap = self._gap(stamp)
        self.position += gap + seconds
        return gap

    def _gap(self, stamp: float | None) -> float:
        if stamp is None:
            return 0.0
        if self._origin is None:
            self._origin = stamp - self.position
        gap = stamp - self._origin - self.position
        if abs(gap) <= JITTER:
            return 0.0
        if 0 < gap <= LONGEST_GAP:
            return gap
        self._origin = stamp - self.position
        return 0.0
