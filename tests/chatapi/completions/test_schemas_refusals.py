"""What a body must not contain, with the code and the path that the client gets for it."""

from typing import Any

import pytest

from chatapi.completions.dialects import DIALECTS
from conversations.completion_request import DialectName
from core.exceptions import BadRequest
from tests.support.request_bodies import PICTURE_URL, body, call, image, result, sound, text, tool, user

DEEP: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "objekt"}}}}


def refusal(dialect: DialectName, request: Any) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        DIALECTS[dialect].parse(request)
    return refused.value


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


IN_BOTH_DIALECTS: list[tuple[Any, str, str | None]] = [
    # messages
    ({"model": "m"}, "missing_required_parameter", "messages"),
    ({"model": "m", "messages": []}, "empty_array", "messages"),
    ({"model": "m", "messages": {}}, "invalid_type", "messages"),
    ({"model": "m", "messages": None}, "invalid_type", "messages"),
    (body("hello"), "invalid_type", "messages[0]"),
    (body({"content": "x"}), "missing_required_parameter", "messages[0].role"),
    (body({"role": None, "content": "x"}), "invalid_type", "messages[0].role"),
    (body({"role": "robot", "content": "x"}), "invalid_value", "messages[0].role"),
    (body(user(), {"role": "user"}), "missing_required_parameter", "messages[1].content"),
    (body(user(None)), "invalid_type", "messages[0].content"),
    (body(user(1)), "invalid_type", "messages[0].content"),
    (body(user([1])), "invalid_type", "messages[0].content[0]"),
    (body(user([{"text": "x"}])), "missing_required_parameter", "messages[0].content[0].type"),
    (body(user([{"type": "text"}])), "missing_required_parameter", "messages[0].content[0].text"),
    (body(user([text("a"), text(2)])), "invalid_type", "messages[0].content[1].text"),
    (body(user([{"type": "video"}])), "invalid_value", "messages[0].content[0].type"),
    (body(user([{"type": "refusal", "refusal": "x"}])), "invalid_value", "messages[0].content[0].type"),
    (
        body({"role": "system", "content": [image(PICTURE_URL)]}),
        "invalid_value",
        "messages[0].content[0].type",
    ),
    (body({"role": "assistant", "content": [sound()]}), "invalid_value", "messages[0].content[0].type"),
    (body({"role": "user", "content": "x", "name": 1}), "invalid_type", "messages[0].name"),
    # tools and their calls
    (body({"role": "tool", "content": "x"}), "missing_required_parameter", "messages[0].tool_call_id"),
    (body(user(), result("call_9")), "invalid_value", "messages[1].tool_call_id"),
    (
        body(user(), {"role": "assistant", "tool_calls": [{"type": "function"}]}),
        "missing_required_parameter",
        "messages[1].tool_calls[0].id",
    ),
    (
        body(user(), {"role": "assistant", "tool_calls": [{**call(), "function": {"name": 1}}]}),
        "missing_required_parameter",
        "messages[1].tool_calls[0].function.arguments",
    ),
    (
        body(user(), {"role": "assistant", "tool_calls": [{**call(), "type": "custom"}]}),
        "invalid_value",
        "messages[1].tool_calls[0].type",
    ),
    (body(tools={}), "invalid_type", "tools"),
    (body(tools=[{"type": "function"}]), "missing_required_parameter", "tools[0].function"),
    (body(tools=[{"type": "web_search"}]), "invalid_value", "tools[0].type"),
    (
        body(tools=[{"type": "function", "function": {}}]),
        "missing_required_parameter",
        "tools[0].function.name",
    ),
    (body(tools=[{"type": "custom", "custom": {}}]), "unsupported_parameter", "tools[0].type"),
    (body(tools=[tool("get weather")]), "invalid_value", "tools[0].function.name"),
    (body(tools=[tool("")]), "invalid_value", "tools[0].function.name"),
    (body(tools=[tool("wetter_ü")]), "invalid_value", "tools[0].function.name"),
    (body(tools=[tool("a" * 65)]), "string_above_max_length", "tools[0].function.name"),
    (body(tools=[tool(), tool()]), "invalid_value", "tools[1].function.name"),
    (body(tools=[tool(parameters=[])]), "invalid_type", "tools[0].function.parameters"),
    (body(tools=[tool(strict=1)]), "invalid_type", "tools[0].function.strict"),
    (body(tool_choice="required"), "invalid_value", "tool_choice"),
    (body(tools=[tool()], tool_choice="maybe"), "invalid_value", "tool_choice"),
    (body(tools=[tool()], tool_choice=1), "invalid_type", "tool_choice"),
    (
        body(tools=[tool()], tool_choice={"type": "function"}),
        "missing_required_parameter",
        "tool_choice.function",
    ),
    (body(tools=[tool()], tool_choice=tool("other")), "invalid_value", "tool_choice"),
    (body(tools=[tool()], parallel_tool_calls="no"), "invalid_type", "parallel_tool_calls"),
    # JSON schemas
    (
        body(tools=[tool(parameters=DEEP)]),
        "invalid_value",
        "tools[0].function.parameters.properties.a.items.type",
    ),
    (
        body(response_format=schema_format({"type": 1})),
        "invalid_value",
        "response_format.json_schema.schema.type",
    ),
    (
        body(response_format=schema_format({"$schema": "http://127.0.0.1:9/draft"})),
        "invalid_value",
        "response_format.json_schema.schema.$schema",
    ),
    (
        body(response_format=schema_format({"properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}})),
        "invalid_value",
        "response_format.json_schema.schema.properties.a.$ref",
    ),
    (
        body(response_format=schema_format({"$ref": "#/$defs/nowhere"})),
        "invalid_value",
        "response_format.json_schema.schema.$ref",
    ),
    (
        body(response_format=schema_format({"anyOf": [{"$ref": "#nowhere"}]})),
        "invalid_value",
        "response_format.json_schema.schema.anyOf[0].$ref",
    ),
    (
        body(response_format=schema_format({"properties": {"default": {"$ref": "other.json"}}})),
        "invalid_value",
        "response_format.json_schema.schema.properties.default.$ref",
    ),
    (body(response_format={"type": "xml"}), "invalid_value", "response_format.type"),
    (body(response_format="json_object"), "invalid_type", "response_format"),
    (
        body(response_format={"type": "json_schema", "json_schema": {"name": "a b"}}),
        "invalid_value",
        "response_format.json_schema.name",
    ),
    # media
    (body(user([image("data:image/png;base64,@@@@")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("data:image/png;base64,")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("data:image/png,abc")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("data:text/html;base64,aGk=")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("file:///etc/passwd")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("http://[::1")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("http://")])), "invalid_value", "messages[0].content[0].image_url"),
    (body(user([image("")])), "invalid_value", "messages[0].content[0].image_url"),
    (
        body(user([text("a"), image({"url": "gopher://x"})])),
        "invalid_value",
        "messages[0].content[1].image_url",
    ),
    (body(user([image({})])), "missing_required_parameter", "messages[0].content[0].image_url.url"),
    (
        body(user([image({"url": PICTURE_URL, "detail": "huge"})])),
        "invalid_value",
        "messages[0].content[0].image_url.detail",
    ),
    (body(user([sound("aGk")])), "invalid_value", "messages[0].content[0].input_audio.data"),
    (body(user([sound("aGk=\n")])), "invalid_value", "messages[0].content[0].input_audio.data"),
    (body(user([sound("grüß")])), "invalid_value", "messages[0].content[0].input_audio.data"),
    (body(user([sound(format="image/png")])), "invalid_value", "messages[0].content[0].input_audio.format"),
    (body(user([sound(format="audio/")])), "invalid_value", "messages[0].content[0].input_audio.format"),
    (
        body(user([sound("data:audio/wav;base64,aGk")])),
        "invalid_value",
        "messages[0].content[0].input_audio.data",
    ),
    (body(user([sound(format=3)])), "invalid_type", "messages[0].content[0].input_audio.format"),
    (
        body(user([{"type": "input_audio", "input_audio": {"format": "wav"}}])),
        "missing_required_parameter",
        "messages[0].content[0].input_audio.data",
    ),
    (
        body(user([{"type": "input_audio", "input_audio": {"data": "AAAA", "file_id": "file-none"}}])),
        "invalid_value",
        "messages[0].content[0].input_audio.file_id",
    ),
    (
        body(user([image({"url": PICTURE_URL, "file_id": "file-none"})])),
        "invalid_value",
        "messages[0].content[0].image_url.file_id",
    ),
    (
        body(user([{"type": "file", "file": {"file_data": "AAAA", "file_id": "file-none"}}])),
        "invalid_value",
        "messages[0].content[0].file.file_id",
    ),
    (
        body(user([{"type": "input_audio", "input_audio": {"file_id": 3}}])),
        "invalid_type",
        "messages[0].content[0].input_audio.file_id",
    ),
    (
        body(user([image({"file_id": "x" * 257})])),
        "string_above_max_length",
        "messages[0].content[0].image_url.file_id",
    ),
    (
        body(user([{"type": "file", "file": {"filename": "a"}}])),
        "missing_required_parameter",
        "messages[0].content[0].file.file_id",
    ),
    (
        body(user([{"type": "file", "file": {"file_data": "!"}}])),
        "invalid_value",
        "messages[0].content[0].file.file_data",
    ),
    # sampling and limits
    (body(temperature="1"), "invalid_type", "temperature"),
    (body(temperature=True), "invalid_type", "temperature"),
    (body(temperature=2.1), "decimal_above_max_value", "temperature"),
    (body(top_p=-0.1), "decimal_below_min_value", "top_p"),
    (body(frequency_penalty=-3), "decimal_below_min_value", "frequency_penalty"),
    (body(n=0), "integer_below_min_value", "n"),
    (body(n=129), "integer_above_max_value", "n"),
    (body(n=1.0), "invalid_type", "n"),
    (body(n=True), "invalid_type", "n"),
    (body(max_tokens=0), "integer_below_min_value", "max_tokens"),
    (body(max_completion_tokens=10**30), "integer_above_max_value", "max_completion_tokens"),
    (body(seed=2**63), "integer_above_max_value", "seed"),
    (body(seed="1"), "invalid_type", "seed"),
    (body(stop=1), "invalid_type", "stop"),
    (body(stop=["a", 1]), "invalid_type", "stop[1]"),
    (body(stop=["a"] * 5), "array_above_max_length", "stop"),
    (body(stop=[]), "empty_array", "stop"),
    (body(logit_bias={"1": 101}), "decimal_above_max_value", "logit_bias.1"),
    (body(logit_bias={"one": 1}), "invalid_value", "logit_bias.one"),
    (body(logit_bias=[]), "invalid_type", "logit_bias"),
    (body(top_logprobs=2), "invalid_value", "top_logprobs"),
    (body(logprobs=True, top_logprobs=21), "integer_above_max_value", "top_logprobs"),
    (body(metadata={str(i): "" for i in range(17)}), "invalid_value", "metadata"),
    (body(metadata={"k": 1}), "invalid_type", "metadata.k"),
    (body(metadata={"k" * 65: "v"}), "string_above_max_length", f"metadata.{'k' * 65}"),
    (body(metadata={"k": "v" * 513}), "string_above_max_length", "metadata.k"),
    (body(safety_identifier="a" * 65), "string_above_max_length", "safety_identifier"),
    (body(stream="true"), "invalid_type", "stream"),
    (body(stream=False, stream_options={}), "invalid_value", "stream_options"),
    (body(stream=True, stream_options={"include_usage": 1}), "invalid_type", "stream_options.include_usage"),
    (body(modalities=["video"]), "invalid_value", "modalities[0]"),
    (body(prediction={"type": "content"}), "missing_required_parameter", "prediction.content"),
    (body(model=1), "invalid_type", "model"),
    # our own parameters
    (body(context=[]), "invalid_type", "context"),
    (body(context={"conversation_id": 1}), "invalid_type", "context.conversation_id"),
    (body(context={"parent_message_id": {}}), "invalid_type", "context.parent_message_id"),
    (body(on_disconnect="explode"), "invalid_value", "on_disconnect"),
    (body(ssml_enabled="yes"), "invalid_type", "ssml_enabled"),
    (body(ssml_enabled=True, response_format={"type": "json_object"}), "invalid_value", "ssml_enabled"),
]

IN_THE_OPENAI_DIALECT: list[tuple[Any, str, str | None]] = [
    (body(user([])), "empty_array", "messages[0].content"),
    (body({"role": "system", "content": []}), "empty_array", "messages[0].content"),
    ({"messages": [user()]}, "missing_required_parameter", "model"),
    (body({"role": "system", "content": ["a string"]}), "invalid_type", "messages[0].content[0]"),
    (
        body(user(), {"role": "assistant", "tool_calls": [call()]}, user()),
        "invalid_value",
        "messages[1].tool_calls",
    ),
    (
        body(user(), {"role": "assistant", "tool_calls": [call("a"), call("b")]}, result("a")),
        "invalid_value",
        "messages[1].tool_calls",
    ),
    (body({"role": "function", "name": "f", "content": "x"}), "invalid_value", "messages[0].name"),
    (body(tools=[{"function": {"name": "f"}}]), "missing_required_parameter", "tools[0].type"),
    (body(tool_choice="auto"), "invalid_value", "tool_choice"),
    (body(functions=[{"name": "a b"}]), "invalid_value", "functions[0].name"),
    (body(functions=[{"name": "a"}, {"name": "a"}]), "invalid_value", "functions[1].name"),
    (body(functions=[{"name": "a"}], function_call={"name": "b"}), "invalid_value", "function_call"),
    (body(response_format={}), "missing_required_parameter", "response_format.type"),
    (
        body(response_format={"type": "json_schema"}),
        "missing_required_parameter",
        "response_format.json_schema",
    ),
    (
        body(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
        "missing_required_parameter",
        "response_format.json_schema.name",
    ),
    (body(stream_options={}), "invalid_value", "stream_options"),
    (body(modalities=[]), "empty_array", "modalities"),
    (body(modalities=["text", "audio"]), "missing_required_parameter", "audio"),
    (body(modalities=["audio"], audio={"voice": "a"}), "missing_required_parameter", "audio.format"),
    (body(modalities=["audio"], audio={"voice": "a", "format": "midi"}), "invalid_value", "audio.format"),
    (
        body(modalities=["audio"], audio={"voice": {}, "format": "wav"}),
        "missing_required_parameter",
        "audio.voice.id",
    ),
    (
        body(modalities=["audio"], audio={"voice": {"id": 3}, "format": "wav"}),
        "invalid_type",
        "audio.voice.id",
    ),
    (
        body(modalities=["audio"], audio={"voice": {"id": "x" * 129}, "format": "wav"}),
        "string_above_max_length",
        "audio.voice.id",
    ),
    (
        body(stream=True, modalities=["audio"], audio={"voice": "a", "format": "mp3"}),
        "invalid_value",
        "audio.format",
    ),
]

IN_THE_NATIVE_DIALECT: list[tuple[Any, str, str | None]] = [
    (body({"role": "assistant"}), "missing_required_parameter", "messages[0].content"),
    (body({"role": "function", "name": "f", "content": "x"}), "invalid_value", "messages[0].role"),
    (
        body(user(), {"role": "system", "tool_calls": {"id": "a", "function": {"name": "f"}}}),
        "missing_required_parameter",
        "messages[1].tool_calls.function.arguments",
    ),
]


@pytest.mark.parametrize("dialect", ["native", "openai"])
@pytest.mark.parametrize(("request_body", "code", "param"), IN_BOTH_DIALECTS)
def test_both_dialects_refuse(dialect: DialectName, request_body: Any, code: str, param: str) -> None:
    refused = refusal(dialect, request_body)
    assert (refused.code, refused.param) == (code, param)
    assert param in refused.message


@pytest.mark.parametrize(("request_body", "code", "param"), IN_THE_OPENAI_DIALECT)
def test_the_openai_dialect_refuses(request_body: Any, code: str, param: str) -> None:
    refused = refusal("openai", request_body)
    assert (refused.code, refused.param) == (code, param)


@pytest.mark.parametrize(("request_body", "code", "param"), IN_THE_NATIVE_DIALECT)
def test_the_native_dialect_refuses(request_body: Any, code: str, param: str) -> None:
    refused = refusal("native", request_body)
    assert (refused.code, refused.param) == (code, param)


def test_a_refusal_repeats_no_more_than_a_line_of_what_was_sent() -> None:
    refused = refusal("openai", body(tools=[tool(parameters={"type": "x" * 100_000})]))
    assert len(refused.message) < 300
    assert "\n" not in refusal("openai", body(tool_choice="a\nb")).message


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_a_body_that_is_not_an_object_is_refused_here_too(dialect: DialectName) -> None:
    assert refusal(dialect, []).code == "invalid_type"
