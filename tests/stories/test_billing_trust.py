"""Stories of calls that were free or overdrew a wallet, though an upstream had done its work."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import msgspec
import pytest

from billing.models import Charge
from billing.prices import add_price
from billing.tariffs import rates_of
from conversations.models import Completion
from engines.openai_compatible.engine import OpenAICompatibleEngine
from tests.support.fake_upstream import HANG, FakeUpstream, end, frame, raw, say, status, whole
from tests.support.leaving import AT_ONCE, leave_at, leave_unanswered
from tests.support.media_requests import b64, picture, sound, text, upstream_model, user_request
from tests.support.people import Person
from tests.support.pictures import encode_picture, photo
from tests.support.priced_usage import COMPLETION, PROMPT, add_credit, assert_ledger_adds_up, wallet_of
from tests.support.running_server import PATHS, Server, chat_body, wait_until
from tests.support.sounds import sound_file

USD = 10**9
MODEL = "trusting"
CONTEXT = 1000
DOCUMENT = " ".join(["clause"] * 400)
"""2,799 bytes: about 700 tokens."""
ANSWER = {"role": "assistant", "content": "Sixteen letters."}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
PICTURES_AND_SOUNDS = ("text", "image", "audio")


@pytest.fixture
def upstream(server: Server, alice: Person) -> Iterator[FakeUpstream]:
    """The upstream of a priced model that tells no usage; alice can pay a dollar."""
    add_credit(alice, USD)
    with upstream_model(
        server, MODEL, context_length=CONTEXT, max_output_tokens=100, input_modalities=PICTURES_AND_SOUNDS
    ) as upstream:
        add_price(MODEL, {0: rates_of({"prompt": 1, "completion": 10})})
        upstream.will(whole(ANSWER))
        yield upstream
        server.until_idle()
    assert_ledger_adds_up()


def post(server: Server, who: Person, body: dict[str, Any], dialect: str = "openai") -> httpx2.Response:
    with server.client(who) as client:
        return client.post(PATHS[dialect], json={"model": MODEL, **body})


def question(**more: Any) -> dict[str, Any]:
    return chat_body("Yes or no?", model=MODEL, **more)


def charge_of(server: Server) -> Charge:
    server.until_idle()
    charge = Charge.objects.get(model=MODEL)
    assert charge.cost is not None
    assert charge.cost <= charge.held or not charge.is_estimated
    return charge


# --- prompts that no context can hold -------------------------------------------------------------

ENDLESS = "x" * (128 * CONTEXT + 1)


def assert_refused(answer: httpx2.Response, upstream: FakeUpstream, alice: Person) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert f"reads {CONTEXT} at most" in error["message"]
    assert not upstream.requests
    assert not Charge.objects.filter(model=MODEL).exists()
    assert not Completion.objects.filter(model=MODEL).exists()
    wallet = wallet_of(alice)
    assert (wallet.balance, wallet.held) == (USD, 0)


def test_a_history_stored_through_a_free_model_overdraws_nobody(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    with server.client(alice) as client:
        stored = client.post(
            PATHS["native"], json={**chat_body(ENDLESS), "model": "text-only", "stream": False}
        )
        assert stored.status_code == 200
        conversation = {"conversation_id": stored.headers["x-conversation-id"]}
    asked = {**chat_body("hello"), "model": MODEL, "context": conversation}
    assert_refused(post(server, alice, asked, "native"), upstream, alice)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chat_body(ENDLESS), id="message"),
        pytest.param(chat_body(ENDLESS, n=3, stream=True), id="streamed"),
        pytest.param(
            chat_body(
                "hi",
                tools=[{"type": "function", "function": {"name": "read", "description": ENDLESS}}],
            ),
            id="tool",
        ),
        pytest.param(
            chat_body(
                "hi",
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "form", "schema": {"description": ENDLESS}},
                },
            ),
            id="response_format",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": "x" * CONTEXT}] * 129}, id="many-short-messages"
        ),
    ],
)
def test_a_prompt_that_no_tokenizer_makes_fit_is_refused_before_admission(
    server: Server, alice: Person, upstream: FakeUpstream, body: dict[str, Any]
) -> None:
    assert_refused(post(server, alice, {**body, "model": MODEL}), upstream, alice)


def test_a_free_model_of_this_machine_refuses_it_alike(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        refused = client.post(PATHS["openai"], json=chat_body("x" * (128 * 8192 + 1)))
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert not Completion.objects.exists()


def test_an_estimate_is_never_billed_above_what_was_held(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    """The prompt might fit, the upstream takes it and generates more than it may, and counts nothing."""
    upstream.will(whole({"role": "assistant", "content": "word " * 5000}))
    assert post(server, alice, chat_body("x" * 100_000, model=MODEL, max_tokens=10)).status_code == 200
    charge = charge_of(server)
    assert (charge.prompt, charge.completion, charge.is_estimated) == (CONTEXT, 6250, True)
    assert charge.cost == charge.held == CONTEXT * PROMPT + 10 * COMPLETION


@pytest.mark.parametrize("order", [1, -1])
def test_the_same_bytes_under_several_names_are_read_and_held_for_under_each(
    server: Server, alice: Person, upstream: FakeUpstream, order: int
) -> None:
    names = ["\U00013000" * 50 + ".txt", *["b.txt"] * 4][::order]
    files = [
        {"type": "file", "file": {"file_data": f"data:text/plain;base64,{b64(b'a')}", "filename": name}}
        for name in names
    ]
    upstream.will(whole({"role": "assistant", "content": "Sixteen letters."}))
    assert post(server, alice, user_request(*files, model=MODEL, max_tokens=5)).status_code == 200
    sent = [part["text"] for part in upstream.body["messages"][0]["content"]]
    assert [name in text for name, text in zip(names, sent, strict=True)] == [True] * len(names)
    charge = charge_of(server)
    assert charge.held >= sum(len(text.encode()) for text in sent) * PROMPT
    assert charge.cost != charge.held


# --- all that a model reads -----------------------------------------------------------------------

READ: dict[str, dict[str, Any]] = {
    "tool": chat_body(
        "hi",
        tools=[
            {
                "type": "function",
                "function": {"name": "read", "parameters": {"type": "object", "description": DOCUMENT}},
            }
        ],
    ),
    "function": chat_body("hi", functions=[{"name": "read", "description": DOCUMENT}]),
    "response_format": chat_body(
        "hi",
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "form", "schema": {"type": "object", "description": DOCUMENT}},
        },
    ),
    "prediction": chat_body("hi", prediction={"type": "content", "content": DOCUMENT}),
    "arguments": {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": DOCUMENT}}
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "done"},
        ]
    },
    "refusal": {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "refusal": DOCUMENT},
            {"role": "user", "content": "why?"},
        ]
    },
    "picture": user_request(text("hi"), picture(encode_picture(photo()))),
    "sound": user_request(text("hi"), sound(sound_file("wav", 70, rate=16_000, channels=1), "wav")),
    "file": user_request(
        text("hi"),
        {
            "type": "file",
            "file": {
                "filename": "contract.txt",
                "file_data": f"data:text/plain;base64,{b64(DOCUMENT.encode())}",
            },
        },
    ),
}


@pytest.mark.parametrize("what", READ)
def test_what_an_upstream_reads_and_does_not_count_is_counted_here(
    server: Server, alice: Person, upstream: FakeUpstream, what: str
) -> None:
    assert post(server, alice, {**READ[what], "model": MODEL, "max_tokens": 10}).status_code == 200
    charge = charge_of(server)
    assert charge.is_estimated
    assert 650 < charge.prompt + charge.audio_in <= CONTEXT


def test_instructions_that_are_added_here_are_counted(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    spoken = {"modalities": ["text", "audio"], "audio": {"voice": "joe", "format": "wav"}}
    body = chat_body("hi", model=MODEL, ssml_enabled=True, stream=False, **spoken)
    answer = post(server, alice, body, "native")
    assert answer.status_code == 200, answer.text
    assert charge_of(server).prompt > 60


# --- clients that leave ---------------------------------------------------------------------------


def test_leaving_after_the_last_word_waits_for_the_count(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(
        raw(frame(say("Sixteen letters.")), frame(end()), 0.3, frame({"choices": [], "usage": USAGE}))
    )
    leave_at(server, alice, question(), "letters.")
    charge = charge_of(server)
    assert (charge.prompt, charge.completion, charge.is_estimated) == (10, 5, False)
    assert charge.end == "completed"


def test_leaving_after_the_last_word_waits_two_seconds_at_most(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), frame(end()), HANG))
    left = leave_at(server, alice, question(), "letters.")
    charge = charge_of(server)
    assert 1.5 < upstream.client_gone_at - left < 10
    assert (charge.prompt, charge.completion, charge.is_estimated) == (7, 4, True)
    assert Completion.objects.get().answers.get().finish_reason == "stop"
    assert charge.end == "completed"


def test_leaving_before_the_last_word_closes_at_once(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), HANG))
    left = leave_at(server, alice, question(), "letters.")
    charge = charge_of(server)
    assert upstream.client_gone_at - left < AT_ONCE
    assert (charge.prompt, charge.completion, charge.end) == (7, 4, "cancelled")


def test_a_cancel_never_waits_for_the_count(server: Server, alice: Person, upstream: FakeUpstream) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), frame(end()), HANG))
    left = leave_at(server, alice, question(), "letters.")
    with server.client(alice) as client:
        completion = Completion.objects.get()
        assert client.post(f"/v1/chat/completions/{completion.public_id}/cancel").status_code == 200
    charge = charge_of(server)
    assert upstream.client_gone_at - left < AT_ONCE
    assert (charge.prompt, charge.completion, charge.end) == (7, 4, "cancelled")


@pytest.mark.parametrize("streams", [True, False])
def test_leaving_before_the_first_word_costs_the_prompt_that_the_upstream_got(
    server: Server, alice: Person, upstream: FakeUpstream, streams: bool
) -> None:
    upstream.will(raw(HANG))
    leave_unanswered(server, alice, question(stream=streams), upstream.hanging.is_set)
    charge = charge_of(server)
    assert (charge.prompt, charge.completion, charge.is_estimated) == (7, 0, True)
    assert (charge.end, charge.cost) == ("cancelled", 7 * PROMPT)


def test_leaving_costs_each_prompt_that_the_upstream_got(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    """It gives one answer at a time, so it was asked three times."""
    upstream.will(raw(HANG))
    leave_unanswered(server, alice, question(n=3), lambda: len(upstream.requests) == 3)
    charge = charge_of(server)
    assert (charge.requests, charge.prompt, charge.cost) == (3, 21, 21 * PROMPT)


def test_pictures_that_the_upstream_got_are_paid_too(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    add_price(MODEL, {0: rates_of({"prompt": 1, "completion": 10, "images": "0.001"})})
    upstream.will(raw(HANG))
    body = user_request(text("hi"), picture(encode_picture(photo())), model=MODEL)
    with server.client(alice) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, PATHS["openai"], json=body)
        wait_until(lambda: bool(upstream.requests))
        client.post(f"/v1/chat/completions/{Completion.objects.get().public_id}/cancel")
        asked.result()
    charge = charge_of(server)
    assert (charge.images, charge.end) == (1, "cancelled")
    assert charge.cost == charge.prompt * PROMPT + 1_000_000


def test_an_upstream_that_refused_costs_nothing_while_it_is_asked_again(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    """It had the request whole, said 503, and we wait to try again when the client leaves."""
    spec = server.service.registry.find(MODEL)
    assert spec is not None
    upstream.will(status(503, retry_after="4"))
    patient = msgspec.structs.replace(spec, retries=3)
    engine = OpenAICompatibleEngine.from_spec(patient)
    with server.with_model(patient, engine):
        leave_unanswered(server, alice, question(), lambda: upstream.completed == 1)
    server.run(engine.close())
    charge = charge_of(server)
    assert (charge.end, charge.cost) == ("cancelled", 0)


@pytest.mark.parametrize("code", [400, 401, 429, 500])
def test_an_error_before_the_first_word_stays_free(
    server: Server, alice: Person, upstream: FakeUpstream, code: int
) -> None:
    upstream.will(status(code))
    assert post(server, alice, question()).status_code >= 400
    assert (charge_of(server).end, charge_of(server).cost) == ("failed", 0)


def test_our_own_stop_before_the_first_word_stays_free(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(HANG))
    with (
        server.client(alice) as client,
        client.stream("POST", PATHS["native"], json=question()),
    ):
        pass
    wait_until(lambda: bool(upstream.requests))
    pump = server.only_pump()
    server.loop.call_soon_threadsafe(pump.cancel, "interrupted")
    assert (charge_of(server).end, charge_of(server).cost) == ("interrupted", 0)


def test_our_own_stop_after_the_first_word_costs_what_was_made(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    upstream.will(raw(frame(say("Sixteen letters.")), HANG))
    leave_at(server, alice, question(on_disconnect="continue"), "letters.")
    server.loop.call_soon_threadsafe(server.only_pump().cancel, "interrupted")
    charge = charge_of(server)
    assert (charge.prompt, charge.completion, charge.end) == (7, 4, "interrupted")


# --- prices that depend on more than tokens -------------------------------------------------------


def test_each_of_several_prompts_has_the_tier_of_its_own_length(
    server: Server, alice: Person, upstream: FakeUpstream
) -> None:
    add_price(MODEL, {0: rates_of({"prompt": 1, "completion": 10}), 25: rates_of({"prompt": 100})})
    upstream.will(whole(ANSWER, usage=USAGE))
    assert post(server, alice, question(n=3)).status_code == 200
    charge = charge_of(server)
    assert (charge.requests, charge.prompt, charge.completion) == (3, 30, 15)
    assert charge.cost == 30 * PROMPT + 15 * COMPLETION


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"web_search_options": {"search_context_size": "high"}}, "web_search_options"),
    ],
)
@pytest.mark.parametrize("dialect", PATHS)
def test_what_has_no_price_is_refused_where_a_price_is_asked(
    server: Server, alice: Person, upstream: FakeUpstream, dialect: str, more: dict[str, Any], param: str
) -> None:
    refused = post(server, alice, question(**more), dialect)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert "no price" in refused.json()["error"]["message"]
    assert not upstream.requests
    assert not Completion.objects.exists()


@pytest.mark.parametrize("tier", ["auto", "default"])
def test_the_standard_tier_may_be_named(
    server: Server, alice: Person, upstream: FakeUpstream, tier: str
) -> None:
    assert post(server, alice, question(service_tier=tier)).status_code == 200
    assert upstream.body["service_tier"] == tier


def test_a_free_model_passes_every_tier_on(server: Server, alice: Person) -> None:
    with upstream_model(server, "gratis") as upstream:
        asked = chat_body("Hi", service_tier="priority", web_search_options={})
        with server.client(alice) as client:
            assert client.post(PATHS["openai"], json={**asked, "model": "gratis"}).status_code == 200
    assert upstream.body["service_tier"] == "priority"
