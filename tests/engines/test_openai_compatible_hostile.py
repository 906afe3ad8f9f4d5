"""An upstream that means ill, or is out of its mind: nothing it sends may harm the service."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatapi.engines.base import EngineError
from chatapi.engines.openai_compatible import OpenAICompatible, exchange
from chatapi.engines.openai_compatible.exchange import Exchange
from chatapi.engines.values import Blob, EngineRequest, Event, Finish, Message, TextDelta, TextPart
from tests.engines.fake_upstream import HANG, Answer, FakeUpstream, delta, end, frame, raw, say

HI: list[Event] = [TextDelta("Hi"), Finish("stop")]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
async def engine(upstream: FakeUpstream) -> AsyncIterator[OpenAICompatible]:
    engine = OpenAICompatible(upstream.base_url, "m", retries=0, supports_n=True)
    yield engine
    await engine.close()


async def no_blobs(blob: Blob) -> bytes:
    raise AssertionError("no blob is part of this request")


async def collect(engine: OpenAICompatible, seen: list[Event], **more: Any) -> None:
    message = Message("user", (TextPart("Hello"),))
    async for event in engine.stream(EngineRequest(messages=(message,), read_blob=no_blobs, **more)):
        seen.append(event)


async def answered(
    upstream: FakeUpstream, engine: OpenAICompatible, answer: Answer, **more: Any
) -> list[Event]:
    upstream.will(answer)
    seen: list[Event] = []
    await collect(engine, seen, **more)
    return seen


async def refusal(
    upstream: FakeUpstream, engine: OpenAICompatible, answer: Answer, **more: Any
) -> EngineError:
    """The error that the engine gives up with."""
    with pytest.raises(EngineError) as caught:
        await answered(upstream, engine, answer, **more)
    return caught.value


# --- compression --------------------------------------------------------------------------------


def encoded(encoding: str, *writes: Any, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "text/event-stream", "Content-Encoding": encoding}, writes)


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "deflate", "br", "zstd", "identity, gzip", "\xff"])
async def test_a_compressed_answer_is_refused_unread(
    upstream: FakeUpstream, engine: OpenAICompatible, encoding: str
) -> None:
    bomb = gzip.compress(b":\n" * 2**22)
    error = await refusal(upstream, engine, encoded(encoding, bomb, HANG))
    assert (error.status, error.code) == (502, "upstream_error")
    assert "compressed" in error.message
    error.message.encode()
    await asyncio.wait_for(upstream.client_gone.wait(), 5)


@pytest.mark.parametrize("encoding", ["identity", "Identity", "none", ""])
async def test_what_is_not_compressed_may_be_said_to_be_so(
    upstream: FakeUpstream, engine: OpenAICompatible, encoding: str
) -> None:
    assert await answered(upstream, engine, encoded(encoding, frame(say("Hi")), frame(end()))) == HI


async def test_a_compressed_error_keeps_its_status(upstream: FakeUpstream, engine: OpenAICompatible) -> None:
    body = gzip.compress(b'{"error":{"message":"So it is"}}')
    error = await refusal(upstream, engine, encoded("gzip", body, status=429))
    assert (error.status, error.message) == (429, "The upstream answered with status 429.")


# --- much that is nothing -----------------------------------------------------------------------

NOTHINGS = {
    "comments": b":\n",
    "blank lines": b"\n",
    "carriage returns": b"\r\n",
    "long comments": b": " + b"x" * 10_000 + b"\n",
    "stray lines": b"x\n",
    "empty data": b"data:\n",
    "empty chunks": b"data: {}\n\n",
    "empty deltas": frame(delta(content="")),
    "chunks without choices": frame({"choices": []}),
}


def flood(unit: bytes, size: int) -> list[bytes]:
    write = unit * max(1, 100_000 // len(unit))
    return [write] * (1 + size // len(write))


@pytest.mark.parametrize("before", [b"", frame(say("Hi"))], ids=["from the start", "after some text"])
@pytest.mark.parametrize("nothing", NOTHINGS.values(), ids=NOTHINGS)
async def test_an_upstream_that_says_nothing_without_end_is_left(
    upstream: FakeUpstream,
    engine: OpenAICompatible,
    monkeypatch: pytest.MonkeyPatch,
    nothing: bytes,
    before: bytes,
) -> None:
    monkeypatch.setattr(exchange, "BARREN_LIMIT", 2**20)
    upstream.will(raw(before or b": ping\n", *flood(nothing, 2**21), HANG))
    seen: list[Event] = []
    with pytest.raises(EngineError, match="too much that is no part of an answer"):
        await collect(engine, seen)
    assert seen == ([TextDelta("Hi")] if before else [])


async def test_a_ping_a_second_and_an_empty_chunk_a_second_for_an_hour_are_patience(
    upstream: FakeUpstream, engine: OpenAICompatible
) -> None:
    hour = [b": ping\n\n", frame(delta(content=""))] * 3600
    assert await answered(upstream, engine, raw(*hour, frame(say("Hi")), *hour, frame(end()))) == HI


async def test_every_event_gives_new_patience(
    upstream: FakeUpstream, engine: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BARREN_LIMIT", 10_000)
    pause = b": ping\n\n" * 60
    writes = [write for _ in range(20) for write in (frame(say("x")), pause)]
    assert len(b"".join(writes)) > 9_000
    events = await answered(upstream, engine, raw(*writes, frame(end())))
    assert events == [TextDelta("x")] * 20 + [Finish("stop")]


async def test_a_long_line_is_no_patience_lost(
    upstream: FakeUpstream, engine: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BARREN_LIMIT", 10_000)
    line = frame(say("x" * 300_000))
    pieces = [line[start : start + 5_000] for start in range(0, len(line), 5_000)]
    events = await answered(upstream, engine, raw(*pieces, frame(end())))
    assert events == [TextDelta("x" * 300_000), Finish("stop")]


async def test_the_loop_takes_turns_with_a_flood() -> None:
    """Between any two pieces of what came in one read, others run."""
    pieces = 40
    response = Canned(b":\n" * (pieces * exchange.PIECE // 2), frame(say("Hi")), frame(end()))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    answer = Exchange(
        response,  # type: ignore[arg-type]
        streamed=True,
        first_deadline=asyncio.get_running_loop().time() + 60,
        idle_timeout=60,
        secret=None,
    )
    assert await answer.read() == [TextDelta("Hi")]
    answer.close()
    counter.cancel()
    assert turns >= pieces - 1


class Canned:
    """A response whose reads are given beforehand, however large, and never wait."""

    content_type = "text/event-stream"

    def __init__(self, *reads: bytes) -> None:
        self.content = self
        self._reads = iter(reads)

    async def readany(self) -> bytes:
        return next(self._reads, b"")

    def is_eof(self) -> bool:
        return True

    def close(self) -> None:
        pass


async def test_a_bomb_of_values_is_refused_before_it_is_decoded(
    upstream: FakeUpstream, engine: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "ELEMENT_LIMIT", 1000)
    monkeypatch.setattr(exchange, "LARGE", 1000)
    body = b'{"choices":[{"delta":{"content":[' + b"{}," * 2000 + b"{}]}}]}"
    error = await refusal(upstream, engine, raw(b"data: " + body + b"\n\n"))
    assert "more in one piece" in error.message
    error = await refusal(upstream, engine, raw(body, content_type="application/json"))
    assert "more in one piece" in error.message


async def test_a_large_body_that_is_no_answer_is_not_searched_for_an_error(
    upstream: FakeUpstream, engine: OpenAICompatible
) -> None:
    body = b'{"error":{"message":"m","more":"' + b"x" * exchange.ERROR_BODY_LIMIT + b'"}}'
    error = await refusal(upstream, engine, raw(body, content_type="application/json"))
    assert "no chat completion" in error.message
