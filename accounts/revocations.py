"""Ending what runs for a caller whose key or session is no longer valid, in whatever process it runs.

The database is asked, several times a second while anything runs and once for all callers: only it knows what
another process has revoked.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from uuid import UUID

from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from accounts.keys.validation import valid_secrets, valid_tokens
from accounts.models import Membership
from accounts.permissions import Permission, permissions_in_session
from accounts.principal import Caller
from accounts.roles import Role
from core.exceptions import ApiError, InvalidApiKey, SessionEnded
from core.http.asgi_endpoint import Receiver
from core.http.body import ClientDisconnected

logger = logging.getLogger(__name__)

Memberships = Mapping[tuple[UUID, int], Membership]
CHECK_SECONDS = 0.4
"""With what `asgi_auth` remembers, a revoked key ends everything within a second."""


class Revocations:
    """What runs in this process, by its caller. It belongs to one event loop.

    `on_revoked` is called with each caller who may no longer act.
    """

    def __init__(self) -> None:
        self.on_revoked: list[Callable[[Caller], object]] = []
        self._running: dict[str, tuple[Caller, set[Callable[[], None]]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._has_failed = False
        # a thread of its own: a check waits for nobody's lock, slow view or download
        self._thread = ThreadPoolExecutor(1, "revocations")

    def add(self, caller: Caller, end: Callable[[], None]) -> None:
        """Call `end` once the caller may no longer act, again and again until it is removed."""
        self._running.setdefault(caller.credential, (caller, set()))[1].add(end)
        if self._task is None:
            self._task = asyncio.create_task(self._check_while_anything_runs())

    def remove(self, caller: Caller, end: Callable[[], None]) -> None:
        ends = self._running[caller.credential][1]
        ends.discard(end)
        if not ends:
            del self._running[caller.credential]

    @contextmanager
    def ending(self, caller: Caller, receive: Receiver) -> Iterator[None]:
        """Let the block's client count as gone once the caller may no longer act.

        Raises `InvalidApiKey` or `SessionEnded` then, if the block notices.
        """
        self.add(caller, receive.end)
        try:
            yield
        except ClientDisconnected:
            if receive.is_ended:
                raise _refusal(caller) from None
            raise
        finally:
            self.remove(caller, receive.end)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._thread.shutdown)

    async def _check_while_anything_runs(self) -> None:
        try:
            while self._running:
                await asyncio.sleep(CHECK_SECONDS)
                await self._check()
        finally:
            self._task = None
            self._thread.submit(_close_connection)

    async def _check(self) -> None:
        callers = [caller for caller, _ in self._running.values()]
        if not callers:
            return
        try:
            loop = asyncio.get_running_loop()
            revoked = await loop.run_in_executor(self._thread, _look_up, callers)
        except Exception as error:  # noqa: BLE001 (the next check may succeed)
            if not self._has_failed:
                logger.warning("Whether keys were revoked cannot be checked at present: %s", error)
            self._has_failed = True
            return
        self._has_failed = False
        for caller in revoked:
            for hear in self.on_revoked:
                hear(caller)
            _, ends = self._running.get(caller.credential, (caller, ()))
            for end in tuple(ends):
                end()


def _look_up(callers: Collection[Caller]) -> list[Caller]:
    """Look up who may no longer act; the connection stays open, since opening one costs more than that."""
    try:
        return revoked_callers(callers)
    except Exception:
        _close_connection()
        raise


def _close_connection() -> None:
    connection.close()


def revoked_callers(callers: Collection[Caller]) -> list[Caller]:
    """Return those of these callers who may no longer act.

    Their key or token is no longer valid, or their session has ended, or its user is deactivated, has a new
    password, has lost the workspace, or became a reviewer in it.
    """
    valid = valid_credentials(callers)
    members = _memberships(callers)
    sessions = _live_sessions([caller for caller in callers if caller.session_key], members)
    return [
        caller
        for caller in callers
        if (caller.secret_digest not in valid and caller not in sessions) or _is_demoted(caller, members)
    ]


def _is_demoted(caller: Caller, members: Memberships) -> bool:
    """Tell whether the caller had answers made, and their role no longer allows that."""
    who = caller.principal
    now = members.get((who.workspace_id, who.user_id))
    permitted = permissions_in_session(Role(now.role)) if now else frozenset()
    return who.may(Permission.COMPLETIONS) and Permission.COMPLETIONS not in permitted


def valid_credentials(callers: Iterable[Caller]) -> set[str]:
    """Return the digests of those callers' keys and tokens that are valid."""
    of_keys: set[str] = set()
    of_tokens: set[str] = set()
    for caller in callers:
        if caller.secret_digest:
            (of_tokens if caller.principal.token_id else of_keys).add(caller.secret_digest)
    return valid_secrets(of_keys) | valid_tokens(of_tokens)


def check_may_act(caller: Caller) -> None:
    """Raise `InvalidApiKey` or `SessionEnded` if the caller may no longer act."""
    if revoked_callers([caller]):
        raise _refusal(caller)


def _refusal(caller: Caller) -> ApiError:
    is_token = caller.principal.token_id is not None
    return InvalidApiKey(is_token=is_token) if caller.secret_digest else SessionEnded()


def _memberships(callers: Collection[Caller]) -> Memberships:
    """Return the memberships of the callers' active users, by workspace and user."""
    people = {caller.principal.user_id for caller in callers}
    rows = Membership.objects.select_related("user").filter(user__in=people, user__is_active=True)
    return {(one.workspace_id, one.user_id): one for one in rows}


def _live_sessions(callers: Collection[Caller], members: Memberships) -> set[Caller]:
    if not callers:
        return set()
    rows = Session.objects.filter(
        session_key__in=[caller.session_key for caller in callers], expire_date__gt=timezone.now()
    )
    live = set(rows.values_list("session_key", flat=True))
    return {caller for caller in callers if caller.session_key in live and _knows_password(caller, members)}


def _knows_password(caller: Caller, members: Memberships) -> bool:
    """Tell whether the session's user is still a member, and has the password that it was signed in with."""
    member = members.get((caller.principal.workspace_id, caller.principal.user_id))
    return member is not None and member.user.get_session_auth_hash() == caller.session_hash
