"""Limits on requests and tokens per minute and on concurrent streams: for whom, and what clients see."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import httpx2
import openai
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import ApiKey, Workspace
from chatapi.completions.recovery import settle_interrupted
from conversations.models import Completion, Conversation, ServerProcess
from core.ids import new_id
from tests.support.clock import Clock, stopped_clock
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, serving, wait_until

STALLED = "[[text: begun]] [[stall]]"
SPOKEN = {"model": "tts-1", "voice": "espeak-en-us", "input": "Hello."}


@pytest.fixture
def clock_alone(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stopped_clock(monkeypatch)


@pytest.fixture
def clock(server: Server, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A stopped clock: no minute passes by itself."""
    return stopped_clock(monkeypatch)


def limit_workspace(who: Person, **limits: int | None) -> None:
    Workspace.objects.filter(pk=who.workspace.pk).update(**limits)


def limit_key(who: Person, **limits: int | None) -> None:
    ApiKey.objects.filter(user=who.user).update(**limits)


def asked(server: Server, who: Person, dialect: str = "openai", **more: Any) -> httpx2.Response:
    with server.client(who) as client:
        return client.post(PATHS[dialect], json=chat_body("Hello", **more))


def limit_headers(answer: httpx2.Response, kind: str) -> tuple[str, str, str]:
    """The limit, the remaining amount and the reset time in the headers."""
    limit, remaining, reset = (
        answer.headers[f"x-ratelimit-{name}-{kind}"] for name in ("limit", "remaining", "reset")
    )
    return limit, remaining, reset


