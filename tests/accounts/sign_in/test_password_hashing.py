"""Hashing leaves the machine to others: few passwords at once, a bounded queue, a place for known people."""

import threading
import time
from contextlib import nullcontext
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from pytest_django import Settings

from accounts.models import SignInAttempts, User
from accounts.sign_in.password_hasher import (
    CONCURRENT_HASHES,
    HASH_QUEUE_LIMIT,
    PasswordHasher,
    for_a_known_person,
)
from core.exceptions import ServiceUnavailable
from tests.support.running_server import wait_until
from tests.support.signing_in import APP, BROWSER, is_signed_in, sign_in, sign_in_by_api, user_with_password

ALICE = "alice@example.com"
QUICK = 1000
STRANGERS = CONCURRENT_HASHES - 1


class Gate:
    """Holds up hashing until it is opened, and counts what came in."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def pass_through(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.open.wait(30)
        with self.lock:
            self.inside -= 1


gate = Gate()


class SlowHasher(PBKDF2PasswordHasher):
    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        gate.pass_through()
        return super().encode(password, salt, QUICK)


class GatedHasher(PasswordHasher, SlowHasher):
    """The service's hasher, around one that waits for the gate."""

    iterations = QUICK


HASHER = f"{__name__}.GatedHasher"


def hash_in_background(number: int, *, known: bool = False) -> list[threading.Thread]:
    def work() -> None:
        with for_a_known_person() if known else nullcontext():
            GatedHasher().encode("password", "salt")

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture
def full() -> Any:
    """As many passwords of strangers are hashed, and wait, as may."""
    gate.open.clear()
    gate.most = 0
    threads = hash_in_background(STRANGERS + HASH_QUEUE_LIMIT)
    try:
        wait_until(lambda: gate.inside == STRANGERS)
        wait_until(is_full)
        yield
    finally:
        gate.open.set()
        for thread in threads:
            thread.join()


def is_full() -> bool:
    """Tell whether one more would be refused at once."""
    begun = time.monotonic()
    probe: list[Exception] = []

    def ask() -> None:
        try:
            GatedHasher().encode("password", "salt")
        except ServiceUnavailable as refusal:
            probe.append(refusal)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(1)
    assert time.monotonic() - begun < 30
    return bool(probe)


def test_a_known_person_does_not_wait_for_strangers(full: None) -> None:
    known = hash_in_background(3, known=True)
    wait_until(lambda: gate.inside == CONCURRENT_HASHES)
    gate.open.set()
    for thread in known:
        thread.join()
    assert gate.most == CONCURRENT_HASHES, "known people wait for each other, and are refused nothing"


def test_who_waits_holds_no_connection_to_the_database(full: None, transactional_db: None) -> None:
    """A pool has eight of them: without this, eight sign-ins would hold up every answer."""
    opened: list[BaseDatabaseWrapper] = []

    def work() -> None:
        User.objects.exists()
        opened.append(connections["default"])
        with for_a_known_person():
            GatedHasher().encode("password", "salt")

    first, second = (threading.Thread(target=work) for _ in range(2))
    first.start()
    wait_until(lambda: gate.inside == CONCURRENT_HASHES)
    second.start()
    wait_until(lambda: len(opened) == 2 and opened[1].connection is None)
    assert opened[0].connection is not None, "who computes has not waited"
    gate.open.set()
    for thread, wrapper in ((first, opened[0]), (second, opened[1])):
        thread.join()
        wrapper.inc_thread_sharing()
        wrapper.close()
        wrapper.dec_thread_sharing()


@pytest.mark.parametrize("way", ["page", BROWSER, APP])
@pytest.mark.parametrize("email", [ALICE, "nobody@example.com"])
def test_beyond_the_queue_people_are_asked_to_try_again(
    db: None, settings: Settings, way: str, email: str, request: pytest.FixtureRequest
) -> None:
    gate.open.set()
    settings.PASSWORD_HASHERS = [HASHER]
    user_with_password(ALICE)
    request.getfixturevalue("full")

    refused = sign_in(Client(), email) if way == "page" else sign_in_by_api(Client(), email, api=way)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json()["error"]["message"].startswith("Too many people sign in at once")
    assert SignInAttempts.objects.get().failures == 0, "nobody looked at the password"
    gate.open.set()
    if email == ALICE:
        wait_until(lambda: gate.inside == 0)
        client = Client()
        sign_in(client, ALICE)
        assert is_signed_in(client)


def test_the_service_hashes_as_django_recommends(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["accounts.sign_in.password_hasher.PasswordHasher"]
    assert PasswordHasher.iterations == PBKDF2PasswordHasher.iterations
    assert make_password("x", "salt").startswith(f"pbkdf2_sha256${PBKDF2PasswordHasher.iterations}$")


def test_a_hash_that_fails_frees_its_place(settings: Settings) -> None:
    for _ in range(STRANGERS + HASH_QUEUE_LIMIT + 1):
        with pytest.raises(TypeError):
            PasswordHasher().encode(None, "salt")
    assert PasswordHasher().encode("x", "salt", 1)
