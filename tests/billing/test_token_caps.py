"""Stories of end-user tokens with a spending limit: nothing that their calls hold and cost goes beyond it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import openai
import pytest
from django.db import transaction

from accounts.models import EndUserToken
from billing import ledger
from billing.exceptions import Unaffordable
from billing.holds import ChargeRequest, ChargeSettlement, Hold, HoldBatch
from billing.models import Budget, Charge, Spend, Wallet
from billing.prices import add_price
from billing.selectors import spent_of_tokens
from billing.tariffs import Bound, rates_of
from billing.units import Units
from conversations.models import Completion, Conversation
from core.ids import new_id
from media.models import Rendition
from tests.support import concurrent_spenders
from tests.support.billed_months import key_of
from tests.support.charges import hold, settle
from tests.support.concurrent_spenders import ask_at_once
from tests.support.leaving import read_until
from tests.support.media_requests import (
    post_ok,
    sound,
    text,
    upload_file,
    user_request,
    wait_for_renditions,
)
from tests.support.people import Person, person, token_for
from tests.support.priced_usage import (
    BOUND,
    COMPLETION,
    PROMPT,
    add_credit,
    assert_ledger_adds_up,
    discrepancies,
)
from tests.support.run_command import running
from tests.support.running_server import PATHS, Server, chat_body, database_url, wait_until
from tests.support.sounds import wav

USD = 10**9
QUESTION = "What is the weather like?"
ECHO_COST = 5 * PROMPT + 7 * COMPLETION
LONG = " ".join(["word"] * 300)
"""A prompt with more bytes than fit into the context, so that a call holds BOUND."""
SECOND = 100_000


@pytest.fixture(autouse=True)
def accounts_add_up(server: Server, alice: Person) -> Iterator[None]:
    add_credit(alice, USD)
    yield
    server.until_idle()
    assert_ledger_adds_up()


def end_user(who: Person, limit: int | None, name: str = "eve") -> Person:
    """Return an end user of this person's key, who has a token that may spend so much."""
    return replace(who, key=token_for(who, name, spending_limit=limit))


def token_of(name: str = "eve") -> EndUserToken:
    return EndUserToken.objects.get(end_user=name)


def spent(name: str = "eve") -> int:
    return spent_of_tokens([token_of(name).id])[token_of(name).id]


def ask(server: Server, who: Person, words: str = QUESTION, **more: Any) -> httpx2.Response:
    with server.client(who) as client:
        return client.post(PATHS["openai"], json=chat_body(words, **{"model": "priced", **more}))


def assert_refused(answer: httpx2.Response, words: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (429, "insufficient_quota"), answer.text
    assert words in error["message"]
    assert answer.headers["x-should-retry"] == "false"


# --- answers ----------------------------------------------------------------------------------------


def test_a_token_at_its_limit_buys_nothing_more_and_nothing_is_stored(server: Server, alice: Person) -> None:
    eve, mallory = end_user(alice, ECHO_COST), end_user(alice, 2 * BOUND, "mallory")
    with server.sdk(eve, max_retries=2) as client, pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="priced", messages=[{"role": "user", "content": LONG}])
    assert refused.value.code == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "of this end-user token's limit of 0.000075 USD 0.000075 USD are left" in str(refused.value)
    assert not Completion.objects.exists()
    assert not Conversation.objects.exists()
    assert not Charge.objects.exists()
    assert not Spend.objects.exists()

    assert ask(server, mallory).status_code == 200
    assert ask(server, alice).status_code == 200
    assert (spent(), spent("mallory")) == (0, ECHO_COST)
    assert {charge.token_id for charge in Charge.objects.all()} == {None, token_of("mallory").id}


def test_a_cheaper_answer_gives_back_what_was_held_for_it(server: Server, alice: Person) -> None:
    eve = end_user(alice, BOUND + ECHO_COST)
    assert ask(server, eve).status_code == 200
    assert ask(server, eve, LONG).status_code == 200
    server.until_idle()
    assert ECHO_COST < spent() < BOUND
    left = BOUND + ECHO_COST - spent()
    assert_refused(ask(server, eve, LONG), f"0.00{left:07}".rstrip("0"))
    assert ask(server, eve, max_tokens=5).status_code == 200


def test_what_is_cut_off_is_given_back_too(server: Server, alice: Person) -> None:
    eve = end_user(alice, BOUND)
    body = chat_body("[[slow: 0.02]] [[chunks: 60]]", model="priced", stream=True)
    with server.client(eve) as client, client.stream("POST", PATHS["openai"], json=body) as response:
        read_until(response.iter_text(), "w3")
    server.until_idle()
    charge = Charge.objects.get()
    assert (charge.end, charge.cost) == ("cancelled", spent())
    assert 0 < spent() < BOUND


