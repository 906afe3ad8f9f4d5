"""An upstream's answer as events: text, reasoning, calls, sound, usage, and how it ends."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.blob import Blob
from engines.base import EngineError
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
    Usage,
)
from engines.messages import ImagePart, Message, TextPart
from engines.openai_compatible.engine import OpenAICompatibleEngine
from engines.requests import EngineRequest
from tests.support.fake_upstream import (
    ABORT,
    HANG,
    Answer,
    FakeUpstream,
    call,
    delta,
    end,
    frame,
    raw,
    say,
    status,
    stream,
    whole,
)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
async def engine(upstream: FakeUpstream) -> AsyncIterator[OpenAICompatibleEngine]:
    engine = OpenAICompatibleEngine(upstream.base_url, "big-model", retries=0)
    yield engine
    await engine.close()


def ask(text: str = "Hello", **more: Any) -> EngineRequest:
    return EngineRequest(messages=(Message("user", (TextPart(text),)),), **more)


async def collect(engine: OpenAICompatibleEngine, seen: list[Event]) -> None:
    async for event in engine.stream(ask()):
        seen.append(event)


async def events_of(engine: OpenAICompatibleEngine, **more: Any) -> list[Event]:
    return [event async for event in engine.stream(ask(**more))]


async def answered(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, *answers: Answer, **more: Any
) -> list[Event]:
    upstream.will(*answers)
    return await events_of(engine, **more)


def joined(events: list[Event], kind: type[TextDelta | RefusalDelta | ReasoningDelta] = TextDelta) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def arguments(events: list[Event], index: int) -> str:
    return "".join(e.fragment for e in events if isinstance(e, ToolCallArguments) and e.index == index)


def starts(events: list[Event]) -> list[tuple[int, str]]:
    return [(event.index, event.name) for event in events if isinstance(event, ToolCallStart)]


# --- text ---------------------------------------------------------------------------------------


async def test_text_arrives_chunk_by_chunk_and_usage_comes_last(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1, "accepted_prediction_tokens": None},
    }
    events = await answered(
        upstream,
        engine,
        stream(
            delta(role="assistant", content=""), say("Hel"), say("lo"), end(), {"choices": [], "usage": usage}
        ),
    )
    assert events == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Finish("stop"),
        Usage(9, 2, cached_tokens=4, prompt_audio_tokens=1, reasoning_tokens=1),
    ]
    assert upstream.body == {
        "model": "big-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_whole_answer_yields_the_same_events(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    message = {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "Greet."}
    usage = {"prompt_tokens": 1, "completion_tokens": 5}
    events = await answered(upstream, engine, whole(message, usage=usage), stream=False)
    assert events == [ReasoningDelta("Greet."), TextDelta("Hello"), Finish("stop"), Usage(1, 5)]
    assert upstream.body["stream"] is False
    assert "stream_options" not in upstream.body


async def test_an_upstream_that_streams_unasked_or_does_not_though_asked_is_understood(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    expected = [TextDelta("Hi"), Finish("stop")]
    assert await answered(upstream, engine, stream(say("Hi"), end()), stream=False) == expected
    assert await answered(upstream, engine, whole({"content": "Hi"}), stream=True) == expected


@pytest.mark.parametrize(
    "usages", [[{"on": 1}, None], [None, {"on": 2}], [{"on": 1}, {"on": 2}]], ids=["finish", "last", "each"]
)
async def test_usage_is_told_wherever_it_came_and_again_if_it_changes(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, usages: list[Any]
) -> None:
    first, second = ({"prompt_tokens": u["on"], "completion_tokens": 1} if u else None for u in usages)
    chunks = [{**say("Hi"), "usage": first}, end(usage=first), {"choices": [], "usage": second}]
    events = await answered(upstream, engine, stream(*chunks[: 3 if second else 2]))
    told = [Usage(usage["prompt_tokens"], 1) for usage in (first, second) if usage]
    assert events == [TextDelta("Hi"), Finish("stop"), *told]


async def test_reasoning_and_refusal_have_their_own_deltas(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "c"}]}, {"type": "text", "text": "T"}]
    chunks = [
        delta(reasoning_content="a", reasoning="a"),
        delta(reasoning="b"),
        delta(content=parts),
        delta(refusal="No."),
        end(),
    ]
    events = await answered(upstream, engine, stream(*chunks))
    assert joined(events, ReasoningDelta) == "abc"
    assert joined(events) == "T"
    assert joined(events, RefusalDelta) == "No."


async def test_logprobs_go_with_their_text(upstream: FakeUpstream, engine: OpenAICompatibleEngine) -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]}
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "logprobs": logprobs}]}
    events = await answered(upstream, engine, stream(chunk, end()))
    assert events[0] == TextDelta("Hi", logprobs=logprobs)


async def test_several_choices_end_together_in_their_order(upstream: FakeUpstream) -> None:
    engine = OpenAICompatibleEngine(upstream.base_url, "m", supports_n=True)
    chunks = [say("b", 1), say("a"), end(index=1), say("A"), end("length")]
    events = await answered(upstream, engine, stream(*chunks), n=2)
    await engine.close()
    assert upstream.body["n"] == 2
    assert events[:3] == [TextDelta("b", 1), TextDelta("a"), TextDelta("A")]
    assert events[3:] == [Finish("length"), Finish("stop", 1)]


# --- how lines and characters may be cut --------------------------------------------------------

SMILE = b'data: {"choices":[{"index":0,"delta":{"content":"\xf0\x9f\x98\x80 \xc3\xa4"}}]}'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_bytes_may_be_cut_anywhere(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, size: int
) -> None:
    body = SMILE + b"\n\n" + END + b"\n\ndata: [DONE]\n\n"
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    assert await answered(upstream, engine, raw(*pieces)) == [TextDelta("😀 ä"), Finish("stop")]


@pytest.mark.parametrize(
    "body",
    [
        SMILE + b"\r\n\r\n" + END + b"\r\n\r\ndata: [DONE]\r\n\r\n",
        SMILE.replace(b": ", b":", 1) + b"\n\n" + END.replace(b": ", b":", 1) + b"\n\ndata:[DONE]\n\n",
        b": ping\n\nevent: message\nid: 7\nretry: 10\n"
        + SMILE
        + b"\n\n: ping\n"
        + END
        + b"\n\ndata: [DONE]\n\n",
        SMILE + b"\n\n" + END + b"\n\ndata: [DONE]",
        SMILE + b"\n\n" + END,
        SMILE + b"\n" + END + b"\n",
        b"\xef\xbb\xbf" + SMILE + b"\n\ndata:\n\n" + END + b"\n\n",
        SMILE + b"\n\n" + END + b"\n\ndata: [DONE]\n\n" + SMILE + b"\n\n",
    ],
    ids=[
        "crlf",
        "no space",
        "comments",
        "no last line",
        "no DONE",
        "no blank",
        "BOM and empty",
        "after DONE",
    ],
)
async def test_event_streams_are_read_generously(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, body: bytes
) -> None:
    assert await answered(upstream, engine, raw(body)) == [TextDelta("😀 ä"), Finish("stop")]


async def test_a_surrogate_pair_cut_in_two_arrives_whole(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    chunks = [say("a\ud83d"), say("\ude00b"), delta(reasoning="\ud83d"), delta(reasoning="\ude00"), end()]
    events = await answered(upstream, engine, stream(*chunks))
    assert events[:2] == [TextDelta("a"), TextDelta("😀b")]
    assert joined(events, ReasoningDelta) == "😀"


async def test_half_a_pair_becomes_a_replacement_character(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    chunks = [say("a\ud83d"), say("b\ude00"), say("c\ud83d"), end()]
    events = await answered(upstream, engine, stream(*chunks))
    assert joined(events) == "a\ufffdb\ufffdc\ufffd"
    assert events.count(Finish("stop")) == 1


async def test_a_pair_cut_in_two_within_arguments_and_logprobs(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    logprobs = {"content": [{"token": "\ud83d", "logprob": 0}]}
    chunks = [
        delta(tool_calls=[call(0, "c1", "f", '{"a":"\ud83d')]),
        delta(tool_calls=[call(0, arguments='\ude00"}')]),
        {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": logprobs}]},
        end(),
    ]
    events = await answered(upstream, engine, stream(*chunks))
    assert arguments(events, 0) == '{"a":"😀"}'
    json.dumps([e.logprobs for e in events if isinstance(e, TextDelta)]).encode()
    assert any(
        isinstance(e, TextDelta) and e.logprobs == {"content": [{"token": "\ufffd", "logprob": 0}]}
        for e in events
    )


async def test_broken_utf8_is_replaced(upstream: FakeUpstream, engine: OpenAICompatibleEngine) -> None:
    broken = SMILE.replace(b"\x98\x80", b"")
    events = await answered(upstream, engine, raw(broken + b"\n\n" + END + b"\n\n"))
    assert joined(events) == "\ufffd ä"


# --- tool calls ---------------------------------------------------------------------------------


async def test_calls_come_one_after_the_other(upstream: FakeUpstream, engine: OpenAICompatibleEngine) -> None:
    chunks = [
        delta(tool_calls=[call(0, "c1", "one", "")]),
        delta(tool_calls=[call(0, arguments='{"a"')]),
        delta(tool_calls=[call(0, arguments=":1}")]),
        delta(tool_calls=[call(1, "c2", "two", "")]),
        delta(tool_calls=[call(1, arguments="{}")]),
        end("tool_calls"),
    ]
    assert await answered(upstream, engine, stream(*chunks)) == [
        ToolCallStart(0, "c1", "one"),
        ToolCallArguments(0, '{"a"'),
        ToolCallArguments(0, ":1}"),
        ToolCallStart(1, "c2", "two"),
        ToolCallArguments(1, "{}"),
        Finish("tool_calls"),
    ]


MIXED = {
    "interleaved": [
        [call(0, "c1", "one", "")],
        [call(1, "c2", "two", "")],
        [call(1, arguments='{"b"')],
        [call(0, arguments='{"a"')],
        [call(0, arguments=":1}"), call(1, arguments=":2}")],
    ],
    "id and name repeated": [
        [call(0, "c1", "one", '{"a"')],
        [call(0, "c1", "one", ":1}")],
        [call(0, "c1", "one", "")],
        [call(1, "c2", "two", '{"b":')],
        [call(1, "c2", "two", "2}")],
    ],
    "a new id each time": [
        [call(0, "c1", "one", '{"a"')],
        [call(0, "x9", arguments=":1}")],
        [call(1, "c2", "two", '{"b":2}')],
    ],
    "whole, all under index 0": [
        [call(0, "c1", "one", '{"a":1}')],
        [call(0, "c2", "two", '{"b":2}')],
    ],
    "whole, no index": [[call(None, "c1", "one", '{"a":1}'), call(None, "c2", "two", '{"b":2}')]],
    "whole, nothing but names": [
        [call(name="one", arguments={"a": 1})],
        [call(name="two", arguments={"b": 2})],
    ],
    "name after id": [
        [call(0, "c1")],
        [call(0, name="one")],
        [call(0, arguments='{"a":1}')],
        [call(1, "c2", "two", '{"b":2}')],
    ],
    "indexes from 1": [[call(1, "c1", "one", '{"a":1}')], [call(2, "c2", "two", '{"b":2}')]],
}


@pytest.mark.parametrize("fragments", MIXED.values(), ids=MIXED)
async def test_however_fragments_are_mixed_each_call_ends_before_the_next(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, fragments: list[Any]
) -> None:
    chunks = [delta(tool_calls=calls) for calls in fragments]
    events = await answered(upstream, engine, stream(*chunks, end("stop")))
    assert starts(events) == [(0, "one"), (1, "two")]
    assert [json.loads(arguments(events, index)) for index in (0, 1)] == [{"a": 1}, {"b": 2}]
    indexes = [e.index for e in events if isinstance(e, ToolCallStart | ToolCallArguments)]
    assert indexes == sorted(indexes)
    assert events[-1] == Finish("tool_calls"), "an agent loop stops on anything else"


async def test_ids_that_are_missing_are_made(upstream: FakeUpstream, engine: OpenAICompatibleEngine) -> None:
    calls = [call(0, name="f", arguments="{}"), call(1, name="g", arguments="{}")]
    events = await answered(upstream, engine, stream(delta(tool_calls=calls), end("tool_calls")))
    ids = [event.id for event in events if isinstance(event, ToolCallStart)]
    assert len(set(ids)) == 2
    assert all(id.startswith("call_") and len(id) > 20 for id in ids)


async def test_calls_without_arguments_are_calls(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    calls = [call(0, "a", "f"), call(1, "b", "g", "")]
    events = await answered(upstream, engine, stream(delta(tool_calls=calls), end("tool_calls")))
    assert events == [ToolCallStart(0, "a", "f"), Finish("tool_calls"), ToolCallStart(1, "b", "g")]


async def test_the_deprecated_function_call_is_a_tool_call(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    chunks = [
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": "{}"}),
        end("function_call"),
    ]
    events = await answered(upstream, engine, stream(*chunks))
    assert starts(events) == [(0, "f")]
    assert events[1:] == [ToolCallArguments(0, "{}"), Finish("tool_calls")]


async def test_a_whole_answer_with_calls(upstream: FakeUpstream, engine: OpenAICompatibleEngine) -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    events = await answered(upstream, engine, whole(message, "stop"), stream=False)
    assert starts(events) == [(0, "f"), (1, "f")]
    assert events[-1] == Finish("tool_calls")


async def test_a_call_without_a_name_is_an_error(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    with pytest.raises(EngineError, match="without naming it"):
        await answered(upstream, engine, stream(delta(tool_calls=[call(0, "c1", None, "{}")]), end()))


# --- sound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [4, 5, 6, 7])
async def test_sound_is_decoded_wherever_its_base64_is_cut(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, cut: int
) -> None:
    sound = bytes(range(60))
    data = base64.b64encode(sound).decode()
    chunks = [
        delta(audio={"id": "audio_1"}),
        delta(audio={"id": "audio_1", "data": data[:cut], "transcript": "Hel"}),
        delta(audio={"data": data[cut:], "transcript": "lo"}),
        delta(audio={"expires_at": 1700000000}),
        end(),
    ]
    events = await answered(upstream, engine, stream(*chunks), modalities=("text", "audio"))
    audio = [event for event in events if isinstance(event, AudioDelta)]
    assert b"".join(event.data or b"" for event in audio) == sound
    assert "".join(event.transcript or "" for event in audio) == "Hello"
    assert [event.id for event in audio if event.id] == ["audio_1"]
    assert [event.expires_at for event in audio if event.expires_at] == [1700000000]
    assert upstream.body["audio"]["format"] == "pcm16"


async def test_a_whole_spoken_answer(upstream: FakeUpstream, engine: OpenAICompatibleEngine) -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "transcript": "Hi", "expires_at": 17}
    events = await answered(upstream, engine, whole({"content": None, "audio": audio}), stream=False)
    assert events == [AudioDelta("audio_1", b"RIFF", "Hi", 17), Finish("stop")]


async def test_sound_on_a_line_of_megabytes_passes(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    sound = b"sound!" * 700_000
    line = frame(delta(audio={"data": base64.b64encode(sound).decode()}))
    pieces = [line[start : start + 300_000] for start in range(0, len(line), 300_000)]
    events = await answered(upstream, engine, raw(*pieces, frame(end())))
    assert events == [AudioDelta(data=sound), Finish("stop")]


async def test_a_picture_of_megabytes_is_sent_as_often_as_it_takes(upstream: FakeUpstream) -> None:
    picture = Blob("a" * 64, "image/png", 3_000_000)
    data = bytes(range(250)) * 12_000

    async def read_blob(blob: Blob) -> bytes:
        return data

    parts = (TextPart("Look"), ImagePart(blob=picture), ImagePart(blob=picture))
    request = EngineRequest(messages=(Message("user", parts),), read_blob=read_blob)
    upstream.will(status(503, Retry_After="0"), stream(say("Nice"), end()))
    engine = OpenAICompatibleEngine(upstream.base_url, "m")
    events = [event async for event in engine.stream(request)]
    await engine.close()
    assert joined(events) == "Nice"
    assert len(upstream.requests) == 2
    for received in upstream.requests:
        _, *pictures = received.body["messages"][0]["content"]
        head, _, encoded = pictures[1]["image_url"]["url"].partition(",")
        assert pictures[0] == pictures[1]
        assert head == "data:image/png;base64"
        assert base64.b64decode(encoded, validate=True) == data


async def test_sound_that_is_no_base64_is_an_error(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    with pytest.raises(EngineError, match="no base64"):
        await answered(upstream, engine, stream(delta(audio={"data": "!!!!"}), end()))


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("eos_token", "stop"),
    ],
)
async def test_finish_reasons_are_those_of_the_contract(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, theirs: str, ours: str
) -> None:
    events = await answered(upstream, engine, stream(say("Hi"), end(theirs)))
    assert events[-1] == Finish(ours)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        stream(say("Hi")),
        stream(say("Hi"), done=False),
        raw(frame(say("Hi")), ABORT),
        stream(say("Hi"), end("error")),
        stream(say("Hi"), {"error": {"message": "out of memory"}}),
        stream(say("Hi"), {"object": "error", "message": "out of memory", "code": 500}),
        raw(frame(say("Hi")), b"data: {broken\n\n"),
        raw(frame(say("Hi")), b"data: 17\n\n"),
        raw(frame(say("Hi")), b'data: {"choices": "none"}\n\n'),
        stream(say("Hi", 1), say("Hi"), end(index=1)),
    ],
    ids=[
        "DONE",
        "EOF",
        "reset",
        "error reason",
        "error",
        "bare error",
        "no JSON",
        "number",
        "shape",
        "one of 2",
    ],
)
async def test_an_answer_that_breaks_off_is_never_a_clean_end(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, answer: Answer
) -> None:
    upstream.will(answer)
    seen: list[Event] = []
    with pytest.raises(EngineError):
        await collect(engine, seen)
    assert joined(seen).startswith("Hi"), "what came before the failure is part of the answer"
    assert not any(isinstance(event, Finish) for event in seen)


@pytest.mark.parametrize("ending", [(), (ABORT,)], ids=["end", "reset"])
async def test_an_answer_that_finished_needs_no_done(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine, ending: tuple[Any, ...]
) -> None:
    events = await answered(upstream, engine, raw(frame(say("Hi")), frame(end()), *ending))
    assert events == [TextDelta("Hi"), Finish("stop")]


async def test_the_finish_is_told_while_the_usage_is_awaited(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    """Whoever leaves between the two has heard the whole answer."""
    upstream.will(raw(frame(say("Hi")), frame(end()), HANG))
    events = engine.stream(ask())
    assert [await anext(events), await anext(events)] == [TextDelta("Hi"), Finish("stop")]
    await events.aclose()


async def test_what_comes_after_the_finish_still_counts_and_a_second_finish_does_not(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    events = await answered(
        upstream, engine, stream(say("Hi"), end(), say("!"), end("stop"), {"choices": []})
    )
    assert events == [TextDelta("Hi"), Finish("stop"), TextDelta("!")]


async def test_a_second_finish_that_says_otherwise_replaces_the_first(
    upstream: FakeUpstream, engine: OpenAICompatibleEngine
) -> None:
    events = await answered(upstream, engine, stream(say("Hi"), end(), end("length")))
    assert events == [TextDelta("Hi"), Finish("stop"), Finish("length")]
