"""One extreme client, upstream or row harms nobody else."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest

from conversations import thread_lookup
from conversations.models import Completion, Conversation, Message
from core import bulk_sql
from engines.events import Event, Finish, TextDelta, Usage
from engines.requests import EngineRequest
from engines.scripted.engine import ScriptedEngine
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, events, text_of


def answer_with(monkeypatch: pytest.MonkeyPatch, *answer: Event) -> None:
    """Let the scripted engine yield exactly these events."""

    async def stream(self: ScriptedEngine, request: EngineRequest) -> AsyncGenerator[Event, None]:
        for event in answer:
            yield event

    monkeypatch.setattr(ScriptedEngine, "stream", stream)


def test_a_history_of_thousands_is_stored_and_one_of_too_many_refused(server: Server, alice: Person) -> None:
    message = {"role": "user", "content": "x"}
    with server.client(alice) as client:
        client.timeout = 60
        whole = client.post(PATHS["openai"], json={"model": "scripted", "messages": [message] * 3_000})
        too_long = client.post(PATHS["openai"], json={"model": "scripted", "messages": [message] * 10_001})
    assert whole.status_code == 200
    assert Message.objects.count() == 3_001
    assert too_long.json()["error"]["code"] == "array_above_max_length"


def test_statements_are_prepared_for_few_sizes(server: Server, alice: Person) -> None:
    bulk_sql._build_insert.cache_clear()
    with server.client(alice) as client:
        for length in range(1, 40):
            messages = [{"role": "user", "content": str(n)} for n in range(length)]
            client.post(PATHS["openai"], json={"model": "scripted", "messages": messages})
    assert Message.objects.count() == sum(range(1, 40)) + 39
    assert bulk_sql._build_insert.cache_info().currsize < 30


def test_an_absurd_usage_is_bounded(server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(
        monkeypatch, TextDelta("Hi"), Finish("stop"), Usage(prompt_tokens=2**70, completion_tokens=-5)
    )
    with server.client(alice) as client:
        reported = client.post(PATHS["openai"], json=chat_body("Hi")).json()["usage"]
    completion = Completion.objects.get()
    assert (completion.state, completion.prompt_tokens) == ("completed", 2**31 - 1)
    assert (reported["prompt_tokens"], reported["completion_tokens"]) == (2**31 - 1, 0)


def test_an_answer_whose_end_cannot_be_stored_fails_and_keeps_its_text(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no database can store this in a message's logprobs; the rest can be stored
    unstorable = {"content": [object()]}
    answer_with(monkeypatch, TextDelta("Hi", logprobs=unstorable), Finish("stop"))
    monkeypatch.setattr(
        "chatapi.completions.dialects.stream_encoder.StreamEncoder.encode", _without_logprobs()
    )
    with server.client(alice) as client:
        received = events(client.post(PATHS["openai"], json=chat_body("Hello", stream=True)))
        neighbor = client.post(PATHS["openai"], json=chat_body("Hello") | {"model": "text-only"})
    assert received[-1]["error"]["code"] == "unstorable"
    assert neighbor.status_code == 500
    for completion in Completion.objects.all():
        assert completion.state == "failed"
        assert completion.answers.get().parts[0].text == "Hi"


def _without_logprobs() -> Any:
    from chatapi.completions.dialects.stream_encoder import StreamEncoder

    original = StreamEncoder.encode

    def encode(self: StreamEncoder, entries: Any) -> bytes:
        return original(self, [TextDelta("Hi") if isinstance(e, TextDelta) else e for e in entries])

    return encode


def test_choices_that_nobody_asked_for_are_not_an_answer(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    strays: list[Event] = [
        TextDelta("stray", 1),
        Finish("stop", 1),
        TextDelta("x", -1),
        TextDelta("y", 10**20),
    ]
    answer_with(monkeypatch, *strays)
    with server.client(alice) as client:
        assert (
            client.post(PATHS["openai"], json=chat_body("Hi")).json()["error"]["code"]
            == "upstream_incomplete"
        )
        answer_with(monkeypatch, TextDelta("one"), *strays, Finish("stop"))
        answered = client.post(PATHS["openai"], json=chat_body("Hi", ssml_enabled=False)).json()
    assert [choice["message"]["content"] for choice in answered["choices"]] == ["one"]


def test_an_endless_answer_is_stopped(server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatapi.completions.runs.pump.ANSWER_BYTES", 2_000)
    with server.client(alice) as client:
        received = events(client.post(PATHS["openai"], json=chat_body("[[chunks: 100000]]", stream=True)))
    assert received[-1]["error"]["code"] == "answer_too_long"
    completion = Completion.objects.get()
    assert completion.state == "failed"
    assert completion.answers.get().parts[0].text == text_of(received[:-1])


def test_an_answer_that_takes_too_long_is_stopped(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from msgspec.structs import replace

    spec = server.service.registry.default
    hasty = replace(spec, total_timeout=0.2)
    monkeypatch.setitem(server.service.registry._specs, spec.id, hasty)
    with server.client(alice) as client:
        received = events(
            client.post(PATHS["openai"], json=chat_body("[[text: begun]] [[stall]]", stream=True))
        )
    assert received[-1]["error"]["code"] == "answer_timeout"
    assert Completion.objects.get().state == "failed"


def test_calls_that_wait_for_one_conversation_read_it_once_each(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Message | None] = []
    original = thread_lookup.path_to

    def counted(message: Message | None) -> Any:
        reads.append(message)
        return original(message)

    monkeypatch.setattr(thread_lookup, "path_to", counted)
    with server.client(alice) as client:
        conversation_id = client.post(PATHS["openai"], json=chat_body("Hi")).headers["x-conversation-id"]

    async def ask_all() -> set[int]:
        async with httpx2.AsyncClient(base_url=server.url, headers=alice.headers, timeout=60) as client:
            context = {"conversation_id": conversation_id}
            bodies = [chat_body(f"n{n}", stream=False, context=context) for n in range(40)]
            answers = await asyncio.gather(*(client.post(PATHS["native"], json=body) for body in bodies))
        return {answer.status_code for answer in answers}

    assert asyncio.run(ask_all()) == {200}
    assert len(reads) == 40
    assert Conversation.objects.get().messages.count() == 82


def test_a_call_that_fails_in_a_batch_fails_alone(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conversations import admission

    original = admission._title

    def title(messages: Any) -> str:
        if "poison" in messages[0].text:
            raise RuntimeError("poisoned")
        return original(messages)

    monkeypatch.setattr(admission, "_title", title)

    async def ask_all() -> list[int]:
        async with httpx2.AsyncClient(base_url=server.url, headers=alice.headers, timeout=60) as client:
            texts = ["poison" if n == 7 else f"n{n}" for n in range(30)]
            answers = await asyncio.gather(*(client.post(PATHS["openai"], json=chat_body(t)) for t in texts))
        return [answer.status_code for answer in answers]

    statuses = asyncio.run(ask_all())
    assert statuses == [500 if n == 7 else 200 for n in range(30)]
