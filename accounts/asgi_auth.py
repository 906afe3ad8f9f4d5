"""Authentication of callers of the ASGI endpoints.

Keys are remembered for a few seconds; admission asks the database again, so a revoked key gets no completion.
"""

import time
from importlib import import_module
from io import BytesIO

from channels.db import database_sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from starlette.types import Scope

from accounts.authentication import find_secret, principal_of_secret, principal_of_session
from accounts.principal import Caller, Principal
from accounts.services import digest_of
from core.exceptions import MissingApiKey

CACHE_SECONDS = 5.0
CACHE_KEYS = 10_000


class AsgiAuthenticator:
    def __init__(self) -> None:
        self._cache: dict[str, tuple[float, Principal]] = {}

    async def identify(self, scope: Scope) -> Caller:
        """Return the caller. Raises `NotAuthenticated`, or `Forbidden` for a session without a CSRF token."""
        secret = find_secret(scope["headers"])
        if secret is not None:
            digest = digest_of(secret)
            return Caller(await self._principal(secret, digest), digest)
        principal = await database_sync_to_async(_principal_of_cookies)(scope)
        if principal is None:
            raise MissingApiKey()
        return Caller(principal, None)

    async def _principal(self, secret: str, digest: str) -> Principal:
        found = self._cache.get(digest)
        now = time.monotonic()
        if found is not None and found[0] > now:
            return found[1]
        principal: Principal = await database_sync_to_async(principal_of_secret)(secret)
        if len(self._cache) >= CACHE_KEYS:
            self._cache.clear()
        self._cache[digest] = now + CACHE_SECONDS, principal
        return principal


def _principal_of_cookies(scope: Scope) -> Principal | None:
    request = ASGIRequest(scope, BytesIO())
    session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(session_key)
    return principal_of_session(request)
