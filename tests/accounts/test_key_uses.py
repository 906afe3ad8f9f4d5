"""A key that is used from an address which is new to it."""

from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from typing import Any
from uuid import UUID

import httpx2
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.keys.uses import ADDRESSES_A_KEY, KeyUse, KeyUses, record_times, record_use
from accounts.keys.validation import principal_of_secret
from accounts.models import ApiKey, KeyAddress, SecurityEvent
from accounts.security_events.recording import Kind
from tests.support.people import Person, token_for
from tests.support.running_server import Server, chat_body, wait_until


def news() -> list[tuple[str | None, str]]:
    rows = SecurityEvent.objects.filter(kind=Kind.KEY_USED_FROM_NEW_ADDRESS).order_by("at", "id")
    return list(rows.values_list("address", "user_agent"))


def ask_from(address: str, server: Server, who: Person) -> None:
    transport = httpx2.HTTPTransport(local_address=address)
    with httpx2.Client(transport=transport, headers={**who.headers, "User-Agent": "curl/8"}) as client:
        answer = client.post(f"{server.url}/v1/chat/completions", json=chat_body("Hello"))
        assert answer.status_code == 200, answer.text


def test_a_call_from_a_new_address_is_an_event(
    server: Server, alice: Person, bob: Person, settings: Settings
) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]

    ask_from("127.0.0.1", server, alice)
    wait_until(lambda: KeyAddress.objects.count() == 1)
    assert news() == [], "the first is no news"

    ask_from("127.0.0.2", server, alice)
    wait_until(lambda: KeyAddress.objects.count() == 2)
    ask_from("127.0.0.1", server, alice)
    ask_from("127.0.0.2", server, bob)
    wait_until(lambda: KeyAddress.objects.count() == 3)

    assert news() == [("127.0.0.2", "curl/8")]
    event = SecurityEvent.objects.get(kind=Kind.KEY_USED_FROM_NEW_ADDRESS)
    assert (event.user, event.by) == (alice.user, None)
    assert event.key_id == ApiKey.objects.get(user=alice.user).pk


def test_djangos_views_notice_it_too(transactional_db: None, alice: Person, settings: Settings) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    for address in ("203.0.113.9", "198.51.100.1"):
        client = Client(REMOTE_ADDR=address)
        assert client.get("/v1/models", headers=alice.headers).status_code == 200
        wait_until(KeyAddress.objects.filter(address=address).exists)
    assert news() == [("198.51.100.1", "")]


class AtOnce(Executor):
    """Runs what it is given before it returns."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(call(*args, **options))
        return done


def test_a_keys_last_use_is_written_once_a_minute(transactional_db: None, alice: Person) -> None:
    seconds, written = [0.0], list[Collection[UUID]]()
    own = principal_of_secret(alice.key)
    uses = KeyUses(lambda: seconds[0], written.append, AtOnce())

    def times_written_at(moment: float) -> int:
        seconds[0] = moment
        uses.note("digest", own, {"headers": []})
        return len(written)

    moments = (1000.0, 1001.0, 1059.0, 1061.0, 1062.0, 1120.0, 1121.0)
    assert [times_written_at(moment) for moment in moments] == [1, 1, 1, 2, 2, 2, 3]
    assert [set(ids) for ids in written] == [{alice.key_id}] * 3


def test_a_key_and_its_tokens_tell_when_the_key_was_last_used(
    server: Server, alice: Person, times_of_key_uses: None
) -> None:
    assert ApiKey.objects.get().last_used_at is None
    token = token_for(alice, "xavier")

    with httpx2.Client(headers={"Authorization": f"Bearer {token}"}) as browser:
        assert browser.get(f"{server.url}/v1/models").status_code == 200

    wait_until(lambda: ApiKey.objects.get().last_used_at is not None)
    assert KeyAddress.objects.count() == 0, "the addresses of browsers are not the key's"


def test_a_time_is_not_written_twice_in_a_minute_by_several_processes(alice: Person) -> None:
    record_times([alice.key_id])
    first = ApiKey.objects.get().last_used_at

    record_times([alice.key_id])

    assert ApiKey.objects.get().last_used_at == first


def test_the_times_of_several_keys_are_written_in_one_order(alice: Person, bob: Person) -> None:
    """Otherwise two processes may each have locked the row that the other waits for."""
    ids = sorted([alice.key_id, bob.key_id])

    for used in (ids, ids[::-1]):
        ApiKey.objects.update(last_used_at=None)
        with CaptureQueriesContext(connection) as queries:
            record_times(used)
        [looked_up] = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
        assert "ORDER BY" in looked_up
        assert ("FOR NO KEY UPDATE" in looked_up) is (connection.vendor == "postgresql")
        assert not ApiKey.objects.filter(last_used_at=None).exists()


@pytest.mark.parametrize("proxies", [[], ["*"], ["203.0.113.0/24"]])
def test_nothing_is_stored_where_addresses_are_not_known(
    transactional_db: None, alice: Person, proxies: list[str], settings: Settings
) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = proxies
    client = Client(REMOTE_ADDR="203.0.113.9")
    assert client.get("/v1/models", headers=alice.headers).status_code == 200

    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    assert Client(REMOTE_ADDR="198.51.100.1").get("/v1/models", headers=alice.headers).status_code == 200
    wait_until(lambda: KeyAddress.objects.exists())
    assert [row.address for row in KeyAddress.objects.all()] == ["198.51.100.1"]
    assert news() == []


def test_a_wrong_or_revoked_key_leaves_no_address(
    transactional_db: None, alice: Person, settings: Settings
) -> None:
    settings.CHATAPI_TRUSTED_PROXIES = ["none"]
    wrong = {"Authorization": "Bearer sk-chatapi-wrong"}
    assert Client(REMOTE_ADDR="203.0.113.9").get("/v1/models", headers=wrong).status_code == 401
    assert Client(REMOTE_ADDR="198.51.100.1").get("/v1/models", headers=alice.headers).status_code == 200
    wait_until(lambda: KeyAddress.objects.exists())
    assert [row.address for row in KeyAddress.objects.all()] == ["198.51.100.1"]


def test_an_ipv6_client_may_change_within_its_network(alice: Person) -> None:
    key = ApiKey.objects.get(user=alice.user)
    for address in ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1", "2001:db8::1"):
        record_use(KeyUse(key.pk, address))
    assert news() == [("2001:db8:0:1::1", "")]


def test_the_newest_addresses_of_a_key_are_kept(alice: Person) -> None:
    key = ApiKey.objects.get(user=alice.user)
    for number in range(ADDRESSES_A_KEY + 2):
        record_use(KeyUse(key.pk, f"198.51.100.{number}"))
    kept = list(key.addresses.order_by("id").values_list("address", flat=True))
    assert (len(kept), kept[0]) == (ADDRESSES_A_KEY, "198.51.100.2")


def test_a_key_that_was_deleted_meanwhile_is_nobodys(alice: Person) -> None:
    key = ApiKey.objects.get(user=alice.user)
    use = KeyUse(key.pk, "203.0.113.9")
    key.delete()
    record_use(use)
    assert not KeyAddress.objects.exists()
