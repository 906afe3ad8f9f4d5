"""What upstreams tell of the tokens they used: where, under which names, how often, and what is made of it.

Each shape was seen at the server that it is named for; the comment says where.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.events import Event, PartialUsage, Usage
from engines.openai_compatible.chunk_reader import ChunkReader
from tests.support.examples import examples
from tests.support.fake_upstream import JSON, end, say

NULL: Any = None


def usage_of(*chunks: JSON, choices: int = 1, context_length: int | None = None) -> Usage | None:
    """Return the usage of an answer that came in these chunks."""
    reader = ChunkReader(choices, context_length=context_length)
    events: list[Event] = []
    for chunk in chunks:
        reader.read(json.dumps(chunk).encode(), events)
    counted = [event for event in (*events, *reader.finish()) if isinstance(event, Usage)]
    return counted[-1] if counted else None


def last(usage: Any) -> JSON:
    return {"choices": [], "usage": usage}


def read(usage: Any, **more: Any) -> Usage | None:
    """Return what is made of a usage object that ends an answer; it must not matter whether it streamed."""
    message = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    streamed = usage_of(say("Hi"), end(), last(usage), **more)
    assert streamed == usage_of({"choices": [message], "usage": usage}, **more)
    return streamed


def counts(prompt: int, completion: int, total: int | None = None, **more: Any) -> JSON:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}
    return {name: count for name, count in usage.items() if count is not None}


def thought(count: Any) -> JSON:
    return {"completion_tokens_details": {"reasoning_tokens": count}}


def cached(count: Any) -> JSON:
    return {"prompt_tokens_details": {"cached_tokens": count}}


# --- under which names, and what they mean ------------------------------------------------------

SHAPES: dict[str, tuple[JSON, Usage]] = {
    # OpenAI's reference of chat completions: parts are inside.
    "openai": (
        counts(
            2006,
            300,
            2306,
            prompt_tokens_details={"cached_tokens": 1920, "audio_tokens": 20},
            completion_tokens_details={
                "reasoning_tokens": 128,
                "audio_tokens": 30,
                "accepted_prediction_tokens": 4,
                "rejected_prediction_tokens": 9,
            },
        ),
        Usage(2006, 300, 1920, 20, 128, 30, 4, 9),
    ),
    # Optexity/optexity#238: a recorded answer, mostly of reasoning.
    "openai, nearly all reasoning": (counts(2743, 164, 2907, **thought(153)), Usage(2743, 164, 0, 0, 153)),
    # OpenAI's Responses (openai-python, response_usage.py), as gateways pass it on.
    "openai responses": (
        {
            "input_tokens": 2600,
            "output_tokens": 90,
            "total_tokens": 2690,
            "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
            "output_tokens_details": {"reasoning_tokens": 64},
        },
        Usage(2600, 90, 2000, 0, 64),
    ),
    # Wei-Shaw/sub2api#5771: billed by xAI as 10,120 + 1,499 + 2,809.
    "xai": (counts(10120, 1499, 14428, **cached(128), **thought(2809)), Usage(10120, 4308, 128, 0, 2809)),
    # vercel/ai#12425: hardly a word, and much thought.
    "xai, grok-3-mini": (counts(12, 1, 399, **thought(386)), Usage(12, 387, 0, 0, 386)),
    # xAI's guide to chats, and the same with a long answer: these members are only its own.
    "xai, in full": (
        counts(
            26, 168, 498, prompt_tokens_details={"text_tokens": 26, "cached_tokens": 4}, num_sources_used=0
        )
        | thought(304),
        Usage(26, 472, 4, 0, 304),
    ),
    "xai, less thought than words": (
        counts(26, 500, 830, cost_in_usd_ticks=150500, **thought(304)),
        Usage(26, 804, 0, 0, 304),
    ),
    "xai's responses": (
        {
            "input_tokens": 22006,
            "output_tokens": 1274,
            "total_tokens": 23280,
            "output_tokens_details": {"reasoning_tokens": 1080},
            "num_sources_used": 0,
        },
        Usage(22006, 1274, 0, 0, 1080),
    ),
    # mozilla-ai/any-llm#1291: measured; Google's endpoint for OpenAI's clients counts so, too.
    "gemini, thoughts only in the total": (counts(20, 151, 553), Usage(20, 533, 0, 0, 382)),
    # router-for-me/CLIProxyAPI#5733: max_tokens was used up by thoughts.
    "gemini behind a proxy, nothing but thoughts": (
        counts(21, 0, 81, **thought(60)),
        Usage(21, 60, 0, 0, 60),
    ),
    "gemini, no completion told": ({"prompt_tokens": 21, "total_tokens": 81}, Usage(21, 60)),
    # Helicone/helicone#5604, Gemini's own names.
    "gemini, usageMetadata": (
        {
            "promptTokenCount": 15,
            "candidatesTokenCount": 359,
            "totalTokenCount": 1035,
            "thoughtsTokenCount": 661,
        },
        Usage(15, 1020, 0, 0, 661),
    ),
    "gemini, snake case without a total": (
        {"prompt_token_count": 20, "candidates_token_count": 198, "thoughts_token_count": 405},
        Usage(20, 603, 0, 0, 405),
    ),
    # DeepSeek's reference: hits and misses make up the prompt.
    "deepseek": (
        counts(1000, 50, 1050, prompt_cache_hit_tokens=896, prompt_cache_miss_tokens=104),
        Usage(1000, 50, 896),
    ),
    # AstrBotDevs/AstrBot#6614: Moonshot tells cached tokens in two places.
    "moonshot": (counts(1336, 31, 1367, cached_tokens=1280, **cached(1280)), Usage(1336, 31, 1280)),
    "moonshot, at the top only": (counts(1336, 31, 1367, cached_tokens=1280), Usage(1336, 31, 1280)),
    # DashScope's reference of its compatible mode: what is written to the cache is inside.
    "qwen": (
        counts(
            3019,
            104,
            3123,
            prompt_tokens_details={"cached_tokens": 2048, "cache_creation_input_tokens": 900},
        ),
        Usage(3019, 104, 2048),
    ),
    # Anthropic's reference: "total input tokens" are the sum of the three.
    "anthropic": (
        {
            "input_tokens": 50,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 200,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 93,
        },
        Usage(1250, 93, 1000),
    ),
    # github/copilot-sdk#1160: here input_tokens are all.
    "copilot, cached tokens inside by the total": (
        {"input_tokens": 1250, "cache_read_input_tokens": 1000, "output_tokens": 93, "total_tokens": 1343},
        Usage(1250, 93, 1000),
    ),
    # Portkey-AI/gateway#1211: Bedrock's counts under OpenAI's names.
    "bedrock behind portkey": (
        counts(368, 19, 10923, cache_read_input_tokens=10536, cache_creation_input_tokens=0),
        Usage(10904, 19, 10536),
    ),
    # AWS' reference of TokenUsage.
    "bedrock": (
        {"inputTokens": 368, "outputTokens": 19, "totalTokens": 10923, "cacheReadInputTokens": 10536},
        Usage(10904, 19, 10536),
    ),
    # Amazon Nova's own response of invoke_model.
    "nova": (
        {"inputTokens": 4, "outputTokens": 30, "totalTokens": 3034}
        | {"cacheReadInputTokenCount": 1000, "cacheWriteInputTokenCount": 2000},
        Usage(3004, 30, 1000),
    ),
    # LiteLLM's Usage repeats Anthropic's names beside a prompt that holds everything.
    "litellm": (
        counts(
            10904,
            19,
            10923,
            cache_read_input_tokens=10000,
            cache_creation_input_tokens=536,
            **cached(10000),
            **thought(None),
        ),
        Usage(10904, 19, 10000),
    ),
    # QuantumNous/new-api, dto.Usage: both families of names, one of them zero.
    "new-api": (
        counts(120, 30, 150, input_tokens=0, output_tokens=0, input_tokens_details=NULL),
        Usage(120, 30),
    ),
    "new-api, the other way round": (
        counts(0, 0, 150, input_tokens=120, output_tokens=30, prompt_tokens_details={"cached_tokens": 0}),
        Usage(120, 30),
    ),
    # mozilla-ai/any-llm#622: OpenRouter adds costs.
    "openrouter": (
        counts(
            13559,
            122,
            13681,
            cost=0.017558,
            is_byok=False,
            cost_details={"upstream_inference_cost": None},
            prompt_tokens_details={"cached_tokens": 0, "cache_write_tokens": 0, "video_tokens": 0},
            completion_tokens_details={"reasoning_tokens": 7, "image_tokens": 0},
        ),
        Usage(13559, 122, 0, 0, 7),
    ),
    # Groq's reference: times beside the counts.
    "groq": (counts(18, 556, 574, queue_time=0.037, prompt_time=0.0007, total_time=0.46), Usage(18, 556)),
    # sgl-project/sglang#17156: reasoning at the top, inside.
    "sglang": (
        counts(29, 105, 134, reasoning_tokens=80, prompt_tokens_details=NULL),
        Usage(29, 105, 0, 0, 80),
    ),
    # bgeneto/open-webui-cost-tracker#6: no total tells that reasoning came on top.
    "perplexity, deep research": (
        counts(108, 3256, 3364, citation_tokens=7299, num_search_queries=74, reasoning_tokens=73248),
        Usage(108, 3256, 0, 0, 3256),
    ),
    # pydantic/genai-prices#591: sound is not in Mistral's prompt_tokens.
    "mistral, sound": (
        counts(3, 1, 379, prompt_tokens_details={"audio_tokens": 375}, prompt_audio_seconds=30),
        Usage(378, 1, 0, 375),
    ),
    # Mistral's guide to sound in chats.
    "mistral, sound in seconds": (counts(4, 635, 3264, prompt_audio_seconds=203), Usage(2629, 635, 0, 2625)),
    "mistral, no sound": (counts(4, 635, 639, prompt_audio_seconds={}), Usage(4, 635)),
    # Cohere's reference of v2/chat.
    "cohere": (
        {
            "billed_units": {"input_tokens": 5, "output_tokens": 418},
            "tokens": {"input_tokens": 71, "output_tokens": 418},
        },
        Usage(5, 418),
    ),
    # Ollama's own counts, which Open WebUI passes on within usage.
    "ollama": ({"prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4709213000}, Usage(26, 298)),
    # reVrost/go-openrouter, Mistral's API: details are spelled in two ways.
    "details in the singular": (
        counts(
            9,
            8,
            17,
            prompt_token_details={"cached_tokens": 4},
            completion_token_details={"reasoning_tokens": 3},
        ),
        Usage(9, 8, 4, 0, 3),
    ),
}


@pytest.mark.parametrize(("told", "used"), SHAPES.values(), ids=SHAPES)
def test_each_server_is_understood_in_its_own_words(told: JSON, used: Usage) -> None:
    assert read(told) == used


# --- what the total decides ---------------------------------------------------------------------

TOTALS: dict[str, tuple[JSON, Usage]] = {
    "on top": (counts(100, 5, 405, **thought(300)), Usage(100, 305, 0, 0, 300)),
    "on top, with room for more": (counts(100, 5, 410, **thought(300)), Usage(100, 305, 0, 0, 300)),
    "on top, at the top": (counts(100, 5, 405, reasoning_tokens=300), Usage(100, 305, 0, 0, 300)),
    "inside": (counts(100, 305, 405, **thought(300)), Usage(100, 305, 0, 0, 300)),
    # theopenco/llmgateway#3486: the total counts twice what the completion holds.
    "inside, though the total counts it twice": (
        counts(100, 305, 705, **thought(300)),
        Usage(100, 305, 0, 0, 300),
    ),
    "twice, as measured": (counts(64, 135, 277, **thought(78)), Usage(64, 135, 0, 0, 78)),
    "inside, whatever the total": (counts(100, 305, 500, **thought(300)), Usage(100, 305, 0, 0, 300)),
    "hidden": (counts(100, 5, 405), Usage(100, 305, 0, 0, 300)),
    "hidden, none told": (counts(100, 5, 405, **thought(0)), Usage(100, 305, 0, 0, 300)),
    "hidden, with a cache": (counts(100, 5, 405, **cached(40)), Usage(100, 305, 40, 0, 300)),
    "hidden, under other names": (
        {"input_tokens": 100, "output_tokens": 5, "total_tokens": 405},
        Usage(100, 305, 0, 0, 300),
    ),
    "larger than its whole, without a total": (
        counts(10, 5, **thought(99), **cached(50)),
        Usage(10, 5, 10, 0, 5),
    ),
    "larger than its whole, and no room": (counts(10, 5, 15, **thought(99)), Usage(10, 5, 0, 0, 5)),
    "larger than its whole, and little room": (counts(10, 5, 20, **thought(99)), Usage(10, 5, 0, 0, 5)),
    "cache and reasoning on top": (
        counts(10, 5, 1315, cache_read_input_tokens=1000, **thought(300)),
        Usage(1010, 305, 1000, 0, 300),
    ),
    "too small": (counts(100, 5, 50), Usage(100, 5)),
    "zero": (counts(100, 5, 0), Usage(100, 5)),
    "implausible": (counts(100, 5, 10**9), Usage(100, 5)),
    "no number": (counts(100, 5, total_tokens="405"), Usage(100, 5)),
    "the prompt from the total": ({"completion_tokens": 5, "total_tokens": 105}, Usage(100, 5)),
    "a prompt of zero": (counts(0, 5, 105, **cached(64)), Usage(100, 5, 64)),
    "a completion of zero": (counts(100, 0, 405), Usage(100, 305)),
    "no prompt and doubtful reasoning": (
        {"completion_tokens": 5, "total_tokens": 405, **thought(300)},
        PartialUsage(0, 5, 0, 0, 5, lacks_prompt=True),
    ),
}


@pytest.mark.parametrize(("told", "used"), TOTALS.values(), ids=TOTALS)
def test_the_total_decides_where_it_fits_and_invents_nothing(told: JSON, used: Usage) -> None:
    assert read(told) == used


def test_what_comes_on_top_stays_plausible() -> None:
    assert read(counts(100, 5, 15_905, **thought(15_800)), context_length=1000) == Usage(
        100, 15_805, 0, 0, 15_800
    )
    assert read(counts(100, 16_000, 16_000), context_length=1000) == Usage(100, 16_000)
    assert read(counts(100, 5, 16_105), context_length=1000) == Usage(100, 5)
    beside = {"input_tokens": 100, "output_tokens": 5, "cache_read_input_tokens": 16_000}
    assert read(beside, context_length=1000) == Usage(100, 5, 100)


# --- where --------------------------------------------------------------------------------------


def test_a_choice_tells_its_usage() -> None:
    """northes/go-moonshot#17: Moonshot's last chunk, and a whole answer alike."""
    usage = counts(19, 13, 32)
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}
    assert usage_of(say("Hi"), {"choices": [choice]}) == Usage(19, 13)
    assert usage_of(say("Hi"), {"choices": [choice], "usage": None}, {"choices": []}) == Usage(19, 13)
    assert usage_of(say("Hi"), {"choices": [choice]}, last(usage)) == Usage(19, 13)
    assert usage_of(say("Hi"), {"choices": [choice]}, last(counts(1336, 0))) == Usage(1336, 13)
    message = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop", "usage": usage}
    assert usage_of({"choices": [message]}) == Usage(19, 13)


