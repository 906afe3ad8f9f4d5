"""A client knows which completion it is waiting for before its first word, and stops it then."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import msgspec
import pytest

from conversations.models import Completion, Conversation
from tests.support.fake_websites import Visit
from tests.support.history_rows import add_message, completion_of, conversation_of
from tests.support.media_requests import picture_at, site_for, user_request, wait_for_renditions
from tests.support.people import Person, token_for
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import PATHS, Server, chat_body, events, text_of, wait_until

EARLY = {"Prefer": "wait=10, Respond-Early; x=1"}
KEY = {"Idempotency-Key": "order-30"}
CANCEL = "/v1/chat/completions/cancel"
SILENT = "[[wait: 20]] Hello"


# --- the head at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", PATHS)
def test_the_head_comes_before_the_first_word(server: Server, alice: Person, dialect: str) -> None:
    with (
        server.client(alice) as client,
        client.stream("POST", PATHS[dialect], json=chat_body(SILENT, stream=True), headers=EARLY) as response,
    ):
        assert response.headers["preference-applied"] == "respond-early"
        pieces = response.iter_text()
        assert next(pieces) == ": ping\n"
        completion = Completion.objects.get()
        assert response.headers["x-completion-id"] == completion.public_id
        conversation = Conversation.objects.get()
        assert response.headers["x-conversation-id"] == conversation.public_id
        assert response.headers["x-message-id"] == f"msg_{completion.first_answer.hex}"  # type: ignore[union-attr]
        stopped = client.post(f"/v1/chat/completions/{completion.public_id}/cancel").json()
        assert stopped["state"] == "cancelled"
        assert '"code":"cancelled"' in "".join(pieces)


def test_the_rest_of_the_stream_is_the_same(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        usual, early = (
            client.post(PATHS["openai"], json=chat_body("Hello", stream=True), headers=headers)
            for headers in ({}, EARLY)
        )
    assert early.text.startswith(": ping\n")
    assert text_of(events(early)) == text_of(events(usual)) == "You said: Hello"
    assert events(early)[-1] == "[DONE]"
    assert "preference-applied" not in usual.headers
    assert not usual.text.startswith(":")


@pytest.mark.parametrize("dialect", PATHS)
def test_a_failure_before_the_first_word_is_an_event_then(
    server: Server, alice: Person, dialect: str
) -> None:
    script = "[[error: 429 retry_after=7 code=rate_limit_exceeded Slow down]]"
    with server.client(alice) as client:
        failed = client.post(PATHS[dialect], json=chat_body(script, stream=True), headers=EARLY)
        refused = client.post(PATHS[dialect], json=chat_body(script, stream=True, n=0), headers=EARLY)
    assert failed.status_code == 200
    [event] = events(failed)
    assert (event["error"]["message"], event["error"]["code"]) == ("Slow down", "rate_limit_exceeded")
    assert refused.status_code == 400  # nothing was admitted


def test_lines_of_json_begin_with_an_empty_one(server: Server, alice: Person) -> None:
    headers = {**EARLY, "Accept": "application/x-ndjson"}
    with server.client(alice) as client:
        streamed = client.post(PATHS["native"], json=chat_body("Hello"), headers=headers)
    first, *lines = streamed.text.split("\n")
    assert first == ""
    assert text_of([msgspec.json.decode(line) for line in lines if line]) == "You said: Hello"


def test_a_whole_answer_waits_as_ever(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        failed = client.post(PATHS["openai"], json=chat_body("[[error: 503]]"), headers=EARLY)
    assert failed.status_code == 503
    assert "preference-applied" not in failed.headers


# --- stopped by the key that the call was sent with -----------------------------------------------


@contextmanager
def calling(
    server: Server, who: Person, body: dict[str, Any], dialect: str = "openai", **headers: str
) -> Iterator["Future[httpx2.Response]"]:
    """Send a call with the key, in another thread."""
    with server.client(who, **KEY, **headers) as client, ThreadPoolExecutor(1) as threads:
        yield threads.submit(client.post, PATHS[dialect], json=body)


@pytest.mark.parametrize("dialect", PATHS)
def test_a_call_is_stopped_before_its_first_word(server: Server, alice: Person, dialect: str) -> None:
    with (
        server.client(alice) as client,
        calling(server, alice, chat_body(SILENT, stream=False), dialect) as call,
    ):
        wait_until(lambda: server.service.pumps)
        stopped = client.post(CANCEL, headers=KEY).json()
        refused = call.result()
    completion = Completion.objects.get()
    assert (stopped["id"], stopped["state"]) == (completion.public_id, "cancelled")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "cancelled")
    assert completion.state == "cancelled"


def test_a_stream_is_stopped_after_its_first_word(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        body = chat_body("[[text: begun]] [[stall]]", stream=True)
        with client.stream("POST", PATHS["openai"], json=body, headers=KEY) as response:
            lines = response.iter_lines()
            assert "begun" in "".join(line for _, line in zip(range(4), lines, strict=False))
            stopped = client.post(CANCEL, headers=KEY).json()
            assert '"code":"cancelled"' in "".join(lines)
        assert stopped["choices"][0]["message"]["content"] == "begun"
        again = client.post(CANCEL, headers=KEY)  # it has ended, and stays as it is
    assert again.json() == stopped


def test_a_call_is_stopped_while_its_pictures_are_fetched(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_visited, may_answer = threading.Event(), threading.Event()

    async def slow(visit: Visit) -> None:
        is_visited.set()
        await asyncio.to_thread(may_answer.wait, 20)
        await visit.answer(encode_picture(quarters()))

    with server.client(alice) as client, site_for(server, monkeypatch, slow) as site:
        body = user_request(picture_at(site.url()), model="scripted")
        with calling(server, alice, body) as call:
            assert is_visited.wait(20)
            stopped = client.post(CANCEL, headers=KEY)
            refused = call.result()
            may_answer.set()
        assert stopped.json() == {"id": None, "object": "chat.completion", "state": "cancelled"}
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "cancelled")
        assert not Completion.objects.exists()
        assert client.post(CANCEL, headers=KEY).status_code == 404
        with calling(server, alice, body) as again:  # the key is free
            assert again.result().status_code == 200
    wait_for_renditions()


def test_nobody_stops_anothers_call(server: Server, alice: Person, charlie: Person) -> None:
    token = {"Authorization": f"Bearer {token_for(alice, 'xavier')}"}
    with (
        server.client(alice) as client,
        server.client(charlie) as stranger,
        server.client() as nobody,
        calling(server, alice, chat_body(SILENT)) as call,
    ):
        wait_until(lambda: server.service.pumps)
        answers = [
            stranger.post(CANCEL, headers=KEY),
            nobody.post(CANCEL, headers={**KEY, **token}),
            client.post(CANCEL, headers={"Idempotency-Key": "order-31"}),
        ]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert len({answer.text for answer in answers}) == 1
        assert nobody.post(CANCEL, headers=KEY).status_code == 401
        assert Completion.objects.get().state == "in_progress"
        client.post(CANCEL, headers=KEY)
        assert call.result().status_code == 400


def test_what_another_process_makes_is_not_stopped_here(server: Server, alice: Person) -> None:
    asked = add_message(conversation_of(alice), "user", "Tell me")
    completion = completion_of(alice, asked, "in_progress", idempotency_key="order-30")
    with server.client(alice) as client:
        for path in (CANCEL, f"/v1/chat/completions/{completion.public_id}/cancel"):
            answer = client.post(path, headers=KEY)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "made_elsewhere")


def test_the_key_must_be_there_and_be_one(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for key in (None, "", "k" * 256, "\u00a0"):
            headers = [] if key is None else [(b"Idempotency-Key", key.encode("latin-1"))]
            answer = client.post(CANCEL, headers=headers)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")
