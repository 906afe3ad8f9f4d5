"""A stream's bytes: whole frames, in an order that SDKs accept, adding up to the stored message."""

from base64 import b64decode
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError, OpenAI, Stream
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from chatapi.completions.dialects import DIALECTS, KEEP_ALIVE, NDJSON_KEEP_ALIVE, StreamEncoder
from chatapi.completions.dialects.stream_encoder import SOUND_PIECE
from conversations.completion_request import DialectName
from engines.answers import Answer, AnswerEnd, AnswerHead, Assembler, Failure
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
from media.processing.sound.output_formats import PCM16_MEDIA_TYPE
from tests.contract import validate_against_document
from tests.support.examples import examples
from tests.support.stream_frames import chunks_of, messages_of

HEAD = AnswerHead("chatcmpl-1", 1_700_000_000, "m")
STOPPED = AnswerEnd("completed", (Finish("stop"),), Usage(10, 20))


def encoder(dialect: DialectName = "openai", **options: Any) -> StreamEncoder:
    return DIALECTS[dialect].encoder(HEAD, **{"include_usage": False, **options})


def stream(dialect: DialectName, *entries: Event | AnswerEnd, **options: Any) -> list[dict[str, Any]]:
    """Encode these entries one by one and return the chunks, each checked against its contract."""
    one_by_one = encoder(dialect, **options)
    sent = b"".join(one_by_one.encode([entry]) for entry in entries)
    assert sent == encoder(dialect, **options).encode(entries)
    chunks = chunks_of(sent)
    for chunk in chunks:
        if "error" not in chunk:
            check_contract(dialect, chunk)
    return chunks


def check_contract(dialect: DialectName, chunk: dict[str, Any]) -> None:
    if dialect == "native":
        validate_against_document("ChatCompletionChunk", chunk)
    else:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert (chunk["id"], chunk["object"], chunk["created"]) == (
        "chatcmpl-1",
        "chat.completion.chunk",
        1_700_000_000,
    )


def deltas(chunks: list[dict[str, Any]], choice: int = 0) -> list[dict[str, Any]]:
    return [one["delta"] for chunk in chunks for one in chunk["choices"] if one["index"] == choice]


# --- text ---------------------------------------------------------------------------------------


def test_text_in_the_openai_dialect() -> None:
    chunks = stream("openai", TextDelta("Hel"), TextDelta("lo"), Finish("stop"), STOPPED)
    assert deltas(chunks) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert not any("usage" in chunk for chunk in chunks)


def test_text_in_the_native_dialect_ends_with_its_usage() -> None:
    chunks = stream("native", TextDelta("Hel"), TextDelta("lo"), STOPPED)
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}]
    assert [chunk.get("usage", {}).get("total_tokens") for chunk in chunks] == [None, None, None, 30]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_usage_comes_last_in_its_own_chunk_if_requested() -> None:
    chunks = stream("openai", TextDelta("Hello"), STOPPED, include_usage=True)
    assert [chunk["usage"] is None for chunk in chunks] == [True, True, True, False]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 30


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_only_a_good_end_says_done(dialect: DialectName) -> None:
    assert encoder(dialect).encode([TextDelta("a"), STOPPED]).endswith(b"\n\ndata: [DONE]\n\n")
    failed = AnswerEnd("failed", failure=Failure("The upstream broke off.", code="upstream_error"))
    assert b"[DONE]" not in encoder(dialect).encode([TextDelta("a"), failed])


def test_finish_and_usage_wait_for_the_end() -> None:
    assert encoder().encode([Finish("stop"), Usage(1, 2)]) == b""
    assert encoder().encode([]) == b""


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_an_empty_answer_still_opens_and_closes(dialect: DialectName) -> None:
    chunks = stream(dialect, STOPPED)
    assert deltas(chunks)[0]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("words", ["a\u2028b\u2029c\x85d", "\n\r\x0b\x0c\x1c", 'a"\\b', "😀", "\ue000"])
def test_no_text_breaks_a_line_however_lines_are_split(words: str) -> None:
    sent = encoder().encode([TextDelta("a"), TextDelta(words), RefusalDelta(words), STOPPED])
    assert len(sent.decode().splitlines()) == 2 * sent.count(b"\n\n")
    message = messages_of(chunks_of(sent))[0]
    assert (message["content"], message["refusal"]) == ("a" + words, words)


