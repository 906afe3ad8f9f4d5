"""Whole requests and pieces of them, for tests to send and to break."""

from base64 import b64encode
from typing import Any

PICTURE = b"\x89PNG\r\n\x1a\nnot really"
SOUND = b"RIFF\x00\x00\x00\x00WAVEnot really"


def b64(data: bytes) -> str:
    return b64encode(data).decode()


PICTURE_URL = f"data:image/png;base64,{b64(PICTURE)}"


def user(content: Any = "Hello") -> dict[str, Any]:
    return {"role": "user", "content": content}


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


def text(words: Any) -> dict[str, Any]:
    return {"type": "text", "text": words}


def sound(data: str = b64(SOUND), **format: Any) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, **(format or {"format": "wav"})}}


def call(call_id: str = "call_1", name: str = "get_weather") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def result(call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "content": "sunny", "tool_call_id": call_id}


def tool(name: Any = "get_weather", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def body(*messages: Any, **parameters: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [user()], **parameters}


EVERYTHING: dict[str, Any] = body(
    {"role": "developer", "content": "Be brief.", "name": "operator"},
    {"role": "system", "content": [text("Be kind.")]},
    user([text("What is this?"), image({"url": PICTURE_URL, "detail": "low"}), sound()]),
    {"role": "assistant", "content": None, "tool_calls": [call("call_1"), call("call_2")]},
    result("call_1"),
    {"role": "tool", "content": [text("rainy")], "tool_call_id": "call_2"},
    {"role": "assistant", "content": [text("A picture.")], "name": "helper", "audio": None},
    {"role": "assistant", "audio": {"id": "audio_1"}},
    user(
        [text("And this?"), image("https://example.com/cat.png"), {"type": "file", "file": {"file_id": "f"}}]
    ),
    tools=[tool(description="Weather", parameters={"type": "object", "properties": {}}, strict=True)],
    tool_choice={"type": "function", "function": {"name": "get_weather"}},
    parallel_tool_calls=False,
    response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    modalities=["text", "audio"],
    audio={"voice": "alloy", "format": "pcm16"},
    temperature=0.5,
    top_p=1,
    frequency_penalty=-2,
    presence_penalty=2.0,
    max_completion_tokens=10,
    max_tokens=10,
    stop=["a", "b"],
    seed=-(2**63),
    n=2,
    logit_bias={"50256": -100},
    logprobs=True,
    top_logprobs=20,
    stream=True,
    stream_options={"include_usage": True, "include_obfuscation": False},
    store=True,
    metadata={"k": "v"},
    prediction={"type": "content", "content": "x"},
    service_tier="auto",
    reasoning_effort="low",
    verbosity="low",
    web_search_options={},
    safety_identifier="someone",
    prompt_cache_key="key",
    user="user-1",
    context={"conversation_id": "conv_1", "parent_message_id": "msg_1", "page": {"url": "x"}},
    on_disconnect="continue",
)
"""One request with every parameter that both dialects take."""
