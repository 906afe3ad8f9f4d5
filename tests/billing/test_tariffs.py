"""What usage costs: no usage within a bound costs more than is held for it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exceptions import InvalidPrice
from billing.money import MAX_NANO_PER_CALL, MAX_PICO
from billing.tariffs import Bound, Tariff, Tiers, rates_of
from billing.units import UNIT_NAMES, Units
from chatapi.completions.attachments.text_files import read_text_files
from chatapi.completions.billable_usage import billing_units
from chatapi.completions.usage_bounds import IMAGE_TOKENS, usage_bound
from conversations.completion_request import OUTPUT_LIMITS, CompletionRequest, unify_output_limits
from core.blob import Blob
from core.ids import new_id
from engines.events import Usage
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from engines.model_spec import ModelSpec
from media.processing.pictures.text_description import describe_picture
from media.services import store_bytes


def tariff(tiers: Tiers | None) -> Tariff:
    return Tariff(new_id(), "m", datetime.now(UTC), tiers is None, tiers or {})


def test_each_unit_has_its_rate_or_falls_back_to_another() -> None:
    known = tariff({0: {"prompt": 1000, "completion": 10_000, "audio_out": 7000}})
    assert known.cost(Units(prompt=1, cached=1, audio_in=1)) == 3
    assert known.cost(Units(completion=1, reasoning=1)) == 20
    assert known.cost(Units(audio_out=1)) == 7
    assert known.cost(Units(images=5, seconds=5, characters=5)) == 0
    whole = tariff({0: dict(zip(UNIT_NAMES, range(1000, 10_000, 1000), strict=True))})
    assert whole.cost(Units(1, 1, 1, 1, 1, 1, 1, 1, 1)) == sum(range(1, 10))
    assert tariff(None).cost(Units(prompt=10**9)) == 0


def test_a_sum_is_rounded_once_and_not_per_unit() -> None:
    assert tariff({0: {"prompt": 1, "completion": 1}}).cost(Units(prompt=1, completion=1)) == 1


def test_long_prompts_have_rates_of_their_own() -> None:
    tiered = tariff({0: {"prompt": 1000, "completion": 2000}, 100: {"prompt": 3000}})
    assert tiered.cost(Units(prompt=99, completion=1)) == 99 + 2
    assert tiered.cost(Units(prompt=60, cached=40, completion=1)) == 300 + 2
    assert tiered.max_cost(Bound(prompt=99, output=1)) == 99 + 2
    assert tiered.max_cost(Bound(prompt=100, output=1)) == 300 + 2


def test_no_call_costs_more_than_the_columns_of_the_ledger_can_add_up() -> None:
    dearest = tariff({0: {"prompt": MAX_PICO, "completion": MAX_PICO}})
    assert dearest.cost(Units(prompt=2**31 - 1, completion=2**31 - 1)) == MAX_NANO_PER_CALL
    assert dearest.max_cost(Bound(prompt=2**31 - 1)) == MAX_NANO_PER_CALL


rates = st.dictionaries(st.sampled_from(UNIT_NAMES), st.integers(0, 10**9), min_size=1)
tiers = st.builds(
    lambda first, later: {0: first, **later}, rates, st.dictionaries(st.integers(1, 5000), rates, max_size=3)
)
counts = st.integers(0, 2000)


@given(tiers, counts, counts, counts, counts, counts, counts, counts)
def test_no_use_within_a_bound_costs_more_than_is_held(
    tiers: Any,
    prompt: int,
    cached: int,
    heard: int,
    completion: int,
    reasoning: int,
    spoken: int,
    images: int,
) -> None:
    bound = Bound(
        prompt=prompt + cached + heard,
        output=completion + reasoning + spoken,
        images=images,
        hears=True,
        speaks=True,
    )
    used = Units(prompt, cached, completion, reasoning, heard, spoken, images)
    known = tariff(tiers)
    assert 0 <= known.cost(used) <= known.max_cost(bound)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({}, "names a unit"),
        ({"tokens": 1}, "no unit 'tokens'"),
        ({"prompt": "-1"}, "prompt tokens"),
        ({"prompt": "1 EUR"}, "no decimal number of USD"),
        ({"completion": "0.0000001"}, "no whole number of pico-USD"),
        ({"images": 10**9}, "images"),
    ],
)
def test_a_wrong_price_is_refused_naming_its_unit(written: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidPrice, match=says):
        rates_of(written)


# --- bounds and units of real calls ---------------------------------------------------------------


def spec(**more: Any) -> ModelSpec:
    return ModelSpec(id="m", engine="openai_compatible", base_url="http://127.0.0.1:9/v1", **more)


def request(*texts: str, **more: Any) -> CompletionRequest:
    messages = tuple(Message("user", (TextPart(text),)) for text in texts)
    return CompletionRequest(messages, dialect="openai", **more)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_prompt_has_no_more_tokens_than_bytes(texts: list[str]) -> None:
    asked = request(*texts)
    bound = usage_bound(asked, [spec(max_output_tokens=7)], asked.messages)
    assert bound.prompt >= sum(len(text.encode()) for text in texts)
    assert bound.output == 7


def test_a_bound_covers_all_models_that_may_answer() -> None:
    asked = request("Hello", n=3, params={"max_tokens": 10})
    narrow = spec(context_length=50, max_output_tokens=20)
    wide = spec(context_length=60, max_output_tokens=40, supports_n=True)
    assert usage_bound(asked, [wide], asked.messages).prompt <= 60
    both = usage_bound(asked, [narrow, wide], asked.messages)
    assert both.output == 3 * 10
    assert both.prompt <= 3 * 60
    assert usage_bound(request("Hello"), [narrow, wide], asked.messages).output == 40
    picture = (Message("user", (ImagePart(),)),)
    assert usage_bound(request("Hello"), [spec()], picture).images == 1


def prompt_bound(*parts: Part, specs: Sequence[ModelSpec] = (), **more: Any) -> int:
    history = [Message("user", parts, **more)]
    return usage_bound(request(), specs or [spec()], history).prompt


WORDS = "発票の合計は四千二百円です"
"""A text with three bytes per character."""


@pytest.mark.parametrize(
    ("said", "more"),
    [
        (RefusalPart(WORDS), {}),
        (SpokenPart("audio_1", WORDS), {}),
        (SpokenPart("audio_1", WORDS, Blob("5" * 64, "audio/mpeg", 90)), {}),
        (ToolCall(WORDS, "", ""), {}),
        (TextPart(""), {"name": WORDS}),
        (TextPart(""), {"tool_call_id": WORDS}),
    ],
)
def test_all_that_a_model_reads_from_a_message_is_bounded_in_bytes(said: Part, more: dict[str, Any]) -> None:
    assert prompt_bound(said, **more) >= len(WORDS.encode())


def test_a_picture_full_of_chinese_is_bounded_for_a_model_that_does_not_see() -> None:
    read = describe_picture("\n".join(["発票" * 50] * 200), 4000, 4000)
    blind, seeing = spec(), spec(input_modalities=("text", "image"))
    assert prompt_bound(ImagePart(), specs=[blind]) >= len(read.encode()) > IMAGE_TOKENS
    assert prompt_bound(ImagePart(), specs=[seeing, blind]) >= len(read.encode())
    assert IMAGE_TOKENS <= prompt_bound(ImagePart(), specs=[seeing]) < 2 * IMAGE_TOKENS


QUIET = Blob("0" * 64, "audio/ogg", 331_924)
"""Twenty minutes of Opus in which nobody speaks: an upstream counted 38,400 tokens."""


def test_a_sound_is_bounded_by_its_length() -> None:
    hearing = [spec(input_modalities=("text", "audio"))]
    heard = [Message("user", (AudioPart(QUIET, "opus"), TextPart("What?")))]
    bound = usage_bound(request(), hearing, heard, {QUIET.sha256: 1_200_000})
    assert 38_400 < bound.prompt < 39_000
    longer = usage_bound(request(), hearing, heard, {QUIET.sha256: 1_200_001})
    assert longer.prompt == bound.prompt + 32


def test_a_sound_of_unknown_length_is_bounded_by_the_most_its_bytes_can_hold() -> None:
    assert prompt_bound(AudioPart(QUIET, "opus")) >= 38_400
    second = Blob("1" * 64, "audio/pcm;rate=24000", 48_000)
    assert 32 <= prompt_bound(AudioPart(second, "pcm16")) < 1000


@pytest.mark.parametrize("name", [None, "請求書" * 40 + ".txt"], ids=["nameless", "named"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"plain", id="plain"),
        pytest.param("発票".encode() * 500, id="chinese"),
        pytest.param(b"\xff" * 1000, id="no-text"),
        pytest.param("é".encode("latin-1") * 300_000, id="much-that-is-no-text"),
        pytest.param("😀".encode() * 200_001, id="cut"),
        pytest.param(b"a" * 900_000, id="cut-early"),
    ],
)
def test_a_file_is_bounded_by_the_text_that_is_made_from_it(data: bytes, name: str | None) -> None:
    """For a model without files, the name and frame count too, and each non-text byte counts as three."""
    workspace, digest = uuid4(), sha256(data).hexdigest()
    store_bytes(workspace, {digest: data})
    part = FilePart(Blob(digest, "text/plain", len(data)), name)
    asked = CompletionRequest((Message("user", (part,)),), dialect="openai", uploads={digest: data})
    made = asyncio.run(read_text_files(asked.messages, workspace))[digest]

    inline = usage_bound(asked, [spec()], asked.messages).prompt
    named = usage_bound(request(), [spec()], asked.messages).prompt
    assert len(made.encode()) <= inline <= named
    if len(data) < 10_000 and b"\xff" not in data:
        assert inline < len(made.encode()) + 150
    reads_files = spec(input_modalities=("text", "file"))
    assert usage_bound(request(), [reads_files], asked.messages).prompt >= len(data) + len(
        (name or "").encode()
    )
    assert usage_bound(asked, [reads_files, spec()], asked.messages).prompt >= inline


@pytest.mark.parametrize("given", [(1, 90), (90, 1), (1, 1), (1, None), (None, 1)])
def test_the_smaller_of_two_output_limits_is_held_counted_and_sent(given: Any) -> None:
    """An upstream may know only one of the names: whichever it reads, it generates no more than is held."""
    params = dict(zip(OUTPUT_LIMITS, given, strict=True))
    asked = request("Hello", params={**params, "seed": 7})
    assert usage_bound(asked, [spec(max_output_tokens=100)], asked.messages).output == 1
    assert asked.output_limit == 1
    assert unify_output_limits(asked.params) == {
        "seed": 7,
        **{name: 1 if tokens else None for name, tokens in params.items()},
    }


@given(st.builds(Usage, **{name: st.integers(0, 2**31 - 1) for name in Usage().counts}), st.integers(0, 100))
def test_units_never_overlap_whatever_an_upstream_says(usage: Usage, images: int) -> None:
    units = billing_units(usage, images)
    assert units.prompt + units.cached + units.audio_in == usage.prompt_tokens
    assert units.completion + units.reasoning + units.audio_out == usage.completion_tokens
    assert min(units.counts.values()) >= 0
