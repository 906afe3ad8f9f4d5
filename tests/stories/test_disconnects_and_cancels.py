"""A client leaves, a completion is cancelled, a process dies: the partial answer and its state are stored."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone
from pytest_django import Settings

from chatapi.completions.recovery import settle_interrupted
from conversations.models import Completion, Message, ServerProcess
from core.ids import new_id
from tests.support.leaving import read_until
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, events, serving, text_of, wait_until

LONG = "[[slow: 0.02]] [[chunks: 60]]"
BRIEF = "[[slow: 0.02]] [[chunks: 20]]"


def leave_after_first_text(client: httpx2.Client, dialect: str, body: dict[str, Any]) -> str:
    """Read a stream until its first words, close it and return what was read."""
    with client.stream("POST", PATHS[dialect], json={**body, "stream": True}) as response:
        return read_until(response.iter_text(), "w1")


def ended_completion() -> Completion:
    wait_until(lambda: Completion.objects.exclude(state="in_progress").exists())
    return Completion.objects.get()


def test_leaving_v1_stops_the_answer_and_keeps_its_beginning(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        leave_after_first_text(client, "openai", chat_body(LONG))
        completion = ended_completion()
        assert completion.state == "cancelled"
        partial = completion.answers.get()
        assert partial.parts[0].text.startswith("w1")
        assert "w60" not in partial.parts[0].text
        assert completion.usage_estimated
        assert completion.completion_tokens > 0
        shown = client.get(f"/v1/chat/completions/{completion.public_id}").json()
        assert shown["state"] == "cancelled"
        assert shown["choices"][0]["message"]["content"] == partial.parts[0].text


def test_leaving_the_native_path_lets_the_answer_continue(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        leave_after_first_text(client, "native", chat_body(BRIEF))
    completion = ended_completion()
    assert completion.state == "completed"
    assert completion.answers.get().parts[0].text.endswith("w20")


@pytest.mark.parametrize(
    ("dialect", "policy", "state"),
    [("native", "cancel", "cancelled"), ("openai", "continue", "completed")],
)
def test_the_request_may_say_otherwise(
    server: Server, alice: Person, dialect: str, policy: str, state: str
) -> None:
    with server.client(alice) as client:
        leave_after_first_text(client, dialect, chat_body(LONG, on_disconnect=policy))
    assert ended_completion().state == state


def test_the_model_may_say_otherwise(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        leave_after_first_text(client, "openai", chat_body(BRIEF) | {"model": "house/with-a-slash"})
    assert ended_completion().state == "completed"


def test_leaving_before_a_whole_answer_stops_it_too(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        client.timeout = 0.3
        with pytest.raises(httpx2.ReadTimeout):
            client.post(PATHS["openai"], json=chat_body(LONG))
    assert ended_completion().state == "cancelled"


def test_canceling_stops_the_engine_at_once(server: Server, alice: Person) -> None:
    with (
        server.client(alice) as client,
        client.stream(
            "POST", PATHS["openai"], json=chat_body("[[text: begun]] [[stall]]", stream=True)
        ) as response,
    ):
        lines = response.iter_lines()
        assert "begun" in "".join(line for _, line in zip(range(4), lines, strict=False))
        pump = server.only_pump()
        begun = time.monotonic()
        server.loop.call_soon_threadsafe(pump.cancel)
        rest = "".join(lines)
    assert time.monotonic() - begun < 5
    assert '"code":"cancelled"' in rest
    assert Completion.objects.get().state == "cancelled"


def test_anybody_in_the_workspace_may_cancel_but_no_stranger(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    with (
        server.client(alice) as client,
        server.client(bob) as teammate,
        server.client(charlie) as stranger,
        server.client() as nobody,
        client.stream("POST", PATHS["native"], json=chat_body("[[text: begun]] [[stall]]")) as response,
    ):
        lines = response.iter_lines()
        assert "begun" in "".join(line for _, line in zip(range(4), lines, strict=False))
        path = f"/v1/chat/completions/{Completion.objects.get().public_id}/cancel"
        assert nobody.post(path).status_code == 401
        assert stranger.post(path).status_code == 404
        assert teammate.get(path).status_code == 405
        assert Completion.objects.get().state == "in_progress"
        begun = time.monotonic()
        stopped = teammate.post(path)
        assert time.monotonic() - begun < 5
        assert '"code":"cancelled"' in "".join(lines)
        assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")
        assert stopped.json()["choices"][0]["message"]["content"] == "begun"
        assert teammate.post(path).json() == stopped.json()


def test_a_client_that_saw_the_end_can_read_it_back(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for _ in range(20):
            with client.stream("POST", PATHS["openai"], json=chat_body("Quick", stream=True)) as response:
                for line in response.iter_lines():
                    if '"finish_reason":"stop"' in line:
                        break
            newest = Completion.objects.order_by("-id")[0]
            assert newest.state == "completed"


def test_a_slow_answer_is_kept_alive_by_comments(
    transactional_db: None, alice: Person, settings: Settings
) -> None:
    settings.CHATAPI_KEEP_ALIVE_SECONDS = 0.1
    with serving() as server, server.client(alice) as client:
        streamed = client.post(PATHS["openai"], json=chat_body("[[wait: 0.5]] Hello", stream=True))
    assert streamed.text.startswith(": ping\n")
    assert text_of(events(streamed)) == "You said: Hello"
    for line in streamed.text.split("\n"):
        assert line == "" or line.startswith(("data: ", ": ping"))


def test_a_failure_before_the_first_event_has_its_true_status(server: Server, alice: Person) -> None:
    script = "[[error: 429 retry_after=7 code=rate_limit_exceeded Slow down]]"
    with server.client(alice) as client:
        for stream in (True, False):
            refused = client.post(PATHS["openai"], json=chat_body(script, stream=stream))
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "7"
            assert refused.headers["content-type"] == "application/json"
            assert refused.json()["error"]["message"] == "Slow down"
    assert {c.state for c in Completion.objects.all()} == {"failed"}


def test_a_failure_after_the_first_event_is_an_error_event_and_the_partial_answer_is_kept(
    server: Server, alice: Person
) -> None:
    with server.client(alice) as client:
        broken = client.post(
            PATHS["openai"], json=chat_body("[[chunks: 9]] [[error-after: 3 500 Oh]]", stream=True)
        )
    received = events(broken)
    assert received[-1]["error"]["message"] == "Oh"
    assert set(received[-1]["error"]) == {"message", "type", "param", "code"}
    completion = Completion.objects.get()
    assert completion.state == "failed"
    assert completion.answers.get().parts[0].text == text_of(received[:-1]) != ""


def test_an_answer_that_breaks_off_never_ends_in_done(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for dialect in PATHS:
            received = events(
                client.post(PATHS[dialect], json=chat_body("[[text: half]] [[break]]", stream=True))
            )
            assert "error" in received[-1]
            assert "[DONE]" not in received


def test_a_network_retry_joins_the_first_completion(server: Server, alice: Person) -> None:
    again = {"Idempotency-Key": "order-17"}
    with server.client(alice) as client:
        leave_after_first_text(
            httpx2.Client(base_url=server.url, headers={**alice.headers, **again}),
            "native",
            chat_body(BRIEF),
        )
        joined = client.post(PATHS["native"], json={**chat_body(BRIEF), "stream": True}, headers=again)
        late = client.post(PATHS["native"], json={**chat_body(BRIEF), "stream": True}, headers=again)
    assert text_of(events(joined)) == text_of(events(late)) != ""
    assert events(joined)[0]["id"] == events(late)[0]["id"]
    assert Completion.objects.count() == 1
    assert Message.objects.count() == 2


def test_a_client_that_timed_out_on_v1_finds_its_answer_when_it_asks_again(
    server: Server, alice: Person
) -> None:
    again = {"Idempotency-Key": "order-20"}
    with server.client(alice) as client:
        client.timeout = 0.3
        with pytest.raises(httpx2.ReadTimeout):
            client.post(PATHS["openai"], json=chat_body(LONG), headers=again)
        client.timeout = 20
        answer = client.post(PATHS["openai"], json=chat_body(LONG), headers=again).json()
    assert answer["choices"][0]["message"]["content"].endswith("w60")
    assert Completion.objects.count() == 1


def test_a_failure_releases_its_idempotency_key(server: Server, alice: Person) -> None:
    again = {"Idempotency-Key": "order-21"}
    with server.client(alice) as client:
        for _ in range(2):
            refused = client.post(PATHS["openai"], json=chat_body("[[error: 503]]"), headers=again)
            assert refused.status_code == 503
    assert Completion.objects.filter(state="failed", idempotency_key=None).count() == 2


def test_an_idempotency_key_is_for_one_body_and_one_workspace(
    server: Server, alice: Person, charlie: Person
) -> None:
    again = {"Idempotency-Key": "order-18"}
    with server.client(alice) as client:
        first = client.post(PATHS["openai"], json=chat_body("One"), headers=again)
        second = client.post(PATHS["openai"], json=chat_body("Two"), headers=again)
    with server.client(charlie) as client:
        other = client.post(PATHS["openai"], json=chat_body("One"), headers=again)
    assert (first.status_code, second.status_code, other.status_code) == (200, 409, 200)
    assert second.json()["error"]["code"] == "idempotency_key_reused"
    assert first.json()["id"] != other.json()["id"]


def test_many_retries_at_once_are_one_completion(server: Server, alice: Person) -> None:
    async def retry_all() -> list[str]:
        headers = {**alice.headers, "Idempotency-Key": "order-19"}
        async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=20) as client:
            body = chat_body("[[slow: 0.01]] [[chunks: 20]]")
            answers = await asyncio.gather(*(client.post(PATHS["openai"], json=body) for _ in range(8)))
        return [answer.json()["id"] for answer in answers]

    assert len(set(asyncio.run(retry_all()))) == 1
    assert Completion.objects.count() == 1


def test_the_completions_of_a_dead_process_are_marked_interrupted(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        client.post(PATHS["openai"], json=chat_body("Hello"))
    left = Completion.objects.get()
    dead = ServerProcess.objects.create(
        id=new_id(), host="elsewhere", pid=1, seen_at=timezone.now() - timedelta(minutes=5)
    )
    Completion.objects.update(state="in_progress", process=dead.id, ended_at=None)
    assert settle_interrupted() == 1
    assert settle_interrupted() == 0
    left.refresh_from_db()
    assert left.state == "interrupted"
    assert left.ended_at is not None


def test_the_completions_of_a_living_process_are_left_alone(server: Server, alice: Person) -> None:
    alive = ServerProcess.objects.create(id=new_id(), host="elsewhere", pid=1)
    with server.client(alice) as client:
        client.post(PATHS["openai"], json=chat_body("Hello"))
    Completion.objects.update(state="in_progress", process=alive.id)
    assert settle_interrupted() == 0
