"""docs/billing.md says what the code does: each number in its tables, and each end has a story."""

import re
from importlib import import_module

import pytest

from billing.money import MAX_NANO_PER_CALL
from billing.units import MILLION, UNITS
from chatapi.completions import prompt_size, token_counts, usage_bounds
from chatapi.completions.capabilities import STANDARD_TIERS
from chatapi.completions.runs.pump import COUNT_SECONDS
from chatapi.env import ROOT
from core.money import NANO_PER_USD
from engines.openai_compatible.upstream_numbers import CONTEXT_MULTIPLE, COUNT_LIMIT

PAGE = (ROOT / "docs" / "billing.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    lines = PAGE.partition(f"\n{heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


TOKENS_PER_MESSAGE, BYTES_PER_TOKEN = token_counts.TOKENS_PER_MESSAGE, token_counts.BYTES_PER_TOKEN


def test_every_unit_is_listed_with_what_it_is_priced_for() -> None:
    rows = table("## Prices")
    listed = {re.findall(r"`(\w+)`", kind)[0]: (per, otherwise) for kind, per, otherwise in rows}
    assert listed.keys() == UNITS.keys()
    for unit in UNITS.values():
        per, otherwise = listed[unit.name]
        assert per == ("a million" if unit.per == MILLION else "one")
        if unit.fallback:
            assert otherwise == f"as `{unit.fallback}`"
        else:
            assert otherwise == "" or otherwise.startswith("free")


def test_what_is_counted_here_has_the_numbers_of_the_code() -> None:
    rows = {what: numbers for what, *numbers in table("### What is counted here")}
    sizes = prompt_size
    assert rows["text"] == [
        f"1 for {sizes.LONGEST_TOKEN} bytes of UTF-8, or for {sizes.WORDS_PER_TOKEN} words",
        f"1 for {BYTES_PER_TOKEN} bytes",
        "1 for 1 byte",
    ]
    assert rows["around each message or tool"][1:] == [
        str(TOKENS_PER_MESSAGE),
        str(sizes.FRAMING),
    ]
    assert (
        rows["a tool, format or prediction that is not all ASCII"][2] == f"{sizes.ESCAPE_GROWTH} for 1 byte"
    )
    assert rows["a picture, for a model that sees"] == [
        "0",
        f"{sizes.EXPECTED_IMAGE_TOKENS}; {sizes.EXPECTED_SMALL_IMAGE_TOKENS} in low detail",
        f"{sizes.IMAGE_TOKENS:,}",
    ]
    assert rows["a second of sound, for a model that hears"] == [
        "0",
        f"{sizes.EXPECTED_SOUND_TOKENS_PER_SECOND}, as sound",
        str(sizes.SOUND_TOKENS_PER_SECOND),
    ]
    assert rows["a file, for a model that takes files"][1:] == [
        f"1 for {BYTES_PER_TOKEN} bytes of text, or {sizes.DOCUMENT_BYTES_PER_TOKEN} of others",
        f"1 for 1 byte; of what is no text, {sizes.DOCUMENT_TOKENS:,} at least",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        f"more than {CONTEXT_MULTIPLE} times the model's\n`context_length` ({COUNT_LIMIT // MILLION} million",
        f"waited for, {'two' if COUNT_SECONDS == 2 else COUNT_SECONDS} seconds at most",
        f"where the models file knows none either, {usage_bounds.DEFAULT_OUTPUT_LIMIT:,}.",
        f"{usage_bounds.SPEECH_TOKENS_PER_TEXT_TOKEN}\ntokens of sound for each token of the answer's limit",
        f"{BYTES_PER_TOKEN} bytes of text are a token, and {token_counts.MILLISECONDS_PER_TOKEN}\nmilli",
        f"`service_tier` other than {' or '.join(f'`{tier}`' for tier in STANDARD_TIERS)}",
        f"is at most {'a million' if MAX_NANO_PER_CALL == MILLION * NANO_PER_USD else '?'} USD",
    ],
)
def test_the_page_says_what_the_constants_say(sentence: str) -> None:
    assert sentence in PAGE


TRUST, BILLING = "tests.stories.test_billing_trust", "tests.stories.test_billing"
BROKEN = "tests.stories.test_billing_breakoffs"
REVOKED, AUDIO = "tests.stories.test_revoked_keys", "tests.stories.test_audio_billing"
STORIES = {
    "stop, length, content filter, tool calls": [
        (BILLING, "test_a_prepaid_month"),
        (BILLING, "test_an_answer_that_was_cut_costs_what_was_generated"),
        ("tests.stories.test_upstream_counts", "test_an_answer_that_the_upstream_did_not_count_is_not_free"),
    ],
    "a cancel after the first event": [
        (BILLING, "test_a_cancelled_answer_costs_what_was_generated"),
        (TRUST, "test_a_cancel_never_waits_for_the_count"),
    ],
    "a cancel before the first event": [
        (TRUST, "test_pictures_that_the_upstream_got_are_paid_too"),
        (TRUST, "test_leaving_costs_each_prompt_that_the_upstream_got"),
    ],
    "a client that leaves before the last word": [
        (BILLING, "test_a_client_that_leaves_pays_for_what_was_generated"),
        (BILLING, "test_an_answer_that_continues_without_its_reader_is_paid_in_full"),
        (TRUST, "test_leaving_before_the_last_word_closes_at_once"),
    ],
    "a client that leaves after the last word (each `finish_reason` has come)": [
        (TRUST, "test_leaving_after_the_last_word_waits_for_the_count"),
        (TRUST, "test_leaving_after_the_last_word_waits_two_seconds_at_most"),
    ],
    "a key, session or membership that ends": [
        (REVOKED, "test_what_was_answered_is_stored_and_billed_as_if_it_had_been_cancelled"),
    ],
    "an upstream's error, or a limit of ours, before the first event": [
        (TRUST, "test_an_error_before_the_first_word_stays_free"),
        (TRUST, "test_an_upstream_that_refused_costs_nothing_while_it_is_asked_again"),
    ],
    "an upstream's error, or a limit of ours, after it": [
        (BILLING, "test_a_failure_after_the_first_word_costs_what_was_generated"),
        (BROKEN, "test_a_usage_is_billed_though_the_connection_breaks_after_it"),
    ],
    "the service's stopping before the first event": [
        (TRUST, "test_our_own_stop_before_the_first_word_stays_free"),
    ],
    "the service's stopping after it": [
        (TRUST, "test_our_own_stop_after_the_first_word_costs_what_was_made"),
    ],
    "a killed process": [
        (
            "tests.chatapi.completions.test_recovery_billing",
            "test_the_journals_price_is_used_or_the_promised_one_if_it_is_unknown",
        ),
    ],
    "a refusal": [
        (BILLING, "test_a_call_that_cannot_be_paid_is_refused_before_anything_is_stored"),
        (TRUST, "test_a_prompt_that_no_tokenizer_makes_fit_is_refused_before_admission"),
    ],
    "a repeat with the same `Idempotency-Key`": [
        (BILLING, "test_a_retry_after_a_network_error_is_paid_once"),
    ],
    "a failure of `/v1/audio/*`": [
        (AUDIO, "test_speech_that_fails_costs_nothing"),
        (AUDIO, "test_speech_that_breaks_off_costs_what_was_delivered"),
        (AUDIO, "test_recognition_that_fails_costs_nothing"),
    ],
}


def test_every_end_has_its_story() -> None:
    assert [end for end, _ in table("### Ends")] == list(STORIES)
    for end, stories in STORIES.items():
        assert stories, f"no story tells of: {end}"
        for module, name in stories:
            assert callable(getattr(import_module(module), name, None)), f"{module} has no {name}"
