"""A clock that moves only when told to, for the rate limits' counters in memory."""

import pytest

BEGIN = 60.0 * 30_000_000
"""The start of a 60-second window."""


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (
        "limits.aio.storage.memory",
        "accounts.ratelimits.counter_storage",
        "accounts.ratelimits.allowance",
    ):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock
