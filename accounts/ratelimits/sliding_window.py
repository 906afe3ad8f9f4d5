"""The arithmetic of a sliding window, and durations as OpenAI writes them."""

from math import ceil
from typing import NamedTuple

SECONDS = 60


class SlidingWindow(NamedTuple):
    """What was taken within the last minute, as `limits` counts it: all of what the current window of 60
    seconds has, and of the previous one a part, which shrinks to nothing while the current one lasts.

    `previous_ttl` and `current_ttl` are the seconds for which they count at all.
    """

    previous: int = 0
    previous_ttl: float = 0.0
    current: int = 0
    current_ttl: float = 0.0

    @property
    def used(self) -> int:
        return int(self.previous * self.previous_ttl / SECONDS) + self.current

    @property
    def remainder(self) -> float:
        """Seconds until the current window becomes the previous one."""
        return max(0.0, self.current_ttl - SECONDS)

    def seconds_until(self, most: int) -> float:
        """After how long, if nothing more is taken, no more than `most` are used."""
        if self.current <= most:
            return _shrinking(self.previous, self.previous_ttl, most - self.current)
        return self.remainder + _shrinking(self.current, SECONDS, most)


def _shrinking(count: int, ttl: float, most: int) -> float:
    """Seconds after which `count * ttl / SECONDS`, in whole numbers, is no more than `most`."""
    return max(0.0, ttl - SECONDS * (most + 1) / count) if count > most else 0.0


def duration(seconds: float) -> str:
    """`12ms`, `7s`, `1m30s`: rounded up, so that who waits for so long has waited long enough."""
    milliseconds = ceil(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(ceil(milliseconds / 1000), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
