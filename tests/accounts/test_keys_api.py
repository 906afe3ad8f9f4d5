"""API keys over REST: made, shown once, listed, changed, rolled, revoked."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.keys.authority import KeyAuthority
from accounts.keys.services import MAX_VALID_SECRETS, change_api_key, revoke_api_key, roll_api_key
from accounts.models import ApiKey, KeySecret, Membership, SecurityEvent, User
from accounts.permissions import DEFAULT_SCOPES, Scope
from accounts.roles import Role
from accounts.secret_digests import digest_of
from accounts.security_events.recording import Kind
from billing.models import Budget
from core.exceptions import Conflict, Forbidden, NotFound
from core.ids import KEY, format_id
from tests.support.concurrent_calls import at_once
from tests.support.keys import ALL_SCOPES, Caller, key_name, keys_of, program, stored_key, to_json
from tests.support.people import Person, set_role, signed_in
from tests.support.workspaces import principal_in


def send(browser: Client, method: str, path: str, body: Any = None) -> Any:
    return browser.generic(method, path, b"" if body is None else to_json(body), "application/json")


class Session:
    """Somebody's browser, as a caller."""

    def __init__(self, who: Person) -> None:
        self._browser = signed_in(who.user)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        return send(self._browser, method, path, body)


# --- made and shown ------------------------------------------------------------------------------


def test_alice_makes_a_key_which_is_shown_once_and_works(alice: Person) -> None:
    body = {"name": "shop", "scopes": ["history.read", "completions"], "requests_per_minute": 60}

    answer = send(signed_in(alice.user), "POST", keys_of(alice), {**body, "expires_in_seconds": 3600})
    made = answer.json()

    assert (answer.status_code, answer["cache-control"]) == (200, "no-store")
    secret = made.pop("value")
    key = stored_key(made["id"])
    assert made == {
        "id": key_name(key),
        "object": "organization.project.api_key",
        "created_at": int(key.created_at.timestamp()),
        "last_used_at": None,
        "expires_at": made["expires_at"],
        "name": "shop",
        "redacted_value": f"{secret[:15]}...",
        "scopes": ["completions", "history.read"],
        "owner": {
            "type": "user",
            "user": {
                "id": f"user-{alice.user.pk}",
                "object": "organization.user",
                "created_at": int(alice.user.date_joined.timestamp()),
                "email": "alice@example.com",
                "name": "alice@example.com",
                "role": "owner",
            },
        },
        "owner_project_access": "active",
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "concurrent_streams": None,
        "revoked_at": None,
        "status": "active",
        "secrets": {"valid": 1, "older_expire_at": None},
    }
    assert abs(made["expires_at"] - time.time() - 3600) < 60
    caller = Caller(secret)
    assert caller.send("GET", "/v1/conversations").status_code == 200
    assert caller.send("GET", "/v1/files").status_code == 403
    one = signed_in(alice.user).get(f"{keys_of(alice)}/{made['id']}")
    assert one.json()["name"] == "shop"
    for shown in (one.text, signed_in(alice.user).get(keys_of(alice)).text):
        assert secret not in shown
        assert digest_of(secret) not in shown
    event = SecurityEvent.objects.get(kind=Kind.KEY_CREATED, key_id=key.pk)
    assert (event.user, event.workspace_id) == (alice.user, alice.workspace.pk)


def test_a_key_without_words_has_the_usual_scopes_and_no_end(alice: Person) -> None:
    made = send(signed_in(alice.user), "POST", keys_of(alice)).json()

    assert made["scopes"] == [*DEFAULT_SCOPES]
    assert (made["name"], made["expires_at"], made["tokens_per_minute"]) == ("", None, None)
    assert Scope.MEMBERS not in made["scopes"]


