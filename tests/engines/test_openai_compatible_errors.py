"""Failures of an upstream: what our client is told of them, and when the request is retried."""

import asyncio
import contextlib
import gc
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from core.known_secrets import KNOWN_SECRETS
from engines.base import EngineError, InvalidRequest, Unavailable
from engines.events import Event, Finish, TextDelta
from engines.messages import Message, TextPart
from engines.model_spec import ModelSpec
from engines.openai_compatible.engine import OpenAICompatibleEngine
from engines.openai_compatible.errors import MESSAGE_LIMIT
from engines.openai_compatible.reachability import Reachability
from engines.openai_compatible.sse_lines import LineSplitter
from engines.openai_compatible.upstream_response import ResponseLimits
from engines.requests import EngineRequest
from tests.support.fake_upstream import (
    ABORT,
    CLOSE,
    HANG,
    Answer,
    FakeUpstream,
    delta,
    end,
    frame,
    raw,
    say,
    status,
    stream,
)

KEY = "sk-very-secret"
FINE = stream(say("Hi"), end())
HI: list[Event] = [TextDelta("Hi"), Finish("stop")]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@contextlib.asynccontextmanager
async def engine_for(upstream: FakeUpstream, **options: Any) -> AsyncIterator[OpenAICompatibleEngine]:
    engine = OpenAICompatibleEngine(upstream.base_url, "m", api_key=KEY, **options)
    try:
        yield engine
    finally:
        await engine.close()


def ask(stream: bool = True) -> EngineRequest:
    message = Message("user", (TextPart("Hello"),))
    return EngineRequest(messages=(message,), stream=stream)


async def collect(engine: OpenAICompatibleEngine, seen: list[Event]) -> None:
    async for event in engine.stream(ask()):
        seen.append(event)


async def events_of(engine: OpenAICompatibleEngine, stream: bool = True) -> list[Event]:
    return [event async for event in engine.stream(ask(stream))]


async def refusal(
    upstream: FakeUpstream, *answers: Answer, streamed: bool = True, **options: Any
) -> EngineError:
    """The error that the engine gives up with."""
    upstream.will(*answers)
    async with engine_for(upstream, **{"retries": 0, **options}) as engine:
        with pytest.raises(EngineError) as caught:
            await events_of(engine, streamed)
    return caught.value


