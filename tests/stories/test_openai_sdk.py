"""OpenAI's own Python client against the running service at `/v1`."""

import asyncio
import base64
import io
import wave
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import httpx2
import openai
import pytest
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from pydantic import BaseModel

from accounts.keys.services import revoke_api_key
from accounts.models import ApiKey
from conversations.models import Completion, Conversation, Message
from engines.scripted.tone import wav, word_pcm
from tests.support.people import Person
from tests.support.running_server import Server, wait_until

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)


class City(BaseModel):
    """A city and its country."""

    name: str
    country: Literal["Norway", "Sweden"]
    inhabitants: int | None


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    unit: Literal["celsius", "fahrenheit"]


WEATHER = openai.pydantic_function_tool(Weather, name="weather")
CLOCK = openai.pydantic_function_tool(City, name="clock")


@pytest.fixture
def sdk(server: Server, alice: Person) -> Iterator[openai.OpenAI]:
    with server.sdk(alice) as client:
        yield client


def user(text: str) -> ChatCompletionUserMessageParam:
    return {"role": "user", "content": text}


def result_of(call_id: str, content: str) -> ChatCompletionToolMessageParam:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def assert_as_declared(*models: BaseModel) -> None:
    """Check models against their own declarations: the client builds them unchecked."""
    for model in models:
        type(model).model_validate_json(model.model_dump_json(exclude_unset=True), strict=True)


def text_in(chunks: Iterable[ChatCompletionChunk], choice: int = 0) -> str:
    found = [one for chunk in chunks for one in chunk.choices if one.index == choice]
    return "".join(one.delta.content or "" for one in found)


def read_into(received: list[ChatCompletionChunk], stream: Iterable[ChatCompletionChunk]) -> None:
    for chunk in stream:
        received.append(chunk)


def the_only_completion() -> Completion:
    wait_until(lambda: Completion.objects.exclude(state="in_progress").exists())
    return Completion.objects.get()


# --- text -------------------------------------------------------------------------------------------


def test_a_plain_answer(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="scripted", messages=[{"role": "developer", "content": "Be kind."}, user("Hello")]
    )
    assert_as_declared(answer)
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "You said: Hello")
    assert (choice.message.refusal, choice.message.tool_calls, choice.message.audio) == (None, None, None)
    assert choice.finish_reason == "stop"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert sdk.chat.completions.retrieve(answer.id).choices[0].message.content == "You said: Hello"


def test_a_chat_made_of_the_clients_own_messages_is_one_conversation(sdk: openai.OpenAI) -> None:
    talk: list[ChatCompletionMessageParam] = []
    for words in ("Hello", "How are you?", "Bye"):
        talk.append(user(words))
        answer = sdk.chat.completions.create(model="scripted", messages=talk)
        message = answer.choices[0].message.to_dict()
        talk.append(message)  # type: ignore[arg-type]
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 6


