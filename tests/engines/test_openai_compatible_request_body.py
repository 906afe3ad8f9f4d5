"""Requests encoded as the body that is sent to an upstream."""

import base64
import json
import time
from typing import Any

import pytest

from core.blob import Blob
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from engines.openai_compatible.request_body import ENCODE_PIECE, encode_request
from engines.requests import AudioOutput, EngineRequest, ResponseFormat, Tool, ToolChoice

PICTURE = Blob("a" * 64, "image/png", 3)
SOUND = Blob("b" * 64, "audio/wav", 4)
STORE = {PICTURE.sha256: b"png", SOUND.sha256: b"RIFF"}
HELLO = Message("user", (TextPart("Hello"),))


async def read_blob(blob: Blob) -> bytes:
    return STORE[blob.sha256]


async def body_of(*messages: Message, supports_n: bool = False, **more: Any) -> dict[str, Any]:
    request = EngineRequest(messages=messages or (HELLO,), read_blob=read_blob, **more)
    body: dict[str, Any] = json.loads(b"".join(await encode_request(request, "m", supports_n=supports_n)))
    return body


async def sent(message: Message, **more: Any) -> Any:
    body = await body_of(message, **more)
    return body["messages"][0]


async def test_one_text_is_sent_as_a_string() -> None:
    for role in ("system", "user", "assistant"):
        assert await sent(Message(role, (TextPart("Hi"),))) == {"role": role, "content": "Hi"}
    tool = Message("tool", (TextPart("21 °C"),), tool_call_id="c1")
    assert await sent(tool) == {"role": "tool", "tool_call_id": "c1", "content": "21 °C"}
    assert await sent(Message("user", (TextPart("Hi"),), name="ann")) == {
        "role": "user",
        "name": "ann",
        "content": "Hi",
    }


async def test_several_texts_are_sent_as_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    for role in ("system", "user", "assistant"):
        assert (await sent(Message(role, (TextPart("a"), TextPart("b")))))["content"] == parts


async def test_blobs_are_inlined() -> None:
    message = Message(
        "user",
        (
            TextPart("Look, listen, read"),
            ImagePart(blob=PICTURE, detail="low"),
            ImagePart(url="https://example.org/cat.png"),
            AudioPart(SOUND, "wav"),
            FilePart(blob=PICTURE, filename="cat.png"),
            FilePart(file_id="file-1"),
        ),
    )
    assert (await sent(message))["content"] == [
        {"type": "text", "text": "Look, listen, read"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:image/png;base64,cG5n", "filename": "cat.png"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]


@pytest.mark.parametrize("size", [0, 1, ENCODE_PIECE - 1, ENCODE_PIECE, 3 * ENCODE_PIECE + 1])
async def test_large_blobs_are_encoded_in_pieces_that_join(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    monkeypatch.setitem(STORE, SOUND.sha256, data)
    content = (await sent(Message("user", (AudioPart(SOUND, "wav"),))))["content"]
    assert base64.b64decode(content[0]["input_audio"]["data"], validate=True) == data


async def test_an_earlier_answer_with_calls() -> None:
    call = ToolCall("c1", "weather", '{"city":"Oslo"}')
    wire = {
        "id": "c1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
    }
    assert await sent(Message("assistant", (ReasoningPart("hm"), call))) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [wire],
    }
    assert await sent(Message("assistant", (TextPart("Let me look."), call))) == {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [wire],
    }


async def test_an_earlier_refusal() -> None:
    assert await sent(Message("assistant", (RefusalPart("No."),))) == {
        "role": "assistant",
        "content": None,
        "refusal": "No.",
    }
    assert (await sent(Message("assistant", (TextPart("Well,"), RefusalPart("no.")))))["content"] == [
        {"type": "text", "text": "Well,"},
        {"type": "refusal", "refusal": "no."},
    ]


async def test_reasoning_is_never_sent_back() -> None:
    assert await sent(Message("assistant", (ReasoningPart("secret thought"), TextPart("Hi")))) == {
        "role": "assistant",
        "content": "Hi",
    }
    assert await sent(Message("assistant", (ReasoningPart("secret thought"),))) == {
        "role": "assistant",
        "content": "",
    }


async def test_an_earlier_spoken_answer_is_named_while_the_upstream_knows_it() -> None:
    spoken = SpokenPart("audio_1", "Good day", expires_at=int(time.time()) + 60)
    named = {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    as_text = {"role": "assistant", "content": "Good day"}
    both = ("text", "audio")
    assert await sent(Message("assistant", (spoken,)), modalities=both) == named
    assert await sent(Message("assistant", (spoken,))) == as_text
    assert (
        await sent(Message("assistant", (SpokenPart("audio_1", "Good day", expires_at=1),)), modalities=both)
        == as_text
    )
    assert await sent(Message("assistant", (SpokenPart("audio_1"),))) == named


WEATHER = Tool("weather", "Tells the weather", {"type": "object", "properties": {}}, strict=True)
CLOCK = Tool("clock")
RADIO = Tool("radio")


async def test_tools() -> None:
    body = await body_of(tools=(WEATHER, CLOCK))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "clock"}},
    ]
    assert "tool_choice" not in body
    assert "parallel_tool_calls" not in body


