"""Prompts that no context holds, so that less is held of the wallet than is billed."""

from collections.abc import Callable
from typing import Any

import httpx2

from tests.attacks.checks import check, describe, error_of
from tests.attacks.stage import Stage
from tests.support.fake_upstream import end, say, stream
from tests.support.people import Person
from tests.support.request_bodies import call, result, tool
from tests.support.request_bodies import text as text_part

TOO_LONG = "word " * 800_000
"""A million tokens, of which the priced models hold 128,000."""
STORED = "word " * 1_600_000


def conversation_stored_for_free(stage: Stage) -> None:
    """Spend more than a prepaid wallet holds: store megabytes by a free model, then ask a priced one."""
    who = stage.newcomer()
    conversation: dict[str, str] = {}
    for _ in range(2):
        kept = stage.ask(who, f"[[text: Kept.]] {STORED}", "native", model="free", context=conversation)
        conversation = {"conversation_id": kept.headers["x-conversation-id"]}
    _overdraw(stage, who, lambda: stage.ask(who, "Hello", "native", context=conversation))


def conversation_continued_by_v1(stage: Stage) -> None:
    """Do the same by sending the whole history, as OpenAI's clients do."""
    who = stage.newcomer()
    question = {"role": "user", "content": f"[[text: Kept.]] {TOO_LONG}"}
    stage.ask(who, "", model="free", messages=[question])
    history = [question, {"role": "assistant", "content": "Kept."}, {"role": "user", "content": "Hello"}]
    _overdraw(stage, who, lambda: stage.ask(who, "", messages=history))


def one_long_message(stage: Stage) -> None:
    """Overdraw a prepaid wallet with a single request, in either dialect."""
    for dialect in ("native", "openai"):
        who = stage.newcomer()
        _overdraw(stage, who, lambda who=who, dialect=dialect: stage.ask(who, TOO_LONG, dialect))  # type: ignore[misc]


def many_long_parts(stage: Stage) -> None:
    """Overdraw it by parts of which each fits."""
    who = stage.newcomer()
    parts = [text_part("word " * 80_000)] * 10
    _overdraw(stage, who, lambda: stage.ask(who, parts))


def tools_longer_than_the_context(stage: Stage) -> None:
    """Overdraw it by tools: their names are short, their schemas are not."""
    who = stage.newcomer()
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": TOO_LONG}}}
    _overdraw(stage, who, lambda: stage.ask(who, "Hello", tools=[tool(parameters=schema)]))


def answer_format_longer_than_the_context(stage: Stage) -> None:
    """Overdraw it by the schema of the answer."""
    who = stage.newcomer()
    schema = {"type": "object", "description": TOO_LONG}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    _overdraw(stage, who, lambda: stage.ask(who, "Hello", response_format=wanted))


def prediction_longer_than_the_context(stage: Stage) -> None:
    """Overdraw it by a predicted answer, which the upstream reads too."""
    who = stage.newcomer()
    prediction = {"type": "content", "content": TOO_LONG}
    _overdraw(stage, who, lambda: stage.ask(who, "Hello", prediction=prediction))


def tool_calls_longer_than_the_context(stage: Stage) -> None:
    """Overdraw it by the arguments of calls in the history."""
    who = stage.newcomer()
    made = {**call(), "function": {"name": "a", "arguments": f'{{"a": "{TOO_LONG}"}}'}}
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": [made]},
        result(),
    ]
    _overdraw(stage, who, lambda: stage.ask(who, "", messages=messages))


def text_files_longer_than_the_context(stage: Stage) -> None:
    """Overdraw it by text files, of which a model without file input is given the text."""
    who = stage.newcomer()
    file = stage.upload(who, b"word " * 40_000)
    named: list[dict[str, Any]] = [{"type": "file", "file": {"file_id": file["id"]}}] * 18
    _overdraw(stage, who, lambda: stage.ask(who, named))


def _overdraw(stage: Stage, who: Person, ask: Callable[[], httpx2.Response]) -> None:
    """The upstream tells no usage, so that what is counted here is billed."""
    asked = stage.will(stream(say("Hello."), end()))
    before = stage.available(who)
    answer = ask()
    stage.charges(who)
    after, was_asked = stage.available(who), len(stage.upstream.requests) > asked
    refused = error_of(answer)[:2] == (400, "context_length_exceeded")
    money = f"; the wallet went from {before} to {after} USD" if after != before else ""
    upstream = "; the upstream was asked" if was_asked else ""
    check(refused and not money and not upstream, f"{describe(answer)}{upstream}{money}")
