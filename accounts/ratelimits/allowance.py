"""What one call takes from the limits of its key and workspace, and the headers that say what is left."""

import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Literal, NamedTuple
from uuid import UUID

from accounts.principal import Principal
from accounts.ratelimits.counter_storage import LimitRequest
from accounts.ratelimits.fallback_counters import CounterChange, FallbackCounters
from accounts.ratelimits.sliding_window import SlidingWindow
from core.exceptions import RateLimited

LimitKind = Literal["requests", "tokens"]
MILLISECOND = 0.001
ABBREVIATIONS: dict[LimitKind, str] = {"requests": "RPM", "tokens": "TPM"}


class Limit(NamedTuple):
    """A limit per minute; `id` is the key's or the workspace's."""

    kind: LimitKind
    whose: str
    id: UUID
    most: int

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.id.hex}"

    @property
    def scope(self) -> str:
        return f"for this {self.whose} on {self.kind} per min ({ABBREVIATIONS[self.kind]})"


class _LimitState(NamedTuple):
    limit: Limit
    window: SlidingWindow

    @property
    def left(self) -> int:
        return max(0, self.limit.most - self.window.used)

    def wait_for(self, amount: int) -> float:
        return self.window.seconds_until(self.limit.most - amount)

    @property
    def headers(self) -> Mapping[str, str]:
        kind = self.limit.kind
        return {
            f"x-ratelimit-limit-{kind}": str(self.limit.most),
            f"x-ratelimit-remaining-{kind}": str(self.left),
            f"x-ratelimit-reset-{kind}": format_duration(self.window.seconds_until(0)),
        }


class _Reservation(NamedTuple):
    """An amount taken from a limit; `until` is when its window ends."""

    state: _LimitState
    amount: int
    until: float

    def change_to(self, amount: int) -> CounterChange:
        return CounterChange(self.state.limit.key, amount - self.amount, time.monotonic() - self.until)


class Allowance:
    """What one call may take of its limits.

    If one limit refuses the call, nothing is taken from the others of that kind.
    """

    def __init__(self, counters: FallbackCounters, principal: Principal) -> None:
        self._counters = counters
        self._limits = {
            "requests": _limits("requests", principal),
            "tokens": _limits("tokens", principal),
        }
        self._tokens: list[_Reservation] = []
        self.headers: dict[str, str] = {}

    async def take_request(self) -> None:
        """Take one request. Raises `RateLimited`."""
        await self._take("requests", 1)

    async def take_tokens(self, estimate: Callable[[], int]) -> None:
        """Take what the call may use, as far as that is known. Raises `RateLimited`.

        `estimate` is called only if there is a limit.
        """
        if self._limits["tokens"]:
            self._tokens = await self._take("tokens", estimate())

    async def correct_tokens(self, used: int) -> None:
        """Count what the call did use in place of the estimate; 0 if it was refused after all."""
        taken, self._tokens = self._tokens, []
        await self._counters.change([part.change_to(used) for part in taken if part.amount != used])

    @property
    def holds_tokens(self) -> bool:
        return bool(self._tokens)

    async def _take(self, kind: LimitKind, amount: int) -> list[_Reservation]:
        limits = self._limits[kind]
        for limit in limits:
            if amount > limit.most:
                raise _too_large(limit, amount)
        results = await self._counters.take([LimitRequest(limit.key, limit.most, amount) for limit in limits])
        taken: list[_Reservation] = []
        exceeded: list[_LimitState] = []
        for limit, (is_taken, window) in zip(limits, results, strict=True):
            state = _LimitState(limit, window)
            if is_taken:
                taken.append(_Reservation(state, amount, time.monotonic() + window.remainder))
            else:
                exceeded.append(state)
        if exceeded:
            await self._counters.change([part.change_to(0) for part in taken])
            longest = max(exceeded, key=lambda state: state.wait_for(amount))
            self.headers |= longest.headers
            raise _exceeded(longest, amount)
        if taken:
            self.headers |= min((part.state for part in taken), key=_left).headers
        return taken


def _limits(kind: LimitKind, principal: Principal) -> list[Limit]:
    """Return the limits that exist, the key's first, which is usually the tighter one."""
    field = f"{kind}_per_minute"
    found = []
    if principal.key_id and (most := getattr(principal.key_limits, field)):
        found.append(Limit(kind, "API key", principal.key_id, most))
    if most := getattr(principal.limits, field):
        found.append(Limit(kind, "workspace", principal.workspace_id, most))
    return found


def _left(state: _LimitState) -> tuple[int, int]:
    return state.left, state.limit.most


def _exceeded(state: _LimitState, amount: int) -> RateLimited:
    limit, window = state
    wait = state.wait_for(amount)
    return RateLimited(
        f"Rate limit reached {limit.scope}: Limit {limit.most}, Used {window.used}, Requested {amount}. "
        f"Please try again in {format_duration(wait)}.",
        type=limit.kind,
        retry_after=wait + MILLISECOND,  # at that very moment it is still too early
    )


def _too_large(limit: Limit, amount: int) -> RateLimited:
    return RateLimited(
        f"Request too large {limit.scope}: Limit {limit.most}, Requested {amount}. "
        "The messages or the limit of the answer must be made smaller.",
        type=limit.kind,
        retry_after=None,
    )


def format_duration(seconds: float) -> str:
    """Format seconds like `12ms`, `7s`, or `1m30s`.

    They are rounded up, so that whoever waits that long has waited long enough.
    """
    milliseconds = ceil(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(ceil(milliseconds / 1000), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