@pytest.mark.parametrize(
    ("choice", "sent_choice", "sent_tools"),
    [
        (ToolChoice("none"), "none", ["weather", "clock", "radio"]),
        (ToolChoice("auto"), "auto", ["weather", "clock", "radio"]),
        (ToolChoice("required"), "required", ["weather", "clock", "radio"]),
        (
            ToolChoice("required", ("clock",)),
            {"type": "function", "function": {"name": "clock"}},
            ["weather", "clock", "radio"],
        ),
        (ToolChoice("required", ("clock", "radio")), "required", ["clock", "radio"]),
        (ToolChoice("auto", ("clock",)), "auto", ["clock"]),
        (ToolChoice("auto", ("clock", "weather")), "auto", ["weather", "clock"]),
    ],
)
async def test_tool_choice(choice: ToolChoice, sent_choice: Any, sent_tools: list[str]) -> None:
    body = await body_of(tools=(WEATHER, CLOCK, RADIO), tool_choice=choice)
    assert body["tool_choice"] == sent_choice
    assert [tool["function"]["name"] for tool in body["tools"]] == sent_tools


async def test_one_call_at_a_time_is_asked_for_only_with_tools() -> None:
    assert (await body_of(tools=(CLOCK,), parallel_tool_calls=False))["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in await body_of(parallel_tool_calls=False)
    assert "tool_choice" not in await body_of(tool_choice=ToolChoice("auto"))


async def test_response_format() -> None:
    assert (await body_of(response_format=ResponseFormat("json_object")))["response_format"] == {
        "type": "json_object"
    }
    schema = ResponseFormat("json_schema", "city", None, {"type": "object"}, True)
    assert (await body_of(response_format=schema))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True},
    }


async def test_a_spoken_answer_is_asked_for_in_a_format_that_can_be_streamed() -> None:
    asked: dict[str, Any] = {"modalities": ("text", "audio"), "audio": AudioOutput("verse", "mp3")}
    streamed = await body_of(**asked)
    assert streamed["modalities"] == ["text", "audio"]
    assert streamed["audio"] == {"voice": "verse", "format": "pcm16"}
    assert (await body_of(**asked, stream=False))["audio"] == {"voice": "verse", "format": "mp3"}
    assert (await body_of(modalities=("text", "audio")))["audio"]["voice"] == "alloy"
    assert "modalities" not in await body_of()


async def test_parameters_pass_by_name_and_cannot_replace_what_the_engine_decides() -> None:
    body = await body_of(
        params={"temperature": 0.5, "seed": None, "stop": ["x"], "model": "other", "stream": 1}
    )
    assert (body["temperature"], body["stop"], body["model"], body["stream"]) == (0.5, ["x"], "m", True)
    assert "seed" not in body


async def test_n_is_sent_only_where_the_upstream_honors_it() -> None:
    assert (await body_of(n=3, supports_n=True))["n"] == 3
    assert "n" not in await body_of(n=3)
    assert "n" not in await body_of(n=1, supports_n=True)
