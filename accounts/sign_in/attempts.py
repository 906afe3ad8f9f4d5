"""How often somebody may try to sign in: a short delay that grows with each failure.

What is counted is an account, a browser or an address. Each attempt is taken by one conditional update before
the password is looked at, so that guesses sent at once are counted one by one, whatever process they reach.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import CacheEntry, SignInAttempts
from core.value import Value

MAX_DELAY_SECONDS = 60
FORGET_ONE_AFTER = timedelta(minutes=10)
"""Each so long without an attempt, one failure is forgotten: of many people at an address some always err."""
FORGOTTEN_AFTER = timedelta(days=1)
_TRIES = 20


class TooManyAttempts(ValidationError):
    """Nobody looked at the password; `seconds` is how long to wait."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        wait = "1 second" if seconds == 1 else f"{seconds} seconds"
        super().__init__(
            f"Too many failed attempts to sign in. Try again in {wait}.", code="too_many_login_attempts"
        )


class AttemptCounter(Value, frozen=True):
    """What attempts are counted for; the first `free` failures in a row delay nothing."""

    name: str
    free: int

    @property
    def key(self) -> str:
        return sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()


def take_attempt(counter: AttemptCounter) -> None:
    """Count an attempt as a failure until it has succeeded. Raises `TooManyAttempts`."""
    for _ in range(_TRIES):
        with transaction.atomic():
            row, is_new = SignInAttempts.objects.get_or_create(
                key=counter.key, defaults={"failures": 1, "allowed_at": timezone.now()}
            )
        if is_new:
            return
        now = timezone.now()  # after the row was read: whoever wrote it a moment ago delays nobody
        if row.allowed_at > now:
            raise TooManyAttempts(ceil((row.allowed_at - now).total_seconds()))
        if _count(row, counter.free, now):
            return
    raise TooManyAttempts(1)  # many attempts at once


def _count(row: SignInAttempts, free: int, now: datetime) -> bool:
    """Count one more failure, unless somebody else has done so since the row was read."""
    forgotten = int((now - row.allowed_at) / FORGET_ONE_AFTER)
    failures = max(row.failures - forgotten, 0) + 1
    delay = min(2 ** max(failures - free, 0) - 1, MAX_DELAY_SECONDS) if failures < 100 else MAX_DELAY_SECONDS
    unchanged = SignInAttempts.objects.filter(key=row.key, failures=row.failures, allowed_at=row.allowed_at)
    return unchanged.update(failures=failures, allowed_at=now + timedelta(seconds=delay)) == 1


def forget(counter: AttemptCounter) -> None:
    """Forget all failures, after a success."""
    SignInAttempts.objects.filter(key=counter.key).delete()


def give_back(counter: AttemptCounter) -> None:
    """Take one attempt back: it succeeded, which says nothing about the others from the same place."""
    SignInAttempts.objects.filter(key=counter.key, failures__gt=0).update(
        failures=F("failures") - 1, allowed_at=timezone.now()
    )


def delete_forgotten() -> None:
    """Delete the counts that no longer matter, ours and those that allauth keeps in the cache."""
    CacheEntry.objects.filter(expires__lt=timezone.now()).delete()
    SignInAttempts.objects.filter(allowed_at__lt=timezone.now() - FORGOTTEN_AFTER).delete()