def test_an_answer_that_is_free_needs_no_limit(server: Server, alice: Person) -> None:
    eve = end_user(alice, 0)
    assert ask(server, eve, model="scripted").status_code == 200
    assert_refused(ask(server, eve, max_tokens=1), "limit of 0.00 USD 0.00 USD")
    assert not Spend.objects.exists()


def test_a_token_without_a_limit_tells_what_it_spent(server: Server, alice: Person) -> None:
    eve, mallory = end_user(alice, None), end_user(alice, None, "mallory")
    for _ in range(2):
        assert ask(server, eve).status_code == 200
    server.until_idle()
    ids = [token_of().id, token_of("mallory").id]
    assert spent_of_tokens(ids) == dict(zip(ids, (2 * ECHO_COST, 0), strict=True))
    assert mallory.key != eve.key


def test_who_may_not_see_the_wallet_does_not_learn_what_is_in_it(server: Server, alice: Person) -> None:
    eve = end_user(alice, None)
    Budget.objects.create(workspace_id=alice.workspace.id, period="day", limit=BOUND - 123)
    assert_refused(ask(server, eve, LONG), "and less is left of the workspace's budget for this day.")
    Budget.objects.all().delete()
    Wallet.objects.update(credit_limit=0)
    ledger.adjust(alice.workspace.id, BOUND - USD - 123, reason="a fee", by="treasurer@example.com")
    assert_refused(ask(server, eve, LONG), "and less is left to spend in this workspace.")
    assert_refused(ask(server, alice, LONG), "and 0.002999877 USD are left to spend in this workspace.")
    bob = person("bob@example.com", alice.workspace)
    assert_refused(ask(server, bob, LONG), "and less is left to spend in this workspace.")


# --- many at once -----------------------------------------------------------------------------------


def test_twenty_calls_at_once_share_a_limit_exactly(server: Server, alice: Person) -> None:
    eve = end_user(alice, 7 * concurrent_spenders.COST + 1)
    outcomes = ask_at_once(20, [server.url], eve.key)
    assert outcomes == {(200, None): 7, (429, "insufficient_quota"): 13}
    assert spent() == 7 * concurrent_spenders.COST


def test_two_calls_in_one_transaction_are_both_counted(server: Server, alice: Person) -> None:
    end_user(alice, 3 * COMPLETION)
    end_user(alice, 1 * COMPLETION, "mallory")
    add_price("m", {0: {"prompt": 0, "completion": COMPLETION * 1000}})
    requests = [request(alice, token_of(name).id) for name in ("eve", "mallory", "eve", "mallory", "eve")]
    held: list[Hold | None] = []
    with transaction.atomic(), HoldBatch(requests, []) as batch:
        for one in requests:
            try:
                held.append(batch.hold(one, lambda: Bound(output=1)))
            except Unaffordable:
                held.append(None)
    assert [one is not None for one in held] == [True, True, True, False, True]

    # what ends in the same transaction makes room
    again, ends = request(alice, token_of().id), [ending(one, Units()) for one in held if one]
    with transaction.atomic(), HoldBatch([again], ends) as batch:
        last = batch.hold(again, lambda: Bound(output=3))
    assert spent() == last.amount == 3 * COMPLETION
    settle(ending(last, Units()))


@pytest.mark.long
def test_two_processes_share_a_limit_and_what_a_killed_one_held_is_given_back(
    server: Server, alice: Person, tmp_path: Path
) -> None:
    eve = end_user(alice, BOUND + 10 * concurrent_spenders.COST)
    environment = {"DATABASE_URL": database_url()}
    with running(tmp_path, **environment) as one:
        body = chat_body("[[slow: 0.02]] [[chunks: 2000]]", model="priced", stream=True)
        with one.client(eve.key) as client, client.stream("POST", PATHS["openai"], json=body) as response:
            read_until(response.iter_text(), "w3")
            [running_charge] = Charge.objects.all()
            one.process.kill()
            one.wait()
        assert (spent(), running_charge.state) == (running_charge.held, "held")
    with running(tmp_path, **environment) as one, running(tmp_path, **environment) as other:
        wait_until(lambda: not Charge.objects.filter(state="held").exists())
        charge = Charge.objects.get()
        assert (charge.state, charge.end) == ("settled", "interrupted")
        assert charge.cost is not None
        assert charge.cost >= 3 * COMPLETION
        assert spent() == charge.cost
        paid = (BOUND + 10 * concurrent_spenders.COST - charge.cost) // concurrent_spenders.COST
        outcomes = ask_at_once(paid + 20, [one.url, other.url], eve.key)
    assert outcomes == {(200, None): paid, (429, "insufficient_quota"): 20}


# --- days, and tokens that are gone -----------------------------------------------------------------


MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def request(who: Person, token_id: UUID, at: datetime = MIDNIGHT) -> ChargeRequest:
    return ChargeRequest(
        new_id(), "completion", who.workspace.id, who.user.pk, key_of(who), ("m",), at, token_id=token_id
    )