def test_a_choice_tells_its_usage_before_it_ends() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "usage": counts(19, 13)}]}
    assert usage_of(chunk, end()) == Usage(19, 13)


def own(index: int, usage: Any) -> JSON:
    return {"choices": [{"index": index, "delta": {}, "finish_reason": "stop", "usage": usage}]}


def test_of_several_choices_the_answers_are_added_and_the_prompt_is_counted_once() -> None:
    chunks = [own(0, counts(19, 13, **thought(3), **cached(8))), own(1, counts(19, 20, **thought(4)))]
    assert usage_of(*chunks, choices=2) == Usage(19, 33, 8, 0, 7)
    assert usage_of(*chunks, last(counts(19, 33)), choices=2) == Usage(19, 33)
    assert usage_of(*chunks, last(counts(19, 0)), choices=2) == Usage(19, 33, 0, 0, 7)
    assert usage_of(*chunks, last(None), last({}), choices=2) == Usage(19, 33, 8, 0, 7)
    repeated = [own(0, counts(19, 13)), own(0, counts(19, 13)), own(1, counts(19, 20)), own(1, counts(19, 0))]
    assert usage_of(*repeated, choices=2) == Usage(19, 33)


def test_what_one_of_several_choices_does_not_tell_was_not_counted() -> None:
    assert usage_of(own(0, counts(19, 13)), end(index=1), choices=2) == PartialUsage(
        19, 0, lacks_completion=True
    )


