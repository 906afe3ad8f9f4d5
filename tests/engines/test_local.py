"""The real local model, loaded once for all tests."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from core.child_process import ROOT
from engines.base import EngineError, InvalidRequest
from engines.events import Event, Finish, TextDelta, ToolCallArguments, ToolCallStart, Usage
from engines.local import tool_decision
from engines.local.engine import LocalEngine
from engines.messages import Message, TextPart, ToolCall
from engines.model_spec import LOCAL_DEFAULT
from engines.requests import EngineRequest, ResponseFormat, Tool, ToolChoice
from tests.support.processes import is_alive

pytestmark = [
    pytest.mark.local_model,
    pytest.mark.xdist_group("models"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(scope="module")
def data_folder(request: pytest.FixtureRequest) -> Path:
    """A folder kept between runs, because joining the model takes seconds and 490 MB."""
    return Path(request.config.cache.mkdir("local-model"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(request: pytest.FixtureRequest, data_folder: Path) -> AsyncIterator[LocalEngine]:
    """Parameter: the examples for the choice of a tool. Reading all takes half a minute, so usually a few."""
    examples = getattr(request, "param", None) or tool_decision.EXAMPLES[:4]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tool_decision, "EXAMPLES", examples)
        engine = LocalEngine(LOCAL_DEFAULT, data_dir=data_folder)
        yield engine
        await engine.close()


def user(text: str) -> Message:
    return Message("user", (TextPart(text),))


def ask(*messages: Message | str, max_tokens: int = 60, **rest: Any) -> EngineRequest:
    params = {"max_tokens": max_tokens, "temperature": 0, **rest.pop("params", {})}
    asked = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return EngineRequest(asked, params=params, **rest)


async def collect(engine: LocalEngine, request: EngineRequest) -> list[Event]:
    return [event async for event in engine.stream(request)]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def call_of(events: list[Event]) -> tuple[str, Any]:
    """The name and the decoded arguments of the only call in the events."""
    start = events[0]
    assert isinstance(start, ToolCallStart)
    assert start.id.startswith("call_")
    fragments = [event.fragment for event in events if isinstance(event, ToolCallArguments)]
    assert len(fragments) > 1 or fragments == ["{}"]
    assert not text_of(events)
    assert Finish("tool_calls") in events
    return start.name, json.loads("".join(fragments))


def tool(name: str, description: str, **properties: str) -> Tool:
    schema = {name: {"type": kind} for name, kind in properties.items()}
    return Tool(name, description, {"type": "object", "properties": schema, "required": list(properties)})


WEATHER = tool("get_weather", "Get the current weather in a city", city="string")
SUM = tool("calculate", "Calculate the value of an arithmetic expression", expression="string")
SHOP = tool("find_products", "Search the products of the shop", words="string")


# --- answers ------------------------------------------------------------------------------------


async def test_an_answer_streams_and_ends_with_its_usage(engine: LocalEngine) -> None:
    events = await collect(engine, ask("Say hello."))

    assert "hello" in text_of(events).lower()
    assert sum(isinstance(event, TextDelta) for event in events) > 1
    assert engine.unready_reason is None
    assert events[-2] == Finish("stop")
    usage = events[-1]
    assert isinstance(usage, Usage)
    assert usage.prompt_tokens > 20
    assert usage.completion_tokens > 1


async def test_what_was_read_before_is_counted_as_cached(engine: LocalEngine) -> None:
    question = ask("Which of these is a fruit: stone, apple, or chair? Answer with one word.", max_tokens=5)
    await collect(engine, question)
    usage = (await collect(engine, question))[-1]
    assert isinstance(usage, Usage)
    assert usage.cached_tokens > usage.prompt_tokens / 2


async def test_max_tokens_and_stop_are_kept(engine: LocalEngine) -> None:
    count = "Count from 1 to 9, with commas."
    assert Finish("length") in await collect(engine, ask(count, max_tokens=4))
    assert "5" not in text_of(await collect(engine, ask(count, params={"stop": ["5"]})))


async def test_a_seed_repeats_an_answer(engine: LocalEngine) -> None:
    dice = ask("Invent a name for a dragon.", max_tokens=8, params={"temperature": 1.8, "seed": -7})
    first, second = [text_of(await collect(engine, dice)) for _ in range(2)]
    assert first == second


async def test_a_token_can_be_banned(engine: LocalEngine) -> None:
    first = text_of(await collect(engine, ask("Say hello.", max_tokens=1)))
    assert first == "Hello"
    banned = ask("Say hello.", max_tokens=1, params={"logit_bias": {"9707": -100}})
    assert text_of(await collect(engine, banned)) != "Hello"


async def test_more_requests_than_slots_all_get_their_answer(engine: LocalEngine) -> None:
    answers = await asyncio.gather(
        *(collect(engine, ask(f"Repeat the number {number}.", max_tokens=12)) for number in range(10, 15))
    )
    for number, events in enumerate(answers, start=10):
        assert str(number) in text_of(events)


async def test_a_prompt_over_the_context_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await collect(engine, ask("word " * 9000))
    assert (refusal.value.code, refusal.value.param) == ("context_length_exceeded", "messages")


async def test_a_client_that_leaves_frees_its_slot_at_once(engine: LocalEngine) -> None:
    stream = engine.stream(ask("Count from 1 to 1000.", max_tokens=2000))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    assert await slots_at_work(engine) == 1

    begun = time.monotonic()
    await stream.aclose()
    while await slots_at_work(engine):
        assert time.monotonic() - begun < 10


async def test_a_long_prompt_is_given_up_in_its_middle(engine: LocalEngine) -> None:
    reading = asyncio.ensure_future(anext(engine.stream(ask("word " * 5000))))
    while not await slots_at_work(engine):
        await asyncio.sleep(0.01)

    begun = time.monotonic()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    while await slots_at_work(engine):
        # reading all of it would take a minute
        assert time.monotonic() - begun < 30
        await asyncio.sleep(0.02)


async def slots_at_work(engine: LocalEngine) -> int:
    endpoint = await asyncio.wrap_future(engine.process.start())
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(endpoint.base_url.removesuffix("/v1") + "/slots") as answer,
    ):
        return sum(slot["is_processing"] for slot in await answer.json())


async def test_the_process_answers_nobody_without_its_key(engine: LocalEngine) -> None:
    endpoint = await asyncio.wrap_future(engine.process.start())
    async with (
        aiohttp.ClientSession() as session,
        session.post(endpoint.base_url + "/chat/completions", json={"messages": []}) as answer,
    ):
        assert answer.status == 401


# --- schemas ------------------------------------------------------------------------------------


async def test_a_schema_is_enforced_to_the_letter(engine: LocalEngine) -> None:
    schema = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
            "amount": {"type": "integer", "minimum": 20, "maximum": 30, "multipleOf": 7},
        },
        "required": ["code", "amount"],
        "additionalProperties": False,
    }
    format_ = ResponseFormat("json_schema", name="order", schema=schema)
    answer = json.loads(text_of(await collect(engine, ask("Hello!", response_format=format_))))
    assert answer["amount"] in (21, 28)
    letters, digits = answer["code"].split("-")
    assert letters.isupper()
    assert digits.isdecimal()
    assert set(answer) == {"code", "amount"}


async def test_any_json_object_can_be_asked_for(engine: LocalEngine) -> None:
    request = ask("Name a color, as JSON.", response_format=ResponseFormat("json_object"), max_tokens=200)
    assert isinstance(json.loads(text_of(await collect(engine, request))), dict)


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/missing"}, {"type": "string", "not": {"const": "a"}}])
async def test_a_schema_that_cannot_be_enforced_is_refused_by_name(
    engine: LocalEngine, schema: dict[str, Any]
) -> None:
    format_ = ResponseFormat("json_schema", name="x", schema=schema)
    with pytest.raises(InvalidRequest) as refusal:
        await collect(engine, ask("Hello!", response_format=format_))
    assert refusal.value.param == "response_format.json_schema.schema"


# --- tools --------------------------------------------------------------------------------------


@pytest.mark.long  # the strict call below is required too
async def test_a_required_call_is_made_even_where_it_makes_no_sense(engine: LocalEngine) -> None:
    request = ask("Hello!", tools=(WEATHER,), tool_choice=ToolChoice("required"))
    name, arguments = call_of(await collect(engine, request))
    assert name == "get_weather"
    assert set(arguments) == {"city"}


async def test_a_named_tool_is_called_and_no_other(engine: LocalEngine) -> None:
    choice = ToolChoice("required", ("calculate",))
    request = ask("What is the weather in Rome?", tools=(WEATHER, SUM), tool_choice=choice)
    assert call_of(await collect(engine, request))[0] == "calculate"


async def test_strict_arguments_obey_what_only_a_constraint_can_promise(engine: LocalEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"id": {"type": "string", "pattern": "^T-[0-9]{5}$"}, "level": {"enum": [3, 5]}},
        "required": ["id", "level"],
        "additionalProperties": False,
    }
    strict = Tool("escalate", "Escalate a ticket", schema, strict=True)
    request = ask("Ticket 12 is urgent!", tools=(strict,), tool_choice=ToolChoice("required"))
    _, arguments = call_of(await collect(engine, request))
    assert arguments["level"] in (3, 5)
    assert arguments["id"].startswith("T-")
    assert len(arguments["id"]) == 7


async def test_a_tool_without_parameters_is_called_with_none(engine: LocalEngine) -> None:
    request = ask("What time is it?", tools=(Tool("now"),), tool_choice=ToolChoice("required"))
    assert call_of(await collect(engine, request)) == ("now", {})


async def test_parameters_that_cannot_be_enforced_are_refused_by_name(engine: LocalEngine) -> None:
    broken = Tool("f", "x", {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}})
    with pytest.raises(InvalidRequest) as refusal:
        await collect(engine, ask("Hi", tools=(WEATHER, broken), tool_choice=ToolChoice("required", ("f",))))
    assert refusal.value.param == "tools[1].function.parameters"


NEEDED = [
    (SUM, "What is 348 * 27?", True),
    (SUM, "Write a short poem about the moon.", False),
    (WEATHER, "What's the weather in Vienna?", True),
    (WEATHER, "What is the capital of Norway?", False),
    (SHOP, "Find me a green backpack.", True),
    (SHOP, "Thanks, that is all.", False),
]
"""A few of the messages that the decision was measured with, and whether they need the tool."""


async def first_event(engine: LocalEngine, request: EngineRequest) -> Event:
    stream = engine.stream(request)
    try:
        return await anext(stream)
    finally:
        await stream.aclose()


FITTING = [
    ("What is 348 * 27?", (SHOP, SUM), "calculate"),
    ("What's the weather in Vienna?", (SHOP, WEATHER, SUM), "get_weather"),
    ("Calculate 12.5 divided by 4.", (SHOP, WEATHER, SUM), "calculate"),
]


def short_and_long(short: Any, long: Any) -> pytest.MarkDecorator:
    """Parametrize a test with few messages and few examples, and in its long form with all of both."""
    all_examples = pytest.param(tool_decision.EXAMPLES, long, marks=pytest.mark.long, id="long")
    few_examples = pytest.param(None, short, id="short")
    return pytest.mark.parametrize(
        ("engine", "messages"), [few_examples, all_examples], indirect=["engine"], scope="module"
    )


@short_and_long(NEEDED[:2], NEEDED)
async def test_left_to_choose_it_calls_the_tool_when_needed_and_else_talks(
    engine: LocalEngine, messages: list[tuple[Tool, str, bool]]
) -> None:
    # the requested temperature does not affect the decision
    hot = {"temperature": 2.0}
    called = [
        isinstance(await first_event(engine, ask(message, tools=(offered,), params=hot)), ToolCallStart)
        for offered, message, _ in messages
    ]
    assert called == [is_needed for *_, is_needed in messages]


@short_and_long(FITTING[:1], FITTING)
async def test_of_several_tools_it_calls_the_one_that_fits(
    engine: LocalEngine, messages: list[tuple[str, tuple[Tool, ...], str]]
) -> None:
    for message, tools, name in messages:
        opened = await first_event(engine, ask(message, tools=tools))
        assert isinstance(opened, ToolCallStart)
        assert opened.name == name


async def test_what_a_tool_returned_is_answered_in_words(engine: LocalEngine) -> None:
    events = await collect(
        engine,
        ask(
            "What's the weather in Vienna?",
            Message("assistant", (ToolCall("call_1", "get_weather", '{"city": "Vienna"}'),)),
            Message("tool", (TextPart('{"celsius": 23, "sky": "cloudy"}'),), tool_call_id="call_1"),
            tools=(WEATHER,),
        ),
    )
    assert "23" in text_of(events)
    assert Finish("stop") in events


# --- the process (last, because these end it) ---------------------------------------------------


async def test_a_crash_fails_its_streams_and_the_next_request_is_answered(engine: LocalEngine) -> None:
    stream = engine.stream(ask("Count from 1 to 1000.", max_tokens=2000))
    await anext(stream)
    assert engine.process.pid is not None
    os.kill(engine.process.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="process ended"):
        async for _ in stream:
            pass

    assert "hello" in text_of(await collect(engine, ask("Say hello."))).lower()


async def test_a_signal_to_all_processes_of_the_service_ends_no_answer(engine: LocalEngine) -> None:
    """Ctrl-C and the service manager send it, and then the streams have time to end."""
    endpoint = await asyncio.wrap_future(engine.process.start())
    assert engine.process.pid is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(engine.process.pid, number)

    assert "hello" in text_of(await collect(engine, ask("Say hello."))).lower()
    assert await asyncio.wrap_future(engine.process.start()) == endpoint


PARENT = """
import sys
from pathlib import Path
from engines.local import tool_decision
from engines.local.engine import LocalEngine
from engines.model_spec import LOCAL_DEFAULT
engine = LocalEngine(LOCAL_DEFAULT, data_dir=Path(sys.argv[1]))
engine.process.start().result()
print(engine.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.long  # tests/core/test_child_process.py holds that any child dies with its parent
async def test_a_parent_that_is_killed_leaves_no_orphan(data_folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as parent:
        assert parent.stdout is not None
        child = int(await asyncio.to_thread(parent.stdout.readline))
        assert is_alive(child)
        parent.kill()

    begun = time.monotonic()
    while is_alive(child):
        assert time.monotonic() - begun < 5
        await asyncio.sleep(0.01)
