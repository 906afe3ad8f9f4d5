"""What one call takes of the minute of its key and of its workspace, and what it is told of what is left."""

import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple
from uuid import UUID

from starlette.types import Message, Send

from chatapi.accounts.authentication import Principal
from chatapi.errors import RateLimited
from chatapi.ratelimits.counters import Counters
from chatapi.ratelimits.windows import Window, duration

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


class _Taken(NamedTuple):
    """`until` is when its window ends."""

    limit: Limit
    amount: int
    until: float

    @property
    def since(self) -> float:
        return time.monotonic() - self.until


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
        for part in taken:
            if used > part.amount:
                await self._counters.add(part.limit.key, used - part.amount)
            elif used < part.amount:
                await self._counters.give_back(part.limit.key, part.amount - used, part.since)

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
        taken: list[_Taken] = []
        windows: list[tuple[Limit, Window]] = []
        for limit in limits:
            is_taken, window = await self._counters.take(limit.key, limit.most, amount)
            if not is_taken:
                self.headers |= _headers(limit, window)
                for other in taken:
                    await self._counters.give_back(other.limit.key, amount, other.since)
                raise _exceeded(limit, window, amount)
            taken.append(_Taken(limit, amount, time.monotonic() + window.remainder))
            windows.append((limit, window))
        if windows:
            self.headers |= _headers(*min(windows, key=_left))
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


def _left(standing: tuple[Limit, Window]) -> tuple[int, int]:
    limit, window = standing
    return limit.most - window.used, limit.most


def _headers(limit: Limit, window: Window) -> Mapping[str, str]:
    return {
        f"x-ratelimit-limit-{limit.kind}": str(limit.most),
        f"x-ratelimit-remaining-{limit.kind}": str(max(0, limit.most - window.used)),
        f"x-ratelimit-reset-{limit.kind}": duration(window.seconds_until(0)),
    }


def _exceeded(limit: Limit, window: Window, amount: int) -> RateLimited:
    wait = window.seconds_until(limit.most - amount)
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
