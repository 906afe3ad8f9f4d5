"""Noticing when keys are used, and from addresses which are new to them.

A call only looks into a set. What is not in it goes to a thread of its own, which asks the database: no call
waits for that.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from threading import Lock
from typing import Any
from uuid import UUID

from django.db import Error, connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.client_address import address_group, known_address, peer_of
from accounts.models import ApiKey, KeyAddress
from accounts.principal import Principal
from accounts.security_events.recording import Kind, Origin, clean_user_agent, record
from core.value import Value

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_TIMES = 60
"""How often the time at which a key was last used is written."""
REMEMBERED_USES = 100_000
"""How many keys with their addresses this process remembers, before it forgets all and asks again."""
WAITING_USES = 10_000
"""How many uses may wait to be written; those beyond are noticed at the next use."""
ADDRESSES_A_KEY = 100
"""How many addresses of a key are kept, the newest."""


class KeyUse(Value, frozen=True):
    key_id: UUID
    address: str
    user_agent: str = ""


class KeyUses:
    """The uses of keys that this process has seen, by the key's digest and what the server calls its peer.

    `clock` is in seconds; `write_times` stores that keys were used now, in a thread of its own: `executor`'s.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        write_times: Callable[[Collection[UUID]], None] | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.write_times = write_times or record_times
        self._clock = clock
        self._seen: set[tuple[str, str]] = set()
        self._waiting: dict[tuple[str, str], KeyUse] = {}
        self._due: dict[UUID, float] = {}
        """When the time of a key's use is to be written again."""
        self._used: set[UUID] = set()
        self._lock = Lock()
        self._has_failed = False
        self._thread = executor or ThreadPoolExecutor(1, "key-uses")

    def note(self, digest: str, who: Principal, source: Any) -> None:
        """Note that a valid key, or a token that it made, was used in a Django request or an ASGI scope."""
        if who.key_id is not None and self._clock() >= self._due.get(who.key_id, 0):
            self._note_time(who.key_id)
        use = digest, peer_of(source)
        if who.token_id is None and use not in self._seen:
            self._note_unseen(use, who.key_id, source)

    def _note_time(self, key_id: UUID) -> None:
        with self._lock:
            if len(self._due) >= REMEMBERED_USES:
                self._due.clear()
            self._due[key_id] = self._clock() + SECONDS_BETWEEN_TIMES
            self._used.add(key_id)
            is_first = len(self._used) == 1
        if is_first:
            self._thread.submit(self._write_times)

    def _write_times(self) -> None:
        with self._lock:
            used, self._used = self._used, set()
        self._try(lambda: self.write_times(used))

    def _note_unseen(self, use: tuple[str, str], key_id: UUID | None, source: Any) -> None:
        address = known_address(use[1])
        with self._lock:
            if len(self._seen) >= REMEMBERED_USES:
                self._seen.clear()
            if address is None or key_id is None:
                self._seen.add(use)
            elif len(self._waiting) < WAITING_USES:
                self._seen.add(use)
                self._waiting[use] = KeyUse(key_id, address, clean_user_agent(_user_agent(source)))
                if len(self._waiting) == 1:
                    self._thread.submit(self._write)

    def _write(self) -> None:
        with self._lock:
            uses, self._waiting = self._waiting, {}
        if not self._try(lambda: record_uses(uses.values())):
            with self._lock:
                self._seen.difference_update(uses)

    def _try(self, write: Callable[[], object]) -> bool:
        """Write in this thread, which keeps no connection; of failures in a row only the first is logged."""
        try:
            write()
        except Error as error:
            if not self._has_failed:
                logger.warning("When and where keys are used cannot be written at present: %s", error)
            self._has_failed = True
        else:
            self._has_failed = False
        finally:
            connection.close()
        return not self._has_failed


def record_times(key_ids: Collection[UUID]) -> None:
    """Store that these keys were used now, unless that was stored within the last minute."""
    now = timezone.now()
    minute_ago = now - timedelta(seconds=SECONDS_BETWEEN_TIMES)
    stale = Q(last_used_at=None) | Q(last_used_at__lt=minute_ago)
    with transaction.atomic():
        # in one order, so that no two processes wait for each other
        rows = ApiKey.objects.select_for_update(no_key=True).filter(stale, pk__in=key_ids).order_by("pk")
        locked = list(rows.values_list("pk", flat=True))
        ApiKey.objects.filter(pk__in=locked).update(last_used_at=now)


def record_uses(uses: Iterable[KeyUse]) -> None:
    for use in uses:
        record_use(use)


def record_use(use: KeyUse) -> None:
    """Store where a key was used from. An address that is new to a key with others is a security event."""
    group = address_group(use.address)
    if KeyAddress.objects.filter(api_key=use.key_id, address=group).exists():
        return
    with transaction.atomic():
        # one after another, so that one of two new addresses comes second
        locked = ApiKey.objects.select_for_update(no_key=True, of=("self",)).select_related("user")
        key = locked.filter(pk=use.key_id).first()
        if key is None or key.addresses.filter(address=group).exists():
            return
        is_first = not key.addresses.exists()
        key.addresses.create(address=group)
        if not is_first:
            origin = Origin(use.address, use.user_agent, key.user_id)
            record(Kind.KEY_USED_FROM_NEW_ADDRESS, user=key.user, key=key, origin=origin)
        kept = key.addresses.order_by("-id").values_list("pk", flat=True)[:ADDRESSES_A_KEY]
        key.addresses.exclude(pk__in=list(kept)).delete()


def _user_agent(source: Any) -> str:
    if isinstance(source, dict):
        values = (value for name, value in source["headers"] if name == b"user-agent")
        return next(values, b"").decode("latin-1")
    return str(source.META.get("HTTP_USER_AGENT", ""))


key_uses = KeyUses()
"""Those of this process."""