def test_a_stream(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.create(model="scripted", messages=[user("Grüße 🌍!")], stream=True) as stream:
        chunks = list(stream)
    assert_as_declared(*chunks)
    assert text_in(chunks) == "You said: Grüße 🌍!"
    assert len(chunks) > 4
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert not any(chunk.usage for chunk in chunks)


def test_usage_comes_last_when_it_is_asked_for(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="scripted", messages=[user("Hello")], stream=True, stream_options={"include_usage": True}
    )
    *others, last = stream
    assert_as_declared(*others, last)
    assert last.choices == []
    assert last.usage
    assert last.usage.total_tokens > 0
    assert not any(chunk.usage for chunk in others)
    assert the_only_completion().completion_tokens == last.usage.completion_tokens


def test_the_stream_helper_gathers_the_answer(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(model="scripted", messages=[user("Hello there")]) as stream:
        events = list(stream)
        answer = stream.get_final_completion()
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert "".join(deltas) == "You said: Hello there" == answer.choices[0].message.content
    assert [event.content for event in events if event.type == "content.done"] == ["You said: Hello there"]
    assert answer.choices[0].finish_reason == "stop"


def test_two_answers(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="scripted", messages=[user("Hello")], n=2)
    assert_as_declared(answer)
    assert [choice.index for choice in answer.choices] == [0, 1]

    with sdk.chat.completions.stream(model="scripted", messages=[user("Hello")], n=2) as stream:
        streamed = stream.get_final_completion()
    assert [choice.message.content for choice in streamed.choices] == ["You said: Hello"] * 2
    assert [choice.finish_reason for choice in streamed.choices] == ["stop", "stop"]


def test_an_answer_cut_by_its_limit_and_by_a_stop_word(sdk: openai.OpenAI) -> None:
    short = sdk.chat.completions.create(
        model="scripted", messages=[user("[[chunks: 9]]")], max_completion_tokens=3
    )
    stopped = sdk.chat.completions.create(model="scripted", messages=[user("[[chunks: 9]]")], stop=["w5"])
    assert (short.choices[0].finish_reason, short.choices[0].message.content) == ("length", "w1 w2 w3 ")
    assert (stopped.choices[0].finish_reason, stopped.choices[0].message.content) == ("stop", "w1 w2 w3 w4 ")


def test_a_refusal(sdk: openai.OpenAI) -> None:
    asked = [user("[[refuse: I may not.]]")]
    answer = sdk.chat.completions.create(model="scripted", messages=asked)
    assert_as_declared(answer)
    assert (answer.choices[0].message.refusal, answer.choices[0].message.content) == ("I may not.", None)

    with sdk.chat.completions.stream(model="scripted", messages=asked) as stream:
        events = list(stream)
    assert [event.refusal for event in events if event.type == "refusal.done"] == ["I may not."]

    parsed = sdk.chat.completions.parse(model="scripted", messages=asked, response_format=City)
    assert (parsed.choices[0].message.parsed, parsed.choices[0].message.refusal) == (None, "I may not.")


def test_reasoning_comes_beside_the_answer(sdk: openai.OpenAI) -> None:
    asked = [user("[[reason: Let me think.]] [[text: Done.]]")]
    answer = sdk.chat.completions.create(model="scripted", messages=asked)
    assert answer.choices[0].message.to_dict()["reasoning_content"] == "Let me think."
    assert answer.choices[0].message.content == "Done."
    stream = sdk.chat.completions.create(model="scripted", messages=asked, stream=True)
    thoughts = [chunk.choices[0].delta.to_dict().get("reasoning_content", "") for chunk in stream]
    assert "".join(map(str, thoughts)) == "Let me think."


# --- structured answers -----------------------------------------------------------------------------


def test_an_answer_parsed_into_a_model(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.parse(model="scripted", messages=[user("Oslo?")], response_format=City)
    city = answer.choices[0].message.parsed
    assert isinstance(city, City)
    assert city.country == "Norway"


def test_a_stream_parsed_into_a_model(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(
        model="scripted", messages=[user("Oslo?")], response_format=City
    ) as stream:
        events = list(stream)
        answer = stream.get_final_completion()
    [done] = [event for event in events if event.type == "content.done"]
    assert isinstance(done.parsed, City)
    assert answer.choices[0].message.parsed == done.parsed


def test_an_answer_cut_short_cannot_be_parsed(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        sdk.chat.completions.parse(
            model="scripted", messages=[user("Oslo?")], response_format=City, max_completion_tokens=1
        )


# --- tools ------------------------------------------------------------------------------------------


def test_a_tool_is_called_and_its_result_quoted(sdk: openai.OpenAI) -> None:
    talk: list[ChatCompletionMessageParam] = [user('[[tool: weather {"city": "Oslo", "unit": "celsius"}]]')]
    called = sdk.chat.completions.parse(model="scripted", messages=talk, tools=[WEATHER])
    [choice] = called.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls
    [call] = choice.message.tool_calls
    assert call.function.parsed_arguments == Weather(city="Oslo", unit="celsius")

    # the message as the client parsed it, with `parsed`, `parsed_arguments` and nulls
    talk += [choice.message, result_of(call.id, "4 degrees")]  # type: ignore[list-item]
    answer = sdk.chat.completions.create(model="scripted", messages=talk, tools=[WEATHER])
    assert_as_declared(answer)
    assert answer.choices[0].message.content == "The tool answered: 4 degrees"
    assert Conversation.objects.count() == 1


def test_a_tool_round_trip_in_streams(sdk: openai.OpenAI) -> None:
    talk: list[ChatCompletionMessageParam] = [user('[[tool: weather {"city": "Oslo", "unit": "celsius"}]]')]
    with sdk.chat.completions.stream(model="scripted", messages=talk, tools=[WEATHER]) as stream:
        events = list(stream)
        called = stream.get_final_completion().choices[0]
    [done] = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    pieces = [
        event.arguments_delta for event in events if event.type == "tool_calls.function.arguments.delta"
    ]
    assert done.parsed_arguments == Weather(city="Oslo", unit="celsius")
    assert "".join(pieces) == done.arguments
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls
    [call] = called.message.tool_calls

    talk += [called.message, result_of(call.id, "4 degrees")]  # type: ignore[list-item]
    chunks = list(sdk.chat.completions.create(model="scripted", messages=talk, tools=[WEATHER], stream=True))
    assert text_in(chunks) == "The tool answered: 4 degrees"
    assert Conversation.objects.count() == 1


def test_tools_are_called_in_parallel(sdk: openai.OpenAI) -> None:
    asked = [user("[[tool: weather]] [[tool: clock]]")]
    answer = sdk.chat.completions.create(model="scripted", messages=asked, tools=[WEATHER, CLOCK])
    assert_as_declared(answer)
    assert answer.choices[0].message.tool_calls
    assert [_name(call) for call in answer.choices[0].message.tool_calls] == ["weather", "clock"]
    with sdk.chat.completions.stream(model="scripted", messages=asked, tools=[WEATHER, CLOCK]) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls
    assert len({call.id for call in calls}) == 2
    assert [type(call.function.parsed_arguments) for call in calls] == [Weather, City]
    results = [result_of(call.id, call.function.name) for call in calls]
    turn: Any = {"role": "assistant", "tool_calls": [call.to_dict() for call in calls]}
    last = sdk.chat.completions.create(model="scripted", messages=[*asked, turn, *results], tools=[WEATHER])
    assert last.choices[0].message.content == "The tool answered: weather | clock"
    single = sdk.chat.completions.create(
        model="scripted", messages=asked, tools=[WEATHER, CLOCK], parallel_tool_calls=False
    )
    assert single.choices[0].message.tool_calls
    assert len(single.choices[0].message.tool_calls) == 1


def _name(call: Any) -> str:
    name: str = call.function.name
    return name


def test_a_named_tool_must_be_called(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.parse(
        model="scripted",
        messages=[user("Hello")],
        tools=[WEATHER, CLOCK],
        tool_choice={"type": "function", "function": {"name": "clock"}},
    )
    assert answer.choices[0].message.tool_calls
    [call] = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, City)


# --- sound and pictures -----------------------------------------------------------------------------


def test_a_spoken_answer(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="scripted",
        messages=[user("[[text: Good morning to you.]]")],
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"},
    )
    assert_as_declared(answer)
    sound = answer.choices[0].message.audio
    assert sound
    assert sound.transcript == "Good morning to you."
    with wave.open(io.BytesIO(base64.b64decode(sound.data))) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 4 * 2_400)

    replayed: Any = {"role": "assistant", "audio": {"id": sound.id}}
    again = sdk.chat.completions.create(model="scripted", messages=[user("Hi"), replayed, user("And now?")])
    assert again.choices[0].message.content == "You said: And now?"


def test_a_spoken_stream(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="scripted",
        messages=[user("[[text: Good morning to you.]]")],
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
        stream=True,
    )
    deltas: list[dict[str, Any]] = []
    finishes: list[str | None] = []
    for chunk in stream:
        delta: dict[str, Any] = chunk.choices[0].delta.to_dict()
        deltas.append(delta.get("audio") or {})
        finishes.append(chunk.choices[0].finish_reason)
    assert base64.b64decode("".join(delta.get("data", "") for delta in deltas)) == word_pcm() * 4
    assert "".join(delta.get("transcript", "") for delta in deltas) == "Good morning to you."
    assert len([delta for delta in deltas if "id" in delta]) == 1
    assert len([delta for delta in deltas if "expires_at" in delta]) == 1
    assert [finish for finish in finishes if finish] == ["stop"]


def test_pictures_and_sound_are_accepted(sdk: openai.OpenAI) -> None:
    spoken = base64.b64encode(wav(word_pcm())).decode()
    answer = sdk.chat.completions.create(
        model="scripted",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": spoken, "format": "wav"}},
                ],
            }
        ],
    )
    assert answer.choices[0].message.content == "You said: What is this? (with image, audio)"


# --- models, headers and ids ------------------------------------------------------------------------


def test_the_models(sdk: openai.OpenAI) -> None:
    models = list(sdk.models.list())
    assert_as_declared(*models)
    assert [model.id for model in models][:3] == ["scripted", "text-only", "house/with-a-slash"]
    assert sdk.models.retrieve("house/with-a-slash").id == "house/with-a-slash"
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.models.retrieve("no-such-model")
    assert missing.value.code == "model_not_found"


def test_the_headers_name_what_was_stored(sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="scripted", messages=[user("Hello")])
    conversation_id = raw.headers["x-conversation-id"]
    assert raw.headers["x-request-id"] == raw.request_id == raw.parse()._request_id
    assert sdk.conversations.retrieve(conversation_id).id == conversation_id
    with sdk.chat.completions.with_streaming_response.create(
        model="scripted", messages=[user("Hello")], stream=True
    ) as streamed:
        assert streamed.headers["x-conversation-id"] not in ("", conversation_id)
        assert "[DONE]" in "".join(streamed.iter_text())


def test_a_conversation_is_continued_by_its_id(sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="scripted", messages=[user("Hello")])
    context = {"conversation_id": raw.headers["x-conversation-id"], "page": "/shop"}
    sdk.chat.completions.create(
        model="scripted", messages=[user("And?")], extra_body={"context": context}, metadata={"shop": "oslo"}
    )
    assert Conversation.objects.get().messages.count() == 4
    newest = Completion.objects.order_by("-id")[0]
    assert newest.metadata == {"shop": "oslo"}
    assert newest.request["context"] == context
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk.chat.completions.create(
            model="scripted", messages=[user("Hi")], extra_body={"context": {"conversation_id": "conv_x"}}
        )
    assert unknown.value.param == "context.conversation_id"


def test_the_async_client_asks_many_at_once(server: Server, alice: Person) -> None:
    async def ask() -> tuple[list[str | None], str]:
        async with openai.AsyncOpenAI(
            api_key=alice.key, base_url=f"{server.url}/v1", max_retries=0, timeout=20
        ) as client:
            create = client.chat.completions.create
            answers = await asyncio.gather(
                *(create(model="scripted", messages=[user(f"Question {n}")]) for n in range(8))
            )
            stream = await create(model="scripted", messages=[user("Hello")], stream=True)
            chunks = [chunk async for chunk in stream]
            return [answer.choices[0].message.content for answer in answers], text_in(chunks)

    answers, streamed = asyncio.run(ask())
    assert answers == [f"You said: Question {n}" for n in range(8)]
    assert streamed == "You said: Hello"


# --- leaving ----------------------------------------------------------------------------------------


def test_closing_a_stream_early_stops_the_answer(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="scripted", messages=[user("[[chunks: 3]] [[stall]]")], stream=True
    )
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    completion = the_only_completion()
    assert completion.state == "cancelled"
    assert completion.answers.get().parts[0].text.startswith("w1")


def test_a_client_that_times_out_stops_the_answer(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        sdk.chat.completions.create(model="scripted", messages=[user("[[stall]]")], timeout=0.5)
    assert the_only_completion().state == "cancelled"


# --- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "more", "param", "code"),
    [
        ([], {}, "messages", "empty_array"),
        ([{"role": "user", "content": 3}], {}, "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": "Hi"}], {"temperature": 3}, "temperature", "decimal_above_max_value"),
        ([{"role": "user", "content": "Hi"}], {"logprobs": True}, "logprobs", "unsupported_parameter"),
        ([{"role": "user", "content": "[[error: 400 code=context_length_exceeded param=messages Long]]"}],
         {}, "messages", "context_length_exceeded"),
    ],
)  # fmt: skip
def test_a_bad_request(
    sdk: openai.OpenAI, messages: Any, more: dict[str, Any], param: str, code: str
) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            sdk.chat.completions.create(model="scripted", messages=messages, stream=stream, **more)
        assert (refused.value.param, refused.value.code) == (param, code)
        assert refused.value.type == "invalid_request_error"
        assert refused.value.request_id


