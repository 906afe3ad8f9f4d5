import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import LIMITS, ApiKey, Membership, User, Workspace
from accounts.secret_digests import digest_of
from tests.support.people import Person, person

KEYS = "/admin/accounts/apikey/"
USERS = "/admin/accounts/user/"


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root@example.com", "a good password"))
    return client


def test_a_user_signs_in_by_email(client: Client, db: None) -> None:
    User.objects.create_superuser("root@example.com", "a good password")

    answer = client.post("/accounts/login/", {"login": "ROOT@example.com", "password": "a good password"})

    assert answer.status_code == 302
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("email", ["Erin@Example.com", "erin@example.com"])
def test_a_user_is_added(email: str, operator: Client) -> None:
    form = {
        "email": email,
        "usable_password": "true",
        "password1": "corr3ct horse",
        "password2": "corr3ct horse",
    }

    assert operator.get(f"{USERS}add/").status_code == 200
    assert operator.post(f"{USERS}add/", form).status_code == 302
    assert User.objects.get(email="erin@example.com").check_password("corr3ct horse")


def test_two_users_cannot_share_an_address(operator: Client) -> None:
    answer = operator.post(f"{USERS}add/", {"email": "ROOT@example.com", "usable_password": "false"})

    assert answer.status_code == 200
    assert "already" in answer.text
    assert User.objects.count() == 1


def test_a_user_is_changed_and_gets_a_new_password(operator: Client) -> None:
    alice = person("alice@example.com").user
    page = f"{USERS}{alice.pk}/"

    assert operator.get(f"{page}change/").status_code == 200
    form = {"email": "alice@example.org", "first_name": "Alice", "is_active": "on"}
    assert operator.post(f"{page}change/", form).status_code == 302
    passwords = {"usable_password": "true", "password1": "corr3ct horse", "password2": "corr3ct horse"}
    assert operator.post(f"{page}password/", passwords).status_code == 302

    alice.refresh_from_db()
    assert (alice.email, alice.first_name) == ("alice@example.org", "Alice")
    assert alice.check_password("corr3ct horse")


def test_a_new_key_is_shown_once(operator: Client, alice: Person) -> None:
    form = {
        "workspace": str(alice.workspace.pk),
        "user": str(alice.user.pk),
        "name": "phone",
        "scopes": ["files", "completions"],
    }

    assert operator.get(f"{KEYS}add/").status_code == 200
    shown = operator.post(f"{KEYS}add/", form, follow=True).text
    [secret] = re.findall(r"sk-chatapi-[\w-]{20,}", shown)

    key = ApiKey.objects.get(name="phone")
    assert key.secrets.get().digest == digest_of(secret)
    assert key.scopes == "completions files"
    assert key.prefix == secret[: len(key.prefix)]
    page = operator.get(f"{KEYS}{key.pk}/change/").text
    assert secret not in page
    assert digest_of(secret) not in page
    assert key.prefix in page


def test_a_new_key_may_have_limits_of_its_own(operator: Client, alice: Person) -> None:
    form = {
        "workspace": str(alice.workspace.pk),
        "user": str(alice.user.pk),
        "name": "phone",
        "scopes": ["files"],
        "requests_per_minute": "60",
        "tokens_per_minute": "",
        "concurrent_streams": "2",
    }

    assert operator.post(f"{KEYS}add/", form).status_code == 302

    key = ApiKey.objects.get(name="phone")
    assert [getattr(key, name) for name in LIMITS] == [60, None, 2]
    assert operator.post(f"{KEYS}{key.pk}/change/", form | {"tokens_per_minute": "9000"}).status_code == 302
    key.refresh_from_db()
    assert [getattr(key, name) for name in LIMITS] == [60, 9000, 2]
    refused = operator.post(f"{KEYS}{key.pk}/change/", form | {"requests_per_minute": "-1"})
    assert "greater than or equal to 0" in refused.text