class Waits(list[float]):
    """The waits between attempts, which take no time in the test."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)


# --- statuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours", "may_fall_back"),
    [
        (400, 400, False),
        (404, 404, True),
        (409, 409, True),
        (413, 413, False),
        (422, 400, False),
        (429, 429, True),
        (402, 502, True),
        (301, 502, True),
        (500, 500, True),
        (502, 502, True),
        (503, 503, True),
        (504, 504, True),
        (520, 502, True),
        (529, 503, True),
        (408, 504, True),
    ],
)
async def test_a_status_is_passed_on_where_our_client_can_use_it(
    upstream: FakeUpstream, theirs: int, ours: int, may_fall_back: bool
) -> None:
    error = await refusal(upstream, status(theirs, {"message": "So it is", "code": "the_code"}))
    assert (error.status, error.message, error.code) == (ours, "So it is", "the_code")
    assert error.may_fall_back is may_fall_back


async def test_message_type_code_and_param_of_a_refusal_pass(upstream: FakeUpstream) -> None:
    fault = {"message": "Bad n", "type": "invalid_request_error", "param": "n", "code": "invalid_value"}
    error = await refusal(upstream, status(400, fault))
    assert isinstance(error, InvalidRequest)
    assert {"message": error.message, "type": error.type, "param": error.param, "code": error.code} == fault


@pytest.mark.parametrize("theirs", [401, 403])
async def test_refused_credentials_are_our_fault_not_our_clients(upstream: FakeUpstream, theirs: int) -> None:
    error = await refusal(upstream, status(theirs, {"message": f"Incorrect API key: {KEY}"}))
    assert (error.status, error.code) == (502, "upstream_authentication")
    assert KEY not in str(error)
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_key_is_in_no_message_and_no_log(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = await refusal(upstream, status(400, {"message": f"I was sent {KEY}!"}))
    assert error.message == "I was sent ***!"
    assert KEY not in caplog.text


@pytest.mark.parametrize("field", ["message", "type", "code", "param"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda fault: status(400, fault),
        lambda fault: status(404, fault),
        lambda fault: status(418, fault),
        lambda fault: status(429, fault),
        lambda fault: status(500, fault),
        lambda fault: stream({"error": fault}),
        lambda fault: raw(json.dumps({"error": fault}).encode(), content_type="application/json"),
        lambda fault: stream(say("Well"), {"error": fault}),
        lambda fault: stream({"error": {**fault, "code": fault.get("code", 400)}}),
    ],
)
async def test_the_key_is_in_no_part_of_an_error(
    upstream: FakeUpstream, field: str, answer: Callable[[dict[str, str]], Answer]
) -> None:
    """Wherever the error comes: with a status of its own, with 200, or in the middle of a stream."""
    fault = {"message": "It failed.", field: f"Got {KEY.upper()}, {KEY[:10]}… and sk-somebody-else-42"}
    upstream.will(answer(fault))
    async with engine_for(upstream, retries=0) as engine:
        with pytest.raises(EngineError) as failed:
            await collect(engine, [])

    error = failed.value
    said = f"{error!r} {error.message} {error.type} {error.code} {error.param}"
    assert KEY.lower()[:8] not in said.lower()
    assert "somebody" not in said


async def test_the_keys_of_others_tell_a_client_nothing(upstream: FakeUpstream) -> None:
    """A client can have an upstream quote a guess, and what is masked would tell that it is right."""
    KNOWN_SECRETS.add("another-upstreams-0815")
    error = await refusal(upstream, status(400, {"message": "Unknown: another-upstreams-0815"}))
    assert error.message == "Unknown: another-upstreams-0815"


async def test_a_long_message_does_not_end_in_half_a_key(upstream: FakeUpstream) -> None:
    said = "no " * (MESSAGE_LIMIT // 3 - 2)
    error = await refusal(upstream, status(400, {"message": f"{said}7f3e9a1c-0b2d-4e5f"}))
    assert error.message == said


async def test_a_nested_error_is_masked_too(upstream: FakeUpstream) -> None:
    error = await refusal(upstream, status(400, {"message": {"headers": {"Authorization": f"Bearer {KEY}"}}}))
    assert error.message == '{"headers":{"Authorization":"Bearer ***"}}'


SHAPES: list[tuple[Any, str]] = [
    (b'{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}', "m"),
    (b'{"error":"m","error_type":"validation"}', "m"),
    (b'{"detail":"m"}', "m"),
    (b'[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]', "m"),
    (b'{"detail":[{"loc":["body"],"msg":"m"}]}', '[{"loc":["body"],"msg":"m"}]'),
    (b"<html><body>nginx</body></html>", "The upstream answered with status 400."),
    (b"", "The upstream answered with status 400."),
    (b"\xff\xfe", "The upstream answered with status 400."),
]


@pytest.mark.parametrize(("body", "message"), SHAPES)
async def test_errors_are_read_in_all_their_shapes(upstream: FakeUpstream, body: bytes, message: str) -> None:
    writes = (body,) if body else ()
    error = await refusal(upstream, raw(*writes, status=400, content_type="application/json"))
    assert (error.status, error.message) == (400, message)


TOO_LONG: list[tuple[int, Any]] = [
    (400, {"message": "Too long", "code": "context_length_exceeded", "param": "messages"}),
    (400, {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000."}),
    (400, {"message": "The decoder prompt (length 50) is longer than the maximum model length of 40."}),
    (400, {"code": 400, "message": "request too big", "type": "exceed_context_size_error", "n_ctx": 8}),
    (500, {"code": 500, "message": "the request exceeds the available context size. try increasing it"}),
]


@pytest.mark.parametrize(("theirs", "fault"), TOO_LONG)
async def test_a_prompt_over_the_context_is_told_as_such(
    upstream: FakeUpstream, theirs: int, fault: Any
) -> None:
    for answer in (status(theirs, fault), stream({"error": fault | {"code": fault.get("code", 400)}})):
        error = await refusal(upstream, answer)
        assert isinstance(error, InvalidRequest)
        assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7),
        ({"retry_after_ms": "1500", "Retry_After": "2"}, 1.5),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "inf"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_told_in_seconds(
    upstream: FakeUpstream, headers: dict[str, str], seconds: float | None
) -> None:
    error = await refusal(upstream, status(429, **headers))
    assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert error.retry_after == seconds


async def test_retry_after_may_be_a_date(upstream: FakeUpstream) -> None:
    tomorrow = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    error = await refusal(upstream, status(429, Retry_After=tomorrow))
    assert error.retry_after == pytest.approx(86_400, abs=600)


# --- status 200, and yet no answer --------------------------------------------------------------

NO_ANSWERS: dict[str, tuple[Answer, str]] = {
    "HTML": (raw(b"<!doctype html><p>Hi", content_type="text/html"), "no chat completion"),
    "HTML as a stream": (raw(b"<!doctype html>\n<p>Hi"), "no chat completion"),
    "nothing": (raw(), "before it began"),
    "nothing, as JSON": (raw(content_type="application/json"), "no chat completion"),
    "only DONE": (stream(), "before it began"),
    "only pings": (raw(b": ping\n\n"), "before it began"),
    "other JSON": (raw(b'{"ok":true}', content_type="application/json"), "no chat completion"),
    "error as JSON": (raw(b'{"error":{"message":"broken"}}', content_type="application/json"), "broken"),
    "error as text": (raw(b'{"error":\n{"message":"broken"}}', content_type="text/plain"), "broken"),
    "cut JSON": (raw(b'{"choices":[{"mess', content_type="application/json"), "no chat completion"),
    "no choices": (raw(b'{"choices":[]}', content_type="application/json"), "before it began"),
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("answer", "message"), NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_what_is_no_answer_is_a_clear_error(
    upstream: FakeUpstream, answer: Answer, message: str, streamed: bool
) -> None:
    error = await refusal(upstream, answer, streamed=streamed)
    assert error.status == 502
    assert message in error.message


async def test_an_error_in_the_stream_has_the_status_that_it_names(upstream: FakeUpstream) -> None:
    error = await refusal(
        upstream, stream({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    )
    assert error.status == 429
    error = await refusal(upstream, stream({"error": {"message": "overloaded", "code": 503}}))
    assert (error.status, error.message) == (503, "overloaded")


async def test_a_line_without_end_is_stopped_at_the_limit() -> None:
    lines = LineSplitter(line_limit=1000)
    lines.feed(b"data: " + b"x" * 900)
    with pytest.raises(EngineError, match="a line of more than 1000 bytes"):
        lines.feed(b"x" * 200)


async def test_an_answer_without_end_is_stopped_at_the_limit(upstream: FakeUpstream) -> None:
    endless = raw(b" " * 2000, content_type="application/json")
    error = await refusal(upstream, endless, streamed=False, limits=ResponseLimits(line=1000))
    assert "more than 1000 bytes" in error.message


# --- retries ------------------------------------------------------------------------------------

TRANSIENT_FAILURES = {
    "reset": raw(ABORT),
    "closed": raw(b": ping\n\n", CLOSE),
    "reset after headers": raw(b": ping\n\n", ABORT),
    "408": status(408),
    "429": status(429, Retry_After="0.5"),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
    "503 in the stream": stream({"error": {"message": "loading", "code": 503}}),
}


@pytest.mark.parametrize("answer", TRANSIENT_FAILURES.values(), ids=TRANSIENT_FAILURES)
async def test_what_fails_before_its_first_event_is_tried_again(
    upstream: FakeUpstream, answer: Answer
) -> None:
    waits = Waits()
    upstream.will(answer, answer, FINE)
    async with engine_for(upstream, retries=2, sleep=waits.sleep) as engine:
        assert await events_of(engine) == HI
    assert len(upstream.requests) == 3
    assert len(waits) == 2
    assert all(0 < wait < 1 for wait in waits)


async def test_after_its_retries_it_gives_up(upstream: FakeUpstream) -> None:
    waits = Waits()
    error = await refusal(upstream, status(503), retries=2, sleep=waits.sleep)
    assert isinstance(error, EngineError)
    assert len(upstream.requests) == 3
    assert waits[0] <= 0.25 < waits[1] <= 0.5 or waits[1] == pytest.approx(0.25, abs=0.001)


@pytest.mark.parametrize(
    "answer",
    [
        status(400),
        status(401),
        status(404),
        status(422),
        status(429),
        status(429, Retry_After="60"),
        status(503, Retry_After="60"),
        raw(frame(say("Hi")), ABORT),
        stream(say("Hi"), {"error": {"message": "overloaded", "code": 503}}),
        stream(say("Hi"), done=False),
    ],
)
async def test_what_would_not_help_is_not_tried_again(upstream: FakeUpstream, answer: Answer) -> None:
    waits = Waits()
    await refusal(upstream, answer, retries=2, sleep=waits.sleep)
    assert len(upstream.requests) == 1
    assert waits == []


async def test_an_upstream_that_is_not_there(upstream: FakeUpstream) -> None:
    waits = Waits()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        upstream.base_url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        error = await refusal(upstream, FINE, retries=1, sleep=waits.sleep)
    assert isinstance(error, Unavailable)
    assert (error.status, error.may_fall_back) == (503, True)
    assert "127.0.0.1" not in error.message, "our clients need not know where the upstream is"
    assert len(waits) == 1


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [raw(HANG), raw(b": ping\n\n", HANG)], ids=["no headers", "headers and a ping"]
)
async def test_an_upstream_that_never_begins(upstream: FakeUpstream, answer: Answer) -> None:
    error = await refusal(upstream, answer, first_event_timeout=1.0, idle_timeout=0.1, retries=2)
    assert isinstance(error, Unavailable)
    assert error.status == 504
    assert len(upstream.requests) == 1, "a long wait is not waited twice"
    await asyncio.wait_for(upstream.client_gone.wait(), 10)


async def test_an_upstream_that_falls_silent(upstream: FakeUpstream) -> None:
    upstream.will(raw(frame(say("Hi")), HANG))
    seen: list[Event] = []
    async with engine_for(upstream, idle_timeout=0.1) as engine:
        with pytest.raises(Unavailable) as caught:
            await collect(engine, seen)
    assert seen == [TextDelta("Hi")]
    assert caught.value.status == 504


async def test_bytes_of_any_kind_keep_an_answer_alive(upstream: FakeUpstream) -> None:
    # without them it would end after 3 s at most: silence is looked for four times in an idle timeout
    pings = [write for _ in range(14) for write in (0.25, b": ping\n\n")]
    upstream.will(raw(frame(say("Hi")), *pings, frame(end())))
    async with engine_for(upstream, idle_timeout=2.4) as engine:
        assert await events_of(engine) == HI


async def test_a_slow_reader_of_ours_is_not_the_upstreams_fault(upstream: FakeUpstream) -> None:
    upstream.will(stream(say("Hi"), end()))
    async with engine_for(upstream, idle_timeout=0.1) as engine:
        answer = engine.stream(ask())
        seen = [await anext(answer)]
        await asyncio.sleep(0.3)
        seen += [event async for event in answer]
    assert seen == HI


# --- disconnecting ------------------------------------------------------------------------------


async def delay_until_gone(upstream: FakeUpstream, stop: Callable[[], Awaitable[None]]) -> float:
    """Seconds from the stop until the upstream saw it."""
    await upstream.hanging.wait()
    stopped_at = time.monotonic()
    await stop()
    await asyncio.wait_for(upstream.client_gone.wait(), 10)
    upstream.client_gone.clear()
    upstream.hanging.clear()
    return upstream.client_gone_at - stopped_at


async def test_closing_the_iterator_stops_the_upstream_at_once(upstream: FakeUpstream) -> None:
    upstream.will(raw(frame(say("Hi")), HANG))
    delays = []
    async with engine_for(upstream) as engine:
        for _ in range(3):
            answer = engine.stream(ask())
            await anext(answer)
            delays.append(await delay_until_gone(upstream, answer.aclose))
    assert min(delays) < 0.05


@pytest.mark.parametrize(
    "answer",
    [raw(HANG), raw(b": ping\n\n", HANG), raw(frame(say("Hi")), HANG)],
    ids=["sent", "begun", "text"],
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_cancelling_the_reader_stops_the_upstream_at_once(
    upstream: FakeUpstream, answer: Answer, streamed: bool
) -> None:
    upstream.will(answer)
    delays = []
    async with engine_for(upstream) as engine:
        for _ in range(3):
            reader = asyncio.create_task(events_of(engine, streamed))

            async def cancel(reader: asyncio.Task[list[Event]] = reader) -> None:
                reader.cancel()
                await asyncio.wait([reader])

            delays.append(await delay_until_gone(upstream, cancel))
            assert reader.cancelled()
    assert min(delays) < 0.05


async def until_given_back(upstream: FakeUpstream) -> None:
    """Wait until all answers are complete, and the engine has read their ends."""
    await until(lambda: upstream.completed == len(upstream.requests))
    # what arrives between the looks at the one end and the other is seen by the second look
    for _ in range(2):
        await until(lambda: not bytes_under_way(upstream.port))


def bytes_under_way(port: int) -> int:
    """The bytes that the kernel has of connections with this port: not yet received, or not yet read."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(size, 16)
        for _, local, remote, _, queues, *_ in rows
        if f":{port:04X}" in local + remote
        for size in queues.split(":")
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_one_connection_serves_one_answer_after_the_other(upstream: FakeUpstream) -> None:
    gate = asyncio.Event()
    upstream.will(raw(frame(say("Hi")) + frame(end()), b"data: [DONE]\n\n", gate), FINE, status(400), FINE)
    async with engine_for(upstream, retries=0) as engine:
        assert await events_of(engine) == HI, "the end of the response is not waited for"
        gate.set()
        await until_given_back(upstream)
        assert await events_of(engine) == HI
        await until_given_back(upstream)
        with pytest.raises(InvalidRequest):
            await events_of(engine)
        await until_given_back(upstream)
        assert await events_of(engine) == HI
    assert upstream.connections == 1


