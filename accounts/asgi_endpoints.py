"""The bases of ASGI endpoints for known callers, with and without a limit on requests per minute.

What they do for a caller ends within a second once the caller may no longer act.
"""

from abc import abstractmethod
from typing import ClassVar

from starlette.types import Scope

from accounts.asgi_auth import AsgiAuthenticator
from accounts.permissions import Permission
from accounts.principal import Caller
from accounts.ratelimits.allowance import Allowance
from accounts.ratelimits.fallback_counters import FallbackCounters
from core.http.asgi_endpoint import Endpoint, Receiver, Sender


class AuthenticatedEndpoint(Endpoint):
    """An endpoint for callers with a permission. It reads nothing of a body before it knows the caller."""

    permission: ClassVar[Permission]

    def __init__(self, authenticator: AsgiAuthenticator) -> None:
        self._authenticator = authenticator

    async def respond(self, scope: Scope, receive: Receiver, send: Sender) -> None:
        caller = await self._authenticator.identify(scope)
        caller.principal.require(self.permission)
        with self._authenticator.revocations.ending(caller, receive):
            await self.respond_to(caller, scope, receive, send)

    @abstractmethod
    async def respond_to(self, caller: Caller, scope: Scope, receive: Receiver, send: Sender) -> None: ...


class RateLimitedEndpoint(Endpoint):
    """An endpoint for known callers that answers each only so often a minute, and says how often it will."""

    permission: ClassVar[Permission]

    def __init__(self, authenticator: AsgiAuthenticator, counters: FallbackCounters) -> None:
        self._authenticator = authenticator
        self._counters = counters

    async def respond(self, scope: Scope, receive: Receiver, send: Sender) -> None:
        caller = await self._authenticator.identify(scope)
        caller.principal.require(self.permission)
        allowance = Allowance(self._counters, caller.principal)
        send.headers = allowance.headers
        await allowance.take_request()
        with self._authenticator.revocations.ending(caller, receive):
            await self.respond_within(allowance, caller, scope, receive, send)

    @abstractmethod
    async def respond_within(
        self, allowance: Allowance, caller: Caller, scope: Scope, receive: Receiver, send: Sender
    ) -> None: ...
