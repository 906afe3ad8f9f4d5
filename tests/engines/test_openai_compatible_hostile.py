"""An upstream that means ill, or is out of its mind: nothing it sends may harm the service."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatapi.engines.base import EngineError
from chatapi.engines.openai_compatible import OpenAICompatible
from chatapi.engines.values import Blob, EngineRequest, Event, Finish, Message, TextDelta, TextPart
from tests.engines.fake_upstream import HANG, Answer, FakeUpstream, end, frame, say

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
