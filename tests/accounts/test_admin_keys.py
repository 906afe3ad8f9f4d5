"""A key's own page in the admin: what it may do, its new secret, its end, and what it used."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
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
from tests.support.people import Person, token_for

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


@pytest.mark.parametrize("role", ["member", "reviewer"])
def test_staff_whose_role_has_no_keys_neither_make_nor_change_any(role: str, alice: Person) -> None:
    clerk, rita = staff("add_apikey", "change_apikey"), User.objects.get(email="rita@example.com")
    Membership.objects.create(workspace=alice.workspace, user=rita, role=role)
    own = program(Person(rita, alice.workspace, "", alice.key_id), Scope.FILES)
    form = {"workspace": str(alice.workspace.pk), "user": str(rita.pk), "scopes": ["usage"]}

    for address in (f"{KEYS}add/", page(own.key)):
        answer = clerk.post(address, form)
        assert answer.status_code == 200
        assert "may not manage its keys" in answer.text
    assert rita.api_keys.get().scope_list == (Scope.FILES,)

    Membership.objects.filter(user=rita).update(role="admin")
    for address in (f"{KEYS}add/", page(own.key)):
        assert clerk.post(address, form).status_code == 302
    assert {key.scopes for key in rita.api_keys.all()} == {"usage"}


def test_a_superuser_makes_a_key_for_any_member_and_nobody_else(
    operator: Client, alice: Person, bob: Person, charlie: Person
) -> None:
    form = {"workspace": str(alice.workspace.pk), "name": "made", "scopes": ["usage"]}

    assert "not a member" in operator.post(f"{KEYS}add/", {**form, "user": str(charlie.user.pk)}).text
    assert operator.post(f"{KEYS}add/", {**form, "user": str(bob.user.pk)}).status_code == 302

    assert ApiKey.objects.get(name="made").user == bob.user


def test_a_key_that_is_over_is_not_changed(operator: Client, alice: Person) -> None:
    revoked, expired = program(alice, Scope.FILES), program(alice, Scope.FILES)
    revoke_api_key(stored(revoked))
    ApiKey.objects.filter(pk=stored(expired).pk).update(expires_at=timezone.now() - timedelta(1))

    for caller, word in ((revoked, "revoked"), (expired, "expired")):
        form = {"name": "alive", "scopes": ["files"], "expires_at_0": "2099-01-01", "expires_at_1": "00:00"}
        assert f"The API key is {word}" in operator.post(page(caller.key), form).text
        assert (stored(caller).state, stored(caller).name) == (word, "")


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

    for name in ("roll", "revoke", "revoke_tokens"):
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


def token_works(secret: str) -> bool:
    return Caller(secret).works()


def test_the_tokens_of_a_key_are_beside_it_and_are_revoked_after_a_question(
    operator: Client, alice: Person, bob: Person
) -> None:
    shop = Person(alice.user, alice.workspace, "", stored(program(alice)).pk)
    daves, erins, other = token_for(shop, "dave <3"), token_for(shop, "erin"), token_for(bob, "dave <3")
    token_for(shop, "frank", expires_at=timezone.now())
    key = ApiKey.objects.get(pk=shop.key_id)

    shown = operator.get(page(key)).text
    assert re.search(r"erin:</label>.*?expires .*? UTC, spent 0.00 USD<", shown)
    assert shown.index("erin:") < shown.index("dave &lt;3:")
    assert "frank" not in shown
    assert page(key, "revoke_tokens") in shown
    assert "spent" not in staff("view_apikey").get(page(key)).text

    assert "cannot be undone" in operator.get(page(key, "revoke_tokens")).text
    for refused in ("\0", "x" * 513):
        assert operator.post(page(key, "revoke_tokens"), {"end_user": refused}).status_code == 200
    answer = operator.post(page(key, "revoke_tokens"), {"end_user": "dave <3"}, follow=True)
    assert "1 end-user token of dave &lt;3 revoked." in answer.text
    assert [token_works(secret) for secret in (daves, erins, other)] == [False, True, True]
    answer = operator.post(page(key, "revoke_tokens"), {"end_user": ""}, follow=True)
    assert "1 end-user token revoked." in answer.text
    assert [token_works(secret) for secret in (erins, other)] == [False, True]
    assert key.state == "active"
    assert "0 end-user tokens revoked" in operator.post(page(key, "revoke_tokens"), follow=True).text
    assert "Valid end-user tokens" not in operator.get(page(key)).text


def test_the_newest_twenty_tokens_are_shown_and_none_of_a_key_that_is_over(
    operator: Client, alice: Person
) -> None:
    for number in range(22):
        token_for(alice, f"user {number}")
    key = ApiKey.objects.get(pk=alice.key_id)

    assert set(re.findall(r"user \d+", operator.get(page(key)).text)) == {f"user {n}" for n in range(2, 22)}
    revoke_api_key(key)
    assert not re.search(r"user \d+", operator.get(page(key)).text)


def test_what_is_done_to_keys_needs_a_csrf_token_and_somebody_who_signed_in(alice: Person) -> None:
    root = User.objects.create_superuser("root@example.com", "a good password")
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(root)
    caller = program(alice)

    for name in ("roll", "revoke", "revoke_tokens"):
        assert careful.post(page(caller.key, name), {"overlap": "0"}).status_code == 403
        assert Client().post(page(caller.key, name), {"overlap": "0"}).status_code == 302  # to sign in
    assert stored(caller).state == "active"
    assert stored(caller).secrets.count() == 1


def test_there_is_no_page_of_a_key_that_never_was(operator: Client, alice: Person) -> None:
    for name in ("roll", "revoke", "revoke_tokens"):
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


def test_a_workspace_shows_its_newest_keys_and_a_way_to_all(
    operator: Client, alice: Person, charlie: Person
) -> None:
    keys = [stored(program(alice)) for _ in range(22)]
    address = f"/admin/accounts/workspace/{alice.workspace.pk}/change/"

    shown = operator.get(address).text
    listed = {str(key.pk) for key in keys if page(key) in shown}
    assert listed == {str(key.pk) for key in keys[2:]}
    way = f"{KEYS}?workspace={alice.workspace.pk}"
    assert way in shown
    rows = operator.get(way).text
    assert page(keys[0]) in rows
    assert page(ApiKey.objects.get(pk=charlie.key_id)) not in rows
    assert KEYS not in operator.get("/admin/accounts/workspace/add/").text.split('id="content"')[1]


def test_a_workspace_is_saved_though_other_keys_are_the_newest_by_then(
    operator: Client, alice: Person
) -> None:
    oldest = ApiKey.objects.get(pk=alice.key_id)
    for _ in range(20):
        program(alice)
    form = {
        "name": "Renamed",
        **dict.fromkeys(("memberships-TOTAL_FORMS", "memberships-INITIAL_FORMS"), "0"),
        **dict.fromkeys(("api_keys-TOTAL_FORMS", "api_keys-INITIAL_FORMS"), "1"),
        "api_keys-0-id": str(oldest.pk),
        "api_keys-0-workspace": str(alice.workspace.pk),
    }

    answer = operator.post(f"/admin/accounts/workspace/{alice.workspace.pk}/change/", form)

    assert answer.status_code == 302
    assert LogEntry.objects.get().get_change_message() == "Changed Name."
