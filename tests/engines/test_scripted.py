"""The scripted engine does what the last user message tells it to."""

import asyncio
import io
import json
import time
import wave
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from core.blob import Blob
from engines.base import EngineError, InvalidRequest, Unavailable
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
from engines.messages import ImagePart, Message, TextPart, ToolCall
from engines.model_registry import Registry
from engines.model_spec import ModelSpec
from engines.requests import AudioOutput, EngineRequest, ResponseFormat, Tool, ToolChoice
from engines.scripted.engine import ScriptedEngine
from engines.scripted.schema_instances import make_instance

WEATHER = Tool(
    "weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}, "days": {"type": "integer"}},
        "required": ["city", "unit"],
    },
)
CLOCK = Tool("clock")


def user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def ask(*messages: Message | str, **more: Any) -> EngineRequest:
    said = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return EngineRequest(messages=said, **more)


async def collect(request: EngineRequest, seen: list[Event]) -> None:
    async for event in ScriptedEngine().stream(request):
        seen.append(event)


async def answer(*messages: Message | str, **more: Any) -> list[Event]:
    seen: list[Event] = []
    await collect(ask(*messages, **more), seen)
    return seen


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(events: list[Event]) -> list[tuple[str, Any]]:
    """The name and arguments of each call."""
    return [
        (
            start.name,
            json.loads(
                "".join(
                    e.fragment for e in events if isinstance(e, ToolCallArguments) and e.index == start.index
                )
            ),
        )
        for start in events
        if isinstance(start, ToolCallStart)
    ]


def finish(events: list[Event]) -> str:
    assert isinstance(events[-2], Finish)
    assert isinstance(events[-1], Usage)
    return events[-2].reason


async def test_plain_text_is_echoed_word_by_word() -> None:
    assert await answer(Message("system", (TextPart("Be kind."),)), "Hello  there") == [
        TextDelta("You "),
        TextDelta("said: "),
        TextDelta("Hello  "),
        TextDelta("there"),
        Finish("stop"),
        Usage(prompt_tokens=4, completion_tokens=4),
    ]


async def test_the_same_question_has_the_same_answer_and_ids_are_not_reused() -> None:
    first = await answer("[[tool: clock]][[tool: clock]]")
    assert await answer("[[tool: clock]][[tool: clock]]") == first
    later = await answer("Hello", "[[tool: clock]]")
    ids = [event.id for event in first + later if isinstance(event, ToolCallStart)]
    assert len(set(ids)) == 3


async def test_media_are_noticed() -> None:
    picture = ImagePart(blob=Blob("a" * 64, "image/png", 3))
    events = await answer(Message("user", (TextPart("Look"), picture)))
    assert text(events) == "You said: Look (with image)"
    assert text(await answer(Message("user", (picture,)))) == "You said nothing. (with image)"


async def test_content_directives_play_in_their_order() -> None:
    events = await answer("Ignored [[reason: Let me think.]] [[text: Good morning.]] [[refuse: No more.]]")
    assert events[:-2] == [
        ReasoningDelta("Let "),
        ReasoningDelta("me "),
        ReasoningDelta("think."),
        TextDelta("Good "),
        TextDelta("morning."),
        RefusalDelta("No "),
        RefusalDelta("more."),
    ]
    assert events[-1] == Usage(prompt_tokens=11, completion_tokens=7, reasoning_tokens=3)


async def test_reasoning_alone_goes_before_the_echo() -> None:
    assert text(await answer("[[reason: Hm.]] Hello")) == "You said: Hello"


async def test_a_hundred_chunks() -> None:
    events = await answer("[[chunks: 100]]")
    assert len([event for event in events if isinstance(event, TextDelta)]) == 100
    assert text(events).endswith("w99 w100")


@pytest.mark.parametrize("plain", ["[[1, 2], [3, 4]]", "[[unknown: x]] y", "[[text: open", "a]] b", "[[]]"])
async def test_other_brackets_are_plain_text(plain: str) -> None:
    assert text(await answer(plain)) == f"You said: {plain}"


