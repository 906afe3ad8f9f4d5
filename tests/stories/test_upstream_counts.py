"""An upstream's token counts are billed; where they cannot be right, tokens are counted here instead."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from conversations.models import Completion
from tests.support.fake_upstream import JSON, FakeUpstream, delta, end, say, stream, whole
from tests.support.media_requests import upstream_model
from tests.support.people import Person
from tests.support.priced_usage import COMPLETION, PROMPT, REASONING, add_credit, assert_ledger_adds_up
from tests.support.running_server import PATHS, Server, chat_body, events

USD = 10**9
MODEL = "counted-elsewhere"
CACHED = PROMPT // 2


@pytest.fixture
def upstream(server: Server) -> Iterator[FakeUpstream]:
    """The upstream of a priced model with a context of 1,000 tokens."""
    with upstream_model(server, MODEL, context_length=1000, max_output_tokens=100) as upstream:
        add_price(MODEL, {0: rates_of({"prompt": 1, "cached": "0.5", "completion": 10, "reasoning": 20})})
        yield upstream
    assert_ledger_adds_up()


def billed(
    server: Server, who: Person, upstream: FakeUpstream, usage: Any, **more: Any
) -> tuple[dict[str, Any], Charge]:
    """Get an answer of four tokens to a prompt of seven; return the usage in it and its charge."""
    upstream.will(whole({"role": "assistant", "content": "Sixteen letters."}, usage=usage))
    if more.get("stream"):
        upstream.will(stream(say("Sixteen "), say("letters."), end(usage=usage)))
    return billed_as_told(server, who, **more)


def billed_as_told(server: Server, who: Person, **more: Any) -> tuple[dict[str, Any], Charge]:
    """Get the answer that the upstream will give; return the usage in it and its charge."""
    add_credit(who, USD)
    if more.get("stream"):
        more["stream_options"] = {"include_usage": True}
    with server.client(who) as client:
        answer = client.post(PATHS["openai"], json=chat_body("Yes or no?", model=MODEL, **more))
    assert answer.status_code == 200, answer.text
    body = events(answer)[-2] if more.get("stream") else answer.json()
    server.until_idle()
    completion, charge = Completion.objects.get(), Charge.objects.get()
    assert completion.usage_estimated == charge.is_estimated
    return body["usage"], charge


def test_the_usage_shown_is_what_was_billed(server: Server, alice: Person, upstream: FakeUpstream) -> None:
    usage, charge = billed(
        server,
        alice,
        upstream,
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 50},
            "completion_tokens_details": {"reasoning_tokens": 99},
        },
    )
    assert usage["prompt_tokens_details"]["cached_tokens"] == charge.cached == 10
    assert usage["completion_tokens_details"]["reasoning_tokens"] == charge.reasoning == 5
    assert charge.cost == 10 * CACHED + 5 * REASONING
    assert not charge.is_estimated


@pytest.mark.parametrize("odd", [{}, {"completion_tokens": None}, {"completion_tokens": "5"}])
@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_that_the_upstream_did_not_count_is_not_free(
    server: Server, alice: Person, upstream: FakeUpstream, odd: Any, streams: bool
) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    usage, charge = billed(server, alice, upstream, {"prompt_tokens": 10, **details, **odd}, stream=streams)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (10, 4)
    assert charge.cost == 6 * PROMPT + 4 * CACHED + 4 * COMPLETION
    assert charge.is_estimated


@pytest.mark.parametrize("odd", [{}, {"prompt_tokens": None}, {"prompt_tokens": "10"}])
def test_a_prompt_that_the_upstream_did_not_count_is_not_free(
    server: Server, alice: Person, upstream: FakeUpstream, odd: Any
) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 2}}
    usage, charge = billed(server, alice, upstream, {"completion_tokens": 5, **details, **odd})
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 5)
    assert charge.cost == 7 * PROMPT + 3 * COMPLETION + 2 * REASONING
    assert charge.is_estimated


def test_one_of_several_answers_that_was_not_counted_is_not_free(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    """Each is requested separately; a count that one of them lacks is counted here for all."""
    add_credit(alice, USD)
    usages: list[Any] = [
        {"prompt_tokens": 10, "completion_tokens": 5},
        {"prompt_tokens": 10},
        {"prompt_tokens": 10, "completion_tokens": 5},
    ]
    message = {"role": "assistant", "content": "Sixteen letters."}
    upstream.will(*(whole(message, usage=usage) for usage in usages))
    with server.client(alice) as client:
        first = client.post(PATHS["openai"], json=chat_body("Yes or no?", model=MODEL, n=3)).json()["usage"]
        upstream.will(whole(message, usage=usages[0]), whole(message))
        second = client.post(PATHS["openai"], json=chat_body("Yes or no?", model=MODEL, n=2)).json()["usage"]
    assert (first["prompt_tokens"], first["completion_tokens"]) == (30, 12)
    assert (second["prompt_tokens"], second["completion_tokens"]) == (20, 8)
    server.until_idle()
    assert all(charge.is_estimated for charge in Charge.objects.all())


def test_speech_made_here_is_counted_beside_an_answer_that_was_not_counted(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    spoken = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    usage, charge = billed(server, alice, upstream, {"prompt_tokens": 10}, **spoken)
    assert charge.audio_out == usage["completion_tokens_details"]["audio_tokens"] > 10
    assert (charge.prompt, charge.completion, charge.is_estimated) == (10, 4, True)


@pytest.mark.parametrize("absurd", [1e30, 1e400, 0, -1, 10.5, 2**31, 20_000_000])
def test_an_absurd_count_is_not_billed(
    server: Server, alice: Person, upstream: FakeUpstream, absurd: float
) -> None:
    usage, charge = billed(server, alice, upstream, {"prompt_tokens": absurd, "completion_tokens": absurd})
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 4)
    assert charge.cost == 7 * PROMPT + 4 * COMPLETION
    assert charge.is_estimated


def test_a_count_far_beyond_the_context_is_not_billed(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    usage, charge = billed(server, alice, upstream, {"prompt_tokens": 16_001, "completion_tokens": 5})
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 5)
    assert charge.is_estimated


def test_an_upstream_that_counts_more_than_the_context_is_billed_as_it_counts(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    """Pictures may count for more than expected."""
    usage, charge = billed(server, alice, upstream, {"prompt_tokens": 16_000, "completion_tokens": 120})
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (16_000, 120)
    assert charge.cost == 16_000 * PROMPT + 120 * COMPLETION
    assert not charge.is_estimated


TOLD: JSON = {"prompt_tokens": 100, "completion_tokens": 31, "total_tokens": 131}
LAST: JSON = {"index": 0, "delta": {}, "finish_reason": "stop"}
PLACES: dict[str, list[JSON]] = {
    "Moonshot's choice": [{"choices": [{**LAST, "usage": TOLD}]}],
    "Groq's extension": [end(x_groq={"id": "req_1", "usage": TOLD})],
    "Anthropic's names": [
        end(usage={"input_tokens": 60, "cache_creation_input_tokens": 40, "output_tokens": 31}),
    ],
    "llama.cpp's timings": [end(timings={"prompt_n": 100, "cache_n": 0, "predicted_n": 31})],
    "then nothing": [end(usage=TOLD), {"choices": [], "usage": {}}],
    "then null": [end(usage=TOLD), {"choices": [], "usage": None}],
    "then zeros": [end(usage=TOLD), {"choices": [], "usage": dict.fromkeys(TOLD, 0)}],
    "then a prompt alone": [end(usage=TOLD), {"choices": [], "usage": {**TOLD, "completion_tokens": 0}}],
    "then less": [end(usage=TOLD), {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 1}}],
}


@pytest.mark.parametrize("told", PLACES.values(), ids=PLACES)
def test_usage_is_billed_wherever_it_was_told(
    server: Server, alice: Person, upstream: FakeUpstream, told: list[JSON]
) -> None:
    upstream.will(stream(say("Sixteen "), say("letters."), *told))
    usage, charge = billed_as_told(server, alice, stream=True)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 31)
    assert charge.cost == 100 * PROMPT + 31 * COMPLETION
    assert not charge.is_estimated


REASONED: dict[str, JSON] = {
    "on top": {**TOLD, "completion_tokens": 5, "total_tokens": 405, "completion_tokens_details": 300},
    "told by the total alone": {**TOLD, "completion_tokens": 5, "total_tokens": 405},
    "inside": {**TOLD, "completion_tokens": 305, "total_tokens": 405, "completion_tokens_details": 300},
    "inside, and twice in the total": {
        **TOLD,
        "completion_tokens": 305,
        "total_tokens": 705,
        "completion_tokens_details": 300,
    },
}


@pytest.mark.parametrize("told", REASONED.values(), ids=REASONED)
@pytest.mark.parametrize("streams", [False, True])
def test_reasoning_is_billed_once_whatever_it_is_part_of(
    server: Server, alice: Person, upstream: FakeUpstream, told: JSON, streams: bool
) -> None:
    thought = told.get("completion_tokens_details")
    told = {**told, "completion_tokens_details": {"reasoning_tokens": thought}}
    usage, charge = billed(server, alice, upstream, told, stream=streams)
    assert usage["completion_tokens"] == 305
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 300
    assert charge.cost == 100 * PROMPT + 5 * COMPLETION + 300 * REASONING
    assert not charge.is_estimated


@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_is_not_free_because_its_upstream_counts_none_of_it(
    server: Server, alice: Person, upstream: FakeUpstream, streams: bool
) -> None:
    told = {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}
    usage, charge = billed(server, alice, upstream, told, stream=streams)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 4)
    assert charge.cost == 100 * PROMPT + 4 * COMPLETION
    assert charge.is_estimated


def test_where_nothing_was_answered_a_count_of_nothing_is_believed(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    told = {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}
    upstream.will(stream(delta(role="assistant", content=""), end(usage=told)))
    usage, charge = billed_as_told(server, alice, stream=True)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 0)
    assert charge.cost == 100 * PROMPT
    assert not charge.is_estimated
