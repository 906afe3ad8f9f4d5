"""Stories of answers that break off: what their upstreams had counted, and had been sent, is billed."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from conversations.models import Completion
from tests.support.fake_upstream import ABORT, HANG, FakeUpstream, end, frame, raw, say, status, stream, whole
from tests.support.leaving import AT_ONCE, leave_at, leave_unanswered
from tests.support.media_requests import b64, text, upstream_model, user_request
from tests.support.people import Person
from tests.support.priced_usage import PROMPT, add_credit, assert_ledger_adds_up
from tests.support.running_server import PATHS, Server, chat_body

USD = 10**9
FIRST, SECOND, THIRD = "breaks-first", "breaks-second", "breaks-third"
HIDDEN = {
    "prompt_tokens": 10,
    "completion_tokens": 905,
    "total_tokens": 915,
    "completion_tokens_details": {"reasoning_tokens": 900},
}
"""The usage of an answer whose reasoning nobody was shown."""
PRICED: dict[str, Any] = {"context_length": 1000, "max_output_tokens": 100}


@pytest.fixture(autouse=True)
def priced(server: Server, alice: Person) -> Iterator[None]:
    add_credit(alice, USD)
    for model in (FIRST, SECOND, THIRD):
        add_price(model, {0: rates_of({"prompt": 1, "completion": 10})})
    yield
    server.until_idle()
    assert_ledger_adds_up()


@pytest.fixture
def upstream(server: Server, priced: None) -> Iterator[FakeUpstream]:
    with upstream_model(server, FIRST, **PRICED) as upstream:
        yield upstream


def question(**more: Any) -> dict[str, Any]:
    return chat_body("Yes or no?", model=FIRST, **more)


def charge_of(server: Server) -> Charge:
    server.until_idle()
    return Charge.objects.get()


# --- what was told of the usage -------------------------------------------------------------------


def test_a_usage_on_each_chunk_is_billed_to_who_leaves_before_the_end(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame({**say("Sixteen letters."), "usage": HIDDEN}), HANG))
    leave_at(server, alice, question(), "letters.")
    charge = charge_of(server)
    assert (charge.prompt, charge.reasoning, charge.completion) == (10, 900, 5)
    assert (charge.end, charge.is_estimated) == ("cancelled", False)


@pytest.mark.parametrize("choices", [1, 2])
def test_a_usage_that_came_before_the_first_word_is_billed_to_who_leaves_then(
    server: Server, alice: Person, upstream: FakeUpstream, choices: int
) -> None:
    """Servers that count as they go count hidden reasoning, of which no word comes."""
    upstream.will(raw(frame({**say(""), "usage": HIDDEN}), HANG))
    body = question(stream=True, n=choices)
    leave_unanswered(server, alice, body, lambda: len(upstream.requests) == choices)
    charge = charge_of(server)
    assert (charge.prompt, charge.reasoning, charge.end) == (choices * 10, choices * 900, "cancelled")


def test_an_older_count_is_no_reason_to_bill_less_than_was_said(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    """Some upstreams tell the prompt with the first chunk, and one token of an answer yet to come."""
    begun = {"prompt_tokens": 10, "completion_tokens": 1}
    upstream.will(raw(frame({**say(""), "usage": begun}), frame(say("Sixteen letters.")), HANG))
    leave_at(server, alice, question(), "letters.")
    charge = charge_of(server)
    assert (charge.prompt, charge.completion, charge.is_estimated) == (10, 4, True)


def test_a_usage_that_came_with_the_last_word_is_not_waited_for(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), frame({**end(), "usage": HIDDEN}), HANG))
    leave_at(server, alice, question(), "letters.")
    left = time.monotonic()
    charge = charge_of(server)
    assert upstream.client_gone_at - left < AT_ONCE
    assert (charge.prompt, charge.reasoning, charge.end) == (10, 900, "completed")
    assert not charge.is_estimated


def test_a_usage_is_billed_though_the_connection_breaks_after_it(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), frame({"choices": [], "usage": HIDDEN}), 0.2, ABORT))
    leave_at(server, alice, question(), '"error"')
    charge = charge_of(server)
    assert (charge.prompt, charge.reasoning, charge.end) == (10, 900, "failed")


def test_the_usage_of_a_finished_choice_is_billed_though_another_breaks_off(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    counted = stream(say("Sixteen letters."), end(), {"choices": [], "usage": HIDDEN})
    upstream.will(counted, raw(0.2, frame(say("other")), HANG))
    leave_at(server, alice, question(n=2), "other")
    charge = charge_of(server)
    assert (charge.requests, charge.prompt, charge.reasoning) == (2, 20, 900)
    assert charge.is_estimated
    assert charge.cost is not None
    assert charge.cost <= charge.held


def test_usages_that_are_told_again_and_again_are_added_up_once(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    counts = [{"prompt_tokens": 10, "completion_tokens": tokens} for tokens in (4, 5)]
    chunks = [{**say("Sixteen letters."), "usage": counts[0]}, end(usage=counts[0])]
    upstream.will(stream(*chunks, {"choices": [], "usage": counts[1]}))
    with server.client(alice) as client:
        body = question(n=3, stream=True)
        assert client.post(PATHS["openai"], json=body).status_code == 200
    charge = charge_of(server)
    assert (charge.prompt, charge.completion, charge.is_estimated) == (30, 15, False)


def test_an_error_after_the_last_word_finds_nobody_to_tell(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), frame(end()), 0.3, frame({"error": {"message": "Oh"}})))
    leave_at(server, alice, question(), "letters.")
    assert charge_of(server).end == "completed"
    assert Completion.objects.get().answers.get().finish_reason == "stop"


# --- several answers, and other models ------------------------------------------------------------


def test_no_answer_is_made_for_nobody_once_another_has_failed(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    slow = raw(1.0, frame(say("Sixteen letters.")), frame(end()))
    upstream.will(slow, slow, status(429), slow)
    with server.client(alice) as client:
        answer = client.post(PATHS["openai"], json=question(n=8))
    assert answer.status_code == 429
    assert charge_of(server).cost == 0
    asked = len(upstream.requests)
    time.sleep(1.5)
    assert (upstream.completed, len(upstream.requests)) == (1, asked)  # the refusal


@pytest.mark.parametrize("late", ["answers", "errors"])
def test_a_model_that_was_given_up_counts_for_nothing(server: Server, alice: Person, late: str) -> None:
    """What it still says of its requests is not taken for what the fallback says."""
    slow = raw(0.3, frame(say("Sixteen letters.") if late == "answers" else {"error": {"message": "Oh"}}))
    with (
        upstream_model(server, SECOND, **PRICED) as second,
        upstream_model(server, FIRST, fallbacks=(SECOND,), **PRICED) as first,
    ):
        first.will(status(429), slow)
        second.will(raw(HANG))
        leave_unanswered(server, alice, question(n=8), lambda: len(second.requests) == 4, pause=0.6)
        charge = charge_of(server)
    assert charge.requests == len(second.requests) == 4
    assert (charge.model, charge.prompt, charge.cost) == (SECOND, 4 * 7, 4 * 7 * PROMPT)


def test_a_fallback_that_cannot_read_the_prompt_is_passed_over(server: Server, alice: Person) -> None:
    short = {**PRICED, "context_length": 10}
    with (
        upstream_model(server, SECOND, **short) as second,
        upstream_model(server, THIRD, **PRICED) as third,
        upstream_model(server, FIRST, fallbacks=(SECOND, THIRD), **PRICED) as first,
    ):
        first.will(status(503))
        with server.client(alice) as client:
            body = chat_body("x" * 5000, model=FIRST)
            assert client.post(PATHS["openai"], json=body).status_code == 200
            third.will(status(503))
            failed = client.post(PATHS["openai"], json=body)
    assert failed.status_code == 503
    assert not second.requests
    assert len(third.requests) == 2


# --- holds ----------------------------------------------------------------------------------------


def test_a_small_document_may_have_many_pages(server: Server, alice: Person) -> None:
    """A page that is named two hundred times takes no more bytes than its name."""
    pages = b"3 0 R " * 200
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 200/Kids[%b]>>" % pages,
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>",
    ]
    body = b"".join(b"%d 0 obj%b endobj\n" % numbered for numbered in enumerate(objects, 1))
    pdf = b"%PDF-1.4\n" + body + b"trailer<</Root 1 0 R>>\n%%EOF"
    file = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{b64(pdf)}"}
    asked = user_request(text("hi"), {"type": "file", "file": file}, model=FIRST, max_tokens=10)
    usage = {"prompt_tokens": 190_000, "completion_tokens": 5}
    reads = {"context_length": 200_000, "input_modalities": ("text", "file")}
    with upstream_model(server, FIRST, **reads) as upstream:
        upstream.will(whole({"role": "assistant", "content": "Long."}, usage=usage))
        with server.client(alice) as client:
            assert client.post(PATHS["openai"], json=asked).status_code == 200
        charge = charge_of(server)
    assert charge.cost is not None
    assert 190_000 * PROMPT < charge.cost <= charge.held


def test_an_answer_of_no_tokens_is_billed_as_its_prompt(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        body = chat_body(" ", model="priced", stop="Y")
        assert client.post(PATHS["openai"], json=body).status_code == 200
    assert charge_of(server).prompt > 0


@pytest.mark.parametrize("said", ["98765432109876543210", '<speak><break time="59s"/>a</speak>'])
def test_no_more_is_spoken_than_was_held_for(server: Server, alice: Person, said: str) -> None:
    """Digits and breaks sound longer than other words."""
    add_price("priced-output", {0: rates_of({"prompt": 0, "completion": 0, "audio_out": 15})})
    body = chat_body(
        f"[[text: {said}]]",
        model="priced-output",
        max_tokens=4,
        modalities=["text", "audio"],
        audio={"voice": "espeak-en-us", "format": "pcm16"},
        stream=False,
        ssml_enabled="<" in said,
    )
    with server.client(alice) as client:
        answer = client.post(PATHS["native"], json=body)
    assert answer.status_code == 200, answer.text
    charge = charge_of(server)
    assert charge.cost is not None
    assert charge.cost <= charge.held
    sound = answer.json()["choices"][0]["message"].get("audio", {"data": ""})["data"]
    assert charge.audio_out <= 4 * 12
    assert len(sound) * 3 / 4 <= (charge.audio_out + 1) * 2400
