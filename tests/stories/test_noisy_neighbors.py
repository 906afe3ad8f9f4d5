"""One extreme client, upstream or row harms nobody else."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from conversations import thread_lookup
from conversations.completion_request import CompletionRequest
from conversations.models import Completion, Conversation, Message
from core import bulk_sql
from engines.events import Event, Finish, TextDelta, Usage
from engines.requests import EngineRequest
from engines.scripted.engine import ScriptedEngine
from tests.support.media_requests import b64, text, user_request
from tests.support.people import Person
from tests.support.running_server import PATHS, Server, chat_body, events, text_of, wait_until


class Yielding(ScriptedEngine):
    """An engine that yields exactly these events."""

    def __init__(self, *answer: Event) -> None:
        super().__init__()
        self._answer = answer

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
        for event in self._answer:
            yield event


@contextmanager
def answering(server: Server, *answer: Event, model: str = "scripted") -> Iterator[None]:
    """Let a model answer with exactly these events."""
    spec = server.service.registry.find(model)
    assert spec
    with server.with_model(spec, Yielding(*answer)):
        yield


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


def test_an_absurd_usage_is_bounded(server: Server, alice: Person) -> None:
    usage = Usage(prompt_tokens=2**70, completion_tokens=-5)
    with answering(server, TextDelta("Hi"), Finish("stop"), usage), server.client(alice) as client:
        reported = client.post(PATHS["openai"], json=chat_body("Hi")).json()["usage"]
    completion = Completion.objects.get()
    assert (completion.state, completion.prompt_tokens) == ("completed", 2**31 - 1)
    assert (reported["prompt_tokens"], reported["completion_tokens"]) == (2**31 - 1, 0)


def test_an_answer_whose_end_cannot_be_stored_fails_and_keeps_its_text(
    server: Server, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no database can store this in a message's logprobs; the rest can be stored
    unstorable = {"content": [object()]}
    answer = TextDelta("Hi", logprobs=unstorable), Finish("stop")
    monkeypatch.setattr(
        "chatapi.completions.dialects.stream_encoder.StreamEncoder.encode", _without_logprobs()
    )
    with (
        answering(server, *answer),
        answering(server, *answer, model="text-only"),
        server.client(alice) as client,
    ):
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


def test_choices_that_nobody_asked_for_are_not_an_answer(server: Server, alice: Person) -> None:
    strays: list[Event] = [
        TextDelta("stray", 1),
        Finish("stop", 1),
        TextDelta("x", -1),
        TextDelta("y", 10**20),
    ]
    with answering(server, *strays), server.client(alice) as client:
        refused = client.post(PATHS["openai"], json=chat_body("Hi")).json()
    assert refused["error"]["code"] == "upstream_incomplete"
    with answering(server, TextDelta("one"), *strays, Finish("stop")), server.client(alice) as client:
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


def test_an_answer_that_takes_too_long_is_stopped(server: Server, alice: Person) -> None:
    hasty = replace(server.service.registry.default, total_timeout=1)
    with server.with_model(hasty), server.client(alice) as client:
        received = events(
            client.post(PATHS["openai"], json=chat_body("[[text: begun]] [[stall]]", stream=True))
        )
    assert received[-1]["error"]["code"] == "answer_timeout"
    assert Completion.objects.get().state == "failed"


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_an_ended_answer_is_freed_at_once(server: Server, alice: Person, dialect: str) -> None:
    """The garbage collector counts objects, not bytes: what waits for it may hold hundreds of megabytes."""
    body = chat_body("[[slow: 0.05]] [[chunks: 10]]", stream=True)
    gc.disable()
    try:
        with server.client(alice) as client, client.stream("POST", PATHS[dialect], json=body) as response:
            pieces = response.iter_text()
            next(pieces)
            pump = weakref.ref(server.only_pump())
            assert "[DONE]" in "".join(pieces)
        wait_until(lambda: pump() is None)
    finally:
        gc.enable()


def test_an_open_stream_keeps_nothing_of_its_body(server: Server, alice: Person) -> None:
    notes = {"file_data": b64(b"Some notes.\n" * 20_000), "filename": "notes.txt"}
    content = [text("[[text: begun]] [[stall]]"), {"type": "file", "file": notes}]
    body = user_request(*content, model="scripted", stream=True)
    with server.client(alice) as client, client.stream("POST", PATHS["openai"], json=body) as response:
        pieces = response.iter_text()
        assert next(pieces)
        assert list(large_values(server.loop)) == []


def large_values(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[str, str]]:
    """Yield the function and name of each variable of a running task that holds 100,000 bytes."""
    for task in asyncio.all_tasks(loop):
        coroutine: Any = task.get_coro()
        while coroutine is not None:
            frame: Any = getattr(coroutine, "cr_frame", None)
            for name, value in dict(frame.f_locals if frame else {}).items():
                uploads = value.uploads.values() if isinstance(value, CompletionRequest) else ()
                for one in (value, *uploads):
                    if isinstance(one, bytes) and len(one) >= 100_000:
                        yield frame.f_code.co_qualname, name
            coroutine = getattr(coroutine, "cr_await", None)


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

    original = admission.first_words

    def title(messages: Any) -> str:
        if "poison" in messages[0].text:
            raise RuntimeError("poisoned")
        return original(messages)

    monkeypatch.setattr(admission, "first_words", title)

    async def ask_all() -> list[int]:
        async with httpx2.AsyncClient(base_url=server.url, headers=alice.headers, timeout=60) as client:
            texts = ["poison" if n == 7 else f"n{n}" for n in range(30)]
            answers = await asyncio.gather(*(client.post(PATHS["openai"], json=chat_body(t)) for t in texts))
        return [answer.status_code for answer in answers]

    statuses = asyncio.run(ask_all())
    assert statuses == [500 if n == 7 else 200 for n in range(30)]
