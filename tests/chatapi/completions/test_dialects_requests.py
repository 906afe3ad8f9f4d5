"""What a request means once it is parsed: both dialects produce the same values."""

import copy
import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapi.completions.dialects import DIALECTS
from conversations.completion_request import CompletionRequest, DialectName
from conversations.tool_result_check import check_tool_results
from core.blob import Blob
from core.exceptions import BadRequest
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from engines.requests import AudioOutput, ResponseFormat, Tool, ToolChoice
from tests.contract import validate_against_document
from tests.support.examples import examples
from tests.support.request_bodies import (
    EVERYTHING,
    PICTURE,
    SOUND,
    b64,
    body,
    call,
    image,
    result,
    sound,
    text,
    tool,
    user,
)


def native(*messages: Any, **parameters: Any) -> CompletionRequest:
    return DIALECTS["native"].parse(body(*messages, **parameters))


def openai(*messages: Any, **parameters: Any) -> CompletionRequest:
    return DIALECTS["openai"].parse(body(*messages, **parameters))


def calls(*call_ids: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(call_id, "get_weather", "{}") for call_id in call_ids)


# --- whole requests -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_everything_at_once(dialect: DialectName) -> None:
    request = DIALECTS[dialect].parse(EVERYTHING)
    picture = Blob(sha256(PICTURE).hexdigest(), "image/png", len(PICTURE))
    voice = Blob(sha256(SOUND).hexdigest(), "audio/wav", len(SOUND))
    assert request.messages == (
        Message("system", (TextPart("Be brief."),), "operator"),
        Message("system", (TextPart("Be kind."),)),
        Message(
            "user", (TextPart("What is this?"), ImagePart(picture, detail="low"), AudioPart(voice, "wav"))
        ),
        Message("assistant", calls("call_1", "call_2")),
        Message("tool", (TextPart("sunny"),), tool_call_id="call_1"),
        Message("tool", (TextPart("rainy"),), tool_call_id="call_2"),
        Message("assistant", (TextPart("A picture."),), "helper"),
        Message("assistant", (SpokenPart("audio_1"),)),
        Message(
            "user",
            (TextPart("And this?"), ImagePart(url="https://example.com/cat.png"), FilePart(file_id="f")),
        ),
    )
    assert request.uploads == {picture.sha256: PICTURE, voice.sha256: SOUND}
    assert request.tools == (
        Tool("get_weather", "Weather", {"type": "object", "properties": {}}, strict=True),
    )
    assert request.tool_choice == ToolChoice("required", ("get_weather",))
    assert request.response_format == ResponseFormat("json_schema", "a", schema={"type": "object"})
    assert (request.modalities, request.audio) == (("text", "audio"), AudioOutput("alloy", "pcm16"))
    assert (request.n, request.stream, request.include_usage) == (2, True, True)
    assert (request.conversation_id, request.parent_message_id) == ("conv_1", "msg_1")
    assert (request.context or {})["page"] == {"url": "x"}
    assert (request.end_user, request.metadata) == ("someone", {"k": "v"})
    assert (request.on_disconnect, request.parallel_tool_calls) == ("continue", False)
    assert request.params == {
        name: EVERYTHING[name]
        for name in (
            *("frequency_penalty", "presence_penalty", "temperature", "top_p", "max_completion_tokens"),
            *("max_tokens", "stop", "seed", "logit_bias", "logprobs", "top_logprobs", "store", "prediction"),
            *("service_tier", "reasoning_effort", "verbosity", "web_search_options", "safety_identifier"),
            *("prompt_cache_key", "user"),
        )
    }


def test_a_minimal_request() -> None:
    by_native = DIALECTS["native"].parse({"messages": [user("")]})
    by_openai = DIALECTS["openai"].parse({"model": "m", "messages": [user("")]})
    hello = (Message("user", (TextPart(""),)),)
    assert by_native == CompletionRequest(hello, dialect="native", stream=True, include_usage=True)
    assert by_openai == CompletionRequest(hello, dialect="openai", model="m")


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_null_means_absent(dialect: DialectName) -> None:
    whole = DIALECTS[dialect].parse(body())
    optional = EVERYTHING.keys() - {"model", "messages"}
    assert DIALECTS[dialect].parse(body(**dict.fromkeys(optional))) == whole


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_unknown_keys_are_ignored_at_any_depth(dialect: DialectName) -> None:
    extras = {"cache_control": {"type": "ephemeral"}, "reasoning_content": "hm"}
    request = DIALECTS[dialect].parse(
        body(
            {**user([{**text("a"), **extras}]), **extras},
            {"role": "assistant", "content": "b", **extras},
            tools=[{**tool(**extras), **extras}],
            **extras,
        )
    )
    assert [message.text for message in request.messages] == ["a", "b"]
    assert request.tools == (Tool("get_weather"),)


