"""Somebody without an account, or with a stolen password, at the doors that people use."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import log2

import httpx2
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password

from accounts.models import User
from tests.attacks.checks import check, check_all
from tests.attacks.stage import Stage, submit

APP, BROWSER = "/_allauth/app/v1", "/_allauth/browser/v1"
LOGIN = "/accounts/login/"
PASSWORD = "the right one, at last"
ELSEWHERE = (
    *("https://evil.example/", "//evil.example/", "/\\evil.example"),
    *("https:evil.example", "javascript:alert(1)"),
)
GUESSES = 24
FREE_GUESSES = 4


def guess_a_password(stage: Stage) -> None:
    """Try many passwords of an account at once, before any of them is counted."""
    user = _user_with_password(stage)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        guesses = (f"guess {number}" for number in range(GUESSES))
        answers = list(pool.map(lambda guess: _app_sign_in(stage, user.email, guess), guesses))
    looked_at = [answer for answer in answers if "too_many_login_attempts" not in answer.text]
    # the fifth has a second after it, the next three, seven and so on
    had_time_for = FREE_GUESSES + 1 + log2(time.monotonic() - began + 1)
    check(len(looked_at) <= had_time_for, f"{len(looked_at)} of {GUESSES} guesses were looked at")


def tell_who_has_an_account(stage: Stage) -> None:
    """Learn who uses the service: compare the answers for one who does with those for one who does not."""
    known, unknown = _user_with_password(stage).email, "nobody@example.com"
    check_all(
        {
            "sign in": _difference(lambda email: _app_sign_in(stage, email, "x" * 12), known, unknown),
            "reset": _difference(lambda email: _reset(stage, email), known, unknown),
            "page": _difference(lambda email: _page_sign_in(stage, email, "x" * 12), known, unknown),
        }
    )


def bring_a_session_along(stage: Stage) -> None:
    """Act for a victim: have them sign in with a session that the attacker knows."""
    user = _user_with_password(stage)
    with stage.server.client() as victim:
        victim.get(LOGIN)
        victim.cookies.set("sessionid", "attackersattackersattackersattac")
        signed_in = submit(victim, LOGIN, {"login": user.email, "password": PASSWORD})
        check(signed_in.status_code == 302, f"the victim could not sign in: {signed_in.status_code}")
    with stage.server.client() as attacker:
        attacker.cookies.set("sessionid", "attackersattackersattackersattac")
        seen = attacker.get("/v1/me")
        check(seen.status_code == 401, f"the attacker is {seen.text[:100]}")


def lead_away_after_signing_in(stage: Stage) -> None:
    """Send a victim from the real sign-in page to a copy of it, which says that the password was wrong."""
    user = _user_with_password(stage)
    problems = {}
    for place in ELSEWHERE:
        with stage.server.client() as victim:
            victim.get(LOGIN, params={"next": place})
            answer = submit(victim, LOGIN, {"login": user.email, "password": PASSWORD, "next": place})
            where = answer.headers.get("location", "")
            stays = where.startswith("/") and where[1:2] not in {"/", "\\"}
            problems[place] = None if stays else f"leads to {where}"
    check_all(problems)


def act_by_another_page(stage: Stage) -> None:
    """Spend a victim's money from a page that they have open: their browser adds the cookie."""
    user = _user_with_password(stage)
    with stage.server.client() as victim:
        victim.get(LOGIN)
        submit(victim, LOGIN, {"login": user.email, "password": PASSWORD})
        forged = {"content-type": "text/plain", "origin": "https://evil.example"}
        body = b'{"model": "free", "messages": [{"role": "user", "content": "hi"}]}'
        for path in ("/chat/completions", "/v1/me/exports", f"{BROWSER}/account/email"):
            answer = victim.post(path, content=body, headers=forged)
            check(answer.status_code in {400, 403}, f"{path} answered {answer.status_code}")


def sign_up_where_nobody_may(stage: Stage) -> None:
    """Get an account where sign-up is closed."""
    account = {"email": "intruder@example.com", "password": "a long enough password"}
    with stage.server.client() as attacker:
        attacker.post(f"{APP}/auth/signup", json=account)
        attacker.get("/accounts/signup/")
        attacker.get(LOGIN)
        submit(attacker, "/accounts/signup/?invitation=guess", account | {"password1": account["password"]})
    check(not User.objects.filter(email=account["email"]).exists(), "there is an account")


def _user_with_password(stage: Stage) -> User:
    user = stage.newcomer("0").user
    # as the server would: the settings of this process are those of tests
    user.password = make_password(PASSWORD, hasher=PBKDF2PasswordHasher())
    user.save()
    return user


def _app_sign_in(stage: Stage, email: str, password: str) -> httpx2.Response:
    with stage.server.client() as client:
        return client.post(f"{APP}/auth/login", json={"email": email, "password": password}, timeout=60)


def _page_sign_in(stage: Stage, email: str, password: str) -> httpx2.Response:
    with stage.server.client() as client:
        client.get(LOGIN)
        return submit(client, LOGIN, {"login": email, "password": password})


def _reset(stage: Stage, email: str) -> httpx2.Response:
    with stage.server.client() as client:
        return client.post(f"{APP}/auth/password/request", json={"email": email})


def _difference(ask: Callable[[str], httpx2.Response], known: str, unknown: str) -> str | None:
    one, other = ask(known), ask(unknown)
    if one.status_code != other.status_code:
        return f"{one.status_code} and {other.status_code}"
    sizes = [len(answer.text.replace(email, "")) for answer, email in ((one, known), (other, unknown))]
    return None if sizes[0] == sizes[1] else f"answers of {sizes[0]} and {sizes[1]} characters"