def test_each_choice_has_its_own_limit() -> None:
    chunks = [own(0, counts(19, 16_001)), own(1, counts(19, 16_000))]
    told = usage_of(*chunks, choices=2, context_length=1000)
    assert told == PartialUsage(19, 0, lacks_completion=True)


def test_choices_that_nobody_asked_for_tell_nothing() -> None:
    assert usage_of(own(7, counts(19, 13)), end()) is None


def test_groq_tells_its_usage_in_an_extension() -> None:
    """Groq's reference: the first chunk has only an id there, the last one the usage."""
    first = {**say("Hi"), "x_groq": {"id": "req_1"}}
    assert usage_of(first, end(x_groq={"id": "req_1", "usage": counts(18, 556, 574)})) == Usage(18, 556)
    assert usage_of(first, end(), {"choices": [], "x_groq": {"usage": counts(18, 556)}}) == Usage(18, 556)
    assert usage_of(first, end(x_groq={"usage": counts(18, 556)}, usage=counts(18, 556))) == Usage(18, 556)


@pytest.mark.parametrize("odd", [17, "x", [], [{}], {}, {"usage": 3}, {"usage": [counts(1, 1)]}, True])
def test_an_odd_extension_tells_nothing(odd: Any) -> None:
    assert usage_of(say("Hi"), end(x_groq=odd, timings=odd)) is None