def test_parsing_keeps_nothing_between_requests_or_threads() -> None:
    before = copy.deepcopy(EVERYTHING)
    expected = DIALECTS["openai"].parse(EVERYTHING)
    wrong: list[CompletionRequest] = []

    def read() -> None:
        wrong.extend(r for r in (DIALECTS["openai"].parse(EVERYTHING) for _ in range(50)) if r != expected)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert before == EVERYTHING


# --- the native dialect -------------------------------------------------------------------------


def test_the_documents_assistant_is_told_apart_from_a_system_message() -> None:
    request = native(
        {"role": "system", "content": ["Be brief.", "Be kind."]},
        user(),
        {"role": "system", "content": "One moment.", "tool_calls": call("call_1")},
        {"role": "tool", "content": ["sun", "ny"], "tool_call_id": "call_1"},
        {"role": "system", "content": "", "audio": {"id": "audio_1"}},
    )
    assert request.messages[0] == Message("system", (TextPart("Be brief."), TextPart("Be kind.")))
    assert request.messages[2] == Message("assistant", (TextPart("One moment."), *calls("call_1")))
    assert request.messages[3].text == "sunny"
    assert request.messages[4] == Message("assistant", (SpokenPart("audio_1"),))


def test_parallel_calls_sent_as_choices_come_back_as_one_message() -> None:
    request = native(
        user(),
        {"role": "assistant", "content": "Let me see.", "tool_calls": call("call_1")},
        {"role": "assistant", "tool_calls": call("call_2")},
        {"role": "assistant", "tool_calls": [call("call_3")]},
        *(result(f"call_{i}") for i in (1, 2, 3)),
        {"role": "assistant", "tool_calls": call("call_4")},
    )
    assert [message.role for message in request.messages] == ["user", "assistant", *["tool"] * 3, "assistant"]
    assert request.messages[1].parts == (TextPart("Let me see."), *calls("call_1", "call_2", "call_3"))
    assert request.positions == (0, 1, 4, 5, 6, 7)


def test_a_separate_text_and_call_stay_two_messages() -> None:
    spoken = {"role": "assistant", "content": "One moment."}
    request = native(user(), spoken, {"role": "assistant", "tool_calls": call("call_1")}, result("call_1"))
    assert [len(message.parts) for message in request.messages] == [1, 1, 1, 1]
    assert request.positions == ()


def test_a_merged_message_does_not_shift_the_path_of_a_later_error() -> None:
    with pytest.raises(BadRequest) as refused:
        native(
            user(),
            {"role": "assistant", "tool_calls": call("call_1")},
            {"role": "assistant", "tool_calls": call("call_2")},
            result("call_9"),
        )
    assert refused.value.param == "messages[3].tool_call_id"


def test_what_the_document_leaves_open_is_accepted() -> None:
    request = native(
        {"role": "assistant", "content": "x", "tool_calls": {}, "audio": {}},
        tools=[{"function": {"name": "f"}}],
        tool_choice={"function": {"name": "f"}},
        response_format={"json_schema": {"schema": {"type": "object"}}},
        modalities=[],
        audio={},
    )
    assert request.messages == (Message("assistant", (TextPart("x"),)),)
    assert request.tool_choice == ToolChoice("required", ("f",))
    assert request.response_format == ResponseFormat("json_schema", "answer", schema={"type": "object"})
    assert (request.modalities, request.audio) == (("text",), AudioOutput())
    assert native(response_format={}).response_format is None
    assert native(tool_choice="auto", tools=[]).tool_choice is None


def test_a_list_without_parts_is_an_empty_text() -> None:
    """The document sets no minimum number of parts."""
    messages = user([]), {"role": "assistant", "content": []}, {"role": "system", "content": []}
    empty_texts = ({**message, "content": ""} for message in messages)
    assert native(*messages).messages == native(*empty_texts).messages
    called = {"role": "assistant", "tool_calls": call()}
    assert native(user(), called, {**result(), "content": []}).messages[-1].text == ""


@pytest.mark.parametrize("dialect", [native, openai])
def test_a_sound_needs_no_format(dialect: Callable[..., CompletionRequest]) -> None:
    """The bytes show the format once they are inspected."""
    data = b64(b"OggS\0\0")
    request = dialect(user([{"type": "input_audio", "input_audio": {"data": data}}]))
    part = request.messages[0].parts[0]
    assert isinstance(part, AudioPart)
    assert part.format == ""


