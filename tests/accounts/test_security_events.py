"""What is recorded of sign-ins, keys and deleted users, as rows and as lines of the log."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.signals import user_login_failed
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from accounts.deletion import delete_user
from accounts.keys.services import create_api_key, revoke_api_key
from accounts.models import ApiKey, SecurityEvent, User
from accounts.secret_digests import digest_of
from accounts.security_events import receivers
from accounts.security_events.recording import ROWS_A_MINUTE, Kind, clean_user_agent, origin_of, record
from accounts.tasks import delete_old_security_events
from core.redaction import RedactingFormatter
from tests.support.people import Person

PASSWORD = "corr3ct horse"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "accounts.security")
    return caplog


def sign_in(client: Client, email: str, password: str, **environment: str) -> int:
    form = {"login": email, "password": password}
    return client.post("/accounts/login/", form, **environment).status_code  # type: ignore[arg-type]


def happened() -> list[tuple[str, int | None]]:
    rows = SecurityEvent.objects.exclude(kind=Kind.KEY_CREATED).order_by("at", "id")
    return list(rows.values_list("kind", "user_id"))


def test_a_sign_in_and_its_end_are_recorded_once_each(client: Client, root: User, settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]

    assert sign_in(client, "ROOT@example.com", PASSWORD, REMOTE_ADDR="203.0.113.9") == 302
    client.post("/admin/logout/", headers={"User-Agent": "Firefox"})

    assert happened() == [("signed_in", root.pk), ("signed_out", root.pk)]
    first, last = SecurityEvent.objects.order_by("at", "id")
    assert (first.address, last.user_agent, first.by, last.by) == ("203.0.113.9", "Firefox", None, None)


def test_nobody_signs_out(client: Client, db: None) -> None:
    client.post("/admin/logout/")
    assert happened() == []


def test_a_wrong_password_is_recorded_but_not_what_was_typed(client: Client, root: User) -> None:
    assert sign_in(client, "root@example.com", "guess 1234") == 200
    assert sign_in(client, "my-secret-passw0rd@example.com", "guess 1234") == 200

    assert happened() == [("sign_in_failed", root.pk), ("sign_in_failed", None)]
    known, unknown = SecurityEvent.objects.order_by("at", "id")
    assert (known.details, unknown.details) == ({"reason": "credentials"}, {"reason": "unknown_address"})
    stored = str(list(SecurityEvent.objects.values()))
    assert "guess" not in stored
    assert "passw0rd" not in stored


@pytest.mark.parametrize("typed", ["", "x" * 300, "a\x00b@example.com", "\ud800@example.com", None, 17])
def test_no_address_that_is_typed_breaks_the_refusal(typed: object, db: None) -> None:
    credentials = {"email": typed, "password": "********************"}
    user_login_failed.send(sender="test", credentials=credentials, request=None)
    assert happened() == [("sign_in_failed", None)]


def test_a_flood_of_wrong_passwords_fills_the_log_and_not_the_table(
    root: User, bob: Person, log: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    log.clear()
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(ROWS_A_MINUTE + 5):
            record(Kind.SIGN_IN_FAILED, user=root)
        record(Kind.SIGN_IN_FAILED, user=bob.user)
        record(Kind.SIGNED_IN, user=root)

    assert SecurityEvent.objects.filter(user=root, kind=Kind.SIGN_IN_FAILED).count() == ROWS_A_MINUTE
    assert SecurityEvent.objects.filter(user=bob.user, kind=Kind.SIGN_IN_FAILED).count() == 1
    assert SecurityEvent.objects.filter(user=root, kind=Kind.SIGNED_IN).count() == 1
    assert len(log.messages) == ROWS_A_MINUTE + 5 + 2


def test_the_log_has_a_line_that_nobody_can_forge(
    root: User,
    settings: Settings,
    log: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    forged = 'x"\r\nsigned_in user=1\u2028address=1.2.3.4\x1b[31m'
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.9", headers={"User-Agent": forged})
    with django_capture_on_commit_callbacks(execute=True):
        record(Kind.SIGN_IN_FAILED, user=root, request=request, reason="credentials")

    [line] = log.messages
    assert log.records[0].levelno == logging.WARNING
    assert line == (
        f"sign_in_failed user={root.pk} email=root@example.com address=203.0.113.9 reason=credentials "
        r'user_agent="x\"signed_in user=1address=1.2.3.4[31m"'
    )


def test_a_line_about_a_key_is_not_masked_and_has_no_secret(
    alice: Person, log: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        key, secret = create_api_key(alice.workspace, alice.user, name="phone")

    [entry] = log.records
    line = RedactingFormatter("%(message)s").format(entry)
    assert line == (
        f"key_created user={alice.user.pk} email=alice@example.com key_id={key.pk} "
        f"workspace={alice.workspace.pk}"
    )
    event = SecurityEvent.objects.get(key_id=key.pk)
    assert (event.key_prefix, event.user, event.workspace_id) == (key.prefix, alice.user, alice.workspace.pk)
    assert secret not in str(SecurityEvent.objects.values())
    assert digest_of(secret) not in str(SecurityEvent.objects.values())


def test_what_is_rolled_back_is_neither_stored_nor_logged(
    alice: Person, log: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    before = SecurityEvent.objects.count()
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(ValueError):
        create_api_key(alice.workspace, alice.user, requests_per_minute="many")  # type: ignore[arg-type]
    assert (log.messages, SecurityEvent.objects.count()) == ([], before)


def test_a_client_may_call_itself_anything() -> None:
    assert clean_user_agent("a" * 5000) == "a" * 200
    assert clean_user_agent("curl\x00/8\n") == "curl/8"
    assert clean_user_agent("bot sk-chatapi-0123456789abcdefABCDEF") == "bot ***"


def test_a_key_is_revoked_once(alice: Person, root: User) -> None:
    key = ApiKey.objects.get(user=alice.user)
    request = RequestFactory().get("/")
    request.user = root

    revoke_api_key(key, origin=origin_of(request))
    revoke_api_key(key, origin=origin_of(request))

    event = SecurityEvent.objects.get(kind=Kind.KEY_REVOKED)
    assert (event.user, event.by, event.key_id) == (alice.user, root, key.pk)


def test_a_deleted_users_events_name_nobody(charlie: Person, root: User, settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.9", headers={"User-Agent": "Firefox"})
    request.user = charlie.user
    record(Kind.EMAIL_CHANGED, user=charlie.user, request=request, before="charly@example.com")
    record(Kind.PASSWORD_CHANGED, user=root, request=request)
    gone = charlie.user.pk

    delete_user(charlie.user, origin=origin_of(request))

    changed, password = (
        SecurityEvent.objects.get(kind=kind) for kind in (Kind.EMAIL_CHANGED, Kind.PASSWORD_CHANGED)
    )
    assert (changed.user, changed.details, changed.address, changed.user_agent) == (None, None, None, "")
    assert (password.user, password.by, password.address, password.user_agent) == (root, None, None, "")
    last = SecurityEvent.objects.get(kind=Kind.ACCOUNT_DELETED)
    assert (last.user, last.by, last.address, last.details) == (None, None, None, {"deleted": gone})


def test_events_are_deleted_when_they_are_old(root: User, settings: Settings) -> None:
    settings.CHATAPI_SECURITY_EVENT_DAYS = 90
    now = timezone.now()
    for days in (0, 89, 90, 91, 400):
        SecurityEvent.objects.create(kind=Kind.SIGNED_IN, user=root, at=now - timedelta(days=days))

    delete_old_security_events()

    kept = SecurityEvent.objects.order_by("-at").values_list("at", flat=True)
    assert [(now - at).days for at in kept] == [0, 89, 90]


class Authenticator:
    def __init__(self, type: str) -> None:
        self.type = type


def test_second_factors_and_mailed_codes_have_their_events(root: User) -> None:
    request = RequestFactory().get("/")
    totp: dict[str, Any] = {"request": request, "user": root, "authenticator": Authenticator("totp")}
    codes = totp | {"authenticator": Authenticator("recovery_codes")}

    receivers.on_authenticator_added(**totp, signal=None)
    receivers.on_authenticator_added(**codes)
    receivers.on_authenticator_reset(**codes)
    receivers.on_authenticator_used(**totp, reauthenticated=False)
    receivers.on_authenticator_used(**codes)
    receivers.on_second_factor_failed(**totp)
    receivers.on_authenticator_removed(**totp)
    receivers.on_code_rejected(request=request, user=root, last_attempt=True)

    rows = SecurityEvent.objects.order_by("at", "id").values_list("kind", "details")
    assert list(rows) == [
        ("second_factor_added", {"factor": "totp"}),
        ("recovery_codes_made", None),
        ("recovery_codes_made", None),
        ("recovery_code_used", None),
        ("sign_in_failed", {"reason": "second_factor"}),
        ("second_factor_removed", {"factor": "totp"}),
        ("sign_in_failed", {"reason": "mailed_code"}),
    ]


def test_a_new_password_from_the_service_s_own_page_is_recorded_once(client: Client, root: User) -> None:
    client.force_login(root)
    form = {"oldpassword": PASSWORD, "password1": "another h0rse", "password2": "another h0rse"}

    assert client.post("/accounts/password/change/", form).status_code == 302

    assert [kind for kind, _ in happened()] == ["signed_in", "password_changed"]
    assert "h0rse" not in str(list(SecurityEvent.objects.values()))