def test_timings_of_llama_cpp_count_where_there_is_no_usage() -> None:
    """ggml-org/llama.cpp#15827: the context used is the sum of the three."""
    timings = {"cache_n": 236, "prompt_n": 1, "prompt_ms": 30.958, "predicted_n": 35, "predicted_ms": 661.064}
    assert usage_of(say("Hi"), end(timings=timings)) == Usage(237, 35, 236)
    assert usage_of(say("Hi"), end(), {**last(counts(237, 34)), "timings": timings}) == Usage(237, 34)


# --- how often ----------------------------------------------------------------------------------

TRUE = counts(1336, 31, 1367, **cached(1280), **thought(9))
LATER: dict[str, Any] = {
    "nothing": {},
    "null": None,
    "zeros": counts(0, 0, 0, **cached(0), **thought(0)),
    "no completion": counts(1336, 0, 1336),
    "no prompt": counts(0, 31),
    "half": {"prompt_tokens": 1336},
    "other half": {"completion_tokens": 31},
    "nulls": {"prompt_tokens": None, "completion_tokens": None},
    "smaller": counts(10, 2, 12),
    "smaller half": {"completion_tokens": 3},
    "one of the completion": counts(1336, 1, 1337, **cached(1280)),
    "total only": {"total_tokens": 1367},
    "the same": TRUE,
    "the same without parts": counts(1336, 31, 1367),
    "implausible": counts(10**8, 10**8),
    "negative": counts(-1, -1),
    "strings": {"prompt_tokens": "9999", "completion_tokens": "9999"},
    "booleans": {"prompt_tokens": True, "completion_tokens": True},
    "a list": [counts(9999, 9999)],
    "a string": "9999",
}