@pytest.mark.parametrize("dialect", [native, openai])
def test_a_file_id_may_replace_the_data(dialect: Callable[..., CompletionRequest]) -> None:
    picture = {"type": "image_url", "image_url": {"file_id": "file-1", "detail": "low"}}
    heard = {"type": "input_audio", "input_audio": {"file_id": "file-2"}}
    request = dialect(user([picture, heard]))
    assert request.messages[0].parts == (
        FilePart(file_id="file-1", stands_for="image_url", detail="low"),
        FilePart(file_id="file-2", stands_for="input_audio"),
    )
    assert request.uploads == {}


def test_a_browsers_sound_is_accepted_under_the_browsers_name() -> None:
    part = native(user([sound(format="WebM")])).messages[0].parts[0]
    assert part == AudioPart(Blob(sha256(SOUND).hexdigest(), "audio/webm", len(SOUND)), "webm")


@pytest.mark.parametrize("dialect", [native, openai])
@pytest.mark.parametrize(
    ("data", "format"),
    [
        (b64(SOUND), "audio/webm;codecs=opus"),  # MediaRecorder.mimeType
        (b64(SOUND), 'video/webm; codecs="opus"'),
        (b64(SOUND), "webm;codecs=opus"),  # what LangChain makes of the first
        (f"data:audio/webm;codecs=opus;base64,{b64(SOUND)}", "webm"),  # FileReader.readAsDataURL
        (f"data:audio/webm;base64,{b64(SOUND)}", None),
    ],
)
def test_a_sound_may_be_named_by_its_media_type_and_be_a_data_url(
    dialect: Callable[..., CompletionRequest], data: str, format: str | None
) -> None:
    part = dialect(user([sound(data, format=format)])).messages[0].parts[0]
    assert part == AudioPart(Blob(sha256(SOUND).hexdigest(), "audio/webm", len(SOUND)), "webm")


def test_a_voice_may_be_an_object_with_its_id() -> None:
    request = openai(user(), modalities=["audio"], audio={"voice": {"id": "marin"}, "format": "wav"})
    assert request.audio is not None
    assert request.audio.voice == "marin"


# --- the OpenAI dialect -------------------------------------------------------------------------


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_an_assistant_may_have_said_nothing(content: dict[str, Any]) -> None:
    assert openai(user(), {"role": "assistant", **content}, user()).messages[1] == Message("assistant")


def test_a_refusal_is_replayed_in_either_form() -> None:
    plain = openai(user(), {"role": "assistant", "content": None, "refusal": "No."})
    part = openai(user(), {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]})
    assert plain.messages == part.messages
    assert plain.messages[1].parts == (RefusalPart("No."),)


def test_the_deprecated_functions_become_tools() -> None:
    request = openai(
        user(),
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert request.tools == (Tool("f", parameters={"type": "object"}),)
    assert request.tool_choice == ToolChoice("required", ("f",))
    call_id = request.messages[1].tool_calls[0].id
    assert request.messages[2] == Message("tool", (TextPart("42"),), tool_call_id=call_id)


def test_allowed_tools_limit_the_choice() -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "a"}}]}
    request = openai(
        tools=[tool("a"), tool("b")], tool_choice={"type": "allowed_tools", "allowed_tools": allowed}
    )
    assert request.tool_choice == ToolChoice("auto", ("a",))


def test_usage_is_reported_only_on_request() -> None:
    assert not openai(stream=True).include_usage
    assert openai(stream=True, stream_options={"include_usage": True}).include_usage


def test_a_file_may_come_inline_with_or_without_a_data_url() -> None:
    bare = {"type": "file", "file": {"file_data": b64(b"%PDF"), "filename": "a.pdf"}}
    url = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{b64(b'%PDF')}"}}
    blob = Blob(sha256(b"%PDF").hexdigest(), "application/pdf", 4)
    parts = openai(user([bare, url])).messages[0].parts
    assert parts == (FilePart(blob, "a.pdf"), FilePart(blob))


def test_parameters_that_ask_for_nothing_are_not_passed_on() -> None:
    assert openai(logprobs=False, logit_bias={}, temperature=0).params == {"temperature": 0}


# --- tool results -------------------------------------------------------------------------------


