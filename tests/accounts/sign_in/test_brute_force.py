"""Passwords guessed: the delay grows with each failure, in whatever process and by whatever way they come."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from http.cookies import SimpleCookie
from math import log2
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import SecurityEvent, SignInAttempts, User
from accounts.sign_in.attempts import MAX_DELAY_SECONDS, delete_forgotten
from accounts.sign_in.backend import FREE_FAILURES, FREE_FAILURES_OF_ADDRESS, account_elsewhere
from accounts.sign_in.known_browsers import COOKIE
from tests.support.signing_in import (
    APP,
    BROWSER,
    PASSWORD,
    WRONG,
    call,
    is_signed_in,
    sign_in,
    sign_in_by_api,
    user_with_password,
)

ALICE = "alice@example.com"
COUNTING = f"{__name__}.CountingHasher"
looked_at: list[int] = []


class CountingHasher(MD5PasswordHasher):
    """A quick hasher that counts the passwords that were looked at."""

    def encode(self, password: str, salt: str) -> str:
        looked_at.append(1)
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def counting(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [COUNTING]


@pytest.fixture
def alice_with_password(db: None) -> User:
    user = user_with_password(ALICE)
    looked_at.clear()
    return user


def fail(times: int, email: str = ALICE, **environment: str) -> Any:
    answers = [sign_in(Client(), email, WRONG, **environment) for _ in range(times)]
    return answers[-1]


def pass_time(seconds: float) -> None:
    """Let all failures so far have happened so much earlier."""
    for row in SignInAttempts.objects.all():
        row.allowed_at -= timedelta(seconds=seconds)
        row.save()


def is_told_to_wait(response: Any) -> bool:
    return b"Too many failed attempts to sign in. Try again in" in response.content


def test_the_delay_grows_and_the_right_password_has_to_wait_too(alice_with_password: User) -> None:
    assert not is_told_to_wait(fail(FREE_FAILURES + 1))
    looked_at.clear()
    client = Client()

    refused = sign_in(client, ALICE)

    assert is_told_to_wait(refused)
    assert b"Try again in 1 second." in refused.content
    assert (looked_at, is_signed_in(client)) == ([], False)
    pass_time(1)
    assert not is_told_to_wait(fail(1))
    assert b"Try again in 3 seconds." in sign_in(client, ALICE).content
    pass_time(3)
    sign_in(client, ALICE)
    assert is_signed_in(client)


def test_the_delay_stays_short_however_often_somebody_fails(alice_with_password: User) -> None:
    row = account_elsewhere(ALICE)
    SignInAttempts.objects.create(key=row.key, failures=10**6, allowed_at=timezone.now())
    fail(1)
    assert f"Try again in {MAX_DELAY_SECONDS} seconds".encode() in sign_in(Client(), ALICE).content


def test_an_unknown_account_is_delayed_like_a_known_one(alice_with_password: User) -> None:
    for _ in range(FREE_FAILURES + 4):
        known, unknown = fail(1), fail(1, "nobody@example.com")
        assert is_told_to_wait(known) == is_told_to_wait(unknown)
    rows = SignInAttempts.objects.values_list("failures", flat=True)
    assert len(rows) == 2
    assert len(set(rows)) == 1


def test_an_unknown_account_costs_one_hash_as_a_known_one_does(alice_with_password: User) -> None:
    User.objects.create_user("keys-only@example.com")
    for email in (ALICE, "nobody@example.com", "keys-only@example.com"):
        looked_at.clear()
        fail(1, email)
        assert len(looked_at) == 1, email


@pytest.mark.parametrize("way", ["page", BROWSER, APP])
def test_guesses_sent_at_once_are_counted_one_by_one(transactional_db: None, way: str) -> None:
    user_with_password(ALICE)
    looked_at.clear()
    begin = threading.Barrier(40)
    answers: Counter[bool] = Counter()

    def guess() -> None:
        begin.wait()
        try:
            client = Client()
            if way == "page":
                refused = is_told_to_wait(sign_in(client, ALICE, WRONG))
            else:
                refused = "too_many_login_attempts" in str(
                    sign_in_by_api(client, ALICE, WRONG, way).json()["errors"]
                )
            answers[refused] += 1
        finally:
            connection.close()

    began = time.monotonic()
    at_once(40, guess)
    seconds = time.monotonic() - began
    assert answers.total() == 40
    assert SignInAttempts.objects.get().failures == answers[False] == len(looked_at)
    # five at once, and as many more as there was time for: after 1, 3, 7, … seconds
    assert FREE_FAILURES + 1 <= len(looked_at) <= FREE_FAILURES + 1 + log2(seconds + 1)


def at_once(number: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("api", [BROWSER, APP])
def test_the_api_counts_like_the_pages(alice_with_password: User, api: str) -> None:
    fail(2)
    for _ in range(FREE_FAILURES - 1):
        wrong = sign_in_by_api(Client(), ALICE, WRONG, api)
        assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (400, "email_password_mismatch")

    refused = sign_in_by_api(Client(), ALICE, PASSWORD, api)

    [error] = refused.json()["errors"]
    assert (refused.status_code, error["code"]) == (400, "too_many_login_attempts")
    assert error["message"].endswith("Try again in 1 second.")


@pytest.mark.parametrize("way", ["page", BROWSER])
def test_a_borrowed_session_guesses_no_faster(alice_with_password: User, way: str) -> None:
    client = Client()
    sign_in(client, ALICE)
    looked_at.clear()
    for _ in range(FREE_FAILURES + 3):
        if way == "page":
            answer = client.post("/accounts/reauthenticate/", {"password": WRONG})
        else:
            answer = call(client, f"{way}/auth/reauthenticate", {"password": WRONG})
    assert is_told_to_wait(answer)
    assert len(looked_at) == FREE_FAILURES + 1


def test_strangers_lock_nobody_out_of_their_own_browser(alice_with_password: User) -> None:
    own = Client()
    sign_in(own, ALICE)
    own.post("/accounts/logout/")
    fail(FREE_FAILURES + 1)
    assert is_told_to_wait(fail(1))

    sign_in(own, ALICE)

    assert is_signed_in(own)
    assert is_told_to_wait(fail(1)), "that somebody signs in elsewhere does not help who guesses"


def test_a_browser_that_is_known_has_a_count_of_its_own(alice_with_password: User) -> None:
    own = Client()
    sign_in(own, ALICE)
    own.post("/accounts/logout/")
    for _ in range(FREE_FAILURES + 1):
        sign_in(own, ALICE, WRONG)
    assert is_told_to_wait(sign_in(own, ALICE, WRONG))
    assert not is_told_to_wait(fail(1))


def test_a_browser_is_known_for_those_who_signed_in_there(alice_with_password: User) -> None:
    user_with_password("mallory@example.com")
    mallory = Client()
    sign_in(mallory, "mallory@example.com")
    foreign = mallory.cookies[COOKIE].value
    for cookie in (foreign, "forged", foreign[:-1], "", "\x00", ":", "[]"):
        client = Client()
        client.cookies = SimpleCookie()
        client.cookies[COOKIE] = cookie
        sign_in(client, ALICE, WRONG)
        pass_time(0)
    assert SignInAttempts.objects.get().key == account_elsewhere(ALICE).key


def test_addresses_are_counted_where_they_are_known(alice_with_password: User, settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    for number in range(FREE_FAILURES_OF_ADDRESS + 1):
        fail(1, f"user-{number}@example.com", REMOTE_ADDR="203.0.113.9")

    assert is_told_to_wait(sign_in(Client(), ALICE, REMOTE_ADDR="203.0.113.9"))
    elsewhere = Client()
    sign_in(elsewhere, ALICE, REMOTE_ADDR="203.0.113.10")
    assert is_signed_in(elsewhere)


def test_behind_a_proxy_that_is_not_trusted_nobody_is_counted_by_address(alice_with_password: User) -> None:
    for number in range(FREE_FAILURES_OF_ADDRESS + 2):
        assert not is_told_to_wait(fail(1, f"user-{number}@example.com"))


def test_success_gives_back_one_attempt_of_the_address(alice_with_password: User, settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    fail(3, "user@example.com", REMOTE_ADDR="203.0.113.9")
    sign_in(Client(), ALICE, REMOTE_ADDR="203.0.113.9")
    assert list(SignInAttempts.objects.values_list("failures", flat=True)) == [3, 3]


def test_success_and_a_day_make_failures_forgotten(alice_with_password: User) -> None:
    fail(FREE_FAILURES)
    sign_in(Client(), ALICE)
    assert not SignInAttempts.objects.exists()
    fail(FREE_FAILURES + 1)
    pass_time(86_400 + 60)
    fail(1)
    assert SignInAttempts.objects.get().failures == 1
    pass_time(86_400 + 60)
    delete_forgotten()
    assert not SignInAttempts.objects.exists()


def test_an_operator_lets_somebody_in_at_once(
    alice_with_password: User, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(FREE_FAILURES + 1)
    call_command("reset_sign_in", ALICE)
    client = Client()
    sign_in(client, ALICE, capsys.readouterr().out.strip())
    assert is_signed_in(client)


def test_an_attempt_that_nobody_looked_at_is_recorded_as_that(alice_with_password: User) -> None:
    fail(FREE_FAILURES + 5)
    reasons = Counter(
        event.details["reason"] for event in SecurityEvent.objects.filter(kind="sign_in_failed")
    )
    assert reasons == {"credentials": FREE_FAILURES + 1, "too_many_attempts": 4}


def test_a_page_of_the_same_site_is_a_known_browser_too(alice_with_password: User) -> None:
    """Who signed in by the API for browsers is not delayed by what strangers do."""
    browser = Client()
    assert sign_in_by_api(browser, ALICE).status_code == 200
    assert COOKIE in browser.cookies
    call(browser, f"{BROWSER}/auth/session", method="DELETE")
    fail(FREE_FAILURES + 3)

    assert sign_in_by_api(browser, ALICE).status_code == 200
    assert "too_many_login_attempts" in sign_in_by_api(Client(), ALICE).content.decode()
