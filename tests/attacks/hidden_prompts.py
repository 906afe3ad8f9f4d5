"""Long prompts where nobody counts, at an upstream that tells no usage."""

import json
from base64 import b64encode
from typing import Any

from billing.models import Charge
from tests.attacks.checks import check, check_all, describe
from tests.attacks.stage import Stage, usd
from tests.support.fake_upstream import end, say, stream
from tests.support.pictures import encode_picture, quarters
from tests.support.request_bodies import call, image, result, sound, tool
from tests.support.request_bodies import text as text_part
from tests.support.sounds import wav

DOCUMENT = "word " * 40_000
"""Its 200,000 bytes are some 50,000 tokens."""
LOOSE = 4
"""How many times too few or too many tokens an estimate may have."""
LEAST_OF_A_PICTURE, LEAST_OF_A_SECOND = 80, 10
"""The fewest tokens that any upstream counts."""

Places = dict[str, dict[str, Any]]


def in_tools(stage: Stage) -> None:
    """Have a document read for the price of "Hello": write it into a tool."""
    words = DOCUMENT.split()
    properties = {f"{n}{'word' * 12}": {"type": "string"} for n in range(len(words) // 20)}
    schemas = {
        "a property's description": {"a": {"type": "string", "description": DOCUMENT}},
        "an enum": {"a": {"enum": [f"{n} word" for n in range(20_000)]}},
        "a default": {"a": {"type": "string", "default": DOCUMENT}},
        "names of properties": properties,
    }
    tools = {
        name: tool(parameters={"type": "object", "properties": schema}) for name, schema in schemas.items()
    }
    tools["its description"] = tool(description=DOCUMENT)
    places: Places = {name: {"tools": [one]} for name, one in tools.items()}
    places["functions"] = {"functions": [{"name": "a", "description": DOCUMENT}]}
    _read_cheaply(stage, places)


def in_the_answer_format(stage: Stage) -> None:
    """Have it read from the schema of the answer."""
    schema = {"type": "object", "description": DOCUMENT}
    forms: Places = {"schema": {"schema": schema}, "description": {"description": DOCUMENT, "schema": {}}}
    _read_cheaply(
        stage,
        {
            name: {"response_format": {"type": "json_schema", "json_schema": {"name": "a", **form}}}
            for name, form in forms.items()
        },
    )


def in_a_prediction(stage: Stage) -> None:
    """Have it read as the answer that is expected."""
    parts = [text_part(DOCUMENT)]
    _read_cheaply(
        stage,
        {
            "a text": {"prediction": {"type": "content", "content": DOCUMENT}},
            "parts": {"prediction": {"type": "content", "content": parts}},
        },
    )


def in_the_history(stage: Stage) -> None:
    """Have it read from what looks like the middle of a conversation."""
    hello = {"role": "user", "content": "Hello"}
    arguments = json.dumps({"a": DOCUMENT})
    made = {**call(), "function": {"name": "a", "arguments": arguments}}
    named = [{**hello, "name": f"{n:04}{'word' * 60}"} for n in range(800)]
    ids = [f"{n:04}{'word' * 60}" for n in range(400)]
    calls = {"role": "assistant", "tool_calls": [call(id) for id in ids]}
    _read_cheaply(
        stage,
        {
            "a call's arguments": _messages(hello, {"role": "assistant", "tool_calls": [made]}, result()),
            "a tool's result": _messages(
                hello,
                {"role": "assistant", "tool_calls": [call()]},
                {**result(), "content": DOCUMENT},
            ),
            "a refusal": _messages(hello, {"role": "assistant", "refusal": DOCUMENT}, hello),
            "an answer": _messages(hello, {"role": "assistant", "content": DOCUMENT}, hello),
            "a developer's message": _messages({"role": "developer", "content": DOCUMENT}, hello),
            "names of participants": _messages(*named),
            "ids of calls": _messages(hello, calls, *map(result, ids)),
        },
    )


def in_files(stage: Stage) -> None:
    """Have it read from a file, by a model that takes files and by one that is given its text."""
    data_url = f"data:text/plain;base64,{b64encode(DOCUMENT.encode()).decode()}"
    inline = {"type": "file", "file": {"filename": "a.txt", "file_data": data_url}}
    _read_cheaply(
        stage,
        {
            "its text": _messages({"role": "user", "content": [inline]}),
            "the file": {**_messages({"role": "user", "content": [inline]}), "model": "seeing"},
        },
    )


def pictures_and_sounds(stage: Stage) -> None:
    """Have pictures looked at, and sound heard, for nothing."""
    png = b64encode(encode_picture(quarters(512, 512))).decode()
    seconds = 20
    spoken = b64encode(wav(bytes(2 * 16_000 * seconds))).decode()
    parts = {
        "four pictures": ([image({"url": f"data:image/png;base64,{png}"})] * 4, 4 * LEAST_OF_A_PICTURE),
        "20 s of sound": ([sound(spoken)], seconds * LEAST_OF_A_SECOND),
    }
    problems: dict[str, str | None] = {}
    for name, (content, least) in parts.items():
        who = stage.newcomer()
        stage.will(stream(say("Seen."), end()))
        answer = stage.ask(who, [text_part("What is this?"), *content], model="seeing")
        if answer.status_code != 200:
            problems[name] = describe(answer)
        else:
            problems[name] = _underbilled(_completion_charge(stage.charges(who)), least, 100 * least)
    check_all(problems)


def ssml_instructions(stage: Stage) -> None:
    """Have the service's instructions for SSML read for nothing, a thousand times."""
    who = stage.newcomer()
    stage.will(stream(say("<speak>Hello.</speak>"), end()))
    answer = stage.ask(who, "Hi", ssml_enabled=True)
    check(answer.status_code == 200, describe(answer))
    sent = sum(len(json.dumps(message["content"])) for message in stage.upstream.body["messages"])
    check(sent > 100, f"no instructions reached the upstream: {stage.upstream.body}")
    problem = _underbilled(stage.charge(who), sent // 4 // LOOSE, sent // 4 * LOOSE)
    check(problem is None, f"{sent} bytes were sent; {problem}")


def _messages(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


def _read_cheaply(stage: Stage, places: Places) -> None:
    check_all({name: _read(stage, body) for name, body in places.items()})


def _read(stage: Stage, body: dict[str, Any]) -> str | None:
    """What came of this hiding place for the document; None if it was billed."""
    who = stage.newcomer()
    asked = stage.will(stream(say("Read."), end()))
    answer = stage.ask(who, "Hello", **body)
    if answer.status_code != 200 or len(stage.upstream.requests) != asked + 1:
        return describe(answer)
    tokens = len(DOCUMENT) // 4
    return _underbilled(stage.charge(who), tokens // LOOSE, tokens * LOOSE)


def _completion_charge(charges: list[Charge]) -> Charge:
    """The completion's charge: the recognition of its sounds may be billed beside it."""
    [charge] = [charge for charge in charges if charge.kind == Charge.Kind.COMPLETION]
    return charge


def _underbilled(charge: Charge, least: int, most: int) -> str | None:
    prompt = charge.prompt + charge.cached + charge.audio_in
    if not least <= prompt <= most:
        return f"billed for {prompt} tokens, which are {least} at least and {most} at most"
    if (charge.cost or 0) > charge.held:
        return f"{usd(charge.cost)} were billed, and only {usd(charge.held)} held"
    return None