@pytest.mark.parametrize("parse", [native, openai])
def test_a_result_may_answer_a_call_that_is_stored(parse: Any) -> None:
    request = parse(result("call_stored"), context={"conversation_id": "conv_1"})
    check_tool_results(request.messages, {"call_stored"}, request.positions)
    with pytest.raises(BadRequest) as refused:
        check_tool_results(request.messages, {"call_other"}, request.positions)
    assert refused.value.param == "messages[0].tool_call_id"


# --- JSON schemas -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}},
        {"$defs": {"a/b": {"type": "string"}}, "$ref": "#/$defs/a~1b"},
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
        {
            "$id": "https://example.com/a",
            "items": {"$ref": "https://example.com/a#/$defs/x"},
            "$defs": {"x": {}},
        },
        {"$defs": {"x": {"$anchor": "here"}}, "items": {"$ref": "#here"}},
        {"properties": {"$ref": {"type": "string"}, "default": {"type": "string"}}},
        {"const": {"$ref": "http://127.0.0.1:9/plain-data"}},
    ],
)
def test_a_self_contained_schema_is_accepted(schema: dict[str, Any]) -> None:
    assert openai(tools=[tool(parameters=schema)]).tools[0].parameters == schema


@pytest.mark.parametrize("scheme", ["http://", "https://"])
@pytest.mark.parametrize(
    "draft", ["draft-04/", "draft-06/", "draft-07/", "draft/2019-09/", "draft/2020-12/", ""]
)
@pytest.mark.parametrize("end", ["", "#"])
def test_every_known_draft_is_recognized_without_a_network(scheme: str, draft: str, end: str) -> None:
    schema = {"$schema": f"{scheme}json-schema.org/{draft}schema{end}", "type": "object"}
    assert openai(tools=[tool(parameters=schema)]).tools[0].parameters == schema


@pytest.mark.parametrize(
    "draft", ["json-schema.org/schema", "https://http://json-schema.org/schema", "", "#"]
)
def test_what_only_resembles_a_draft_is_refused(draft: str) -> None:
    with pytest.raises(BadRequest) as refused:
        openai(tools=[tool(parameters={"$schema": draft})])
    assert refused.value.param == "tools[0].function.parameters.$schema"


# --- arbitrary input ----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


PLACES = places(EVERYTHING)[1:]


def broken(place: tuple[Any, ...], value: Any, how: str) -> dict[str, Any]:
    """EVERYTHING with one place replaced, removed or doubled."""
    request = copy.deepcopy(EVERYTHING)
    holder: Any = request
    for step in place[:-1]:
        holder = holder[step]
    if how == "remove":
        del holder[place[-1]]
    elif how == "double" and isinstance(holder, list):
        holder.append(holder[place[-1]])
    else:
        holder[place[-1]] = value
    return request


@settings(max_examples=examples(250))
@given(
    dialect=st.sampled_from(["native", "openai"]),
    place=st.sampled_from(PLACES),
    value=JSON,
    how=st.sampled_from(["replace", "replace", "remove", "double"]),
)
def test_a_broken_request_is_read_or_refused_and_nothing_else(
    dialect: DialectName, place: tuple[Any, ...], value: Any, how: str
) -> None:
    request = read_or_refused(dialect, broken(place, value, how))
    if isinstance(request, BadRequest):
        assert request.code
        assert request.param is None or isinstance(request.param, str)
    else:
        assert request.messages


def read_or_refused(dialect: DialectName, request: dict[str, Any]) -> CompletionRequest | BadRequest:
    try:
        return DIALECTS[dialect].parse(request)
    except BadRequest as refused:
        return refused


@settings(max_examples=examples(100))
@given(
    dialect=st.sampled_from(["native", "openai"]),
    value=st.dictionaries(st.sampled_from(sorted(EVERYTHING)), JSON),
)
def test_anything_under_the_known_names_is_read_or_refused(
    dialect: DialectName, value: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest):
        DIALECTS[dialect].parse({**value, "messages": value.get("messages", "none")})


def test_a_request_that_the_document_calls_valid_is_read() -> None:
    """The document contradicts itself on a plain text from the role `system` that calls a tool.

    There, a list of parts is the only form that its `oneOf` allows.
    """
    request = {
        "context": {},
        "messages": [
            {"role": "system", "content": ["a"]},
            {"role": "user", "content": [text("a"), image("https://example.com/a.png"), sound(format="x")]},
            {"role": "system", "content": [text("a")], "tool_calls": call()},
            {"role": "tool", "content": ["a"], "tool_call_id": "call_1"},
        ],
        "ssml_enabled": True,
    }
    validate_against_document("ChatCompletionRequest", request)
    assert DIALECTS["native"].parse(request).ssml
