"""People who sign in by the pages and by the API, in browsers and in apps."""

import json
import re
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail as outbox_of_tests
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from accounts.sign_in.mail import send_due

PASSWORD = "corr3ct horse battery"
WRONG = "wr0ng horse battery"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LOGIN, SIGNUP = "/accounts/login/", "/accounts/signup/"
BROWSER, APP = "/_allauth/browser/v1", "/_allauth/app/v1"


def user_with_password(email: str, **fields: Any) -> User:
    return User.objects.create_user(email, PASSWORD, **fields)


def sign_in(client: Client, email: str, password: str = PASSWORD, **options: Any) -> Any:
    """Fill in the sign-in page."""
    return client.post(LOGIN, {"login": email, "password": password}, **options)


def call(client: Client, path: str, body: Any = None, *, method: str = "POST", **options: Any) -> Any:
    """Call allauth's API with a JSON body."""
    data = "" if body is None else json.dumps(body)
    return client.generic(method, path, data, content_type="application/json", **options)


def sign_in_by_api(client: Client, email: str, password: str = PASSWORD, api: str = BROWSER) -> Any:
    return call(client, f"{api}/auth/login", {"email": email, "password": password})


def app_token(email: str, password: str = PASSWORD) -> str:
    """Sign in as an app does. Return its session token."""
    answered = sign_in_by_api(Client(), email, password, APP)
    assert answered.status_code == 200, answered.content
    return str(answered.json()["meta"]["session_token"])


def is_signed_in(client: Client) -> bool:
    return bool(client.get("/accounts/").status_code == 200)


def delivered() -> list[EmailMessage]:
    """Return all mails so far, having sent what is due."""
    send_due()
    return list(outbox_of_tests.outbox)


def link_in(message: EmailMessage) -> str:
    """Return the path of the only link of ours in a mail."""
    [path] = re.findall(r"https?://[^/\s]+(/accounts/\S+)", str(message.body))
    return str(path)


# --- second factors -----------------------------------------------------------------------------


def add_totp(user: User) -> list[str]:
    """Give the user an authenticator app. Return their recovery codes."""
    TOTP.activate(user, TOTP_SECRET)
    codes: list[str] = RecoveryCodes.activate(user).get_unused_codes()
    return codes


def totp_code() -> str:
    """Return the code that the authenticator app shows now."""
    _, counter, _ = yield_hotp_counters_from_time()
    return str(format_hotp_value(hotp_value(TOTP_SECRET, counter)))


def wrong_code() -> str:
    """Return six digits that are no code of the authenticator app around now."""
    right = {
        format_hotp_value(hotp_value(TOTP_SECRET, counter)) for counter in yield_hotp_counters_from_time()
    }
    return next(code for code in ("000000", "111111", "222222", "333333") if code not in right)


def recovery_codes_of(user: User) -> list[str]:
    """Return those that are not used."""
    codes: list[str] = Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()
    return codes


def factors_of(user: User) -> set[str]:
    return set(Authenticator.objects.filter(user=user).values_list("type", flat=True))


def location(response: Any) -> str:
    return str(response.headers["Location"])
