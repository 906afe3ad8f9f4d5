"""Upstreams that tell their usage elsewhere, or more than once, so that less is billed than was used."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.attacks.checks import check_all, describe
from tests.attacks.stage import Stage
from tests.support.fake_upstream import JSON, Answer, end, frame, raw, say, stream, whole

TRUE = {"prompt_tokens": 1336, "completion_tokens": 42, "total_tokens": 1378}
REASONED = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 405}
DETAILS = {"completion_tokens_details": {"reasoning_tokens": 300}}


class Billed(NamedTuple):
    """What must be billed; `answer` is reasoning included."""

    prompt: int = 1336
    cached: int = 0
    answer: int = 42


def _usage_chunk(usage: Any, **more: Any) -> JSON:
    return {"choices": [], "usage": usage, **more}


def _in_choice(usage: Any) -> JSON:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]}


def in_another_place(stage: Stage) -> None:
    """Pay for the letters of an answer alone, at upstreams that tell its tokens in a place of their own."""
    message = {"role": "assistant", "content": "Certainly."}
    whole_in_choice = {"index": 0, "message": message, "finish_reason": "stop", "usage": TRUE}
    cached = {**TRUE, "cached_tokens": 1000}
    names = {"input_tokens": 1336, "output_tokens": 42}
    names_with_details = {
        **names,
        "input_tokens_details": {"cached_tokens": 1000},
        "output_tokens_details": {"reasoning_tokens": 30},
    }
    _check_shapes(
        stage,
        {
            "choices[0].usage": (stream(say("Certainly."), _in_choice(TRUE)), Billed()),
            "choices[0].usage, whole": (
                whole(message, choices=[whole_in_choice]),
                Billed(),
            ),
            "x_groq.usage": (stream(say("Certainly."), end(x_groq={"id": "r", "usage": TRUE})), Billed()),
            "usage.cached_tokens": (_told(cached), Billed(336, 1000)),
            "prompt_cache_hit_tokens": (_told({**TRUE, "prompt_cache_hit_tokens": 1000}), Billed(336, 1000)),
            "input_tokens, output_tokens": (_told(names), Billed()),
            "input_tokens, whole": (whole(message, usage=names), Billed()),
            "input_tokens with details": (_told(names_with_details), Billed(336, 1000)),
        },
    )


def told_again(stage: Stage) -> None:
    """Pay nothing, or half, at upstreams whose last chunk takes back the usage that came before."""
    later: dict[str, Any] = {
        "{}": {},
        "null": None,
        "zeros": dict.fromkeys(TRUE, 0),
        "1336/0": {**TRUE, "completion_tokens": 0},
        "0/42": {**TRUE, "prompt_tokens": 0},
        "prompt alone": {"prompt_tokens": 1336},
        "answer alone": {"completion_tokens": 42},
        "nonsense": {"prompt_tokens": -1, "completion_tokens": "many"},
    }
    shapes = {
        f"then {name}": (
            stream(say("Certainly."), end(usage=TRUE), _usage_chunk(usage)),
            Billed(),
        )
        for name, usage in later.items()
    }
    begun = {"prompt_tokens": 1336, "completion_tokens": 0}
    shapes["1336/0 first"] = (
        stream({**say("Certainly."), "usage": begun}, end(), _usage_chunk(TRUE)),
        Billed(),
    )
    shapes["growing in each chunk"] = (
        stream(
            *({**say("word "), "usage": {**TRUE, "completion_tokens": n}} for n in (7, 21)),
            end(usage=TRUE),
        ),
        Billed(),
    )
    _check_shapes(stage, shapes)


def reasoning_on_top(stage: Stage) -> None:
    """Have the model think for nothing, at upstreams that count its reasoning only in the total."""
    text = {"role": "assistant", "content": "Certainly."}
    billed = Billed(100, 0, 305)
    _check_shapes(
        stage,
        {
            "in the details and the total": (_told({**REASONED, **DETAILS}), billed),
            "in the total alone": (_told(REASONED), billed),
            "whole": (whole(text, usage={**REASONED, **DETAILS}), billed),
            "with other names": (
                _told({"input_tokens": 100, "output_tokens": 5, "total_tokens": 405}),
                billed,
            ),
        },
    )


def reasoning_within(stage: Stage) -> None:
    """Make others pay twice for reasoning that is in the count of the answer already."""
    within = {"prompt_tokens": 100, "completion_tokens": 305, "total_tokens": 405, **DETAILS}
    without_total = {"prompt_tokens": 100, "completion_tokens": 305, **DETAILS}
    billed = Billed(100, 0, 305)
    _check_shapes(stage, {"with a total": (_told(within), billed), "without": (_told(without_total), billed)})


def _told(usage: JSON) -> Answer:
    """A stream that ends in this usage, as most upstreams send it."""
    return raw(frame(say("Certainly.")), frame(end()), frame(_usage_chunk(usage)), b"data: [DONE]\n\n")


def _check_shapes(stage: Stage, shapes: Mapping[str, tuple[Answer, Billed]]) -> None:
    check_all({name: _misbilled(stage, answer, billed) for name, (answer, billed) in shapes.items()})


def _misbilled(stage: Stage, answer: Answer, wanted: Billed) -> str | None:
    who = stage.newcomer()
    stage.will(answer)
    is_stream = answer.headers["Content-Type"] == "text/event-stream"
    came = stage.ask(who, "Hello", stream=is_stream)
    if came.status_code != 200 or (is_stream and "[DONE]" not in came.text):
        return describe(came)
    charge = stage.charge(who)
    billed = Billed(charge.prompt, charge.cached, charge.completion + charge.reasoning)
    return None if billed == wanted else f"{tuple(billed)} billed and not {tuple(wanted)}"
