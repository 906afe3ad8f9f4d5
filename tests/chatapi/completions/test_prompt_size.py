"""What a model reads is held for and billed: each part of a message and each field of a request."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tariffs import Tariff, Tiers
from billing.units import UNIT_NAMES
from chatapi.completions.attachments.prepare import add_ssml_instructions
from chatapi.completions.attachments.text_files import read_text_files
from chatapi.completions.billable_usage import billing_units
from chatapi.completions.prompt_size import (
    IMAGE_TOKENS,
    LONGEST_TOKEN,
    PromptSize,
    count_words,
    prompt_size,
)
from chatapi.completions.token_counts import ByteTally
from chatapi.completions.usage_bounds import usage_bound
from conversations.completion_request import OUTPUT_LIMITS, CompletionRequest, unify_output_limits
from core.blob import Blob
from engines.events import Usage
from engines.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    SpokenPart,
    TextPart,
    ToolCall,
)
from engines.model_spec import ModelSpec
from engines.requests import EngineRequest, ResponseFormat, Tool, ToolChoice
from media.processing.pictures.text_description import describe_picture
from media.services import store_bytes


def spec(**more: Any) -> ModelSpec:
    return ModelSpec(id="m", engine="openai_compatible", base_url="http://127.0.0.1:9/v1", **more)


def request(*texts: str, **more: Any) -> CompletionRequest:
    messages = tuple(Message("user", (TextPart(text),)) for text in texts)
    return CompletionRequest(messages, dialect="openai", **more)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_a_prompt_has_no_more_tokens_than_bytes(texts: list[str]) -> None:
    asked = request(*texts)
    bound = usage_bound(asked, [spec(max_output_tokens=7)])
    assert bound.prompt >= sum(len(text.encode()) for text in texts)
    assert bound.output == 7


def test_a_bound_covers_all_models_that_may_answer() -> None:
    asked = request("Hello", n=3, params={"max_tokens": 10})
    narrow = spec(context_length=50, max_output_tokens=20)
    wide = spec(context_length=60, max_output_tokens=40, supports_n=True)
    assert usage_bound(asked, [wide]).prompt <= 60
    both = usage_bound(asked, [narrow, wide])
    assert both.output == 3 * 10
    assert both.prompt <= 3 * 60
    assert usage_bound(request("Hello"), [narrow, wide]).output == 40
    assert [bound.requests for bound in (usage_bound(asked, [wide]), both)] == [1, 3]
    assert usage_bound(said(ImagePart()), [narrow, spec(input_modalities=SEES)]).images == 1
    assert usage_bound(said(ImagePart()), [narrow]).images == 0


SEES, HEARS, READS = ("text", "image"), ("text", "audio"), ("text", "file")


def said(*parts: Part, **more: Any) -> CompletionRequest:
    return CompletionRequest((Message("user", parts, **more),), dialect="openai")


def prompt_bound(*parts: Part, specs: Sequence[ModelSpec] = (), **more: Any) -> int:
    return usage_bound(said(*parts, **more), specs or [spec()]).prompt


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
    hearing = [spec(input_modalities=HEARS)]
    heard = said(AudioPart(QUIET, "opus"), TextPart("What?"))
    bound = usage_bound(heard, hearing, {QUIET.sha256: 1_200_000})
    assert 38_400 < bound.prompt < 39_000
    longer = usage_bound(heard, hearing, {QUIET.sha256: 1_200_001})
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
    made = asyncio.run(read_text_files(asked.messages, workspace))[digest, name]

    inline = usage_bound(asked, [spec()]).prompt
    named = usage_bound(msgspec.structs.replace(asked, uploads={}), [spec()]).prompt
    assert len(made.encode()) <= inline <= named
    if len(data) < 10_000 and b"\xff" not in data:
        assert inline < len(made.encode()) + 150
    reads_files = spec(input_modalities=("text", "file"))
    assert usage_bound(asked, [reads_files]).prompt >= len(data) + len((name or "").encode())
    assert usage_bound(asked, [reads_files, spec()]).prompt >= inline


@pytest.mark.parametrize("given", [(1, 90), (90, 1), (1, 1), (1, None), (None, 1)])
def test_the_smaller_of_two_output_limits_is_held_counted_and_sent(given: Any) -> None:
    """An upstream may know only one of the names: whichever it reads, it generates no more than is held."""
    params = dict(zip(OUTPUT_LIMITS, given, strict=True))
    asked = request("Hello", params={**params, "seed": 7})
    assert usage_bound(asked, [spec(max_output_tokens=100)]).output == 1
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


# --- each part and each field ---------------------------------------------------------------------

DOCUMENT = " ".join(f"Paragraph {number} of the contract says what it says." for number in range(40))
"""About five hundred tokens."""
FEW, MANY = len(DOCUMENT.encode()) // 8, 4 * len(DOCUMENT.encode())
SOUND = Blob("2" * 64, "audio/wav", 3_840_000)
TWO_MINUTES = {SOUND.sha256: 120_000}

PARTS: dict[type, Part] = {
    TextPart: TextPart(DOCUMENT),
    RefusalPart: RefusalPart(DOCUMENT),
    ToolCall: ToolCall("call_1", "read", DOCUMENT),
    SpokenPart: SpokenPart("audio_1", DOCUMENT),
    ImagePart: ImagePart(Blob("3" * 64, "image/png", 90_000)),
    AudioPart: AudioPart(SOUND, "wav"),
    FilePart: FilePart(Blob("4" * 64, "text/plain", len(DOCUMENT)), "contract.txt"),
}
UNREAD_PARTS = {ReasoningPart}

FIELDS: dict[str, dict[str, Any]] = {
    "tools": {"tools": (Tool("read", "Reads", {"type": "object", "description": DOCUMENT}),)},
    "tools' descriptions": {"tools": (Tool("read", DOCUMENT),)},
    "tool_choice": {"tool_choice": ToolChoice("required", (DOCUMENT,))},
    "response_format": {"response_format": ResponseFormat("json_schema", "form", schema={"const": DOCUMENT})},
    "params": {"params": {"prediction": {"type": "content", "content": DOCUMENT}}},
}
UNREAD_FIELDS = {
    "read_blob",
    "report_sent",
    "report_usage",
    "parallel_tool_calls",
    "modalities",
    "audio",
    "n",
    "stream",
}
MODELS = [
    pytest.param(spec(), id="reads-text"),
    pytest.param(spec(input_modalities=("text", "image", "audio", "file")), id="sees-hears-and-reads-files"),
    pytest.param(spec(output_modalities=("text", "audio")), id="speaks"),
    pytest.param(spec(context_length=400), id="short-context"),
]


def test_every_part_and_field_is_known_to_be_read_or_not() -> None:
    """A new one is decided about here, before it is sent to a model for nothing."""
    assert {*PARTS, *UNREAD_PARTS} == set(Part.__args__)
    read = {name.partition("'")[0] for name in FIELDS} | {"messages"}
    assert read | UNREAD_FIELDS == set(EngineRequest.__struct_fields__)


def sizes(asked: EngineRequest, model: ModelSpec, lengths: Mapping[str, int]) -> tuple[PromptSize, int, int]:
    """Return the size of a prompt, what is estimated for it, and what is held."""
    size = prompt_size(asked, model, milliseconds=lengths)
    assert 0 <= size.least <= size.expected <= size.most
    assert 0 <= size.sound <= size.expected
    estimate = size.estimate(model)
    assert estimate.sound <= estimate.tokens <= size.bound(model)
    return size, estimate.tokens, size.bound(model)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lengths", [TWO_MINUTES, {}], ids=["measured", "unmeasured"])
@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_each_part_is_held_for_and_billed(kind: type, lengths: dict[str, int], model: ModelSpec) -> None:
    bare, little, _ = sizes(request("Hi"), model, lengths)
    full, estimated, held = sizes(said(TextPart("Hi"), PARTS[kind]), model, lengths)
    assert estimated <= held
    if kind is SpokenPart:
        assert full.expected - bare.expected >= FEW
    else:
        assert min(FEW, model.context_length or FEW) <= estimated - little
    assert full.expected - bare.expected <= MANY
    assert full.is_plain == (kind not in (ImagePart, AudioPart, FilePart, SpokenPart))


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_is_held_for_and_billed(field: str) -> None:
    _, little, _ = sizes(request("Hi"), spec(), {})
    _, estimated, held = sizes(request("Hi", **FIELDS[field]), spec(), {})
    assert FEW <= estimated - little <= MANY
    assert estimated <= held


def test_instructions_of_ours_are_held_for_and_billed() -> None:
    """`CompletionRequest.ssml` adds them to the messages before they are measured."""
    asked = request("Hi")
    instructed = msgspec.structs.replace(asked, messages=add_ssml_instructions(asked.messages))
    assert sizes(instructed, spec(), {})[1] > 50 + sizes(asked, spec(), {})[1]


def test_tools_that_may_not_be_chosen_are_not_read() -> None:
    tools = tuple(Tool(name, DOCUMENT) for name in ("read", "write", "delete"))
    chosen = request("Hi", tools=tools, tool_choice=ToolChoice("auto", ("read",)))
    assert sizes(chosen, spec(), {})[1] < sizes(request("Hi", tools=tools), spec(), {})[1] // 2


def test_sounds_are_billed_as_sound_only_where_they_are_heard() -> None:
    heard = prompt_size(said(AudioPart(SOUND, "wav")), spec(input_modalities=HEARS), milliseconds=TWO_MINUTES)
    assert heard.sound == 1_200
    assert prompt_size(said(AudioPart(SOUND, "wav")), spec(), milliseconds=TWO_MINUTES).sound == 0


@given(st.text(), st.integers(1, 10_000))
def test_a_prompt_is_too_long_only_if_no_tokenizer_could_make_it_fit(text: str, context: int) -> None:
    size = prompt_size(request(text), spec())
    excess = size.excess(spec(context_length=context))
    assert (excess is not None) == (len(text.encode()) > LONGEST_TOKEN * context)


@given(st.lists(st.sampled_from([" ", "  ", "   ", "\n", "\n\n", " \n", "word", "é", "12"]), max_size=60))
def test_no_more_words_are_counted_than_there_are_runs_between_them(pieces: list[str]) -> None:
    text = "".join(pieces)
    runs = max(len(re.findall(f"{one}+", text)) for one in (" ", "\n"))
    assert count_words(text, " ", "\n") <= runs


@pytest.mark.parametrize("word", ["word ", "line\n", "мир "])
def test_words_are_tokens_wherever_they_stand(word: str) -> None:
    """At most four of them are one token."""
    long = word * 8_000
    schema = {"type": "object", "description": long}
    for asked in (
        request(long),
        said(RefusalPart(long)),
        said(ToolCall("call_1", "read", long)),
        request("Hi", tools=(Tool("read", long),)),
        request("Hi", response_format=ResponseFormat("json_schema", "form", schema=schema)),
    ):
        assert 1_999 <= prompt_size(asked, spec(context_length=1000)).least <= 2_010


def test_blanks_are_not_words() -> None:
    assert prompt_size(request(" " * 12_800), spec()).least == 100


def test_a_prompt_that_is_too_long_is_told_by_how_much() -> None:
    size = prompt_size(request(" " * 128_001), spec())
    model = spec(context_length=1_000)
    assert "at least 1001 tokens" in str(size.excess(model))
    assert "reads 1000 at most" in str(size.excess(model))
    assert size.excess(spec()) is None


# --- any request, at any price --------------------------------------------------------------------

words = st.text(max_size=200)
blobs = st.builds(
    Blob,
    st.sampled_from([SOUND.sha256, "5" * 64]),
    st.sampled_from(["audio/wav", "audio/mpeg", "text/plain", "application/pdf", "image/png"]),
    st.integers(0, 5_000_000),
)
parts = st.one_of(
    st.builds(TextPart, words),
    st.builds(RefusalPart, words),
    st.builds(ReasoningPart, words),
    st.builds(ToolCall, words, words, words),
    st.builds(SpokenPart, st.just("audio_1"), words, st.none() | blobs),
    st.builds(ImagePart, blobs, detail=st.sampled_from([None, "low", "high"])),
    st.builds(AudioPart, blobs, st.just("wav")),
    st.builds(FilePart, blobs, st.none() | words),
)
requests = st.builds(
    CompletionRequest,
    st.lists(
        st.builds(
            Message,
            st.sampled_from(["system", "user", "assistant", "tool"]),
            st.lists(parts, max_size=4).map(tuple),
            name=st.none() | words,
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    dialect=st.just("openai"),
    tools=st.lists(st.builds(Tool, words, st.none() | words), max_size=2).map(tuple),
    response_format=st.none() | st.builds(ResponseFormat, st.just("json_schema"), words),
    n=st.integers(1, 4),
)
models = st.builds(
    spec,
    input_modalities=st.sampled_from([("text",), SEES, HEARS, READS, ("text", "image", "audio", "file")]),
    output_modalities=st.sampled_from([("text",), ("text", "audio")]),
    context_length=st.none() | st.integers(1, 10_000),
    supports_n=st.booleans(),
)
prices = st.dictionaries(st.sampled_from(UNIT_NAMES), st.integers(0, 10**9), min_size=1)
tiers = st.builds(
    lambda first, later: {0: first, **later},
    prices,
    st.dictionaries(st.integers(1, 9000), prices, max_size=2),
)


@given(requests, models, tiers, st.booleans())
def test_no_estimate_of_a_prompt_costs_more_than_is_held(
    asked: CompletionRequest, model: ModelSpec, tiers: Tiers, is_measured: bool
) -> None:
    """Whatever is in it and whatever it costs, before any estimate has to be cut."""
    lengths = TWO_MINUTES if is_measured else {}
    size, _, _ = sizes(asked, model, lengths)
    times = 1 if model.supports_n else asked.n
    estimate = size.estimate(model)
    units = billing_units(ByteTally().estimate(estimate, times), times * estimate.images)
    tariff = Tariff(uuid4(), "m", datetime.now(UTC), is_free=False, tiers=tiers)
    assert tariff.cost(units, times) <= tariff.max_cost(usage_bound(asked, [model], lengths))
