"""The base of audio endpoints: it limits requests per minute and tells clients how many are left."""

from starlette.types import Receive, Scope, Send

from accounts.asgi_auth import AsgiAuthenticator
from accounts.ratelimits.allowance import Allowance
from accounts.ratelimits.fallback_counters import FallbackCounters
from core.http.body import ClientDisconnected
from media.api.asgi_endpoints import AuthenticatedEndpoint, endpoint_api_error


class RateLimitedEndpoint(AuthenticatedEndpoint):
    """An endpoint that answers only so many requests per minute."""

    def __init__(self, callers: AsgiAuthenticator, counters: FallbackCounters) -> None:
        super().__init__(callers)
        self._counters = counters

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.identify(scope)
        allowance = Allowance(self._counters, caller.principal)
        try:
            await allowance.take_request()
            await self.respond_to(caller.principal, scope, receive, allowance.with_headers(send))
        except ClientDisconnected:
            raise
        except Exception as error:
            problem = endpoint_api_error(error)
            problem.headers |= allowance.headers
            raise problem from error
