"""A key's own page in the admin: what it may do, its new secret, its end, and what it used."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys.services import revoke_api_key
from accounts.models import ApiKey, Membership, SecurityEvent, User
from accounts.permissions import Scope
from accounts.security_events.recording import Kind
from billing.terms_and_budgets import open_wallet
from tests.support.billed_months import create_wallet, post_call
from tests.support.keys import Caller, program
from tests.support.media_admin import staff, superuser
from tests.support.people import Person

KEYS = "/admin/accounts/apikey/"
SECRET = re.compile(r"sk-chatapi-[\w-]{20,}")


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


def page(key: ApiKey | None, name: str = "change") -> str:
    assert key
    return f"{KEYS}{key.pk}/{name}/"


def stored(caller: Caller) -> ApiKey:
    assert caller.key
    return ApiKey.objects.get(pk=caller.key.pk)


# --- shown and changed ---------------------------------------------------------------------------


def test_a_key_shows_its_scopes_its_state_and_its_last_use(operator: Client, alice: Person) -> None:
    key = stored(program(alice, Scope.FILES, Scope.USAGE))
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())

    shown = operator.get(page(key)).text
    checked = re.findall(r'name="scopes" value="([\w.]+)"[^>]* checked', shown)
    assert checked == ["files", "usage"]
    assert 'name="scopes" value="members"' in shown
    for listed in (shown, operator.get(KEYS).text):
        assert "active" in listed
    assert "files usage" in operator.get(KEYS).text


def test_a_key_is_changed_and_that_is_recorded(operator: Client, alice: Person) -> None:
    caller = program(alice, Scope.FILES, name="old")
    form = {"name": "new", "scopes": ["history.read"], "tokens_per_minute": "9"}

    assert operator.post(page(caller.key), form).status_code == 302

    key = stored(caller)
    assert (key.name, key.scopes, key.tokens_per_minute) == ("new", "history.read", 9)
    event = SecurityEvent.objects.get(kind=Kind.KEY_CHANGED)
    assert (event.user, event.key_id) == (alice.user, key.pk)
    assert event.by == User.objects.get(email="root@example.com")
    assert event.details == {"changed": ["name", "scopes", "tokens_per_minute"]}
    assert operator.post(page(key), form).status_code == 302
    assert SecurityEvent.objects.filter(kind=Kind.KEY_CHANGED).count() == 1


@pytest.mark.parametrize("scopes", [[], ["root"], ["files", "x" * 300], "\0"])
def test_a_key_has_a_scope_at_least_and_none_that_there_is_not(
    scopes: Any, operator: Client, alice: Person
) -> None:
    caller = program(alice, Scope.FILES)

    assert operator.post(page(caller.key), {"name": "x", "scopes": scopes}).status_code == 200

    assert stored(caller).scopes == "files"


def test_who_only_views_a_key_sees_its_scopes_and_no_way_to_change_it(alice: Person) -> None:
    key = stored(program(alice, Scope.FILES, Scope.USAGE))

    shown = staff("view_apikey").get(page(key)).text

    assert "files usage" in shown
    assert 'name="scopes"' not in shown
    assert "/roll/" not in shown
    assert "/revoke/" not in shown


# --- a secret is shown once, and kept in no cookie -------------------------------------------------


def test_a_new_secret_is_in_the_session_until_it_is_shown_and_in_no_cookie(
    operator: Client, alice: Person
) -> None:
    form = {"workspace": str(alice.workspace.pk), "user": str(alice.user.pk), "scopes": ["files"]}

    made = operator.post(f"{KEYS}add/", form)
    rolled = operator.post(page(ApiKey.objects.get(pk=alice.key_id), "roll"), {"overlap": "0"})
    for answer in (made, rolled):
        assert answer.status_code == 302
        assert "sk-chatapi-" not in str(answer.cookies)
        assert "messages" not in answer.cookies
    assert SECRET.search(str(dict(operator.session.items())))

    shown = operator.get(KEYS)
    assert len(SECRET.findall(shown.text)) == 2
    assert not SECRET.search(str(dict(operator.session.items())))
    assert not SECRET.search(operator.get(KEYS).text)


# --- rolled --------------------------------------------------------------------------------------


def roll(client: Client, key: ApiKey | None, overlap: str = "3600") -> Any:
    return client.post(page(key, "roll"), {"overlap": overlap}, follow=True)


def test_a_key_is_rolled_on_its_own_page_after_a_question(operator: Client, alice: Person) -> None:
    caller = program(alice, Scope.FILES)
    assert page(caller.key, "roll") in operator.get(page(caller.key)).text

    asked = operator.get(page(caller.key, "roll"))
    assert asked.status_code == 200
    assert "keeps its id" in asked.text
    assert "<script>" not in asked.text
    assert " style=" not in asked.text
    assert stored(caller).secrets.count() == 1

    answer = roll(operator, caller.key)
    [secret] = SECRET.findall(answer.text)
    assert answer.redirect_chain == [(page(caller.key), 302)]
    assert "2; the older ones until" in answer.text
    assert (caller.works(), Caller(secret).works()) == (True, True)
    assert stored(caller).user == alice.user
    assert SecurityEvent.objects.get(kind=Kind.KEY_ROLLED).by == User.objects.get(email="root@example.com")
    assert secret not in operator.get(page(caller.key, "history")).text


def test_the_old_secret_may_end_at_once(operator: Client, alice: Person) -> None:
    caller = program(alice)
    roll(operator, caller.key, "0")
    assert not caller.works()


@pytest.mark.parametrize("overlap", ["", "1", "-1", "999999999", "\0"])
def test_no_other_overlap_can_be_chosen(overlap: str, operator: Client, alice: Person) -> None:
    caller = program(alice)

    assert not SECRET.search(roll(operator, caller.key, overlap).text)

    assert stored(caller).secrets.count() == 1


def test_the_key_of_who_left_becomes_the_operators_who_must_be_a_member(
    operator: Client, alice: Person, bob: Person
) -> None:
    caller, root = program(bob), User.objects.get(email="root@example.com")
    Membership.objects.filter(user=bob.user, workspace=alice.workspace).delete()

    assert "no member" in roll(operator, caller.key).text
    Membership.objects.create(workspace=alice.workspace, user=root, role="owner")
    [secret] = SECRET.findall(roll(operator, caller.key).text)

    assert stored(caller).user == root
    assert (caller.works(), Caller(secret).works()) == (False, True)


def test_a_key_that_is_over_cannot_be_rolled(operator: Client, alice: Person) -> None:
    revoked, expired = program(alice), program(alice, expires_at=timezone.now() - timedelta(1))
    revoke_api_key(stored(revoked))

    for caller, word in ((revoked, "revoked"), (expired, "expired")):
        shown = operator.get(page(caller.key)).text
        assert page(caller.key, "roll") not in shown
        assert (page(caller.key, "revoke") in shown) is (word == "expired")
        answer = roll(operator, caller.key)
        assert f"The API key is {word}" in answer.text
        assert not SECRET.search(answer.text)


def test_staff_roll_and_revoke_their_own_keys_alone(alice: Person) -> None:
    clerk = staff("view_apikey", "change_apikey")
    rita = User.objects.get(email="rita@example.com")
    Membership.objects.create(workspace=alice.workspace, user=rita)
    own, hers = program(Person(rita, alice.workspace, "", alice.key_id)), program(alice)

    for name in ("roll", "revoke"):
        assert clerk.get(page(hers.key, name)).status_code == 403
        assert clerk.post(page(hers.key, name), {"overlap": "0"}).status_code == 403
    assert SECRET.search(roll(clerk, own.key).text)
    assert clerk.post(page(own.key, "revoke")).status_code == 302
    assert (own.works(), hers.works()) == (False, True)


# --- revoked -------------------------------------------------------------------------------------


def test_a_key_is_revoked_on_its_own_page_after_a_question(operator: Client, alice: Person) -> None:
    caller = program(alice)
    assert page(caller.key, "revoke") in operator.get(page(caller.key)).text

    assert "cannot be undone" in operator.get(page(caller.key, "revoke")).text
    assert caller.works()
    assert operator.post(page(caller.key, "revoke")).status_code == 302

    assert not caller.works()
    assert stored(caller).revoked_at


def test_what_is_done_to_keys_needs_a_csrf_token_and_somebody_who_signed_in(alice: Person) -> None:
    root = User.objects.create_superuser("root@example.com", "a good password")
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(root)
    caller = program(alice)

    for name in ("roll", "revoke"):
        assert careful.post(page(caller.key, name), {"overlap": "0"}).status_code == 403
        assert Client().post(page(caller.key, name), {"overlap": "0"}).status_code == 302  # to sign in
    assert stored(caller).state == "active"
    assert stored(caller).secrets.count() == 1


def test_there_is_no_page_of_a_key_that_never_was(operator: Client, alice: Person) -> None:
    for name in ("roll", "revoke"):
        assert operator.get(f"{KEYS}{alice.workspace.pk}/{name}/").status_code == 404
        assert operator.get(f"{KEYS}x/{name}/").status_code in {302, 404}


# --- beside it -------------------------------------------------------------------------------------


def test_what_a_key_used_is_beside_it_for_who_may_view_usage(operator: Client, alice: Person) -> None:
    create_wallet(alice)
    post_call(alice, timezone.now() - timedelta(hours=1))
    post_call(alice, timezone.now() - timedelta(days=40))
    key = ApiKey.objects.get(pk=alice.key_id)

    shown = operator.get(page(key)).text
    assert "Usage of the last 30 days" in shown
    assert re.search(r'Requests:</label><div class="readonly">1<', shown)
    assert re.search(r'Prompt tokens:</label><div class="readonly">3<', shown)
    assert f"/admin/billing/usagerollup/?workspace={alice.workspace.pk}" in shown
    assert "Usage of the last" not in operator.get(f"{KEYS}add/").text
    viewer = staff("view_apikey")
    assert "Usage of the last" not in viewer.get(page(key)).text
    accountant = staff("view_apikey", "view_usagerollup", email="anna@example.com")
    assert "Usage of the last" in accountant.get(page(key)).text
    assert "/admin/billing/charge/" not in accountant.get(page(key)).text
    assert staff("view_usagerollup", email="carla@example.com").get(page(key)).status_code == 403


def test_a_workspaces_wallet_is_beside_it_for_who_may_view_wallets(operator: Client, alice: Person) -> None:
    address = f"/admin/accounts/workspace/{alice.workspace.pk}/change/"
    assert "It has no wallet yet" in operator.get(address).text
    open_wallet(alice.workspace.pk)

    shown = operator.get(address).text
    assert re.search(r'Balance in USD:</label><div class="readonly">0.00<', shown)
    assert f"/admin/billing/wallet/{alice.workspace.pk}/change/" in shown
    assert "Wallet" not in staff("view_workspace").get(address).text
