"""Calls of this process that are not admitted yet, which can be cancelled by their idempotency keys alone.

Fetching and inspecting what a call carries may take minutes, and until it is admitted it has no completion.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

from accounts.principal import Principal
from conversations.stored_run import owned_idempotency_key
from core.exceptions import BadRequest

CANCEL_SECONDS = 10.0
"""How long to wait for a call that was cancelled, or is being admitted, to get that far."""


class CallCancelled(BadRequest):
    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("The completion was cancelled.")


class StartingCall:
    """A call until it is admitted. Cancelling it interrupts its preparation; an admission runs to its end."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self.has_ended = asyncio.Event()
        self._preparation: asyncio.Timeout | None = None

    def cancel(self) -> None:
        self.is_cancelled = True
        if self._preparation is not None:
            self._preparation.reschedule(0)

    def check(self) -> None:
        """Raise `CallCancelled` if the call was cancelled."""
        if self.is_cancelled:
            raise CallCancelled

    @asynccontextmanager
    async def preparation(self) -> AsyncIterator[None]:
        """Interrupt the block if the call is cancelled: it raises `CallCancelled`."""
        self.check()
        try:
            async with asyncio.timeout(None) as self._preparation:
                yield
        except Exception:
            self.check()  # whatever the interruption became on its way out
            raise
        finally:
            self._preparation = None


class StartingCalls:
    """The calls with an idempotency key that are starting, by workspace and by the key as it is stored."""

    def __init__(self) -> None:
        self._calls: dict[tuple[UUID, str], set[StartingCall]] = {}

    @contextmanager
    def entered(self, who: Principal, idempotency_key: str | None) -> Iterator[StartingCall]:
        """Keep a call here until the block ends; one without a key cannot be found, and is not kept."""
        call = StartingCall()
        if not idempotency_key:
            yield call
            return
        place = (who.workspace_id, owned_idempotency_key(who, idempotency_key))
        calls = self._calls.setdefault(place, set())
        calls.add(call)
        try:
            yield call
        finally:
            call.has_ended.set()
            calls.discard(call)
            if not calls:
                self._calls.pop(place, None)

    async def cancel(self, workspace_id: UUID, key: str) -> bool:
        """Cancel the calls with a key, and wait until they have ended here; return whether there were any.

        One that is being admitted then has a completion, which is still to be cancelled.
        """
        calls = list(self._calls.get((workspace_id, key), ()))
        for call in calls:
            call.cancel()
        with suppress(TimeoutError):  # the database is down: what is admitted yet is cancelled at once
            async with asyncio.timeout(CANCEL_SECONDS):
                for call in calls:
                    await call.has_ended.wait()
        return bool(calls)