@pytest.mark.parametrize(
    "script",
    [
        "[[wait: long]]",
        "[[slow: -1]]",
        "[[wait: nan]]",
        "[[chunks: 0]]",
        "[[chunks]]",
        "[[error]]",
        "[[error: 200]]",
        "[[error-after: x 500]]",
        "[[finish: never]]",
        "[[tool:]]",
        "[[tool: f {bad}]]",
        "[[tool: f 17]]",
    ],
)
async def test_a_directive_that_cannot_be_understood_is_refused(script: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be understood") as caught:
        await answer(script)
    assert caught.value.param == "messages"


# --- tools --------------------------------------------------------------------------------------


async def test_tools_are_called_side_by_side() -> None:
    events = await answer(
        '[[tool: weather {"city": "Oslo", "a": [[1]]}]] [[tool: clock]]', tools=(WEATHER, CLOCK)
    )
    assert calls(events) == [("weather", {"city": "Oslo", "a": [[1]]}), ("clock", {})]
    assert finish(events) == "tool_calls"
    one = await answer("[[tool: weather]] [[tool: clock]]", tools=(WEATHER, CLOCK), parallel_tool_calls=False)
    assert calls(one) == [("weather", {"city": "text", "unit": "C"})]


async def test_a_tool_that_must_be_called_is_called() -> None:
    tools = (WEATHER, CLOCK)
    required = await answer("Hello", tools=tools, tool_choice=ToolChoice("required"))
    assert calls(required) == [("weather", {"city": "text", "unit": "C"})]
    assert finish(required) == "tool_calls"
    assert text(required) == ""
    named = await answer("Hello", tools=tools, tool_choice=ToolChoice("required", ("clock",)))
    assert calls(named) == [("clock", {})]
    other = await answer("[[tool: weather]]", tools=tools, tool_choice=ToolChoice("required", ("clock",)))
    assert calls(other) == [("clock", {})]


async def test_a_tool_that_may_not_be_called_is_not_called() -> None:
    for choice in (ToolChoice("none"), ToolChoice("auto", ("clock",))):
        events = await answer("[[tool: weather]]", tools=(WEATHER, CLOCK), tool_choice=choice)
        assert calls(events) == []
        assert text(events)
        assert finish(events) == "stop"


async def test_a_tools_result_is_quoted() -> None:
    history = (
        user("[[tool: weather]][[tool: clock]]"),
        Message("assistant", (ToolCall("c1", "weather", "{}"), ToolCall("c2", "clock", "{}"))),
        Message("tool", (TextPart("21 °C"),), tool_call_id="c1"),
        Message("tool", (TextPart("noon"),), tool_call_id="c2"),
    )
    events = await answer(*history, tools=(WEATHER, CLOCK))
    assert text(events) == "The tool answered: 21 °C | noon"
    assert finish(events) == "stop"


# --- schemas ------------------------------------------------------------------------------------

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 6},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "next"],
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"a": {"const": 7}, "b": {"default": "x"}}, "required": ["a", "b"]},
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 2, "multipleOf": 5}, "minItems": 3},
    {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}], "minItems": 2},
    {"type": ["null", "string"], "maxLength": 2},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 10, "maximum": 12},
    {"type": "integer", "maximum": -3},
    {"type": "number", "exclusiveMaximum": 0},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"enum": [3, 4]}}, "required": ["b"]},
        ]
    },
    TREE,
    {"required": ["anything"]},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_a_schema_is_answered_by_an_instance_of_it(schema: Any) -> None:
    events = await answer("Hello", response_format=ResponseFormat("json_schema", "s", schema=schema))
    jsonschema.validate(json.loads(text(events)), schema, format_checker=jsonschema.FormatChecker())


def test_a_schema_that_never_ends_has_an_instance_nevertheless() -> None:
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    assert json.dumps(make_instance(endless)).startswith('{"a": {"a": ')
    assert make_instance({"$ref": "#/$defs/missing"}) == {}
    assert make_instance({"$ref": "#"}) == {}


async def test_json_objects_hold_the_echo() -> None:
    events = await answer("Hello", response_format=ResponseFormat("json_object"))
    assert json.loads(text(events)) == {"answer": "You said: Hello"}


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_the_token_limit_ends_the_answer(name: str) -> None:
    events = await answer("[[text: one two three four]]", params={name: 2})
    assert text(events) == "one two "
    assert finish(events) == "length"
    assert events[-1] == Usage(prompt_tokens=5, completion_tokens=2)
    assert finish(await answer("[[text: one two]]", params={name: 2})) == "stop"


async def test_stop_ends_the_answer_before_the_stop_text() -> None:
    events = await answer("[[text: one two three]] [[text: four]]", params={"stop": ["three", "two"]})
    assert text(events) == "one "
    assert finish(events) == "stop"
    assert text(await answer("[[text: one two]]", params={"stop": "o"})) == ""