def test_logprobs_travel_with_their_text() -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    event = TextDelta("a", logprobs={"content": [token]})
    openai = stream("openai", TextDelta("b"), event, STOPPED)
    assert openai[2]["choices"][0]["logprobs"] == {"content": [token], "refusal": None}
    native = stream("native", event, STOPPED)
    assert native[1]["choices"][0]["logprobs"]["content"][0] == {
        "token": "a",
        "logprob": -0.5,
        "top_logprobs": [],
    }


def test_reasoning_is_streamed_only_in_the_openai_dialect() -> None:
    events = (ReasoningDelta("Hm."), TextDelta("42"), STOPPED)
    assert deltas(stream("openai", *events))[1:3] == [{"reasoning_content": "Hm."}, {"content": "42"}]
    assert deltas(stream("native", *events)) == [{"role": "assistant"}, {"content": "42"}, {}]


# --- tool calls ---------------------------------------------------------------------------------

CALLS = (
    *(ToolCallStart(0, "call_1", "f"), ToolCallArguments(0, '{"a"'), ToolCallArguments(0, ":1}")),
    *(ToolCallStart(1, "call_2", "g"), ToolCallArguments(1, "{}")),
    AnswerEnd("completed", (Finish("tool_calls"),), Usage(1, 2)),
)


def test_tool_calls_in_the_openai_dialect() -> None:
    def start(index: int, call_id: str, name: str) -> dict[str, Any]:
        function = {"name": name, "arguments": ""}
        return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}

    def fragment(index: int, arguments: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}

    assert deltas(stream("openai", *CALLS)) == [
        {"role": "assistant", "content": None, "refusal": None},
        *(start(0, "call_1", "f"), fragment(0, '{"a"'), fragment(0, ":1}")),
        *(start(1, "call_2", "g"), fragment(1, "{}")),
        {},
    ]


def test_parallel_calls_are_choices_in_the_native_dialect() -> None:
    chunks = stream("native", *CALLS)
    function = {"name": "f", "arguments": ""}
    assert deltas(chunks, 0) == [
        {"role": "assistant"},
        {"tool_calls": {"id": "call_1", "type": "function", "function": function}},
        {"tool_calls": {"function": {"arguments": '{"a"'}}},
        {"tool_calls": {"function": {"arguments": ":1}"}}},
        {},
    ]
    assert deltas(chunks, 1)[0] == {"role": "assistant"}
    reasons = [(c["choices"][0]["index"], c["choices"][0].get("finish_reason")) for c in chunks[-2:]]
    assert reasons == [(0, "tool_calls"), (1, "tool_calls")]
    assert ["usage" in chunk for chunk in chunks[-2:]] == [False, True]


def test_calls_are_numbered_from_zero_whatever_the_upstream_does() -> None:
    chunks = stream("openai", ToolCallStart(1, "call_1", "f"), ToolCallArguments(1, "{}"), STOPPED)
    assert [delta["tool_calls"][0]["index"] for delta in deltas(chunks)[1:3]] == [0, 0]


# --- several choices ----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_choices_open_in_order_and_finish_together(dialect: DialectName) -> None:
    finishes = tuple(Finish("stop", choice) for choice in (1, 2, 0))
    ended = AnswerEnd("completed", finishes, Usage(1, 2))
    chunks = stream(dialect, TextDelta("b", 1), TextDelta("a", 0), ended, n=3)
    shown = [(c["choices"][0]["index"], next(iter(c["choices"][0]["delta"]), "finish")) for c in chunks]
    assert shown == [
        *((0, "role"), (1, "role"), (2, "role")),
        *((1, "content"), (0, "content")),
        *((0, "finish"), (1, "finish"), (2, "finish")),
    ]


def test_calls_of_several_choices_never_share_an_index() -> None:
    calls = [
        ToolCallStart(index, f"call_{choice}_{index}", "f", choice) for choice in (0, 1) for index in (0, 1)
    ]
    ended = AnswerEnd("completed", (Finish("tool_calls", 0), Finish("tool_calls", 1)))
    messages = messages_of(stream("native", *calls, ended, n=2))
    ids = {index: message["tool_calls"]["id"] for index, message in messages.items()}
    assert ids == {0: "call_0_0", 1: "call_1_0", 2: "call_0_1", 3: "call_1_1"}


