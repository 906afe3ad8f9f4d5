"""A malicious or broken upstream: nothing it sends may harm the service."""

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import EngineError
from engines.events import AudioDelta, Event, Finish, PartialUsage, TextDelta, Usage
from engines.messages import Message, TextPart
from engines.openai_compatible.chunk_reader import ChunkReader
from engines.openai_compatible.engine import OpenAICompatibleEngine
from engines.openai_compatible.upstream_response import (
    ERROR_BODY_LIMIT,
    PIECE,
    ResponseLimits,
    UpstreamResponse,
)
from engines.requests import EngineRequest
from tests.support.examples import examples
from tests.support.fake_upstream import HANG, Answer, FakeUpstream, call, delta, end, frame, raw, say, stream

HI: list[Event] = [TextDelta("Hi"), Finish("stop")]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@contextlib.asynccontextmanager
async def engine_for(upstream: FakeUpstream, **limits: int) -> AsyncIterator[OpenAICompatibleEngine]:
    engine = OpenAICompatibleEngine(
        upstream.base_url, "m", retries=0, supports_n=True, limits=ResponseLimits(**limits)
    )
    yield engine
    await engine.close()


@pytest.fixture
async def engine(upstream: FakeUpstream) -> AsyncIterator[OpenAICompatibleEngine]:
    async with engine_for(upstream) as engine:
        yield engine


async def collect(engine: OpenAICompatibleEngine, seen: list[Event], **more: Any) -> None:
    message = Message("user", (TextPart("Hello"),))
    async for event in engine.stream(EngineRequest(messages=(message,), **more)):
        seen.append(event)


async def answered(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, answer: Answer, **more: Any
) -> list[Event]:
    upstream.will(answer)
    seen: list[Event] = []
    await collect(engine, seen, **more)
    return seen


async def refusal(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, answer: Answer, **more: Any
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
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, encoding: str
) -> None:
    bomb = gzip.compress(b":\n" * 2**22)
    error = await refusal(upstream, engine, encoded(encoding, bomb, HANG))
    assert (error.status, error.code) == (502, "upstream_error")
    assert "compressed" in error.message
    error.message.encode()
    await asyncio.wait_for(upstream.client_gone.wait(), 5)


@pytest.mark.parametrize("encoding", ["identity", "Identity", "none", ""])
async def test_what_is_not_compressed_may_be_said_to_be_so(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, encoding: str
) -> None:
    assert await answered(upstream, engine, encoded(encoding, frame(say("Hi")), frame(end()))) == HI


async def test_a_compressed_error_keeps_its_status(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    body = gzip.compress(b'{"error":{"message":"So it is"}}')
    error = await refusal(upstream, engine, encoded("gzip", body, status=429))
    assert (error.status, error.message) == (429, "The upstream answered with status 429.")


# --- endless nothing ----------------------------------------------------------------------------

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
    upstream: FakeUpstream, nothing: bytes, before: bytes
) -> None:
    upstream.will(raw(before or b": ping\n", *flood(nothing, 2**21), HANG))
    seen: list[Event] = []
    async with engine_for(upstream, eventless=2**20) as engine:
        with pytest.raises(EngineError, match="too much that is no part of an answer"):
            await collect(engine, seen)
    assert seen == ([TextDelta("Hi")] if before else [])