def test_a_workspaces_limits_are_set(operator: Client, alice: Person) -> None:
    page = f"/admin/accounts/workspace/{alice.workspace.pk}/change/"
    inlines = {
        f"{name}-{field}": "0"
        for name in ("memberships", "api_keys")
        for field in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    form = {"name": "Alice's", "requests_per_minute": "0", "tokens_per_minute": "90000", **inlines}

    assert operator.post(page, form).status_code == 302

    alice.workspace.refresh_from_db()
    assert [getattr(alice.workspace, name) for name in LIMITS] == [0, 90_000, None]


def test_a_key_is_only_for_members(operator: Client, alice: Person, charlie: Person) -> None:
    before = ApiKey.objects.count()
    form = {"workspace": str(alice.workspace.pk), "user": str(charlie.user.pk), "scopes": ["files"]}

    answer = operator.post(f"{KEYS}add/", form)

    assert "not a member" in answer.text
    assert ApiKey.objects.count() == before


def test_a_keys_secret_and_owner_cannot_be_changed(operator: Client, alice: Person, charlie: Person) -> None:
    key = ApiKey.objects.get(user=alice.user)
    form = {
        "name": "renamed",
        "scopes": ["files"],
        "digest": "0" * 64,
        "prefix": "x",
        "workspace": str(charlie.workspace.pk),
        "user": str(charlie.user.pk),
    }

    assert operator.post(f"{KEYS}{key.pk}/change/", form).status_code == 302

    changed = ApiKey.objects.get(pk=key.pk)
    assert changed.name == "renamed"
    assert (changed.secrets.get().digest, changed.prefix) == (digest_of(alice.key), key.prefix)
    assert (changed.workspace, changed.user) == (alice.workspace, alice.user)


def test_a_revoked_key_is_rejected(operator: Client, alice: Person) -> None:
    key = ApiKey.objects.get(user=alice.user)
    expired = ApiKey.objects.create(
        workspace=alice.workspace, user=alice.user, expires_at=timezone.now() - timedelta(1)
    )

    operator.post(KEYS, {"action": "revoke", "_selected_action": [str(key.pk)]})

    assert Client().get("/v1/models", headers=alice.headers).status_code == 401
    states = re.findall(r'class="field-state">(\w+)<', operator.get(KEYS).text)
    assert sorted(states) == ["expired", "revoked"]
    expired.refresh_from_db()
    assert expired.revoked_at is None


def test_a_reviewer_without_permission_cannot_revoke(client: Client, alice: Person) -> None:
    dana = person("dana@example.com").user
    dana.is_staff = True
    dana.save()
    dana.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(dana)
    key = ApiKey.objects.get(user=alice.user)

    client.post(KEYS, {"action": "revoke", "_selected_action": [str(key.pk)]})

    key.refresh_from_db()
    assert key.revoked_at is None
    assert client.get(f"{KEYS}add/").status_code == 403


def test_a_workspace_shows_members_and_keys(operator: Client, alice: Person, bob: Person) -> None:
    page = operator.get(f"/admin/accounts/workspace/{alice.workspace.pk}/change/").text

    assert "bob@example.com" in page
    for key in ApiKey.objects.all():
        assert key.prefix in page
        assert key.secrets.get().digest not in page
    assert operator.get("/admin/accounts/workspace/").status_code == 200


def test_a_member_is_added(operator: Client, alice: Person, charlie: Person) -> None:
    form = {
        "name": "House",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "0",
        "memberships-0-user": str(charlie.user.pk),
        "memberships-0-role": "member",
        "api_keys-TOTAL_FORMS": "0",
        "api_keys-INITIAL_FORMS": "0",
    }

    answer = operator.post("/admin/accounts/workspace/add/", form)

    assert answer.status_code == 302
    house = Workspace.objects.get(name="House")
    assert Membership.objects.get(workspace=house).user == charlie.user