# --- sound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
def test_sound_comes_in_pieces_that_concatenate(dialect: DialectName) -> None:
    sound = bytes(i % 251 for i in range(2 * SOUND_PIECE + 1001))
    chunks = stream(
        dialect,
        AudioDelta(id="audio_1"),
        AudioDelta(data=sound[:7], transcript="Hel"),
        AudioDelta(data=sound[7:20_003], transcript="lo"),
        AudioDelta(data=sound[20_003:], expires_at=1_700_003_600),
        STOPPED,
    )
    audio = [delta["audio"] for delta in deltas(chunks) if "audio" in delta]
    assert all(len(delta) == 1 for delta in audio)
    pieces = [delta["data"] for delta in audio if "data" in delta]
    assert b64decode("".join(pieces)) == sound
    assert all(len(b64decode(piece)) % 6 == 0 for piece in pieces[:-1])
    assert max(len(b64decode(piece)) for piece in pieces) <= SOUND_PIECE
    assert audio[0] == {"id": "audio_1"}
    assert "".join(delta.get("transcript", "") for delta in audio) == "Hello"
    assert [delta for delta in audio if "expires_at" in delta] == [{"expires_at": 1_700_003_600}]


def test_sound_that_was_held_back_is_sent_before_an_error() -> None:
    failed = AnswerEnd("failed", failure=Failure("No more."))
    chunks = stream("openai", AudioDelta(id="audio_1", data=b"12345"), failed)
    assert deltas(chunks[:-1])[-1] == {"audio": {"data": "MTIzNDU="}}
    assert "error" in chunks[-1]


# --- unsuccessful ends --------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["native", "openai"])
@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (AnswerEnd("failed", failure=Failure("No.", code="upstream_error")), "upstream_error"),
        (AnswerEnd("failed", (Finish("stop"),), Usage(1, 2), Failure("No.", code="late")), "late"),
        (AnswerEnd("cancelled"), "cancelled"),
        (AnswerEnd("interrupted"), "interrupted"),
        (AnswerEnd("completed"), "interrupted"),
    ],
)
def test_an_end_without_a_finish_is_an_error(dialect: DialectName, ended: AnswerEnd, code: str) -> None:
    chunks = stream(dialect, TextDelta("a"), ended)
    assert chunks[-1]["error"].keys() == {"message", "type", "param", "code"}
    assert chunks[-1]["error"]["code"] == code
    assert not any(one.get("finish_reason") for chunk in chunks[:-1] for one in chunk["choices"])


def test_a_cancelled_completion_that_had_finished_ends_well() -> None:
    assert stream("openai", TextDelta("a"), AnswerEnd("cancelled", (Finish("stop"),)))[-1]["choices"]


# --- NDJSON and keep-alives ---------------------------------------------------------------------


def test_ndjson_has_one_chunk_per_line() -> None:
    lines = encoder("native", ndjson=True).encode([TextDelta("a\nb"), TextDelta("c"), STOPPED]).splitlines()
    chunks = [msgspec.json.decode(line) for line in lines]
    assert messages_of(chunks)[0]["content"] == "a\nbc"
    failed = encoder("native", ndjson=True).encode([AnswerEnd("failed", failure=Failure("No."))])
    assert msgspec.json.decode(failed)["error"]["message"] == "No."


def test_a_keep_alive_is_not_an_event() -> None:
    assert encoder().keep_alive == KEEP_ALIVE == b": ping\n"
    assert encoder("native", ndjson=True).keep_alive == NDJSON_KEEP_ALIVE == b"\n"


# --- the official SDK ---------------------------------------------------------------------------


def read_by_sdk(sent: bytes) -> Stream[ChatCompletionChunk]:
    client = OpenAI(api_key="none", base_url="http://127.0.0.1:9/v1")
    request = httpx2.Request("POST", "http://127.0.0.1:9/v1/chat/completions")
    response = httpx2.Response(200, content=sent, request=request)
    return Stream(cast_to=ChatCompletionChunk, response=response, client=client)