@pytest.mark.parametrize("total", [0, 105, NULL])
def test_what_only_the_total_told_is_not_taken_back(total: int | None) -> None:
    told = counts(100, 5, 405)
    assert usage_of(say("Hi"), end(usage=told), last(told | {"total_tokens": total})) == Usage(
        100, 305, 0, 0, 300
    )


@pytest.mark.parametrize("later", [0, 10, NULL])
def test_a_part_that_was_told_is_not_taken_back(later: int | None) -> None:
    told, used = counts(100, 305, 405, cached_tokens=80, **thought(300)), Usage(100, 305, 80, 0, 300)
    assert usage_of(say("Hi"), end(usage=told), last(told | thought(later))) == used
    assert usage_of(say("Hi"), end(usage=told), last(told | {"cached_tokens": later})) == used


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
def test_what_was_told_is_not_taken_back(later: Any) -> None:
    used = Usage(1336, 31, 1280, 0, 9)
    assert usage_of(say("Hi"), end(usage=TRUE), last(later)) == used
    assert usage_of(say("Hi"), end(usage=later), last(TRUE)) == used
    assert usage_of(say("Hi"), own(0, TRUE), last(later)) == used
    assert usage_of(say("Hi"), end(x_groq={"usage": TRUE}), last(later)) == used


