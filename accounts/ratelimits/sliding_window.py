"""The arithmetic of sliding windows."""

from typing import NamedTuple

WINDOW_SECONDS = 60


class SlidingWindow(NamedTuple):
    """What was taken within the last minute, as `limits` counts it.

    That is everything in the current window of 60 seconds, and a part of the previous one, which shrinks to
    nothing while the current one lasts. `previous_ttl` and `current_ttl` are the seconds until they no longer
    count at all.
    """

    previous: int = 0
    previous_ttl: float = 0.0
    current: int = 0
    current_ttl: float = 0.0

    @property
    def used(self) -> int:
        return int(self.previous * self.previous_ttl / WINDOW_SECONDS) + self.current

    @property
    def remainder(self) -> float:
        """Seconds until the current window becomes the previous one."""
        return max(0.0, self.current_ttl - WINDOW_SECONDS)

    def seconds_until(self, most: int) -> float:
        """Return after how long, if nothing more is taken, at most `most` is used."""
        if self.current <= most:
            return _seconds_to_shrink(self.previous, self.previous_ttl, most - self.current)
        return self.remainder + _seconds_to_shrink(self.current, WINDOW_SECONDS, most)


def _seconds_to_shrink(count: int, ttl: float, most: int) -> float:
    """Return the seconds until `count * ttl / WINDOW_SECONDS`, in whole numbers, is at most `most`."""
    return max(0.0, ttl - WINDOW_SECONDS * (most + 1) / count) if count > most else 0.0