def test_keys_are_listed_page_by_page_newest_first(alice: Person, bob: Person, charlie: Person) -> None:
    admin = program(alice, Scope.MEMBERS, name="admin")
    for number in range(4):
        program(bob, name=str(number))
    revoke_api_key(ApiKey.objects.get(name="2"))
    ApiKey.objects.filter(name="1").update(expires_at=timezone.now() - timedelta(1))

    first = admin.send("GET", f"{keys_of(alice)}?limit=4").json()
    rest = admin.send("GET", f"{keys_of(alice)}?limit=4&after={first['last_id']}").json()

    assert [key["name"] for key in first["data"]] == ["3", "2", "1", "0"]
    assert [key["status"] for key in first["data"]] == ["active", "revoked", "expired", "active"]
    assert [key["secrets"]["valid"] for key in first["data"]] == [1, 0, 0, 1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [key["name"] for key in rest["data"]] == ["admin", "", ""]
    assert {key["owner"]["user"]["role"] for key in first["data"]} == {"member"}


def test_a_page_of_keys_takes_two_queries_whatever_it_holds(alice: Person, bob: Person) -> None:
    admin = program(alice, Scope.MEMBERS)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin.send("GET", keys_of(alice)).status_code == 200
        return len(captured)

    few = queries()
    for _ in range(5):
        program(bob)
    assert queries() == few


def test_a_key_of_somebody_who_left_shows_as_such(alice: Person, bob: Person) -> None:
    Membership.objects.filter(user=bob.user, workspace=alice.workspace).delete()
    admin = program(alice, Scope.MEMBERS)

    def listed(access: str) -> list[str]:
        answer = admin.send("GET", f"{keys_of(alice)}?owner_project_access={access}")
        return [key["id"] for key in answer.json()["data"]]

    assert listed("inactive") == [format_id(KEY, bob.key_id)]
    assert set(listed("active")) == {admin.id, format_id(KEY, alice.key_id)}
    assert len(listed("any")) == 3
    his = admin.send("GET", f"{keys_of(alice)}/{format_id(KEY, bob.key_id)}").json()
    assert (his["owner_project_access"], his["owner"]["user"]["role"]) == ("inactive", "none")


# --- who may -------------------------------------------------------------------------------------


def every_request(who: Person, key: str) -> list[tuple[str, str]]:
    return [
        ("GET", keys_of(who)),
        ("POST", keys_of(who)),
        ("GET", f"{keys_of(who)}/{key}"),
        ("POST", f"{keys_of(who)}/{key}"),
        ("POST", f"{keys_of(who)}/{key}/roll"),
        ("DELETE", f"{keys_of(who)}/{key}"),
        ("GET", "/v1/organization/admin_api_keys"),
        ("POST", "/v1/organization/admin_api_keys"),
        ("GET", f"/v1/organization/admin_api_keys/{key}"),
        ("DELETE", f"/v1/organization/admin_api_keys/{key}"),
    ]


def test_a_key_needs_the_scope_for_it(alice: Person) -> None:
    usual = program(alice)
    before = ApiKey.objects.count()

    for method, path in every_request(alice, usual.id):
        answer = usual.send(method, path, {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_permissions"), path
        assert "'keys'" in answer.json()["error"]["message"]
    assert ApiKey.objects.count() == before
    assert usual.works()


@pytest.mark.parametrize("role", [Role.MEMBER, Role.REVIEWER])
def test_neither_members_nor_reviewers_manage_keys(role: Role, alice: Person, bob: Person) -> None:
    set_role(bob, role)
    browser, with_scope = signed_in(bob.user), program(bob, *ALL_SCOPES)
    theirs = format_id(KEY, alice.key_id)

    for method, path in every_request(alice, theirs)[:6]:
        assert send(browser, method, path, {}).status_code == 403
        assert with_scope.send(method, path, {}).status_code == 403
    assert ApiKey.objects.get(pk=alice.key_id).state == "active"


def test_another_workspaces_keys_are_as_if_they_never_were(alice: Person, charlie: Person) -> None:
    admin, hers = program(charlie, *ALL_SCOPES), format_id(KEY, alice.key_id)
    nothing = format_id(KEY, charlie.workspace.pk)

    def told(caller: Any, method: str, path: str) -> tuple[int, str, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = caller(method, path)
        return answer.status_code, answer.text, len(queries)

    def by_key(method: str, path: str) -> Any:
        return admin.send(method, path, {})

    def in_session(method: str, path: str) -> Any:
        return send(signed_in(charlie.user), method, path, {})

    for caller in (by_key, in_session):
        for (method, theirs), (_, none) in zip(
            every_request(charlie, hers), every_request(charlie, nothing), strict=True
        ):
            if theirs != none:
                status, text, count = told(caller, method, theirs)
                assert (status, text, count) == told(caller, method, none)
                assert status == 404
        for (method, theirs), (_, none) in list(
            zip(every_request(alice, hers), every_request(alice, nothing), strict=True)
        )[:6]:
            assert told(caller, method, theirs) == told(caller, method, none)
            assert told(caller, method, theirs)[0] == 404
    assert ApiKey.objects.get(pk=alice.key_id).state == "active"


def test_a_session_must_be_fresh_to_get_a_secret(alice: Person) -> None:
    stale = signed_in(alice.user, seconds_ago=3600)
    hers = f"{keys_of(alice)}/{format_id(KEY, alice.key_id)}"

    for path in (keys_of(alice), f"{hers}/roll", "/v1/organization/admin_api_keys"):
        answer = send(stale, "POST", path, {"name": "x"})
        assert answer.json()["error"]["code"] == "reauthentication_required"
    assert send(stale, "POST", hers, {"name": "renamed"}).status_code == 200
    assert send(stale, "DELETE", hers).status_code == 200


# --- never more than one has ---------------------------------------------------------------------


def test_a_key_gives_no_scope_that_it_lacks(alice: Person) -> None:
    admin = program(alice, Scope.MEMBERS, Scope.FILES)

    refused = admin.send("POST", keys_of(alice), {"scopes": ["files", "completions"]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "exceeds_own_key")
    assert refused.json()["error"]["param"] == "scopes"
    assert "'completions'" in refused.json()["error"]["message"]
    assert admin.send("POST", keys_of(alice), {"scopes": ["files"]}).json()["scopes"] == ["files"]
    assert admin.send("POST", keys_of(alice), {}).json()["scopes"] == ["files"]
    without = program(alice, Scope.MEMBERS).send("POST", keys_of(alice), {})
    assert (without.status_code, without.json()["error"]["param"]) == (403, "scopes")


def test_a_key_gives_neither_more_time_nor_looser_limits(alice: Person) -> None:
    end = timezone.now() + timedelta(hours=2)
    admin = program(alice, *ALL_SCOPES, expires_at=end, requests_per_minute=60, tokens_per_minute=0)

    def refused(**body: Any) -> str | None:
        answer = admin.send("POST", keys_of(alice), body)
        if answer.status_code == 200:
            return None
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "exceeds_own_key")
        return str(answer.json()["error"]["param"])

    assert refused(expires_in_seconds=3 * 3600) == "expires_at"
    assert refused(expires_at=None) == "expires_at"
    assert refused(requests_per_minute=61) == "requests_per_minute"
    assert refused(requests_per_minute=0) == "requests_per_minute"
    assert refused(requests_per_minute=None) == "requests_per_minute"
    assert refused(requests_per_minute=1, tokens_per_minute=10**9, expires_in_seconds=3600) is None
    made = admin.send("POST", keys_of(alice), {"name": "like its maker"}).json()
    assert (made["expires_at"], made["requests_per_minute"]) == (int(end.timestamp()), 60)


def test_a_key_touches_no_key_that_may_do_more(alice: Person) -> None:
    admin, shop = program(alice, Scope.MEMBERS, Scope.USAGE), program(alice, Scope.COMPLETIONS)
    page = f"{keys_of(alice)}/{shop.id}"

    for method, path in (("POST", page), ("POST", f"{page}/roll"), ("DELETE", page)):
        answer = admin.send(method, path, {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "exceeds_own_key"), path
    assert shop.works()


def test_a_key_rolls_none_that_lasts_longer_or_has_looser_limits(alice: Person) -> None:
    short = program(alice, *ALL_SCOPES, expires_at=timezone.now() + timedelta(1))
    slow = program(alice, *ALL_SCOPES, tokens_per_minute=10)
    shop = program(alice)

    for admin in (short, slow):
        assert admin.send("POST", f"{keys_of(alice)}/{shop.id}/roll").status_code == 403
        rolled = admin.send("POST", f"{keys_of(alice)}/{admin.id}/roll")
        assert rolled.status_code == 200
        assert Caller(rolled.json()["value"]).works()


def test_a_key_does_not_widen_itself(alice: Person) -> None:
    admin = program(alice, Scope.MEMBERS, expires_at=timezone.now() + timedelta(1), tokens_per_minute=10)
    page = f"{keys_of(alice)}/{admin.id}"

    for body in ({"scopes": ["members", "files"]}, {"expires_at": None}, {"tokens_per_minute": None}):
        assert admin.send("POST", page, body).status_code == 403
    assert admin.send("POST", page, {"tokens_per_minute": 5}).status_code == 200


def test_a_key_may_revoke_itself(alice: Person) -> None:
    admin = program(alice, Scope.MEMBERS)

    answer = admin.send("DELETE", f"{keys_of(alice)}/{admin.id}")

    assert answer.json() == {
        "id": admin.id,
        "object": "organization.project.api_key.deleted",
        "deleted": True,
    }
    assert not admin.works()


WIDER: list[dict[str, Any]] = [
    {"scopes": ["files", "members"]},
    {"expires_at": None},
    {"tokens_per_minute": 6},
    {"tokens_per_minute": None},
]
NARROWER = {"name": "x", "scopes": ["files"], "expires_in_seconds": 60, "tokens_per_minute": 4}


@pytest.mark.parametrize("change", WIDER)
def test_an_admin_narrows_the_keys_of_others_and_gives_them_nothing(
    change: dict[str, Any], alice: Person, bob: Person
) -> None:
    set_role(bob, Role.ADMIN)
    end = timezone.now() + timedelta(1)
    shop = program(alice, Scope.FILES, Scope.USAGE, expires_at=end, tokens_per_minute=5)
    page, browser = f"{keys_of(alice)}/{shop.id}", Session(bob)

    for caller in (browser, program(bob, *ALL_SCOPES)):
        refused = caller.send("POST", page, change)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_permissions")
    assert browser.send("POST", page, NARROWER).status_code == 200

    rolled = browser.send("POST", f"{page}/roll").json()
    assert rolled["owner"]["user"]["email"] == "bob@example.com"
    assert browser.send("POST", page, change).status_code == 200
    assert browser.send("DELETE", page).status_code == 200


def test_owners_change_the_keys_of_all(alice: Person, bob: Person) -> None:
    set_role(bob, Role.ADMIN)
    shop = program(bob, Scope.FILES, tokens_per_minute=5)
    page = f"{keys_of(alice)}/{shop.id}"

    for caller in (Session(alice), program(alice, *ALL_SCOPES)):
        assert caller.send("POST", page, {"tokens_per_minute": None}).status_code == 200
        assert caller.send("POST", page, {"tokens_per_minute": 5, "scopes": ["usage"]}).status_code == 200
    assert stored_key(shop.id).user == bob.user
    changes = SecurityEvent.objects.filter(kind=Kind.KEY_CHANGED, key_id=stored_key(shop.id).pk)
    assert {(event.user, event.by) for event in changes} == {(bob.user, alice.user)}


# --- changed -------------------------------------------------------------------------------------


def test_a_change_holds_at_once_and_null_clears(alice: Person) -> None:
    shop = program(alice, Scope.FILES, requests_per_minute=5, expires_at=timezone.now() + timedelta(1))
    page, browser = f"{keys_of(alice)}/{shop.id}", signed_in(alice.user)

    assert shop.send("GET", "/v1/conversations").status_code == 403
    changed = send(browser, "POST", page, {"scopes": ["history.read"], "name": "reader"}).json()

    assert (changed["scopes"], changed["name"], changed["requests_per_minute"]) == (
        ["history.read"],
        "reader",
        5,
    )
    assert shop.send("GET", "/v1/conversations").status_code == 200
    cleared = send(browser, "POST", page, {"requests_per_minute": None, "expires_at": None}).json()
    assert (cleared["requests_per_minute"], cleared["expires_at"]) == (None, None)
    assert send(browser, "POST", page, {}).json() == cleared
    events = SecurityEvent.objects.filter(kind=Kind.KEY_CHANGED, key_id=stored_key(shop.id).pk).order_by("at")
    assert [event.details for event in events] == [
        {"changed": ["name", "scopes"]},
        {"changed": ["expires_at", "requests_per_minute"]},
    ]


BAD_BODIES: list[tuple[Any, str | None]] = [
    ({"name": 1}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": "\0"}, "name"),
    (b'{"name": "\\ud800"}', "name"),
    ({"scopes": []}, "scopes"),
    ({"scopes": "files"}, "scopes"),
    ({"scopes": ["root"]}, "scopes[0]"),
    ({"scopes": ["files"] * 99}, "scopes"),
    ({"expires_in_seconds": 0}, "expires_in_seconds"),
    ({"expires_in_seconds": 10**12}, "expires_in_seconds"),
    ({"expires_in_seconds": 1.5}, "expires_in_seconds"),
    ({"expires_at": 1}, "expires_at"),
    ({"expires_at": -1}, "expires_at"),
    ({"expires_at": 10**11}, "expires_at"),
    ({"expires_at": 10**30}, "expires_at"),
    ({"expires_at": "2030-01-01"}, "expires_at"),
    ({"expires_at": None, "expires_in_seconds": 60}, "expires_in_seconds"),
    ({"tokens_per_minute": -1}, "tokens_per_minute"),
    ({"tokens_per_minute": 2**31}, "tokens_per_minute"),
    ({"tokens_per_minute": True}, "tokens_per_minute"),
    ({"workspace": "x"}, "workspace"),
    ([], None),
    (b"{", None),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_a_bad_body_is_refused_and_named(body: Any, param: str | None, alice: Person) -> None:
    browser = signed_in(alice.user)
    before = ApiKey.objects.count()

    for path in (keys_of(alice), f"{keys_of(alice)}/{format_id(KEY, alice.key_id)}"):
        answer = send(browser, "POST", path, body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param
    assert ApiKey.objects.count() == before


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "after=key_nothing", "after=%00", "owner_project_access=maybe"]
)
def test_a_bad_query_is_refused(query: str, alice: Person) -> None:
    assert signed_in(alice.user).get(f"{keys_of(alice)}?{query}").status_code == 400


# --- rolled --------------------------------------------------------------------------------------


def roll(caller: Any, who: Person, key: str, **body: Any) -> Any:
    return caller.send("POST", f"{keys_of(who)}/{key}/roll", body)


def test_a_key_is_rolled_without_a_refused_call(alice: Person) -> None:
    admin = program(alice, *ALL_SCOPES)
    shop = program(alice, Scope.HISTORY_READ, name="shop")

    answer = roll(admin, alice, shop.id, overlap_seconds=600)
    rolled = answer.json()
    newer = Caller(rolled["value"])

    assert (answer.status_code, answer["cache-control"]) == (200, "no-store")
    assert (rolled["id"], rolled["name"], rolled["scopes"]) == (shop.id, "shop", ["history.read"])
    assert rolled["redacted_value"] == f"{newer.secret[:15]}..."
    assert rolled["secrets"]["valid"] == 2
    assert abs(rolled["secrets"]["older_expire_at"] - time.time() - 600) < 60
    assert (shop.works(), newer.works()) == (True, True)

    KeySecret.objects.filter(digest=digest_of(shop.secret)).update(expires_at=timezone.now())
    assert (shop.works(), newer.works()) == (False, True)
    after = admin.send("GET", f"{keys_of(alice)}/{shop.id}").json()
    assert after["secrets"] == {"valid": 1, "older_expire_at": None}
    event = SecurityEvent.objects.get(kind=Kind.KEY_ROLLED)
    assert (event.key_id, event.details) == (stored_key(shop.id).pk, {"overlap_seconds": 600})
    assert event.key_prefix == newer.secret[:15]


def test_without_an_overlap_the_old_secret_ends_at_once(alice: Person) -> None:
    admin, shop = program(alice, *ALL_SCOPES), program(alice)

    newer = Caller(roll(admin, alice, shop.id, overlap_seconds=0).json()["value"])

    assert (shop.works(), newer.works()) == (False, True)


def test_a_second_roll_shortens_an_overlap_and_never_lengthens_one(alice: Person) -> None:
    admin, shop = program(alice, *ALL_SCOPES), program(alice)
    first = KeySecret.objects.filter(digest=digest_of(shop.secret))

    roll(admin, alice, shop.id)
    end = first.get().expires_at
    assert end is not None
    assert abs(end - timezone.now() - timedelta(hours=1)) < timedelta(minutes=1)
    roll(admin, alice, shop.id, overlap_seconds=7 * 86_400)
    assert first.get().expires_at == end
    rolled = roll(admin, alice, shop.id, overlap_seconds=60)
    assert first.filter(expires_at__lt=end).exists()
    assert rolled.json()["secrets"]["valid"] == 4


@pytest.mark.parametrize("seconds", [-1, 7 * 86_400 + 1, "60", 1.5, True])
def test_an_overlap_is_of_a_week_at_most(seconds: Any, alice: Person) -> None:
    admin = program(alice, *ALL_SCOPES)

    answer = roll(admin, alice, admin.id, overlap_seconds=seconds)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "overlap_seconds")


def test_a_key_that_is_over_is_neither_rolled_nor_changed(alice: Person) -> None:
    admin, revoked, expired = (program(alice, *ALL_SCOPES) for _ in range(3))
    assert revoked.key
    assert expired.key
    revoke_api_key(revoked.key)
    ApiKey.objects.filter(pk=expired.key.pk).update(expires_at=timezone.now())

    for key, code in ((revoked, "api_key_revoked"), (expired, "api_key_expired")):
        page = f"{keys_of(alice)}/{key.id}"
        for path, body in ((f"{page}/roll", {}), (page, {"name": "x"})):
            answer = admin.send("POST", path, body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
        assert not key.works()
        assert admin.send("DELETE", page).status_code == 200


def test_a_rolled_key_survives_who_made_it(alice: Person, bob: Person) -> None:
    shop = program(bob)
    newer = Caller(roll(program(alice, *ALL_SCOPES), alice, shop.id).json()["value"])

    Membership.objects.filter(user=bob.user, workspace=alice.workspace).delete()

    assert (newer.works(), shop.works()) == (True, True)
    assert stored_key(shop.id).user == alice.user


def test_rolling_the_key_of_who_left_does_not_revive_what_they_know(alice: Person, bob: Person) -> None:
    shop = program(bob)
    Membership.objects.filter(user=bob.user, workspace=alice.workspace).delete()

    newer = Caller(roll(program(alice, *ALL_SCOPES), alice, shop.id, overlap_seconds=600).json()["value"])

    assert (newer.works(), shop.works()) == (True, False)
    event = SecurityEvent.objects.get(kind=Kind.KEY_ROLLED)
    assert event.details == {"overlap_seconds": 0}, "what was applied, not what was asked for"


def test_rolling_a_members_key_gives_its_old_secret_no_power(alice: Person, bob: Person) -> None:
    """With an admin's role, the scope `members` manages keys; whoever knows the old secret must not."""
    his = program(bob, *ALL_SCOPES)
    assert his.send("GET", keys_of(alice)).status_code == 403

    newer = Caller(roll(program(alice, *ALL_SCOPES), alice, his.id, overlap_seconds=600).json()["value"])

    assert newer.send("GET", keys_of(alice)).status_code == 200
    assert not his.works()


def test_rolling_a_reviewers_key_does_not_revive_its_old_secret(alice: Person, bob: Person) -> None:
    his = program(bob)
    set_role(bob, Role.REVIEWER)

    roll(program(alice, *ALL_SCOPES), alice, his.id, overlap_seconds=600)

    assert not his.works()


def test_two_rolls_at_once_lose_no_secret(transactional_db: None, alice: Person) -> None:
    admin, shop = program(alice, *ALL_SCOPES), program(alice)

    answers = at_once(*(lambda: roll(admin, alice, shop.id),) * 4)

    assert [answer.status_code for answer in answers] == [200] * 4
    secrets = {answer.json()["value"] for answer in answers}
    assert len(secrets) == 4
    assert all(Caller(secret).works() for secret in secrets)
    key = stored_key(shop.id)
    [newest] = key.secrets.filter(expires_at=None)
    assert key.secrets.count() == 5
    assert newest.prefix == key.prefix


def test_secrets_that_ended_are_forgotten_at_the_next_roll(alice: Person) -> None:
    key = program(alice).key
    assert key
    roll_api_key(key, alice.user)
    assert key.secrets.count() == 2
    key.secrets.exclude(expires_at=None).update(expires_at=timezone.now())

    roll_api_key(key, alice.user)

    assert key.secrets.count() == 2
    roll_api_key(key, alice.user, timedelta(0))
    assert key.secrets.count() == 1


def test_a_key_has_ten_valid_secrets_at_most(alice: Person) -> None:
    admin, shop = program(alice, *ALL_SCOPES), program(alice)
    for _ in range(MAX_VALID_SECRETS - 1):
        last = roll(admin, alice, shop.id)
    assert last.json()["secrets"]["valid"] == MAX_VALID_SECRETS

    refused = roll(admin, alice, shop.id)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "too_many_secrets")
    assert shop.works()
    assert Caller(last.json()["value"]).works()

    assert roll(admin, alice, shop.id, overlap_seconds=0).json()["secrets"]["valid"] == 1
    assert not shop.works()


# --- meanwhile -----------------------------------------------------------------------------------

ACTIONS: dict[str, Callable[[ApiKey], object]] = {
    "change": lambda key: change_api_key(key, name="x"),
    "roll": lambda key: roll_api_key(key, key.user),
    "revoke": revoke_api_key,
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_key_that_was_deleted_meanwhile_is_not_found(action: str, alice: Person) -> None:
    found = stored_key(program(alice).id)
    ApiKey.objects.filter(pk=found.pk).delete()

    with pytest.raises(NotFound) as refused:
        ACTIONS[action](found)

    assert refused.value.param == "key_id"


def test_a_key_that_became_anothers_meanwhile_is_given_no_more(alice: Person, bob: Person) -> None:
    set_role(bob, Role.ADMIN)
    found = stored_key(program(bob, Scope.FILES).id)
    authority = KeyAuthority(principal_in(bob.workspace, bob.user))
    roll_api_key(ApiKey.objects.get(pk=found.pk), alice.user)

    with pytest.raises(Forbidden):
        change_api_key(found, authority=authority, scopes=(Scope.FILES, Scope.MEMBERS))

    assert ApiKey.objects.get(pk=found.pk).scope_list == (Scope.FILES,)


def test_a_key_with_a_budget_makes_none_without(alice: Person) -> None:
    manager = program(alice, Scope.COMPLETIONS, Scope.MEMBERS)
    other = program(alice, Scope.COMPLETIONS)
    Budget.objects.create(
        workspace_id=alice.workspace.pk, key_id=stored_key(manager.id).pk, period="day", limit=1
    )

    made = manager.send("POST", keys_of(alice), {"scopes": ["completions"]})
    rolled = manager.send("POST", f"{keys_of(alice)}/{other.id}/roll", {})

    for refused in (made, rolled):
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "exceeds_own_key")


def test_a_key_that_was_revoked_meanwhile_is_not_changed(alice: Person) -> None:
    found = stored_key(program(alice).id)
    revoke_api_key(ApiKey.objects.get(pk=found.pk))

    with pytest.raises(Conflict):
        change_api_key(found, name="x")

    assert ApiKey.objects.get(pk=found.pk).name == ""


# --- revoked -------------------------------------------------------------------------------------


def test_a_revoked_key_stays_in_the_list_and_is_revoked_once(alice: Person) -> None:
    shop, browser = program(alice), signed_in(alice.user)
    page = f"{keys_of(alice)}/{shop.id}"

    for _ in range(2):
        assert send(browser, "DELETE", page).json()["deleted"] is True

    shown = browser.get(page).json()
    assert (shown["status"], shown["secrets"]["valid"]) == ("revoked", 0)
    assert shown["revoked_at"]
    assert not shop.works()
    assert SecurityEvent.objects.filter(kind=Kind.KEY_REVOKED, key_id=stored_key(shop.id).pk).count() == 1


def test_when_a_key_was_last_used_is_shown(alice: Person) -> None:
    used = timezone.now()
    ApiKey.objects.filter(pk=alice.key_id).update(last_used_at=used)
    User.objects.filter(pk=alice.user.pk).update(first_name="Alice", last_name="Liddell")

    shown = signed_in(alice.user).get(f"{keys_of(alice)}/{format_id(KEY, alice.key_id)}").json()

    assert shown["last_used_at"] == int(used.timestamp())
    assert shown["owner"]["user"]["name"] == "Alice Liddell"