def refused(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 429, answer.text
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == "rate_limit_exceeded"
    return error


@contextmanager
def streaming(server: Server, who: Person, script: str = STALLED, **more: Any) -> Iterator[httpx2.Response]:
    """Start a stream and leave it at the end of the block."""
    body = chat_body(script, **{"stream": True, **more})
    with server.client(who) as client, client.stream("POST", PATHS["openai"], json=body) as response:
        assert response.status_code == 200, response.read()
        yield response


def none_in_progress() -> bool:
    return not Completion.objects.filter(state="in_progress").exists()


# --- requests a minute ------------------------------------------------------------------------------


def test_the_sdk_reads_what_is_left_and_when_to_retry(server: Server, clock: Clock, alice: Person) -> None:
    limit_workspace(alice, requests_per_minute=2)
    clock.advance(15)
    with server.sdk(alice) as sdk:
        ask = sdk.chat.completions.with_raw_response.create
        hello: Any = chat_body("Hello")
        assert [ask(**hello).headers["x-ratelimit-remaining-requests"] for _ in range(2)] == ["1", "0"]
        with pytest.raises(openai.RateLimitError) as caught:
            ask(**hello)
        headers = caught.value.response.headers
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
        assert "Limit 2, Used 2, Requested 1. Please try again in 45s" in caught.value.message
        assert headers["retry-after"] == "46"
        assert 45_000 <= int(headers["retry-after-ms"]) < 45_100
        assert headers["x-ratelimit-limit-requests"] == "2"

        clock.advance(int(headers["retry-after-ms"]) / 1000)
        assert ask(**hello).parse().choices[0].message.content == "You said: Hello"
    assert Completion.objects.count() == Conversation.objects.count() == 3


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_every_answer_says_what_is_left_even_streams_and_refusals(
    server: Server, clock: Clock, alice: Person, dialect: str, stream: bool
) -> None:
    limit_workspace(alice, requests_per_minute=60, tokens_per_minute=100_000)
    answer = asked(server, alice, dialect, stream=stream, max_tokens=100)
    assert answer.status_code == 200
    assert limit_headers(answer, "requests") == ("60", "59", "1m0s")
    limit, remaining, _ = limit_headers(answer, "tokens")
    assert limit == "100000"
    assert 100_000 - 150 < int(remaining) < 100_000 - 100
    with server.client(alice) as client:
        wrong = client.post(PATHS[dialect], json={"messages": []})
    assert wrong.status_code == 400
    assert limit_headers(wrong, "requests") == ("60", "58", "1m30s")


def test_without_limits_there_are_no_limit_headers(server: Server, alice: Person) -> None:
    answer = asked(server, alice)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_a_keys_limit_applies_to_it_alone_and_the_workspaces_to_all_of_its_keys(
    server: Server, clock: Clock, alice: Person, bob: Person, charlie: Person
) -> None:
    limit_key(alice, requests_per_minute=1)
    limit_workspace(alice, requests_per_minute=3)

    assert limit_headers(asked(server, alice), "requests")[:2] == ("1", "0")
    assert "for this API key on requests per min (RPM)" in refused(asked(server, alice))["message"]
    assert limit_headers(asked(server, bob), "requests")[:2] == (
        "3",
        "1",
    )  # her refused request does not count
    assert limit_headers(asked(server, bob), "requests")[:2] == ("3", "0")
    assert "for this workspace on requests per min (RPM)" in refused(asked(server, bob))["message"]
    assert asked(server, charlie).status_code == 200


def test_the_settings_apply_to_each_workspace_without_limits_of_its_own(
    server: Server, clock: Clock, settings: Settings, alice: Person, charlie: Person
) -> None:
    settings.CHATAPI_REQUESTS_PER_MINUTE = 5
    limit_workspace(charlie, requests_per_minute=0)
    assert limit_headers(asked(server, alice), "requests")[:2] == ("5", "4")
    assert "x-ratelimit-limit-requests" not in asked(server, charlie).headers


def test_a_browser_user_is_held_to_the_workspaces_limits(server: Server, clock: Clock, alice: Person) -> None:
    limit_workspace(alice, requests_per_minute=1)
    browser = Client()
    browser.force_login(alice.user)
    cookies = {"sessionid": browser.cookies["sessionid"].value, "csrftoken": "t" * 32}
    with server.client() as client:
        client.cookies.update(cookies)
        answers = [
            client.post(PATHS["native"], json=chat_body("Hi"), headers={"x-csrftoken": "t" * 32})
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [200, 429]


@pytest.mark.parametrize("path", [*PATHS.values(), "/v1/audio/transcriptions"])
def test_a_client_that_sends_a_large_body_gets_the_refusal_too(
    server: Server, clock: Clock, alice: Person, path: str
) -> None:
    limit_workspace(alice, requests_per_minute=1)
    with server.client(alice) as client:
        client.post(PATHS["openai"], json={})
        for _ in range(3):
            answer = client.post(
                path, content=b" " * 20_000_000, headers={"content-type": "application/json"}
            )
            assert refused(answer)["type"] == "requests"


def test_a_silent_redis_fails_no_request_and_limits_still_apply(
    transactional_db: None, clock_alone: Clock, alice: Person, settings: Settings
) -> None:
    limit_workspace(alice, requests_per_minute=2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with serving() as server:
            statuses = [asked(server, alice).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


# --- tokens a minute --------------------------------------------------------------------------------


def test_an_answers_limit_is_counted_until_its_usage_is_known(
    server: Server, clock: Clock, alice: Person
) -> None:
    limit_workspace(alice, tokens_per_minute=1000)
    assert limit_headers(asked(server, alice, max_completion_tokens=900), "tokens")[1] == "94"
    used = Completion.objects.get()
    remaining = 1000 - used.prompt_tokens - used.completion_tokens
    second = asked(server, alice, max_completion_tokens=900)
    assert limit_headers(second, "tokens")[1] == str(remaining - 906)


def test_usage_beyond_what_was_expected_is_counted_too(server: Server, clock: Clock, alice: Person) -> None:
    limit_workspace(alice, tokens_per_minute=200)
    asked(server, alice, messages=[{"role": "user", "content": "[[chunks: 500]]"}])
    error = refused(asked(server, alice))
    assert error["type"] == "tokens"
    assert "for this workspace on tokens per min (TPM): Limit 200, Used 5" in error["message"]


def test_concurrent_calls_cannot_reserve_more_than_the_limit(
    server: Server, clock: Clock, alice: Person
) -> None:
    limit_key(alice, tokens_per_minute=1000)
    with streaming(server, alice, max_tokens=600):
        error = refused(asked(server, alice, max_tokens=600))
        assert "for this API key" in error["message"]
        assert Completion.objects.count() == 1
    wait_until(none_in_progress)
    server.until_idle()
    assert asked(server, alice, max_tokens=600).status_code == 200


def test_a_call_larger_than_the_limit_is_told_not_to_retry(
    server: Server, clock: Clock, alice: Person
) -> None:
    limit_workspace(alice, tokens_per_minute=500)
    answer = asked(server, alice, max_tokens=501)
    assert "Request too large" in refused(answer)["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert not Conversation.objects.exists()


@pytest.mark.parametrize(
    "mistake", [{"model": "unknown"}, {"context": {"conversation_id": "conv_unknown"}}, {"stream": "maybe"}]
)
def test_a_call_that_is_refused_for_something_else_takes_no_tokens(
    server: Server, clock: Clock, alice: Person, mistake: dict[str, Any]
) -> None:
    limit_workspace(alice, tokens_per_minute=1000)
    assert asked(server, alice, max_tokens=900, **mistake).status_code in (400, 404)
    assert limit_headers(asked(server, alice, max_tokens=900), "tokens")[1] == "94"


def test_a_repeat_joins_its_first_call_and_takes_no_tokens(
    server: Server, clock: Clock, alice: Person
) -> None:
    limit_workspace(alice, tokens_per_minute=1000, concurrent_streams=1)
    again = {"Idempotency-Key": "order-30"}
    with server.client(alice) as client:
        answers = [
            client.post(PATHS["openai"], json=chat_body("Hello", max_tokens=600), headers=again)
            for _ in range(4)
        ]
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}


# --- streams at once --------------------------------------------------------------------------------


def test_one_stream_over_the_workspaces_limit_is_refused_until_another_ends(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    limit_workspace(alice, concurrent_streams=2)
    with ExitStack() as streams:
        for who in (alice, bob):
            streams.enter_context(streaming(server, who))
        answer = asked(server, alice)
        assert "for this workspace: Limit 2, In progress 2" in refused(answer)["message"]
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "1000")
        assert asked(server, charlie).status_code == 200
        assert Completion.objects.filter(workspace=alice.workspace).count() == 2
    wait_until(none_in_progress)  # leaving ended both streams
    assert asked(server, alice).status_code == 200


def test_a_keys_streams_are_counted_for_it_alone(server: Server, alice: Person, bob: Person) -> None:
    limit_key(alice, concurrent_streams=1)
    with streaming(server, alice):
        assert "for this API key: Limit 1, In progress 1" in refused(asked(server, alice))["message"]
        with streaming(server, bob):
            assert asked(server, bob).status_code == 200


def test_however_an_answer_ends_its_slot_is_free_for_a_client_that_saw_the_end(
    server: Server, alice: Person
) -> None:
    limit_workspace(alice, concurrent_streams=1)
    for script in ("Hello", "[[error: 500]]", "[[chunks: 3]] [[error-after: 2 500 Oh]]", "[[break]]"):
        for stream in (True, False):
            asked(server, alice, stream=stream, messages=[{"role": "user", "content": script}])
    with streaming(server, alice) as response:
        pump = server.only_pump()
        server.loop.call_soon_threadsafe(pump.cancel)
        assert '"code":"cancelled"' in response.read().decode()
    assert asked(server, alice).status_code == 200
    assert {completion.state for completion in Completion.objects.all()} == {
        "completed",
        "failed",
        "cancelled",
    }


def test_the_completion_of_a_dead_process_keeps_its_slot_until_the_sweep(
    server: Server, alice: Person
) -> None:
    limit_workspace(alice, concurrent_streams=1)
    asked(server, alice)
    dead = ServerProcess.objects.create(
        id=new_id(), host="elsewhere", pid=1, seen_at=timezone.now() - timedelta(minutes=5)
    )
    Completion.objects.update(state="in_progress", process=dead.id, ended_at=None)
    refused(asked(server, alice))
    settle_interrupted()
    assert asked(server, alice).status_code == 200


def test_of_many_concurrent_calls_exactly_as_many_start_as_are_allowed(server: Server, alice: Person) -> None:
    limit_workspace(alice, concurrent_streams=3)

    async def ask_all() -> list[int]:
        """Ask with streams that do not end before all are answered."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                httpx2.AsyncClient(base_url=server.url, headers=alice.headers, timeout=20)
            )
            body = chat_body(STALLED, stream=True)
            asking = [
                stack.enter_async_context(client.stream("POST", PATHS["openai"], json=body))
                for _ in range(12)
            ]
            return sorted(answer.status_code for answer in await asyncio.gather(*asking))

    assert asyncio.run(ask_all()) == [200] * 3 + [429] * 9
    assert Completion.objects.count() == Conversation.objects.count() == 3


# --- speech -----------------------------------------------------------------------------------------


def test_speech_and_transcripts_are_requests_too(server: Server, clock: Clock, alice: Person) -> None:
    limit_workspace(alice, requests_per_minute=4)
    with server.client(alice) as client:
        spoken = client.post("/v1/audio/speech", json=SPOKEN)
        assert spoken.status_code == 200
        assert limit_headers(spoken, "requests")[:2] == ("4", "3")
        form: dict[str, Any] = {"files": {"sound": b"RIFF"}}
        wrong = {"speech": {"json": {}}, "transcriptions": form, "translations": form}
        for remaining, (path, body) in zip("210", wrong.items(), strict=True):
            answer = client.post(f"/v1/audio/{path}", **body)
            assert answer.status_code == 400
            assert limit_headers(answer, "requests")[:2] == ("4", remaining)
        for path, body in wrong.items():
            answer = client.post(f"/v1/audio/{path}", **body)
            assert refused(answer)["type"] == "requests"
            assert answer.headers["retry-after"]
        assert client.get("/v1/models").status_code == 200
    assert refused(asked(server, alice))
