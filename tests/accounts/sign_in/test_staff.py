"""The admin site: who gets in, and who needs a second factor for it."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from pytest_django import Settings

from accounts.deletion import delete_user
from accounts.models import User
from tests.support.signing_in import (
    APP,
    BROWSER,
    PASSWORD,
    TOTP_SECRET,
    add_totp,
    call,
    factors_of,
    is_signed_in,
    location,
    recovery_codes_of,
    sign_in,
    sign_in_by_api,
    totp_code,
    user_with_password,
)

ALICE, ROOT = "alice@example.com", "root@example.com"
FACTORS = "/accounts/2fa/"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser(ROOT, PASSWORD)


@pytest.fixture
def required(settings: Settings) -> None:
    settings.CHATAPI_STAFF_SECOND_FACTOR = "required"


def signed_in(email: str) -> Client:
    client = Client()
    sign_in(client, email)
    assert is_signed_in(client)
    return client


def with_code(email: str) -> Client:
    client = Client()
    sign_in(client, email)
    client.post("/accounts/2fa/authenticate/", {"code": totp_code()})
    assert is_signed_in(client)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def test_staff_without_the_factor_are_led_to_it(root: User, required: None) -> None:
    client = signed_in(ROOT)
    for path in ("/admin/", "/admin/accounts/user/", "/admin/login/", "/admin/password_change/"):
        last = client.get(path, follow=True)
        assert last.status_code == 200, path
        assert last.redirect_chain[-1][0].startswith("/accounts/"), path
    assert b"needs a second factor" in client.get("/admin/", follow=True).content


def test_nothing_in_the_admin_is_done_without_the_factor(root: User, required: None) -> None:
    client = signed_in(ROOT)
    form = {"email": ALICE, "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/admin/accounts/user/add/", form).status_code == 302
    assert not User.objects.filter(email=ALICE).exists()


def test_staff_with_the_factor_get_in(root: User, required: None) -> None:
    add_totp(root)
    assert with_code(ROOT).get("/admin/").status_code == 200


def test_staff_need_no_factor_where_it_is_optional(root: User) -> None:
    assert signed_in(ROOT).get("/admin/").status_code == 200


def test_staff_who_have_the_factor_use_it_where_it_is_optional(root: User) -> None:
    add_totp(root)
    client = Client()
    assert location(sign_in(client, ROOT)).startswith("/accounts/2fa/authenticate/")
    assert client.get("/admin/").status_code == 302


def test_others_are_unaffected(db: None, required: None) -> None:
    user_with_password(ALICE)
    assert signed_in(ALICE).get("/accounts/").status_code == 200


def test_people_who_are_no_staff_are_refused_without_a_loop(db: None) -> None:
    user_with_password(ALICE)
    client = signed_in(ALICE)
    for path in ("/admin/", "/admin/accounts/user/", "/admin/login/?next=/admin/"):
        last = client.get(path, follow=True)
        assert (last.status_code, last.json()["error"]["code"]) == (403, "permission_denied")


def test_strangers_sign_in_and_are_led_back(root: User) -> None:
    client = Client()
    page = client.get("/admin/accounts/user/", follow=True).redirect_chain[-1][0]
    assert page.startswith("/accounts/login/?next=")
    assert location(client.post(page, {"login": ROOT, "password": PASSWORD})) == "/admin/accounts/user/"


def removal(client: Client, way: str, **options: Any) -> Any:
    if way == "page":
        return client.post(f"{FACTORS}totp/deactivate/")
    return call(client, f"{way}/account/authenticators/totp", method="DELETE", **options)


@pytest.mark.parametrize("way", ["page", BROWSER, APP])
def test_staff_keep_their_last_factor(transactional_db: None, root: User, required: None, way: str) -> None:
    code = add_totp(root)[0]
    if way == APP:
        token = {"X-Session-Token": sign_in_by_api(Client(), ROOT, api=APP).json()["meta"]["session_token"]}
        answer = call(Client(), f"{APP}/auth/2fa/authenticate", {"code": code}, headers=token)
        token = {"X-Session-Token": answer.json()["meta"]["session_token"]}
        call(Client(), f"{APP}/auth/reauthenticate", {"password": PASSWORD}, headers=token)
        refused = removal(Client(), way, headers=token)
    else:
        refused = removal(with_code(ROOT), way)
    assert refused.status_code in {200, 403}
    assert b"need a second factor" in refused.content
    assert "totp" in factors_of(root)


def test_staff_keep_their_last_security_key(transactional_db: None, root: User, required: None) -> None:
    add_totp(root)
    client = with_code(ROOT)
    Authenticator.objects.filter(type="totp").update(type="webauthn")
    key = Authenticator.objects.get(type="webauthn").pk
    assert client.post(f"{FACTORS}webauthn/keys/{key}/remove/").status_code == 403
    body = {"authenticators": [key]}
    refused = call(client, f"{BROWSER}/account/authenticators/webauthn", body, method="DELETE")
    assert refused.json()["error"]["code"] == "second_factor_required"
    assert factors_of(root) == {"webauthn", "recovery_codes"}


def test_staff_may_be_deleted_with_their_factors(root: User, required: None) -> None:
    add_totp(root)
    delete_user(root)
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("way", ["page", BROWSER])
def test_others_may_remove_theirs(db: None, required: None, way: str) -> None:
    alice = user_with_password(ALICE)
    add_totp(alice)
    removal(with_code(ALICE), way)
    assert factors_of(alice) == set()


def test_a_secret_is_shown_once(root: User) -> None:
    add_totp(root)
    client = with_code(ROOT)
    codes = recovery_codes_of(root)
    first, second = (client.get(f"{FACTORS}recovery-codes/").content.decode() for _ in range(2))
    assert codes[0] in first
    assert codes[0] not in second
    assert TOTP_SECRET not in client.get(FACTORS).content.decode()
