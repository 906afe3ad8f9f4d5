"""When a tool call's arguments are complete, however they were cut, and what it costs to find out."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.base import EngineError
from engines.events import Event, ToolCallArguments, ToolCallStart
from engines.openai_compatible import tool_calls
from engines.openai_compatible.chunk_types import ChunkFunction, ChunkToolCall
from engines.openai_compatible.json_completeness import ObjectScanner
from engines.openai_compatible.tool_calls import CallAssembler

T = TypeVar("T")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab"\\{}[] \n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\{', max_size=3), inner),
    max_leaves=8,
)


def is_whole(pieces: list[str]) -> bool:
    scanner = ObjectScanner()
    for piece in pieces:
        scanner.feed(piece)
    return scanner.is_whole


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@given(st.dictionaries(st.text('a"\\{', max_size=3), JSON), st.data())
def test_an_object_is_whole_at_its_last_bracket_and_no_sooner(value: dict[str, Any], data: Any) -> None:
    text = json.dumps(value)
    size = data.draw(st.integers(1, len(text)))
    scanner = ObjectScanner()
    for start in range(0, len(text), size):
        assert not scanner.is_whole
        scanner.feed(text[start : start + size])
    assert scanner.is_whole


@given(st.text('ab"\\{}[]:,1 ', max_size=12), st.integers(1, 12))
@example('{"a":"}"}', 1)
@example("{}{}", 2)
@example('{"\\"":1}', 1)
@example('"x"{}', 3)
@example('{}"', 1)
@example("[]", 1)
@example("}{", 2)
def test_any_text_is_judged_as_a_parser_would(text: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert is_whole(pieces) == is_object(text)


def test_space_may_follow_and_precede_but_nothing_else() -> None:
    assert is_whole([" \n", '{"a":', "1}", " ", "\n"])
    assert not is_whole([" ", "{}", " ", "x", " "])


def test_what_nests_too_deep_to_be_parsed_is_not_whole() -> None:
    assert not is_whole(['{"a":' * 100_000, "1" + "}" * 100_000])


# --- what it costs ------------------------------------------------------------------------------


def work(do: Callable[[], object]) -> int:
    """How many lines of this package and of this file were executed."""
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(before)
    return lines


def parses(do: Callable[[], T]) -> tuple[int, T]:
    """How often a text was parsed, and what `do` returned."""
    count = 0

    def profile(frame: Any, event: str, function: Any) -> None:
        nonlocal count
        count += event == "c_call" and function is msgspec.json.decode

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        result = do()
    finally:
        sys.setprofile(before)
    return count, result


def interleaved(count: int) -> list[Event]:
    """Two calls at once, of `count` fragments each, every one of which looks like an end."""
    assembler, events = CallAssembler(0), list[Event]()
    opening = [ChunkToolCall(index, f"c{index}", ChunkFunction(f"f{index}", '{"a":[{}')) for index in (0, 1)]
    assembler.read(opening, events)
    for _ in range(count):
        for index in (0, 1):
            assembler.read([ChunkToolCall(index, None, ChunkFunction(None, ",{}"))], events)
    for index in (0, 1):
        assembler.read([ChunkToolCall(index, None, ChunkFunction(None, "]}"))], events)
    assembler.finish(events)
    return events


def many(count: int) -> list[Event]:
    """`count` calls, one after the other."""
    assembler, events = CallAssembler(0), list[Event]()
    for index in range(count):
        assembler.read([ChunkToolCall(index, f"c{index}", ChunkFunction("f", "{}"))], events)
    assembler.finish(events)
    return events


def repeated(count: int) -> list[Event]:
    """One call, each of whose fragments has the name and a new id."""
    assembler, events = CallAssembler(0), list[Event]()
    assembler.read([ChunkToolCall(0, "c", ChunkFunction("f", '{"a":[{}'))], events)
    for index in range(count):
        assembler.read([ChunkToolCall(0, f"c{index}", ChunkFunction("f", ",{}"))], events)
    assembler.finish(events)
    return events


@pytest.mark.parametrize("attack", [interleaved, many, repeated])
def test_twice_the_fragments_are_twice_the_work(attack: Callable[[int], object]) -> None:
    assert work(lambda: attack(400)) < 2.2 * work(lambda: attack(200))


def test_each_call_is_parsed_once() -> None:
    count, events = parses(lambda: interleaved(20_000))
    assert count == 1, "the second call's end is the choice's"
    starts = [event for event in events if isinstance(event, ToolCallStart)]
    assert [(start.index, start.id, start.name) for start in starts] == [(0, "c0", "f0"), (1, "c1", "f1")]
    texts = [
        "".join(e.fragment for e in events if isinstance(e, ToolCallArguments) and e.index == index)
        for index in (0, 1)
    ]
    assert texts[0] == texts[1] == '{"a":[{}' + ",{}" * 20_000 + "]}"


def test_calls_that_wait_without_end_are_refused() -> None:
    assembler, events = CallAssembler(0), list[Event]()
    with pytest.raises(EngineError, match="more tools at once"):
        assembler.read([ChunkToolCall(index) for index in range(tool_calls.WAITING_LIMIT + 1)], events)
    assert events == []
