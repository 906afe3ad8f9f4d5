"""End-user tokens: a server makes them, a browser acts with one, and the server ends them."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.keys.end_user_tokens import revoke_token, tokens_of
from accounts.keys.services import delete_api_key, revoke_api_key
from accounts.models import ApiKey, EndUserToken
from accounts.permissions import TOKEN_SCOPES, Scope
from accounts.roles import Role
from accounts.secret_digests import digest_of
from accounts.tasks import delete_old_end_user_tokens
from core.exceptions import NotFound
from core.ids import END_USER_TOKEN, KEY, format_id, parse_id
from tests.support.concurrent_calls import at_once
from tests.support.keys import Caller, keys_of, program
from tests.support.people import Person, set_role, signed_in

TOKENS = "/v1/end_user_tokens"


@pytest.fixture
def shop(alice: Person) -> Caller:
    """A server of Alice's, which talks with end users."""
    return program(alice, name="shop")


def make(server: Caller, user: str = "dave", **body: Any) -> dict[str, Any]:
    answer = server.send("POST", TOKENS, {"user": user, **body})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def stored(token: dict[str, Any]) -> EndUserToken:
    id = parse_id(END_USER_TOKEN, token["id"])
    assert id is not None
    return EndUserToken.objects.get(pk=id)


# --- made ----------------------------------------------------------------------------------------


def test_a_server_makes_a_token_that_is_shown_once_and_works(shop: Caller) -> None:
    answer = shop.send("POST", TOKENS, {"user": "dave 🦊"})
    made = answer.json()
    secret = made.pop("token")

    assert (answer.status_code, answer["cache-control"]) == (200, "no-store")
    assert secret.startswith("ut-chatapi-")
    assert made == {
        "id": made["id"],
        "object": "end_user_token",
        "created_at": made["created_at"],
        "expires_at": made["created_at"] + 900,
        "revoked_at": None,
        "user": "dave 🦊",
        "scopes": [*TOKEN_SCOPES],
        "spending_limit_usd": "1.00",
        "spent_usd": "0.00",
    }
    assert made["id"].startswith("eut_")
    assert shop.send("GET", f"{TOKENS}/{made['id']}").json() == made
    assert secret not in shop.send("GET", TOKENS).text
    assert stored(made).digest == digest_of(secret)
    browser = Caller(secret)
    assert browser.send("GET", "/v1/conversations").status_code == 200


def test_a_token_is_narrowed_as_the_server_says(shop: Caller) -> None:
    made = make(shop, expires_in_seconds=60, scopes=["history.read"], spending_limit_usd="0.000000001")

    assert made["expires_at"] - made["created_at"] == 60
    assert (made["scopes"], made["spending_limit_usd"]) == (["history.read"], "0.000000001")
    assert stored(made).spending_limit == 1
    browser = Caller(made["token"])
    assert browser.send("GET", "/v1/conversations").status_code == 200
    assert browser.send("GET", "/v1/files").status_code == 403
    assert make(shop, spending_limit_usd=None)["spending_limit_usd"] is None
    assert make(shop, spending_limit_usd="0")["spending_limit_usd"] == "0.00"


@pytest.mark.parametrize(("setting", "shown"), [(25 * 10**7, "0.25"), (None, None)])
def test_the_usual_spending_limit_is_a_setting(
    setting: int | None, shown: str | None, shop: Caller, settings: Any
) -> None:
    settings.CHATAPI_END_USER_TOKEN_SPENDING = setting
    assert make(shop)["spending_limit_usd"] == shown


