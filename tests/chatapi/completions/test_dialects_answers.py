"""Answers that are not streamed, in both dialects."""

from base64 import b64decode
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from chatapi.completions.dialects import DIALECTS
from engines.answers import Answer, AnswerHead, Assembler, Choice
from engines.events import (
    AudioDelta,
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStart,
    Usage,
)
from engines.messages import Message, ToolCall
from media.processing.sound.output_formats import PCM16_MEDIA_TYPE
from tests.contract import validate_against_document

HEAD = AnswerHead("chatcmpl-1", 1_700_000_000, "m")
USAGE = Usage(10, 20, cached_tokens=3, reasoning_tokens=4)


def render_both(*events: Event, **answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Render an answer in the native dialect and in OpenAI's, and check each against its contract."""
    assembler = Assembler(sound_type=PCM16_MEDIA_TYPE)
    for event in events:
        assembler.add(event)
    answered = Answer(HEAD, assembler.choices(), usage=USAGE, **answer)
    native = DIALECTS["native"].render(answered, assembler.sounds())
    openai = DIALECTS["openai"].render(answered, assembler.sounds())
    validate_against_document("ChatCompletionResponse", native)
    ChatCompletion.model_validate(openai, strict=True)
    return native, openai


def test_plain_text() -> None:
    native, openai = render_both(TextDelta("Hel"), TextDelta("lo"), Finish("stop"))
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 4,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m"}
    reply = {"role": "assistant", "content": "Hello"}
    assert native == {
        **head,
        "choices": [{"index": 0, "message": reply, "finish_reason": "stop"}],
        "usage": usage,
    }
    message: dict[str, Any] = {**reply, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    assert openai == {**head, "choices": [choice], "usage": usage}


def test_parallel_calls_are_choices_in_the_native_dialect() -> None:
    native, openai = render_both(
        TextDelta("Let me see."),
        *(ToolCallStart(0, "call_1", "f"), ToolCallArguments(0, "{}")),
        *(ToolCallStart(1, "call_2", "g"), ToolCallArguments(1, '{"a":1}')),
        Finish("tool_calls"),
    )
    first = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    second = {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": '{"a":1}'}}
    assert native["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Let me see.", "tool_calls": first},
            "finish_reason": "tool_calls",
        },
        {
            "index": 1,
            "message": {"role": "assistant", "tool_calls": second},
            "finish_reason": "tool_calls",
        },
    ]
    [choice] = openai["choices"]
    assert choice["message"]["tool_calls"] == [first, second]


def test_calls_alone_leave_the_content_out_or_null() -> None:
    native, openai = render_both(ToolCallStart(0, "call_1", "f"), Finish("tool_calls"))
    assert "content" not in native["choices"][0]["message"]
    assert openai["choices"][0]["message"]["content"] is None


def test_a_refusal() -> None:
    native, openai = render_both(RefusalDelta("No"), RefusalDelta("."), Finish("stop"))
    assert native["choices"][0]["message"] == {"role": "assistant", "refusal": "No."}
    assert (openai["choices"][0]["message"]["refusal"], openai["choices"][0]["message"]["content"]) == (
        "No.",
        None,
    )


def test_reasoning_is_shown_only_in_the_openai_dialect() -> None:
    native, openai = render_both(ReasoningDelta("Hm."), TextDelta("42"), Finish("stop"))
    assert native["choices"][0]["message"] == {"role": "assistant", "content": "42"}
    assert openai["choices"][0]["message"]["reasoning_content"] == "Hm."


def test_a_spoken_answer() -> None:
    sound = bytes(range(100))
    native, openai = render_both(
        AudioDelta(id="audio_1", transcript="Hello", data=sound[:50], expires_at=1_700_003_600),
        AudioDelta(data=sound[50:]),
        Finish("stop"),
    )
    for answer in (native, openai):
        audio = answer["choices"][0]["message"]["audio"]
        assert b64decode(audio.pop("data")) == sound
        assert audio == {"id": "audio_1", "transcript": "Hello", "expires_at": 1_700_003_600}


def test_a_voice_whose_bytes_are_gone() -> None:
    assembler = Assembler(sound_type=PCM16_MEDIA_TYPE)
    assembler.add(AudioDelta(id="audio_1", transcript="Hello", data=b"12"))
    answer = Answer(HEAD, assembler.choices())
    native = DIALECTS["native"].render(answer, {})
    openai = DIALECTS["openai"].render(answer, {})
    validate_against_document("ChatCompletionResponse", native)
    assert native["choices"][0]["message"]["audio"] == {"id": "audio_1", "transcript": "Hello"}
    assert openai["choices"][0]["message"]["audio"]["data"] == ""


def test_logprobs_metadata_and_service_tier_if_present() -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    native, openai = render_both(
        TextDelta("a", logprobs={"content": [token], "refusal": None}),
        Finish("stop"),
        metadata={"k": "v"},
        service_tier="default",
    )
    assert openai["choices"][0]["logprobs"] == {"content": [token], "refusal": None}
    without_null = {key: value for key, value in token.items() if key != "bytes"}
    assert native["choices"][0]["logprobs"] == {"content": [without_null]}
    for answer in (native, openai):
        assert (answer["metadata"], answer["service_tier"]) == ({"k": "v"}, "default")


def test_an_answer_that_broke_off_has_no_finish_reason() -> None:
    assembler = Assembler(sound_type=PCM16_MEDIA_TYPE)
    assembler.add(TextDelta("Hel"))
    answer = Answer(HEAD, assembler.choices(), state="cancelled")
    native = DIALECTS["native"].render(answer, {})
    validate_against_document("ChatCompletionResponse", native)
    assert "finish_reason" not in native["choices"][0]
    assert DIALECTS["openai"].render(answer, {})["choices"][0]["finish_reason"] is None


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_empty_answer(reason: FinishReason) -> None:
    native, openai = render_both(Finish(reason))
    assert native["choices"][0]["message"] == {"role": "assistant", "content": ""}
    assert openai["choices"][0]["message"]["content"] == ""


def test_several_choices_with_calls_get_indexes_of_their_own() -> None:
    def calling(index: int) -> Choice:
        calls = tuple(ToolCall(f"call_{index}_{number}", "f", "{}") for number in range(2))
        return Choice(index, Message("assistant", calls), "tool_calls")

    answer = Answer(HEAD, (calling(0), calling(1)))
    native = DIALECTS["native"].render(answer, {})
    validate_against_document("ChatCompletionResponse", native)
    ids = {choice["index"]: choice["message"]["tool_calls"]["id"] for choice in native["choices"]}
    assert ids == {0: "call_0_0", 1: "call_1_0", 2: "call_0_1", 3: "call_1_1"}