def test_the_sdk_adds_up_what_was_sent() -> None:
    encode = encoder(include_usage=True).encode
    sent = encode([TextDelta("Let me "), TextDelta("see.")]) + KEEP_ALIVE + encode(CALLS)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in read_by_sdk(sent):
        state.handle_chunk(chunk)
    completion = state.get_final_completion()
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Let me see.")
    calls = [
        (call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()
    ]
    assert calls == [("call_1", "f", '{"a":1}'), ("call_2", "g", "{}")]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 3


def test_the_sdk_raises_what_the_stream_reports() -> None:
    failed = AnswerEnd("failed", failure=Failure("The upstream broke off.", code="upstream_error"))
    with pytest.raises(APIError, match="broke off") as raised:
        list(read_by_sdk(encoder().encode([TextDelta("a"), failed])))
    assert raised.value.code == "upstream_error"


# --- any mix of events --------------------------------------------------------------------------

TEXTS = st.text(min_size=1, max_size=6)
EVENTS = st.one_of(
    st.builds(TextDelta, TEXTS),
    st.builds(ReasoningDelta, TEXTS),
    st.builds(RefusalDelta, TEXTS),
    st.builds(ToolCallArguments, st.just(0), TEXTS),
    st.builds(AudioDelta, data=st.binary(max_size=40), transcript=st.none() | TEXTS),
    st.just("call"),
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[int, list[Event]]:
    """A number of choices, and events in an order in which an engine may yield them."""
    n = draw(st.integers(1, 3))
    events: list[Event] = []
    calls: dict[int, int] = {}
    speaking: set[int] = set()
    for event, choice in draw(st.lists(st.tuples(EVENTS, st.integers(0, n - 1)), max_size=25)):
        if event == "call":
            number = calls[choice] = calls.get(choice, -1) + 1
            events.append(ToolCallStart(number, f"call_{choice}_{number}", "f", choice))
        elif isinstance(event, ToolCallArguments):
            if choice in calls:
                events.append(ToolCallArguments(calls[choice], event.fragment, choice))
        elif isinstance(event, AudioDelta):
            first = {} if choice in speaking else {"id": f"audio_{choice}", "expires_at": 7}
            speaking.add(choice)
            events.append(msgspec.structs.replace(event, choice=choice, **first))
        elif not isinstance(event, str):
            events.append(msgspec.structs.replace(event, choice=choice))
    return n, events


def normalized(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message in a form that is the same for whole and for streamed answers."""
    shown = {key: message.get(key) or None for key in ("role", "content", "refusal", "reasoning_content")}
    audio = dict(message.get("audio") or {})
    audio["data"] = b64decode(audio.get("data", ""))
    audio.setdefault("transcript", "")
    calls = message.get("tool_calls", [])
    return {**shown, "audio": audio, "calls": list(calls.values()) if isinstance(calls, dict) else calls}


@settings(max_examples=examples(150))
@given(answers(), st.data())
def test_the_deltas_add_up_to_the_stored_message(
    answer: tuple[int, list[Event]], data: st.DataObject
) -> None:
    n, events = answer
    ended = AnswerEnd("completed", tuple(Finish("stop", choice) for choice in range(n)))
    assembler = Assembler(choices=n, sound_type=PCM16_MEDIA_TYPE)
    for event in (*events, *ended.finishes):
        assembler.add(event)
    stored = Answer(HEAD, assembler.choices())
    cut = data.draw(st.integers(0, len(events)))
    for dialect in ("native", "openai"):
        whole = DIALECTS[dialect].render(stored, assembler.sounds())
        encode = encoder(dialect, n=n).encode
        messages = messages_of(chunks_of(encode(events[:cut]) + encode([*events[cut:], ended])))
        if dialect == "openai":
            expected = {choice["index"]: normalized(choice["message"]) for choice in whole["choices"]}
            assert {index: normalized(message) for index, message in messages.items()} == expected
        else:
            assert_same_choices(messages, whole)


def assert_same_choices(messages: dict[int, dict[str, Any]], whole: dict[str, Any]) -> None:
    """Compare calls by their ids: further calls of several choices may be numbered in another order."""

    def by_call(message: dict[str, Any], index: int) -> Any:
        return message["tool_calls"]["id"] if "tool_calls" in message else index

    def without_calls(message: dict[str, Any]) -> dict[str, Any]:
        return {**normalized({**message, "tool_calls": []}), "call": message.get("tool_calls")}

    streamed = {by_call(message, index): without_calls(message) for index, message in messages.items()}
    expected = {by_call(c["message"], c["index"]): without_calls(c["message"]) for c in whole["choices"]}
    assert streamed == expected
