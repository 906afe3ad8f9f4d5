"""Authentication of callers of the ASGI endpoints.

Keys are remembered for a moment; admission asks the database again, so a revoked key gets no completion.
"""

import asyncio
import time
from functools import partial
from io import BytesIO

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.core.handlers.asgi import ASGIRequest
from starlette.types import Scope

from accounts.authentication import SESSION_TOKEN, check_workspace, find_signed_in, session_store
from accounts.credentials import find_credentials
from accounts.keys.uses import key_uses
from accounts.keys.validation import principal_of_secret
from accounts.principal import Caller, Principal
from accounts.revocations import Revocations
from accounts.secret_digests import digest_of
from core.exceptions import MissingApiKey
from core.http.call_record import call_of

CACHE_SECONDS = 0.5
CACHE_KEYS = 10_000


class AsgiAuthenticator:
    """Identifies callers. `revocations` ends what runs for them once they may no longer act."""

    def __init__(self, revocations: Revocations) -> None:
        self.revocations = revocations
        revocations.on_revoked.append(lambda caller: self._cache.pop(caller.credential, None))
        self._cache: dict[str, tuple[float, Principal]] = {}
        self._look_ups: dict[str, asyncio.Future[Principal]] = {}

    async def identify(self, scope: Scope) -> Caller:
        """Return the caller.

        Raises `NotAuthenticated`, and what `check_workspace` and `find_signed_in` raise.
        """
        secret, workspace = find_credentials(scope["headers"])
        if secret is not None:
            digest = digest_of(secret)
            principal = await self._principal(secret, digest)
            call_of(scope).principal = principal
            check_workspace(principal, workspace)
            key_uses.note(digest, principal, scope)
            return Caller(principal, digest)
        caller: Caller | None = await database_sync_to_async(_caller_of_session)(scope)
        if caller is None:
            raise MissingApiKey()
        call_of(scope).principal = caller.principal
        return caller

    async def _principal(self, secret: str, digest: str) -> Principal:
        found = self._cache.get(digest)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        look_up = self._look_ups.get(digest)
        if look_up is None:
            # one for all who wait: many calls of a key find it forgotten at the same moment
            look_up = self._look_ups[digest] = asyncio.ensure_future(self._look_up(secret, digest))
            look_up.add_done_callback(partial(self._forget_look_up, digest))
        return await asyncio.shield(look_up)

    def _forget_look_up(self, digest: str, done: "asyncio.Future[Principal]") -> None:
        del self._look_ups[digest]
        if not done.cancelled():
            done.exception()  # all who waited for it may be gone

    async def _look_up(self, secret: str, digest: str) -> Principal:
        now = time.monotonic()
        principal: Principal = await database_sync_to_async(principal_of_secret)(secret)
        if len(self._cache) >= CACHE_KEYS:
            self._cache.clear()
        self._cache[digest] = now + CACHE_SECONDS, principal
        return principal


def _caller_of_session(scope: Scope) -> Caller | None:
    request = ASGIRequest(scope, BytesIO())
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not cookie and SESSION_TOKEN not in request.headers:
        return None
    request.session = session_store(cookie)
    found = find_signed_in(request)
    if found is None:
        return None
    key, hash = found.session.session_key, found.session[HASH_SESSION_KEY]
    return Caller(found.principal, session_key=key, session_hash=hash)