def test_a_wrong_or_revoked_key(sdk: openai.OpenAI, alice: Person) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong:
        sdk.with_options(api_key="sk-wrong").chat.completions.create(model="scripted", messages=[user("Hi")])
    assert wrong.value.code == "invalid_api_key"
    revoke_api_key(ApiKey.objects.get(workspace=alice.workspace))
    with pytest.raises(openai.AuthenticationError):
        sdk.chat.completions.create(model="scripted", messages=[user("Hi")])


def test_an_unknown_model(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk.chat.completions.create(model="gpt-17", messages=[user("Hi")])
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")


def test_too_many_requests(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as refused:
        sdk.chat.completions.create(
            model="scripted", messages=[user("[[error: 429 retry_after=7 code=rate_limit_exceeded Slow]]")]
        )
    assert refused.value.response.headers["retry-after"] == "7"
    assert refused.value.code == "rate_limit_exceeded"


def test_the_client_asks_again_after_a_failure(sdk: openai.OpenAI) -> None:
    script = "[[error: 500 Broken]]"
    again = sdk.with_options(max_retries=1)
    with pytest.raises(openai.InternalServerError) as failed:
        again.chat.completions.create(model="scripted", messages=[user(script)])
    assert failed.value.type == "server_error"
    assert Completion.objects.count() == 2


def test_an_idempotency_key_used_for_another_body(sdk: openai.OpenAI) -> None:
    def ask(text: str) -> str:
        return sdk.chat.completions.create(
            model="scripted", messages=[user(text)], extra_headers={"Idempotency-Key": "order-1"}
        ).id

    assert ask("One") == ask("One")
    with pytest.raises(openai.ConflictError) as reused:
        ask("Two")
    assert reused.value.code == "idempotency_key_reused"


def test_a_failure_in_the_middle_of_a_stream(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="scripted", messages=[user("[[chunks: 9]] [[error-after: 3 500 Oh]]")], stream=True
    )
    received: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError, match="Oh") as broken:
        read_into(received, stream)
    assert text_in(received) == "w1 w2 w3 "
    assert broken.value.type == "server_error"


def test_a_failure_in_the_middle_of_the_stream_helper(sdk: openai.OpenAI) -> None:
    with (
        pytest.raises(openai.APIError, match="Oh"),
        sdk.chat.completions.stream(
            model="scripted", messages=[user("[[chunks: 9]] [[error-after: 3 500 Oh]]")]
        ) as stream,
    ):
        stream.until_done()


def test_an_unreachable_service(alice: Person) -> None:
    with (
        openai.OpenAI(api_key=alice.key, base_url="http://127.0.0.1:9/v1", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError) as failed,
    ):
        client.models.list()
    assert isinstance(failed.value.request, httpx2.Request)
