"""Password hashing that leaves the machine to others: few at once, however many sign in."""

import threading
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

from core.exceptions import ServiceUnavailable

CONCURRENT_HASHES = 2
HASH_QUEUE_LIMIT = 32
PATIENCE_SECONDS = 20.0

_free = threading.BoundedSemaphore(CONCURRENT_HASHES)
_in_queue = threading.BoundedSemaphore(CONCURRENT_HASHES + HASH_QUEUE_LIMIT)


class PasswordHasher(PBKDF2PasswordHasher):
    """PBKDF2, at most `CONCURRENT_HASHES` at a time in a process.

    `encode` is where all computing is done, also when a password is checked. Raises `ServiceUnavailable`
    where too many wait.
    """

    def encode(self, *args: Any, **options: Any) -> str:
        if not _in_queue.acquire(blocking=False):
            raise _busy()
        try:
            if not (_free.acquire(blocking=False) or _wait()):
                raise _busy()
            try:
                return super().encode(*args, **options)
            finally:
                _free.release()
        finally:
            _in_queue.release()


def _wait() -> bool:
    """Wait for others, without the database connection that they and all the rest of the service need."""
    if not connection.in_atomic_block:
        connection.close()
    return _free.acquire(timeout=PATIENCE_SECONDS)


def _busy() -> ServiceUnavailable:
    return ServiceUnavailable("Too many people sign in at once. Try again in some seconds.", retry_after=5)