def ending(held: Hold, units: Units) -> ChargeSettlement:
    return ChargeSettlement(held, "m", units, "completed", held.request.at)


def test_a_limit_is_one_on_both_sides_of_midnight(server: Server, alice: Person) -> None:
    end_user(alice, 1000)
    add_price("m", {0: {"prompt": 0, "completion": 1000}})
    token = token_of().id
    before, after = MIDNIGHT - timedelta(seconds=1), MIDNIGHT + timedelta(seconds=1)
    first = hold(request(alice, token, before), Bound(output=600))
    with pytest.raises(Unaffordable, match=r"limit of 0\.000001 USD 0\.0000004 USD are left"):
        hold(request(alice, token, after), Bound(output=500))
    settle(ending(first, Units(completion=500)))  # after midnight, given back to the day on which it began
    second = hold(request(alice, token, after), Bound(output=500))
    settle(ending(second, Units(completion=499)))
    assert spent_of_tokens([token])[token] == 999
    amounts = Spend.objects.filter(scope_id=token).order_by("day").values_list("day", "amount")
    assert list(amounts) == [(before.date(), 500), (after.date(), 499)]


def test_the_books_stay_whole_when_a_token_is_deleted(server: Server, alice: Person) -> None:
    end_user(alice, 1000)
    add_price("m", {0: {"prompt": 0, "completion": 1000}})
    token = token_of().id
    held = hold(request(alice, token), Bound(output=600))
    EndUserToken.objects.all().delete()
    settle(ending(held, Units(completion=100)))
    assert spent_of_tokens([token])[token] == 100
    assert_ledger_adds_up()
    with transaction.atomic():
        Spend.objects.filter(scope_id=token).delete()
        assert any(f"spend of {token}" in problem for problem in discrepancies())
        transaction.set_rollback(True)
    with pytest.raises(Unaffordable, match="the end-user token that it came with is deleted"):
        hold(request(alice, token), Bound(output=1))


# --- sounds -----------------------------------------------------------------------------------------


@pytest.fixture
def priced_sounds(server: Server) -> Iterator[None]:
    add_price("transcription", {0: rates_of({"seconds": "0.0001"})})
    add_price("speech", {0: rates_of({"characters": 15})})
    yield
    wait_for_renditions()


def recording(seconds: int, name: int = 0) -> bytes:
    return wav(bytes(seconds * 32_000 - 1) + bytes([name]))


@pytest.mark.usefixtures("priced_sounds")
def test_transcripts_of_uploads_are_bounded(server: Server, alice: Person) -> None:
    """Each is recognized to last a second, and is said to last two."""
    eve = end_user(alice, 3 * SECOND)
    for name in range(4):
        upload_file(server, eve, recording(2, name))
        wait_for_renditions()
    states = Rendition.objects.filter(kind="transcript").order_by("id").values_list("state", "token_id")
    assert sorted(states) == [("failed", token_of().id)] * 2 + [("ready", token_of().id)] * 2
    charges = Charge.objects.filter(kind="transcription")
    assert {(charge.token_id, charge.cost) for charge in charges} == {(token_of().id, SECOND)}
    assert spent() == 2 * SECOND
    failed = Rendition.objects.filter(state="failed").first()
    assert failed
    assert "of this end-user token's limit of 0.0003 USD 0.0001 USD are left" in failed.error


@pytest.mark.usefixtures("priced_sounds")
def test_a_call_whose_sounds_are_beyond_the_limit_is_refused(server: Server, alice: Person) -> None:
    eve = end_user(alice, 2 * SECOND - 1)
    body = user_request(text("What is this?"), sound(recording(2), "wav"), model="text-only")
    with server.client(eve) as client:
        assert_refused(client.post(PATHS["openai"], json=body), "The transcripts of this call's sounds")
    assert not Completion.objects.exists()
    EndUserToken.objects.update(spending_limit=2 * SECOND)
    post_ok(server, eve, body)
    assert spent() == SECOND


@pytest.mark.usefixtures("priced_sounds")
def test_speech_and_transcriptions_are_bounded(server: Server, alice: Person) -> None:
    words = "Hello there."
    eve = end_user(alice, len(words) * 15_000 + SECOND)
    speech = {"model": "tts-1", "voice": "espeak-en-us", "input": words, "response_format": "wav"}
    form: dict[str, Any] = {
        "files": {"file": ("a.wav", recording(1))},
        "data": {"model": "whisper-1"},
    }
    with server.client(eve) as client:
        assert client.post("/v1/audio/speech", json=speech).status_code == 200
        assert client.post("/v1/audio/transcriptions", **form).status_code == 200
        assert_refused(client.post("/v1/audio/speech", json=speech), "of this end-user token's limit")
        assert_refused(client.post("/v1/audio/transcriptions", **form), "of this end-user token's limit")
    assert spent() == token_of().spending_limit
