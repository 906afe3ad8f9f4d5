"""Limit concurrent password hashes, so that sign-ins cannot starve the service."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

from core.exceptions import ServiceUnavailable

CONCURRENT_HASHES = 2
"""How many are computed at once in a process; one place is kept for known people."""
HASH_QUEUE_LIMIT = 32
"""How many of strangers' may wait."""
PATIENCE_SECONDS = 20.0

_all = threading.BoundedSemaphore(CONCURRENT_HASHES)
_strangers = threading.BoundedSemaphore(CONCURRENT_HASHES - 1)
_queue_of_strangers = threading.BoundedSemaphore(CONCURRENT_HASHES - 1 + HASH_QUEUE_LIMIT)
_is_known: ContextVar[bool] = ContextVar("is_known", default=False)


@contextmanager
def for_a_known_person() -> Iterator[None]:
    """Let the block's password not wait for those of strangers, however many they send."""
    token = _is_known.set(True)
    try:
        yield
    finally:
        _is_known.reset(token)


class PasswordHasher(PBKDF2PasswordHasher):
    """PBKDF2, at most `CONCURRENT_HASHES` at a time in a process.

    `encode` is where all computing is done, also when a password is checked. Raises `ServiceUnavailable`
    where too many wait.
    """

    def encode(self, *args: Any, **options: Any) -> str:
        if _is_known.get():
            return self._encode_in_turn(*args, **options)
        if not _queue_of_strangers.acquire(blocking=False):
            raise _busy()
        try:
            with _place(_strangers):
                return self._encode_in_turn(*args, **options)
        finally:
            _queue_of_strangers.release()

    def _encode_in_turn(self, *args: Any, **options: Any) -> str:
        with _place(_all):
            return super().encode(*args, **options)


@contextmanager
def _place(places: threading.Semaphore) -> Iterator[None]:
    """Take one of the places, and wait for it without the database connection that all others need."""
    if not places.acquire(blocking=False):
        if not connection.in_atomic_block:
            connection.close()
        if not places.acquire(timeout=PATIENCE_SECONDS):
            raise _busy()
    try:
        yield
    finally:
        places.release()


def _busy() -> ServiceUnavailable:
    return ServiceUnavailable("Too many people sign in at once. Try again in some seconds.", retry_after=5)
