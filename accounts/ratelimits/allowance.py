"""What one call takes of the minute of its key and of its workspace, and what it is told of what is left."""

import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple
from uuid import UUID

from starlette.types import Message, Send

from accounts.authentication import Principal
from accounts.ratelimits.counter_storage import LimitRequest
from accounts.ratelimits.counters import CounterChange, Counters
from accounts.ratelimits.sliding_window import SlidingWindow, duration
from core.exceptions import RateLimited

Kind = Literal["requests", "tokens"]
MILLISECOND = 0.001
SHORT: dict[Kind, str] = {"requests": "RPM", "tokens": "TPM"}


class Limit(NamedTuple):
    """So many a minute; `id` is the key's or the workspace's."""

    kind: Kind
    whose: str
    id: UUID
    most: int

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.id.hex}"

    @property
    def sentence(self) -> str:
        return f"for this {self.whose} on {self.kind} per min ({SHORT[self.kind]})"


class _Standing(NamedTuple):
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
            f"x-ratelimit-reset-{kind}": duration(self.window.seconds_until(0)),
        }


class _Taken(NamedTuple):
    """`until` is when its window ends."""

    standing: _Standing
    amount: int
    until: float

    def changed_to(self, amount: int) -> CounterChange:
        return CounterChange(self.standing.limit.key, amount - self.amount, time.monotonic() - self.until)


class Allowance:
    """Belongs to one call. Where a limit refuses it, nothing is taken of the others of that kind."""

    def __init__(self, counters: Counters, principal: Principal) -> None:
        self._counters = counters
        self._limits = {
            "requests": _limits("requests", principal),
            "tokens": _limits("tokens", principal),
        }
        self._tokens: list[_Taken] = []
        self.headers: dict[str, str] = {}

    async def take_request(self) -> None:
        """Raises `RateLimited`."""
        await self._take("requests", 1)

    async def take_tokens(self, estimate: Callable[[], int]) -> None:
        """Take what the call may use, as far as that is known; it is asked for only where there is a limit.
        Raises `RateLimited`."""
        if self._limits["tokens"]:
            self._tokens = await self._take("tokens", estimate())

    async def correct_tokens(self, used: int) -> None:
        """Count what the call did use in place of the estimate; 0 where it was refused after all."""
        taken, self._tokens = self._tokens, []
        await self._counters.change([part.changed_to(used) for part in taken if part.amount != used])

    @property
    def holds_tokens(self) -> bool:
        return bool(self._tokens)

    def telling(self, send: Send) -> Send:
        """`send`, which tells in the headers of the answer what is left."""
        if not any(self._limits.values()):
            return send

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [(name.encode(), value.encode()) for name, value in self.headers.items()]
                message["headers"] = [*message["headers"], *told]
            await send(message)

        return send_with_headers

    async def _take(self, kind: Kind, amount: int) -> list[_Taken]:
        limits = self._limits[kind]
        for limit in limits:
            if amount > limit.most:
                raise _too_large(limit, amount)
        results = await self._counters.take([LimitRequest(limit.key, limit.most, amount) for limit in limits])
        taken: list[_Taken] = []
        refusing: list[_Standing] = []
        for limit, (is_taken, window) in zip(limits, results, strict=True):
            standing = _Standing(limit, window)
            if is_taken:
                taken.append(_Taken(standing, amount, time.monotonic() + window.remainder))
            else:
                refusing.append(standing)
        if refusing:
            await self._counters.change([part.changed_to(0) for part in taken])
            longest = max(refusing, key=lambda standing: standing.wait_for(amount))
            self.headers |= longest.headers
            raise _exceeded(longest, amount)
        if taken:
            self.headers |= min((part.standing for part in taken), key=_left).headers
        return taken


def _limits(kind: Kind, principal: Principal) -> list[Limit]:
    """Those that there are; the key's first, which is mostly the tighter one."""
    field = f"{kind}_per_minute"
    found = []
    if principal.key_id and (most := getattr(principal.key_limits, field)):
        found.append(Limit(kind, "API key", principal.key_id, most))
    if most := getattr(principal.limits, field):
        found.append(Limit(kind, "workspace", principal.workspace_id, most))
    return found


def _left(standing: _Standing) -> tuple[int, int]:
    return standing.left, standing.limit.most


def _exceeded(standing: _Standing, amount: int) -> RateLimited:
    limit, window = standing
    wait = standing.wait_for(amount)
    return RateLimited(
        f"Rate limit reached {limit.sentence}: Limit {limit.most}, Used {window.used}, Requested {amount}. "
        f"Please try again in {duration(wait)}.",
        type=limit.kind,
        retry_after=wait + MILLISECOND,  # just then it is still too early
    )


def _too_large(limit: Limit, amount: int) -> RateLimited:
    return RateLimited(
        f"Request too large {limit.sentence}: Limit {limit.most}, Requested {amount}. "
        "The messages or the limit of the answer must be made smaller.",
        type=limit.kind,
        retry_after=None,
    )