async def test_an_hour_of_a_ping_and_an_empty_chunk_per_second_is_tolerated(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    hour = [b": ping\n\n", frame(delta(content=""))] * 3600
    assert await answered(upstream, engine, raw(*hour, frame(say("Hi")), *hour, frame(end()))) == HI


async def test_every_event_resets_the_limit(upstream: FakeUpstream) -> None:
    pause = b": ping\n\n" * 60
    writes = [write for _ in range(20) for write in (frame(say("x")), pause)]
    assert len(b"".join(writes)) > 9_000
    async with engine_for(upstream, eventless=10_000) as engine:
        events = await answered(upstream, engine, raw(*writes, frame(end())))
    assert events == [TextDelta("x")] * 20 + [Finish("stop")]


async def test_a_long_line_does_not_count_toward_the_limit(upstream: FakeUpstream) -> None:
    line = frame(say("x" * 300_000))
    pieces = [line[start : start + 5_000] for start in range(0, len(line), 5_000)]
    async with engine_for(upstream, eventless=10_000) as engine:
        events = await answered(upstream, engine, raw(*pieces, frame(end())))
    assert events == [TextDelta("x" * 300_000), Finish("stop")]


async def test_the_loop_takes_turns_with_a_flood() -> None:
    """Other tasks run between any two pieces of what came in one read."""
    pieces = 12
    response = Canned(b":\n" * (pieces * PIECE // 2), frame(say("Hi")), frame(end()))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    answer = UpstreamResponse(
        response,  # type: ignore[arg-type]
        choices=1,
        streamed=True,
        first_deadline=asyncio.get_running_loop().time() + 60,
        idle_timeout=60,
        lingering=set(),
    )
    assert await answer.read() == [TextDelta("Hi")]
    answer.close()
    counter.cancel()
    assert turns >= pieces - 1


class Canned:
    """A response with prepared reads of any size, which never wait."""

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


async def test_a_bomb_of_values_is_refused_before_it_is_decoded(upstream: FakeUpstream) -> None:
    body = b'{"choices":[{"delta":{"content":[' + b"{}," * 2000 + b"{}]}}]}"
    async with engine_for(upstream, elements=1000, large=1000) as engine:
        error = await refusal(upstream, engine, raw(b"data: " + body + b"\n\n"))
        assert "more in one piece" in error.message
        error = await refusal(upstream, engine, raw(body, content_type="application/json"))
        assert "more in one piece" in error.message


async def test_a_large_body_that_is_no_answer_is_not_searched_for_an_error(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    body = b'{"error":{"message":"m","more":"' + b"x" * ERROR_BODY_LIMIT + b'"}}'
    error = await refusal(upstream, engine, raw(body, content_type="application/json"))
    assert "no chat completion" in error.message


# --- choices that nobody asked for --------------------------------------------------------------

FOREIGN = {
    "another": b"1",
    "negative": b"-1",
    "huge": b"1" + b"0" * 20,
    "a thousand digits": b"1" * 1000,
    "a fraction": b"0.5",
    "out of range": b"1e999",
    "text": b'"0"',
    "true": b"true",
    "a list": b"[0]",
    "an object": b'{"a":0}',
}


def placed(index: bytes, fields: bytes) -> bytes:
    return b'data: {"choices":[{"index":' + index + b"," + fields + b"}]}\n\n"


@pytest.mark.parametrize("index", FOREIGN.values(), ids=FOREIGN)
async def test_choices_that_nobody_asked_for_are_dropped(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, caplog: pytest.LogCaptureFixture, index: bytes
) -> None:
    foreign = placed(index, b'"delta":{"content":"no"},"finish_reason":"stop"')
    with caplog.at_level(logging.INFO):
        seen = await answered(
            upstream, engine, raw(foreign, frame(say("Hi")), foreign, frame(end()), foreign)
        )
    assert seen == HI
    assert caplog.text.count("nobody asked for") == 1


@pytest.mark.parametrize("index", FOREIGN.values(), ids=FOREIGN)
async def test_an_answer_with_only_such_choices_is_incomplete(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, index: bytes
) -> None:
    foreign = placed(index, b'"delta":{"content":"no"},"finish_reason":"stop"')
    error = await refusal(upstream, engine, raw(foreign, b"data: [DONE]\n\n"))
    assert (error.status, error.code) == (502, "upstream_incomplete")


async def test_of_twenty_thousand_choices_one_is_kept(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    body = {
        "choices": [
            {"index": n, "message": {"content": "Hi"}, "finish_reason": "stop"} for n in range(20_000)
        ]
    }
    answer = raw(json.dumps(body).encode(), content_type="application/json")
    assert await answered(upstream, engine, answer) == HI


@pytest.mark.parametrize("ended", [(), (0,), (2, 0)])
async def test_an_answer_is_whole_when_each_choice_asked_for_has_ended(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, ended: tuple[int, ...]
) -> None:
    upstream.will(stream(say("Hi"), *(end(index=index) for index in ended), {**end(index=3)}))
    seen: list[Event] = []
    with pytest.raises(EngineError) as caught:
        await collect(engine, seen, n=3)
    assert caught.value.code == "upstream_incomplete"
    assert seen == [TextDelta("Hi")]


async def test_a_choice_that_ends_without_a_word_has_ended(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    seen = await answered(upstream, engine, stream(say("Hi"), end(index=1), end()), n=2)
    assert seen == [TextDelta("Hi"), Finish("stop"), Finish("stop", 1)]


# --- counts -------------------------------------------------------------------------------------

COUNTS: dict[bytes, int | None] = {
    b"7": 7,
    b"7.0": 7,
    b"0": None,
    b"1e7": 10_000_000,
    b"10000000": 10_000_000,
    b"10000001": None,
    b"7.5": None,
    b"-7": None,
    b"2147483648": None,
    b"1e30": None,
    b"1e300": None,
    b"1e400": None,
    b"-1e300": None,
    b"1" * 1000: None,
    b"NaN": None,
    b"Infinity": None,
    b'"7"': None,
    b"true": None,
    b"[7]": None,
    b"null": None,
}


@pytest.mark.parametrize(("theirs", "ours"), COUNTS.items(), ids=[key.decode()[:12] for key in COUNTS])
async def test_what_is_no_number_of_tokens_is_not_counted(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, theirs: bytes, ours: int | None
) -> None:
    usage = (
        b'{"prompt_tokens":10000000,"completion_tokens":@,"total_tokens":@,'
        b'"prompt_tokens_details":{"cached_tokens":@},"completion_tokens_details":{"reasoning_tokens":@}}'
    ).replace(b"@", theirs)
    last = b'data: {"choices":[],"usage":' + usage + b"}\n\n"
    *seen, reported = await answered(upstream, engine, raw(frame(say("Hi")), frame(end()), last))
    assert seen == HI
    assert isinstance(reported, Usage)
    assert (reported.completion_tokens, reported.cached_tokens, reported.reasoning_tokens) == (ours or 0,) * 3
    assert reported.lacks_completion == (ours is None)
    assert type(reported.completion_tokens) is int


NO_USAGES: list[Any] = [
    17,
    "many",
    [],
    {},
    True,
    {"prompt_tokens": "3"},
    {"prompt_tokens": None},
    {"prompt_tokens": -1, "completion_tokens": -1},
    {"prompt_tokens": 0, "completion_tokens": 0},
]


@pytest.mark.parametrize("usage", NO_USAGES)
async def test_usage_that_counts_nothing_is_not_told(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, usage: Any
) -> None:
    assert await answered(upstream, engine, stream(say("Hi"), end(usage=usage))) == HI


@pytest.mark.parametrize("odd", [None, "5", [5], {}, True])
async def test_a_half_that_is_not_counted_is_told_as_such(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, odd: Any
) -> None:
    usage = {"prompt_tokens": odd, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}}
    seen = await answered(upstream, engine, stream(say("Hi"), end(usage=usage)))
    assert seen == [*HI, PartialUsage(0, 5, lacks_prompt=True)]
    usage = {"prompt_tokens": 3, "completion_tokens": odd, "prompt_tokens_details": {"cached_tokens": 3}}
    seen = await answered(upstream, engine, stream(say("Hi"), end(usage=usage)))
    assert seen == [*HI, PartialUsage(3, 0, cached_tokens=3, lacks_completion=True)]


async def test_what_no_context_holds_is_not_counted(upstream: FakeUpstream) -> None:
    """The limit is sixteen times the model's context for each choice that was requested at once."""
    usage = {"prompt_tokens": 32_000, "completion_tokens": 32_001}
    engine = OpenAICompatibleEngine(upstream.base_url, "m", retries=0, supports_n=True, context_length=1000)
    both = stream(say("Hi"), end(), end(index=1, usage=usage))
    *_, reported = await answered(upstream, engine, both, n=2)
    assert reported == PartialUsage(32_000, 0, lacks_completion=True)
    assert await answered(upstream, engine, stream(say("Hi"), end(usage=usage))) == HI
    await engine.close()


@pytest.mark.parametrize("details", [17, "many", [], True, {"cached_tokens": {}}])
async def test_odd_details_do_no_harm(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, details: Any
) -> None:
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "prompt_tokens_details": details,
        "completion_tokens_details": details,
    }
    assert await answered(upstream, engine, stream(say("Hi"), end(usage=usage))) == [*HI, Usage(3, 4)]


async def test_a_part_is_no_more_than_its_whole(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 7},
        "completion_tokens_details": {
            "reasoning_tokens": 99,
            "audio_tokens": 1,
            "accepted_prediction_tokens": 6,
            "rejected_prediction_tokens": 7,
        },
    }
    *_, reported = await answered(upstream, engine, stream(say("Hi"), end(usage=usage)))
    assert reported == Usage(
        10,
        5,
        cached_tokens=8,
        prompt_audio_tokens=2,
        reasoning_tokens=5,
        accepted_prediction_tokens=5,
        rejected_prediction_tokens=5,
    )


@pytest.mark.parametrize("expires_at", [b"1e300", b"-1", b"1e999", b'"soon"', b"true", b"[]", b"1" * 1000])
async def test_an_expiry_that_is_no_time_is_not_told(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, expires_at: bytes
) -> None:
    sound = placed(b"0", b'"delta":{"audio":{"id":"a1","expires_at":' + expires_at + b"}}")
    seen = await answered(upstream, engine, raw(sound, frame(end())))
    assert seen == [AudioDelta("a1"), Finish("stop")]


# --- errors -------------------------------------------------------------------------------------

CODES: dict[bytes, str | None] = {
    b'"the_code"': "the_code",
    b"1302": "1302",
    b'"1302"': "1302",
    b"400": None,
    b'"400"': None,
    b"-1": "-1",
    b"9" * 19: "9" * 19,
    b"9" * 20: None,
    b"9" * 5000: None,
    b'"' + b"9" * 5000 + b'"': None,
    '"٤٠٠"'.encode(): "٤٠٠",
    b'"' + b"x" * 200 + b'"': "x" * 200,
    b'"' + b"x" * 201 + b'"': None,
    b'"\\ud83d\\u0000"': "\ufffd\ufffd",
    b"4.5": None,
    b"true": None,
    b"[1]": None,
    b'{"a":1}': None,
    b"null": None,
    b'""': None,
}


@pytest.mark.parametrize(("theirs", "ours"), CODES.items(), ids=[key.decode()[:12] for key in CODES])
async def test_code_type_and_param_are_short_texts_or_nothing(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, theirs: bytes, ours: str | None
) -> None:
    body = b'{"error":{"message":"So it is","code":@,"type":@,"param":@}}'.replace(b"@", theirs)
    error = await refusal(upstream, engine, raw(body, status=400))
    assert (error.status, error.message) == (400, "So it is")
    assert error.code == (ours or "invalid_value")
    assert error.param == ("400" if theirs.strip(b'"') == b"400" else ours)
    error = await refusal(upstream, engine, raw(b"data: " + body + b"\n\n"))
    assert error.message == "So it is"


MESSAGES: dict[bytes, str] = {
    b'"a\\ud83dz"': "a\ufffdz",
    b'"a\\ud83d\\ude00z"': "a😀z",
    b'"a\xf0\x9fz"': "a\ufffdz",
    b'"a\\u0000z"': "a\ufffdz",
    b'{"a":"\\ud83d"}': '{"a":"\ufffd"}',
    b'["\\ud83d",NaN]': '["\ufffd",null]',
    b"[" * 5000 + b"]" * 5000: "",
    b"[" * 400 + b"]" * 400: "",
}


@pytest.mark.parametrize(("theirs", "ours"), MESSAGES.items(), ids=[repr(key[:9]) for key in MESSAGES])
@pytest.mark.parametrize("in_stream", [False, True])
async def test_a_broken_message_is_repaired(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, theirs: bytes, ours: str, in_stream: bool
) -> None:
    body = b'{"error":{"message":' + theirs + b',"code":"c"}}'
    answer = raw(b"data: " + body + b"\n\n") if in_stream else raw(body, status=404)
    error = await refusal(upstream, engine, answer)
    assert error.status == (502 if in_stream else 404)
    if ours:
        assert (error.message, error.code) == (ours, "c")
    error.message.encode()


# --- half characters ----------------------------------------------------------------------------

HALF = "\ud83d"
SPOILED: dict[str, Any] = {
    "text": delta(content=f"x{HALF}y"),
    "text in parts": delta(content=[{"type": "text", "text": f"x{HALF}y"}]),
    "text at the end": delta(content=f"x{HALF}"),
    "refusal": delta(refusal=f"x{HALF}y"),
    "refusal in parts": delta(content=[{"type": "refusal", "refusal": f"x{HALF}y"}]),
    "reasoning": delta(reasoning_content=f"x{HALF}y"),
    "other reasoning": delta(reasoning=f"x{HALF}y"),
    "thinking": delta(content=[{"type": "thinking", "thinking": [{"text": f"x{HALF}y"}]}]),
    "call": delta(tool_calls=[call(0, f"c{HALF}", f"f{HALF}", f'{{"a":"{HALF}"}}')]),
    "call's object": delta(tool_calls=[call(0, f"c{HALF}", f"f{HALF}", {f"a{HALF}": [HALF, 2**70]})]),
    "two calls": delta(tool_calls=[call(0, "a", "f", HALF), call(1, "b", HALF, HALF)]),
    "function": delta(function_call={"name": f"f{HALF}", "arguments": f"x{HALF}"}),
    "transcript": delta(audio={"id": f"a{HALF}", "transcript": f"x{HALF}y", "data": "UklGRg=="}),
    "transcript at the end": delta(audio={"transcript": f"x{HALF}"}),
    "logprobs": {
        "choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": {HALF: [{"token": HALF}, 2**70]}}]
    },
    "logprobs alone": {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [HALF, 1e999]}}]},
}


