"""Users whom an operator makes sign in at once; who never verified their address is deleted, nobody else."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.keys.services import create_api_key
from accounts.models import Membership, SecurityEvent, User
from accounts.services import personal_workspace
from accounts.tasks import clean_up_sign_in
from tests.support.signing_in import (
    PASSWORD,
    add_totp,
    app_token,
    factors_of,
    is_signed_in,
    recovery_codes_of,
    sign_in,
    sign_in_by_api,
    user_with_password,
)

ALICE, BOB, ROOT = "alice@example.com", "bob@example.com", "root@example.com"


def can_sign_in(email: str, password: str = PASSWORD) -> bool:
    client = Client()
    sign_in(client, email, password)
    return is_signed_in(client)


def administrator() -> Client:
    User.objects.create_superuser(ROOT, PASSWORD)
    client = Client()
    sign_in(client, ROOT)
    return client


def test_the_commands_superuser_signs_in_at_once(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--noinput", "--email", "Admin@localhost", verbosity=0)
    assert can_sign_in("admin@localhost")
    assert sign_in_by_api(Client(), "admin@localhost").status_code == 200


def test_a_user_who_was_made_for_a_key_signs_in_once_there_is_a_password(db: None) -> None:
    call_command("create_api_key", ALICE)
    assert not can_sign_in(ALICE)
    user = User.objects.get()
    user.set_password(PASSWORD)
    user.save()
    assert can_sign_in(ALICE)


def test_the_admins_new_user_signs_in_at_once(db: None) -> None:
    client = administrator()
    form = {
        "email": "Alice@Example.com",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert client.post("/admin/accounts/user/add/", form).status_code == 302
    assert can_sign_in(ALICE)


def test_an_address_that_the_admin_changes_is_the_one_that_counts(db: None) -> None:
    client = administrator()
    user = user_with_password(ALICE)
    squatter = User(email="squatter@example.com")
    squatter.save()
    EmailAddress.objects.create(user=squatter, email=BOB, verified=False)
    EmailAddress.objects.create(user=user, email="waiting@example.com", verified=False)
    times = {"last_login_0": "", "last_login_1": "", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    client.post(f"/admin/accounts/user/{user.pk}/change/", {"email": BOB, "is_active": "on", **times})

    assert list(EmailAddress.objects.filter(user=user).values_list("email", "verified", "primary")) == [
        (BOB, True, True)
    ]
    assert (can_sign_in(BOB), can_sign_in(ALICE)) == (True, False)
    assert SecurityEvent.objects.get(kind="email_changed").details == {"before": ALICE}


# --- reset_sign_in --------------------------------------------------------------------------------


def test_a_reset_takes_away_what_keeps_somebody_out(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    user = user_with_password(ALICE)
    add_totp(user)
    EmailAddress.objects.update(verified=False)
    _, key = create_api_key(personal_workspace(user), user)

    call_command("reset_sign_in", "ALICE@example.com")

    password = capsys.readouterr().out.strip()
    assert can_sign_in(ALICE, password)
    assert not can_sign_in(ALICE)
    assert factors_of(user) == set()
    assert Client().get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert SecurityEvent.objects.filter(kind="sign_in_reset", user=user).count() == 1


def test_a_reset_may_keep_the_second_factor(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    user = user_with_password(ALICE)
    add_totp(user)
    call_command("reset_sign_in", ALICE, "--keep-second-factor")
    assert not can_sign_in(ALICE, capsys.readouterr().out.strip())
    assert recovery_codes_of(user)


def test_a_reset_ends_the_sessions_of_whoever_locked_them_out(db: None) -> None:
    user_with_password(ALICE)
    client = Client()
    sign_in(client, ALICE)
    token = app_token(ALICE)
    call_command("reset_sign_in", ALICE)
    assert not is_signed_in(client)
    assert Client().get("/v1/conversations", headers={"X-Session-Token": token}).status_code == 401


@pytest.mark.parametrize("email", ["", "nobody@example.com", "\x00", "x" * 500])
def test_a_reset_of_nobody_is_one_line(db: None, email: str) -> None:
    with pytest.raises(CommandError, match="There is no user"):
        call_command("reset_sign_in", email)


# --- users who never verified their address ---------------------------------------------------------


def long_ago(user: User) -> User:
    User.objects.filter(pk=user.pk).update(date_joined=timezone.now() - timedelta(days=8))
    return user


def test_sign_ups_that_were_never_verified_are_deleted_and_no_others(db: None, settings: Settings) -> None:
    settings.CHATAPI_SIGN_UP = "open"
    for email in ("forgotten@example.com", "yesterday@example.com"):
        Client().post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    long_ago(User.objects.get(email="forgotten@example.com"))
    long_ago(User.objects.create_user("operators@example.com", PASSWORD))
    call_command("create_api_key", "keys@example.com")
    long_ago(User.objects.get(email="keys@example.com"))
    changing = long_ago(user_with_password("changing@example.com"))
    EmailAddress.objects.create(user=changing, email="new@example.com", verified=False)
    imported = User(email="imported@example.com")  # by a fixture: there is no row of the address
    imported.save()
    long_ago(imported)
    working = User(email="working@example.com")
    working.save()
    EmailAddress.objects.create(user=working, email=working.email, verified=False)
    create_api_key(personal_workspace(working), working)
    long_ago(working)
    invited = User(email="invited@example.com")
    invited.save()
    EmailAddress.objects.create(user=invited, email=invited.email, verified=False)
    Membership.objects.create(workspace=personal_workspace(working), user=invited)
    long_ago(invited)

    clean_up_sign_in()

    assert sorted(User.objects.values_list("email", flat=True)) == [
        "changing@example.com",
        "imported@example.com",
        "invited@example.com",
        "keys@example.com",
        "operators@example.com",
        "working@example.com",
        "yesterday@example.com",
    ]
    Client().post("/accounts/signup/", {"email": "forgotten@example.com", "password1": PASSWORD})
    assert User.objects.filter(email="forgotten@example.com").exists()