async def test_an_upstream_that_says_done_and_stays_is_left(upstream: FakeUpstream) -> None:
    upstream.will(raw(frame(say("Hi")), frame(end()), b"data: [DONE]\n\n", HANG))
    async with engine_for(upstream, limits=ResponseLimits(linger_seconds=0.05)) as engine:
        assert await asyncio.wait_for(events_of(engine), 10) == HI
        await asyncio.wait_for(upstream.client_gone.wait(), 10)


def test_nothing_that_lingers_is_left_open() -> None:
    async def ask_and_leave() -> None:
        async with FakeUpstream() as upstream, engine_for(upstream) as engine:
            upstream.will(raw(frame(say("Hi")), frame(end()), b"data: [DONE]\n\n", HANG))
            assert await events_of(engine) == HI

    asyncio.run(ask_and_leave())
    gc.collect()  # a connection left open would cause a warning, which fails the test


async def test_two_hundred_answers_at_once_wait_for_none_of_each_other(upstream: FakeUpstream) -> None:
    gate = asyncio.Event()
    upstream.will(raw(frame(say("Hi")), gate, frame(end())))
    async with engine_for(upstream) as engine:
        readers = [asyncio.create_task(events_of(engine)) for _ in range(200)]
        async with asyncio.timeout(10):
            while len(upstream.requests) < 200:
                await asyncio.sleep(0.01)
        gate.set()
        assert await asyncio.gather(*readers) == [HI] * 200


