"""URLs of pictures that must not be fetched, and servers that misbehave."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from conversations.models import Message
from media.storage.operations import walk
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.fake_websites import FakeResolver, Visit
from tests.support.hostile_files import PICTURES
from tests.support.ip_addresses import PRIVATE, SPELLINGS
from tests.support.media_refusals import IMAGE, assert_refused
from tests.support.media_requests import (
    picture_at,
    post,
    row_counts,
    site_for,
    use_fetcher,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person, token_for
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import PATHS, Server, chat_body


@pytest.fixture(autouse=True)
def finish_renditions(server: Server, recognizer: FakeRecognizer) -> Iterator[None]:
    yield
    server.until_idle()
    wait_for_renditions()


def test_a_call_with_a_slow_picture_comes_after_what_was_stored_meanwhile(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time decides prices, budgets and the order of messages, so it is not the time of its arrival."""
    is_visited, may_answer = threading.Event(), threading.Event()

    async def slow(visit: Visit) -> None:
        is_visited.set()
        await asyncio.to_thread(may_answer.wait, 20)
        await serve_picture(visit)

    with server.client(alice) as client, site_for(server, monkeypatch, slow) as site:
        first = client.post(PATHS["openai"], json=chat_body("Hello"))
        context = {"conversation_id": first.headers["x-conversation-id"]}
        with_picture = user_request(picture_at(site.url()), model="scripted", context=context)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(post, server, alice, with_picture)
            assert is_visited.wait(20)
            client.post(PATHS["openai"], json=chat_body("In between", context=context))
            may_answer.set()
            assert waiting.result().status_code == 200
    messages = list(Message.objects.select_related("parent").order_by("id"))
    assert len(messages) == 6
    assert all(
        message.parent is None or message.created_at >= message.parent.created_at for message in messages
    )


# --- URLs -------------------------------------------------------------------------------------------


async def serve_picture(visit: Visit) -> None:
    await visit.answer(encode_picture(quarters()))


def test_no_spelling_of_an_address_reaches_this_network(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server listens at 127.0.0.1 and is never contacted."""
    hosts = [*SPELLINGS, *(f"[{ip}]" if ":" in ip else ip for ip in PRIVATE[::3]), "metadata.internal"]
    names = FakeResolver(localhost=[["127.0.0.1"]], metadata_internal=[["169.254.169.254"]])
    before = row_counts()
    with site_for(server, monkeypatch, serve_picture) as site, use_fetcher(server, monkeypatch, names):
        for host in hosts:
            address = picture_at(f"http://{host}:{site.port}/a.png")
            answer = post(server, alice, user_request(address, model="scripted"))
            assert answer.status_code == 400, host
            error = answer.json()["error"]
            assert error["param"] == "messages[0].content[0].image_url", host
            assert "169.254" not in error["message"].replace(host, "")
        assert site.connections == 0
    assert row_counts() == before


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "::1"])
def test_a_name_that_resolves_to_a_private_address(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with (
        site_for(server, monkeypatch, serve_picture) as site,
        use_fetcher(server, monkeypatch, FakeResolver(pictures_example=[["8.8.8.8", address]])),
    ):
        part = picture_at(site.url(host="pictures.example"))
        message = assert_refused(server, alice, part, IMAGE, code="url_not_allowed")
        assert address not in message
        assert site.connections == 0


@pytest.mark.parametrize(
    "scheme", ["file:///etc/passwd", "ftp://example.com/a.png", "gopher://127.0.0.1/", "//example.com/a.png"]
)
def test_other_schemes_are_refused(server: Server, alice: Person, scheme: str) -> None:
    assert_refused(server, alice, picture_at(scheme), IMAGE)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/", "http://127.0.0.2/", "http://[::ffff:10.0.0.1]/", "file:///x"],
)
def test_a_redirect_to_a_forbidden_address_is_refused(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    async def redirect(visit: Visit) -> None:
        await visit.answer(status="302 Found", Location=target)

    with site_for(server, monkeypatch, redirect) as site:
        message = assert_refused(server, alice, picture_at(site.url()), IMAGE)
        assert "169.254" not in message


def test_endless_redirects(server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def redirect(visit: Visit) -> None:
        await visit.answer(status="302 Found", Location=visit.path)

    with site_for(server, monkeypatch, redirect) as site:
        assert_refused(server, alice, picture_at(site.url()), IMAGE, code="fetch_failed")


def test_an_endless_body(server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await visit.send(bytes(2**16))

    with site_for(server, monkeypatch, endless, bytes=2**20) as site:
        assert_refused(server, alice, picture_at(site.url()), IMAGE, code="media_too_large")


def test_a_body_that_trickles(server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        await visit.silence()

    with site_for(server, monkeypatch, trickle, seconds=0.3) as site:
        assert_refused(server, alice, picture_at(site.url()), IMAGE, code="fetch_timeout")


@pytest.mark.parametrize("status", ["404 Not Found", "500 Broken", "204 No Content"])
def test_an_address_without_a_picture(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    async def without(visit: Visit) -> None:
        await visit.answer(b"" if status.startswith("204") else b"Sorry.", status=status)

    with site_for(server, monkeypatch, without) as site:
        assert_refused(server, alice, picture_at(site.url()), IMAGE, code="fetch_failed")


@pytest.mark.parametrize("kind", ["HTML", "SVG", "2,500,000,000 pixels", "half a JPEG"])
def test_an_address_of_something_else(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def serve(visit: Visit) -> None:
        await visit.answer(PICTURES[kind], Content_Type="image/png")

    with site_for(server, monkeypatch, serve) as site:
        assert_refused(server, alice, picture_at(site.url()), IMAGE)


def test_a_picture_fetched_for_a_refused_call_is_not_kept(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown_conversation = {"conversation_id": "conv_0192f0c1a2b37c4d8e5f60718293a4b5"}
    with site_for(server, monkeypatch, serve_picture) as site:
        body = user_request(picture_at(site.url()), model="scripted", context=unknown_conversation)
        assert post(server, alice, body).status_code == 404
        assert list(walk(alice.workspace.pk.hex)) == []
        del body["context"]
        assert post(server, alice, body).status_code == 200
        assert list(walk(alice.workspace.pk.hex)) != []


def test_a_copy_that_one_end_user_fetched_is_not_anothers(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address may have let in whoever had a ticket, such as one that was signed and has expired."""
    visits: list[Visit] = []

    async def guarded(visit: Visit) -> None:
        visits.append(visit)
        await (visit.answer(status="403 Forbidden") if len(visits) > 1 else serve_picture(visit))

    xavier, yvonne = (replace(alice, key=token_for(alice, name)) for name in ("xavier", "yvonne"))
    with site_for(server, monkeypatch, guarded) as site:
        asked = user_request(picture_at(site.url()), model="scripted")
        assert post(server, xavier, asked).status_code == 200
        assert post(server, xavier, asked).status_code == 200, "sent again, the picture is not fetched again"
        assert post(server, yvonne, asked).status_code == 400
        assert post(server, alice, asked).status_code == 400