def test_of_usage_that_grows_the_last_is_right() -> None:
    """vLLM with continuous_usage_stats, SGLang, Databricks: each chunk counts what came until then."""
    chunks = [{**say("Hi"), "usage": counts(29, n, 29 + n, reasoning_tokens=n // 2)} for n in range(1, 40)]
    assert usage_of(*chunks, end()) == Usage(29, 39, 0, 0, 19)
    assert usage_of(*chunks, end(usage=counts(29, 0)), last({})) == Usage(29, 39, 0, 0, 19)
    grown = counts(29, 10**9, 29 + 10**9, reasoning_tokens=3)
    assert usage_of(*chunks, end(usage=grown)) == Usage(29, 39, 0, 0, 19)


def test_halves_that_come_one_after_the_other_are_joined() -> None:
    """Anthropic's stream: the prompt at the start, the completion at the end, here under OpenAI's names."""
    first = {"prompt_tokens": 1336, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1280}}
    chunks = [{**say("Hi"), "usage": first}, end(usage={"completion_tokens": 31})]
    assert usage_of(*chunks) == Usage(1336, 31, 1280)
    chunks = [{**say("Hi"), "usage": first}, end(usage=counts(0, 31, 31))]
    assert usage_of(*chunks) == Usage(1336, 31, 1280)


def test_parts_of_several_usages_make_no_more_than_their_whole() -> None:
    first = counts(100, 50, prompt_tokens_details={"cached_tokens": 90})
    second = counts(100, 50, prompt_tokens_details={"audio_tokens": 60})
    assert usage_of(say("Hi"), end(usage=first), last(second)) == Usage(100, 50, 90, 10)


# --- what is not counted ------------------------------------------------------------------------


def test_a_half_of_zero_was_not_counted() -> None:
    assert read(counts(1336, 0, 1336)) == PartialUsage(1336, 0, lacks_completion=True)
    assert read(counts(1336, 0)) == PartialUsage(1336, 0, lacks_completion=True)
    assert read(counts(0, 31, 31)) == PartialUsage(0, 31, lacks_prompt=True)
    assert read(counts(0, 0, 0)) is None
    assert read({"total_tokens": 500}) is None


@pytest.mark.parametrize("odd", [None, 17, "x", [], True, {"cached_tokens": [3]}, {"reasoning_tokens": "3"}])
def test_odd_details_count_nothing(odd: Any) -> None:
    details = dict.fromkeys(
        ("prompt_tokens_details", "input_tokens_details", "completion_tokens_details"), odd
    )
    assert read({**counts(3, 4, 7), **details, "billed_units": odd, "tokens": odd}) == Usage(3, 4)


def test_whole_numbers_may_be_floats() -> None:
    told = read({"prompt_tokens": 12.0, "completion_tokens": 5.0, "total_tokens": 17.0, **cached(4.0)})
    assert told == Usage(12, 5, 4)
    assert told is not None
    assert all(type(count) is int for count in told.counts.values())


NAMES = [
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens"),
    *("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"),
    *(
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "thoughts_token_count",
        "prompt_audio_seconds",
    ),
    *("prompt_cache_hit_tokens", "promptTokenCount", "eval_count", "prompt_n", "cache_n", "predicted_n"),
]
TABLES = [
    "prompt_tokens_details",
    "input_tokens_details",
    "completion_tokens_details",
    "billed_units",
    "tokens",
]
NUMBERS: st.SearchStrategy[Any] = st.integers(0, 60) | st.sampled_from(
    [None, True, -1, 1.5, 12.0, 10**7, 10**8, 1e308, "12", "", [], {}]
)
COUNTED = st.dictionaries(st.sampled_from(NAMES), NUMBERS, max_size=8)
USAGES = (
    st.builds(
        lambda flat, nested: {**flat, **nested}, COUNTED, st.dictionaries(st.sampled_from(TABLES), COUNTED)
    )
    | NUMBERS
    | st.recursive(
        NUMBERS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
    )
)


@settings(max_examples=examples(300))
@given(st.lists(USAGES, max_size=3), st.lists(USAGES, max_size=2), USAGES, USAGES, st.integers(1, 2))
def test_whatever_is_told_no_part_is_larger_than_its_whole(
    usages: list[Any], of_choices: list[Any], groq: Any, timings: Any, choices: int
) -> None:
    chunks = [
        *(last(usage) for usage in usages),
        *(own(index % choices, usage) for index, usage in enumerate(of_choices)),
        {"choices": [], "x_groq": {"usage": groq}, "timings": timings},
    ]
    used = usage_of(*chunks, *(end(index=index) for index in range(choices)), choices=choices)
    if used is None:
        return
    assert 0 <= used.prompt_tokens <= choices * 10**7
    assert 0 <= used.completion_tokens <= choices * 10**7
    assert used.lacks_prompt == (used.prompt_tokens == 0)
    assert used.lacks_completion == (used.completion_tokens == 0)
    assert used.cached_tokens + used.prompt_audio_tokens <= used.prompt_tokens
    assert used.reasoning_tokens + used.completion_audio_tokens <= used.completion_tokens
    assert max(used.accepted_prediction_tokens, used.rejected_prediction_tokens) <= used.completion_tokens
    assert min(used.counts.values()) >= 0