@pytest.mark.parametrize("chunk", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("after", [None, say("Hi")], ids=["at first", "later"])
async def test_no_half_character_leaves_the_engine(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, chunk: Any, after: Any
) -> None:
    before = [after] if after else []
    seen = await answered(upstream, engine, stream(*before, chunk, end()))
    assert len(seen) > 1 + len(before)
    assert "\ufffd" in msgspec.json.encode(seen).decode(), "what cannot be encoded cannot be stored"


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
async def test_what_nests_too_deep_is_a_clear_error(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, opening: bytes
) -> None:
    for place in (b'"x":@', b'"delta":{"x":@}', b'"delta":{"content":@}', b'"delta":{},"logprobs":{"a":@}'):
        bomb = b"data: " + b'{"choices":[{"index":0,' + place.replace(b"@", opening * 50_000) + b"\n\n"
        error = await refusal(upstream, engine, raw(frame(say("Hi")), bomb))
        assert (error.status, error.code) == (502, "upstream_error")


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", HALF, "\0"])
ODD_JSON = st.recursive(ODD, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
FIELDS = ["content", "refusal", "reasoning", "tool_calls", "function_call", "audio", "index", "id", "name"]
FIELDS += ["arguments", "function", "type", "text", "thinking", "data", "transcript", "expires_at", "delta"]
FIELDS += ["message", "finish_reason", "logprobs", "choices", "usage", "error", "code", "prompt_tokens"]
CHUNKS = st.recursive(
    ODD_JSON,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4) | st.lists(inner, max_size=2),
)


@settings(max_examples=examples(300))
@given(CHUNKS | st.builds(lambda fields: {"choices": [{"delta": fields}]}, CHUNKS))
def test_whatever_a_chunk_holds_it_is_events_or_a_clear_error(chunk: Any) -> None:
    events: list[Event] = []
    reader = ChunkReader(1)
    with contextlib.suppress(EngineError):
        reader.read(json.dumps(chunk).encode(), events)
        events += reader.finish()
    assert msgspec.json.encode(events)