async def test_the_finish_reason_can_be_told() -> None:
    assert finish(await answer("[[finish: length]] Hello")) == "length"
    assert finish(await answer("[[finish: content_filter]] Hello")) == "content_filter"


# --- sound --------------------------------------------------------------------------------------


async def test_a_spoken_answer_is_streamed_in_step_with_its_transcript() -> None:
    events = await answer("[[text: Good morning to you]]", modalities=("text", "audio"))
    sound = [event for event in events if isinstance(event, AudioDelta)]
    assert text(events) == ""
    assert sound[0].id is not None
    assert all(event.id is None for event in sound[1:])
    assert [event.transcript for event in sound[1:-1]] == ["Good ", "morning ", "to ", "you"]
    assert {len(event.data or b"") for event in sound[1:-1]} == {4800}
    expires_at = sound[-1].expires_at
    assert expires_at is not None
    assert expires_at > time.time()
    assert events[-1] == Usage(prompt_tokens=5, completion_tokens=4, completion_audio_tokens=4)


async def test_a_spoken_answer_that_is_not_streamed_is_a_wav() -> None:
    (spoken, *_) = await answer("[[audio]][[text: Good morning]]", stream=False)
    assert isinstance(spoken, AudioDelta)
    assert spoken.transcript == "Good morning"
    with wave.open(io.BytesIO(spoken.data or b"")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24000, 1, 2)
        assert sound.getnframes() == 4800
        assert len(set(sound.readframes(4800))) > 50, "it is not silent"


async def test_a_format_that_it_cannot_make_is_refused() -> None:
    asked: dict[str, Any] = {"modalities": ("text", "audio"), "stream": False}
    with pytest.raises(InvalidRequest) as caught:
        await answer("Hello", audio=AudioOutput("any", "mp3"), **asked)
    assert caught.value.param == "audio.format"
    (spoken, *_) = await answer("[[text: Hello]]", audio=AudioOutput("any", "pcm16"), **asked)
    assert isinstance(spoken, AudioDelta)
    assert len(spoken.data or b"") == 4800


# --- failures and time --------------------------------------------------------------------------


async def test_an_error_before_the_first_event() -> None:
    with pytest.raises(EngineError) as caught:
        await answer("[[error: 429 retry_after=2 code=rate_limit_exceeded Slow down, please]]")
    error = caught.value
    assert (error.status, error.retry_after, error.code) == (429, 2, "rate_limit_exceeded")
    assert error.message == "Slow down, please"


@pytest.mark.parametrize(
    ("status", "kind", "may_fall_back"),
    [(400, InvalidRequest, False), (503, Unavailable, True), (500, EngineError, True)],
)
async def test_errors_are_of_their_statuses_kind(
    status: int, kind: type[EngineError], may_fall_back: bool
) -> None:
    with pytest.raises(kind, match=f"Scripted error {status}") as caught:
        await answer(f"[[error: {status}]]")
    assert caught.value.status == status
    assert caught.value.may_fall_back is may_fall_back


@pytest.mark.parametrize("count", [0, 2, 4])
async def test_an_error_after_some_chunks(count: int) -> None:
    seen: list[Event] = []
    with pytest.raises(EngineError, match="Broken"):
        await collect(ask(f"[[text: one two three four]][[error-after: {count} 500 Broken]]"), seen)
    assert len(seen) == count


async def test_an_answer_that_breaks_off_has_no_finish() -> None:
    assert await answer("[[text: one two]][[break]]") == [TextDelta("one "), TextDelta("two")]


async def test_an_answer_that_stalls_can_be_cancelled() -> None:
    seen: list[Event] = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(collect(ask("[[text: one]][[stall]]"), seen), 0.1)
    assert seen == [TextDelta("one")]


async def test_it_waits_as_long_as_it_is_told() -> None:
    started = time.monotonic()
    await answer("[[wait: 0.05]][[slow: 0.02]][[text: one two three]]")
    assert time.monotonic() - started >= 0.11


async def test_the_registry_makes_it() -> None:
    spec = ModelSpec(id="demo", engine="scripted")
    registry = Registry((spec,), Path())
    await registry.start()
    engine = registry.engine(spec)
    assert engine.unready_reason is None
    assert engine.unsupported == {"logprobs", "top_logprobs"}
    await registry.close()