def test_a_token_has_no_scope_that_its_key_lacks(alice: Person) -> None:
    reader = program(alice, Scope.HISTORY_READ, Scope.USAGE)

    assert make(reader)["scopes"] == ["history.read"]
    refused = reader.send("POST", TOKENS, {"user": "dave", "scopes": ["history.read", "files"]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "exceeds_own_key")
    assert refused.json()["error"]["param"] == "scopes"
    assert "'files'" in refused.json()["error"]["message"]


def test_a_token_expires_with_its_key(alice: Person) -> None:
    end = timezone.now() + timedelta(minutes=5)
    made = make(program(alice, expires_at=end), expires_in_seconds=86_400)

    assert made["expires_at"] == int(end.timestamp())


BAD_BODIES: list[tuple[Any, str | None]] = [
    ({}, "user"),
    ({"user": ""}, "user"),
    ({"user": None}, "user"),
    ({"user": 5}, "user"),
    ({"user": "x" * 513}, "user"),
    ({"user": "a\0b"}, "user"),
    (b'{"user": "\\udfff"}', "user"),
    ({"user": "a", "expires_in_seconds": 59}, "expires_in_seconds"),
    ({"user": "a", "expires_in_seconds": 86_401}, "expires_in_seconds"),
    ({"user": "a", "expires_in_seconds": "900"}, "expires_in_seconds"),
    ({"user": "a", "scopes": []}, "scopes"),
    ({"user": "a", "scopes": ["usage"]}, "scopes[0]"),
    ({"user": "a", "scopes": ["members"]}, "scopes[0]"),
    ({"user": "a", "spending_limit_usd": "-1"}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": "one"}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": "1e3"}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": "NaN"}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": "0.0000000001"}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": "1000001"}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": 1}, "spending_limit_usd"),
    ({"user": "a", "spending_limit_usd": "9" * 400}, "spending_limit_usd"),
    ({"user": "a", "key": "x"}, "key"),
    (b"[]", None),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_a_bad_body_is_refused_and_named(body: Any, param: str | None, shop: Caller) -> None:
    answer = shop.send("POST", TOKENS, body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert not EndUserToken.objects.exists()


def test_the_longest_end_user_fits(shop: Caller) -> None:
    assert make(shop, user="🦊" * 512)["user"] == "🦊" * 512


# --- who may -------------------------------------------------------------------------------------


def every_request(token: str) -> list[tuple[str, str]]:
    return [
        ("GET", TOKENS),
        ("POST", TOKENS),
        ("POST", f"{TOKENS}/revoke"),
        ("GET", f"{TOKENS}/{token}"),
        ("DELETE", f"{TOKENS}/{token}"),
    ]


def test_only_a_server_makes_tokens_and_no_token_makes_others(shop: Caller, alice: Person) -> None:
    made, session = make(shop), signed_in(alice.user)
    browser, admin = Caller(made["token"]), program(alice, Scope.MEMBERS, Scope.USAGE)

    for method, path in every_request(made["id"]):
        for answer in (
            session.generic(method, path, b'{"user": "dave"}', "application/json"),
            browser.send(method, path, {"user": "dave"}),
            admin.send(method, path, {"user": "dave"}),
        ):
            assert answer.status_code == 403, path
            assert answer.json()["error"]["code"] == "insufficient_permissions"
    assert EndUserToken.objects.count() == 1
    assert browser.works()


def test_no_reviewer_has_a_server(alice: Person, bob: Person) -> None:
    shop = program(bob)
    set_role(bob, Role.REVIEWER)
    assert shop.send("POST", TOKENS, {"user": "dave"}).status_code == 403


def test_another_workspaces_tokens_are_as_if_they_never_were(
    alice: Person, charlie: Person, shop: Caller
) -> None:
    made, other = make(shop), program(charlie)
    nothing = format_id(END_USER_TOKEN, alice.workspace.pk)

    assert other.send("GET", TOKENS).json()["data"] == []
    assert other.send("POST", f"{TOKENS}/revoke", {"user": "dave"}).json()["revoked"] == 0
    for method in ("GET", "DELETE"):
        told = []
        for id in (made["id"], nothing):
            with CaptureQueriesContext(connection) as queries:
                answer = other.send(method, f"{TOKENS}/{id}")
            told.append((answer.status_code, answer.text, len(queries)))
        assert told[0] == told[1]
        assert told[0][0] == 404
    assert Caller(made["token"]).works()


def test_a_products_second_server_sees_and_ends_what_the_first_made(
    alice: Person, bob: Person, shop: Caller
) -> None:
    """Somebody signs out of a product with two keys: no token of theirs lives on."""
    first, second = make(shop), make(program(alice))
    blog = program(bob)

    assert [token["id"] for token in blog.send("GET", f"{TOKENS}?user=dave").json()["data"]] == [
        second["id"],
        first["id"],
    ]
    assert blog.send("GET", f"{TOKENS}/{first['id']}").json()["user"] == "dave"
    assert blog.send("POST", f"{TOKENS}/revoke", {"user": "dave"}).json()["revoked"] == 2
    third = make(shop)
    assert blog.send("DELETE", f"{TOKENS}/{third['id']}").status_code == 200
    assert [Caller(token["token"]).works() for token in (first, second, third)] == [False] * 3


# --- whoever manages the keys --------------------------------------------------------------------


def test_who_manages_keys_lists_and_revokes_the_tokens_of_each(
    alice: Person, bob: Person, shop: Caller
) -> None:
    leaked, kept, others = make(shop), make(shop, user="erin"), make(program(alice))
    page = f"{keys_of(alice)}/{shop.id}/end_user_tokens"
    set_role(bob, Role.ADMIN)
    manager, admin = program(alice, Scope.MEMBERS), signed_in(bob.user)

    shown = manager.send("GET", page).json()["data"]
    assert [token["id"] for token in shown] == [kept["id"], leaked["id"]]
    assert (shown[0]["spent_usd"], "token" in shown[0]) == ("0.00", False)
    assert [token["id"] for token in admin.get(f"{page}?user=dave").json()["data"]] == [leaked["id"]]
    assert admin.get(f"{page}?user=%00").status_code == 400
    assert admin.delete(f"{page}/{others['id']}").status_code == 404
    assert admin.delete(f"{page}/{leaked['id']}").json()["deleted"] is True
    assert [Caller(one["token"]).works() for one in (leaked, kept, others)] == [False, True, True]
    assert manager.send("DELETE", f"{page}/{kept['id']}").status_code == 200
    assert not Caller(kept["token"]).works()
    assert shop.works()


def test_nobody_else_manages_the_tokens_of_a_key(alice: Person, bob: Person, shop: Caller) -> None:
    made, page = make(shop), f"{keys_of(alice)}/{shop.id}/end_user_tokens"
    browser, nothing = signed_in(bob.user), format_id(KEY, alice.workspace.pk)

    for caller in (shop, Caller(made["token"])):
        assert caller.send("GET", page).status_code == 403
        assert caller.send("DELETE", f"{page}/{made['id']}").status_code == 403
    assert browser.get(page).status_code == browser.delete(f"{page}/{made['id']}").status_code == 403
    owner = signed_in(alice.user)
    for key in (nothing, "key_x", "%00"):
        assert owner.get(f"{keys_of(alice)}/{key}/end_user_tokens").status_code == 404
        assert owner.delete(f"{keys_of(alice)}/{key}/end_user_tokens/{made['id']}").status_code == 404
    assert Caller(made["token"]).works()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a small table whole")
def test_lists_of_tokens_are_read_from_indexes_in_order(shop: Caller, alice: Person) -> None:
    of_all, of_key = tokens_of(alice.workspace.pk), tokens_of(alice.workspace.pk, alice.key_id)
    now = timezone.now()

    for rows, index in (
        (of_all, "token_of_workspace"),
        (of_all.filter(end_user="dave"), "token_of_end_user"),
        (of_all.filter(end_user="dave", revoked_at=None, expires_at__gt=now), "token_of_end_user"),
        (of_key, "token_of_"),
    ):
        plan = rows.order_by("-pk").explain()
        assert f"USING INDEX {index}" in plan
        assert "TEMP B-TREE" not in plan


# --- listed --------------------------------------------------------------------------------------


def test_tokens_are_listed_by_end_user_newest_first(shop: Caller) -> None:
    ids = [make(shop, user=user)["id"] for user in ("dave", "erin", "dave")]

    first = shop.send("GET", f"{TOKENS}?limit=2").json()
    assert [token["id"] for token in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"] is True
    rest = shop.send("GET", f"{TOKENS}?limit=2&after={first['last_id']}").json()
    assert [token["id"] for token in rest["data"]] == [ids[0]]
    daves = shop.send("GET", f"{TOKENS}?user=dave").json()["data"]
    assert [token["id"] for token in daves] == [ids[2], ids[0]]
    assert shop.send("GET", f"{TOKENS}?user=Dave").json()["data"] == []
    for query in ("user=%00", "limit=0", "after=eut_x"):
        assert shop.send("GET", f"{TOKENS}?{query}").status_code == 400


# --- ended ---------------------------------------------------------------------------------------


def test_a_token_is_revoked(shop: Caller) -> None:
    made = make(shop)
    path = f"{TOKENS}/{made['id']}"

    for _ in range(2):
        assert shop.send("DELETE", path).json() == {
            "id": made["id"],
            "object": "end_user_token.deleted",
            "deleted": True,
        }
    assert not Caller(made["token"]).works()
    assert abs(shop.send("GET", path).json()["revoked_at"] - time.time()) < 60


def test_a_token_that_was_deleted_meanwhile_is_not_found(shop: Caller, alice: Person) -> None:
    token = stored(make(shop))
    EndUserToken.objects.filter(pk=token.pk).delete()

    with pytest.raises(NotFound):
        revoke_token(token)


def test_all_tokens_of_an_end_user_are_revoked(shop: Caller) -> None:
    daves, erins = [make(shop) for _ in range(3)], make(shop, user="erin")
    shop.send("DELETE", f"{TOKENS}/{daves[0]['id']}")

    answer = shop.send("POST", f"{TOKENS}/revoke", {"user": "dave"}).json()

    assert answer == {"object": "end_user_token.revocation", "user": "dave", "revoked": 2}
    assert [Caller(token["token"]).works() for token in (*daves, erins)] == [False, False, False, True]


def test_a_token_dies_with_its_time_and_with_its_key(shop: Caller) -> None:
    old, made = make(shop), make(shop)
    EndUserToken.objects.filter(pk=stored(old).pk).update(expires_at=timezone.now())

    assert (Caller(old["token"]).works(), Caller(made["token"]).works()) == (False, True)
    assert shop.key
    revoke_api_key(shop.key)
    assert not Caller(made["token"]).works()


def test_a_token_outlives_the_secret_that_made_it(shop: Caller, alice: Person) -> None:
    made = make(shop)
    assert shop.key
    shop.key.secrets.update(expires_at=timezone.now())

    assert not shop.works()
    assert Caller(made["token"]).works()


def test_what_a_key_may_no_more_its_tokens_may_no_more(shop: Caller) -> None:
    browser = Caller(make(shop)["token"])
    assert shop.key
    ApiKey.objects.filter(pk=shop.key.pk).update(scopes="files")

    assert browser.send("GET", "/v1/conversations").status_code == 403
    assert browser.send("GET", "/v1/files").status_code == 200


def test_tokens_are_deleted_a_month_after_they_expired(shop: Caller) -> None:
    kept, old = stored(make(shop)), stored(make(shop))
    EndUserToken.objects.filter(pk=kept.pk).update(expires_at=timezone.now() - timedelta(days=29))
    EndUserToken.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=31))

    delete_old_end_user_tokens()

    assert list(EndUserToken.objects.all()) == [kept]


def test_a_key_that_is_deleted_while_it_makes_a_token_is_no_key(transactional_db: None, shop: Caller) -> None:
    assert shop.key
    key = shop.key

    answers = at_once(lambda: shop.send("POST", TOKENS, {"user": "dave"}), lambda: delete_api_key(key))

    [answer] = [one for one in answers if hasattr(one, "status_code")]
    assert answer.status_code in {200, 401}
    assert not EndUserToken.objects.exists()