# --- the engine itself --------------------------------------------------------------------------


async def test_an_engine_made_from_the_models_file(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", KEY)
    spec = ModelSpec(
        id="ours",
        engine="openai_compatible",
        base_url=upstream.base_url + "/",
        api_key_env="UPSTREAM_API_KEY",
        upstream_model="theirs",
    )
    upstream.will(FINE)
    engine = OpenAICompatibleEngine.from_spec(spec)
    assert await events_of(engine) == HI
    await engine.close()
    assert upstream.body["model"] == "theirs"
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_space_around_a_key_is_no_part_of_it(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", " sk-up-123 \n")
    upstream.will(FINE, status(400, {"message": "API key not valid: sk-up-123."}))
    spec = ModelSpec(
        id="ours", engine="openai_compatible", base_url=upstream.base_url, api_key_env="UPSTREAM_API_KEY"
    )
    engine = OpenAICompatibleEngine.from_spec(spec)
    assert await events_of(engine) == HI
    with pytest.raises(EngineError, match=r"^API key not valid: \*\*\*\.$"):
        await events_of(engine)
    await engine.close()
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-up-123"


async def test_a_key_in_the_address_is_used_and_never_shown(upstream: FakeUpstream) -> None:
    address = (
        upstream.base_url.replace("http://", "http://user:p%40ssw0rd-17@") + "/?api-key=7f3e9a1c&v=2024-02-01"
    )
    upstream.will(
        FINE, status(400, {"message": "Not with p@ssw0rd-17, p%40ssw0rd-17 or 7F3E9A1C on 2024-02-01"})
    )
    engine = OpenAICompatibleEngine(address, "m")
    assert await events_of(engine) == HI
    with pytest.raises(EngineError, match=r"^Not with \*\*\*, \*\*\* or \*\*\* on 2024-02-01$"):
        await events_of(engine)
    await engine.close()
    assert upstream.requests[0].target == "/v1/chat/completions?api-key=7f3e9a1c&v=2024-02-01"
    assert upstream.requests[0].headers["authorization"] == "Basic dXNlcjpwQHNzdzByZC0xNw=="


async def test_without_its_key_it_says_so_and_sends_none(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("UPSTREAM_API_KEY", raising=False)
    upstream.will(FINE)
    engine = OpenAICompatibleEngine.from_spec(
        ModelSpec(
            id="ours", engine="openai_compatible", base_url=upstream.base_url, api_key_env="UPSTREAM_API_KEY"
        )
    )
    assert await events_of(engine) == HI
    await engine.close()
    assert "UPSTREAM_API_KEY is not set" in caplog.text
    assert "authorization" not in upstream.requests[0].headers
    assert upstream.body["model"] == "ours"


async def test_reachability_follows_the_upstream(upstream: FakeUpstream) -> None:
    reachability = Reachability(URL(upstream.base_url), connect_timeout=10)
    await reachability.check()
    assert reachability.problem is None
    upstream.stop_listening()
    await reachability.check()
    assert "cannot be reached" in str(reachability.problem)


async def test_an_engine_is_ready_while_its_upstream_can_be_reached(upstream: FakeUpstream) -> None:
    async with engine_for(upstream) as engine:
        await engine.start()
        await engine.start()
        assert engine.unready_reason is None
        await until(lambda: upstream.connections == 1)
        assert engine.unready_reason is None
    upstream.stop_listening()
    async with engine_for(upstream) as engine:
        await engine.start()
        await until(lambda: engine.unready_reason is not None)
        assert "cannot be reached" in str(engine.unready_reason)


async def test_the_first_of_many_events_is_not_lost_with_an_error_behind_it(upstream: FakeUpstream) -> None:
    one_write = b"".join(
        frame(chunk) for chunk in (say("a"), delta(content="b"), {"error": {"message": "x"}})
    )
    upstream.will(raw(one_write))
    seen: list[Event] = []
    async with engine_for(upstream) as engine:
        with pytest.raises(EngineError, match="x"):
            await collect(engine, seen)
    assert seen == [TextDelta("a"), TextDelta("b")]
