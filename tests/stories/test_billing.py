"""Stories of what an answer costs, however it ends: nothing is billed twice, nothing is forgotten."""

import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx2
import openai
import pytest
from msgspec.structs import replace
from pytest_django import Settings

from billing import ledger
from billing.charge_posting import post_settled
from billing.exceptions import InvalidBillingAction
from billing.models import Budget, Charge, Entry, Price, Spend, Transaction, Wallet
from billing.prices import add_price
from billing.tariffs import rates_of
from chatapi.completions.prompt_size import prompt_size
from conversations.deletion import delete_conversations
from conversations.models import Completion, Conversation
from engines.events import Event
from engines.messages import Message, TextPart
from engines.model_spec import ModelSpec
from engines.requests import EngineRequest
from engines.scripted.engine import ScriptedEngine
from tests.support.leaving import read_until
from tests.support.people import Person
from tests.support.priced_usage import (
    BOUND,
    COMPLETION,
    PROMPT,
    REASONING,
    add_credit,
    assert_ledger_adds_up,
    wallet_of,
)
from tests.support.running_server import PATHS, Server, chat_body, events, wait_until

USD = 10**9
SLOW = "[[slow: 0.02]] [[chunks: 60]]"
ECHO_COST = 5 * PROMPT + 7 * COMPLETION
"""The cost of five words and their echo after "You said:"."""


@pytest.fixture(autouse=True)
def accounts_add_up(server: Server) -> Iterator[None]:
    yield
    server.until_idle()
    assert_ledger_adds_up()


def post(client: httpx2.Client, text: str, *, dialect: str = "openai", **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return client.post(PATHS[dialect], json=chat_body(text, **{"model": "priced", **more}), headers=headers)


def answered(server: Server, who: Person, text: str, **more: Any) -> dict[str, Any]:
    with server.client(who) as client:
        answer = post(client, text, **more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ended(server: Server) -> tuple[Completion, Charge]:
    """Wait for the only completion to end; return it and its charge."""
    server.until_idle()
    completion = Completion.objects.get()
    return completion, Charge.objects.get(pk=completion.pk)


def leave_after(client: httpx2.Client, word: str, text: str, *, dialect: str = "openai") -> None:
    with client.stream("POST", PATHS[dialect], json=chat_body(text, model="priced", stream=True)) as response:
        read_until(response.iter_text(), word)


# --- whole answers --------------------------------------------------------------------------------


def test_a_prepaid_month(server: Server, alice: Person) -> None:
    add_credit(alice, 5 * USD)
    usage = answered(server, alice, "What is the weather like?")["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 7)
    completion, charge = ended(server)
    assert (charge.state, charge.cost, charge.end) == ("settled", ECHO_COST, "completed")
    assert completion.cost == ECHO_COST

    wallet = wallet_of(alice)
    assert (wallet.balance, wallet.held, wallet.available) == (5 * USD, ECHO_COST, 5 * USD - ECHO_COST)
    assert post_settled() == 1
    wallet = wallet_of(alice)
    assert (wallet.balance, wallet.held, wallet.available) == (5 * USD - ECHO_COST, 0, 5 * USD - ECHO_COST)
    assert post_settled() == 0
    entries = Entry.objects.filter(transaction__kind="charge")
    assert sorted(entries.values_list("amount", flat=True)) == [-ECHO_COST, ECHO_COST]


def test_a_call_that_cannot_be_paid_is_refused_before_anything_is_stored(
    server: Server, alice: Person
) -> None:
    add_credit(alice, BOUND - 1)
    client = server.sdk(alice, max_retries=2)
    with client, pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(
            model="priced", messages=[{"role": "user", "content": " ".join(["word"] * 1000)}]
        )
    assert refused.value.code == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "0.002999" in str(refused.value)
    assert not Completion.objects.exists()
    assert not Conversation.objects.exists()
    assert not Charge.objects.exists()
    assert wallet_of(alice).held == 0


def test_a_shorter_answer_can_be_paid_where_a_longer_cannot(server: Server, alice: Person) -> None:
    add_credit(alice, 500_000)
    with server.client(alice) as client:
        assert post(client, "Hello").status_code == 429
        assert post(client, "Hello", max_tokens=5).status_code == 200


@pytest.mark.parametrize("dialect", PATHS)
def test_an_upstream_that_knows_one_of_two_limits_generates_no_more_than_is_held(
    server: Server, alice: Person, dialect: str
) -> None:
    """Many servers read only `max_tokens`; they generated ninety tokens where the hold was for one."""
    add_credit(alice, USD)
    sent: list[dict[str, Any]] = []

    class OldServer(ScriptedEngine):
        async def stream(self, request: EngineRequest) -> AsyncGenerator[Event, None]:
            sent.append(request.params)
            params = {"max_tokens": request.params["max_tokens"]}
            async for event in super().stream(replace(request, params=params)):
                yield event

    priced = server.service.registry.find("priced")
    assert priced
    limits = {"max_completion_tokens": 1, "max_tokens": 90}
    with server.with_model(priced, OldServer()):
        answered(server, alice, "[[chunks: 90]]", dialect=dialect, stream=False, **limits)
    assert sent == [{"max_completion_tokens": 1, "max_tokens": 1}]
    assert ended(server)[1].completion == 1


def test_a_workspace_with_credit_pays_later(server: Server, alice: Person) -> None:
    Wallet.objects.create(workspace_id=alice.workspace.id, credit_limit=BOUND)
    answered(server, alice, "What is the weather like?")
    post_settled()
    assert wallet_of(alice).balance == -ECHO_COST


def test_a_free_model_needs_no_wallet(server: Server, alice: Person) -> None:
    answered(server, alice, "Hello", model="scripted")
    completion, charge = ended(server)
    assert (charge.cost, completion.cost) == (0, 0)
    assert Price.objects.get(model="scripted").is_free
    assert not Wallet.objects.exists()
    assert post_settled() == 1
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_costs_what_was_generated(server: Server, alice: Person, reason: str) -> None:
    add_credit(alice, USD)
    answered(server, alice, f"[[chunks: 4]] [[finish: {reason}]]")
    assert ended(server)[1].cost == 4 * PROMPT + 4 * COMPLETION


def test_reasoning_has_a_rate_of_its_own(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    usage = answered(server, alice, "[[reason: Let me think]] [[text: Yes]]")["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 3
    charge = ended(server)[1]
    assert charge.cost == usage["prompt_tokens"] * PROMPT + 3 * REASONING + 1 * COMPLETION


def test_a_teammate_spends_the_same_money_and_a_stranger_does_not(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    add_credit(alice, USD)
    answered(server, alice, "Hello")
    answered(server, bob, "Hello")
    with server.client(charlie) as client:
        assert post(client, "Hello").status_code == 429
    assert Charge.objects.filter(workspace_id=alice.workspace.id).count() == 2
    assert Charge.objects.values("user_id").distinct().count() == 2


# --- answers that end early -----------------------------------------------------------------------


def test_a_cancelled_answer_costs_what_was_generated(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        body = chat_body(SLOW, model="priced", stream=True)
        with client.stream("POST", PATHS["openai"], json=body) as response:
            pieces = response.iter_text()
            read_until(pieces, "w3")
            id = Completion.objects.get().public_id
            cancelled = client.post(f"/v1/chat/completions/{id}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    completion, charge = ended(server)
    assert (charge.end, charge.is_estimated) == ("cancelled", True)
    assert 0 < charge.completion < 60
    assert charge.cost == charge.prompt * PROMPT + charge.completion * COMPLETION == completion.cost


def test_a_cancel_costs_the_prompts_of_the_choices_that_had_started(server: Server, alice: Person) -> None:
    """Eight were requested, and four run at once."""
    add_credit(alice, USD)
    with server.client(alice) as client:
        body = chat_body(SLOW, model="priced", stream=True, n=8)
        with client.stream("POST", PATHS["openai"], json=body) as response:
            pieces = response.iter_text()
            read_until(pieces, "w3")
            client.post(f"/v1/chat/completions/{Completion.objects.get().public_id}/cancel")
    charge = ended(server)[1]
    assert charge.end == "cancelled"
    asked = EngineRequest((Message("user", (TextPart(SLOW),)),))
    assert charge.prompt == 4 * prompt_size(asked, ModelSpec(id="priced", engine="scripted")).expected


def test_a_client_that_leaves_pays_for_what_was_generated(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        leave_after(client, "w3", SLOW)
    charge = ended(server)[1]
    assert (charge.end, charge.is_estimated) == ("cancelled", True)
    assert 0 < charge.completion < 60


def test_an_answer_that_continues_without_its_reader_is_paid_in_full(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        leave_after(client, "w3", "[[slow: 0.02]] [[chunks: 20]]", dialect="native")
    charge = ended(server)[1]
    assert (charge.end, charge.is_estimated, charge.completion) == ("completed", False, 20)


def test_a_failure_before_the_first_word_costs_nothing(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        assert post(client, "[[error: 503 Broken]]").status_code == 503
    completion, charge = ended(server)
    assert (charge.end, charge.cost, completion.cost) == ("failed", 0, 0)
    assert wallet_of(alice).held == 0
    assert post_settled() == 1
    assert not Transaction.objects.filter(kind="charge").exists()


def test_a_failure_after_the_first_word_costs_what_was_generated(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        answer = post(client, "[[chunks: 10]] [[error-after: 3 500 Broken]]", stream=True)
    assert "error" in events(answer)[-1]
    charge = ended(server)[1]
    assert (charge.end, charge.is_estimated) == ("failed", True)
    assert charge.cost == charge.prompt * PROMPT + charge.completion * COMPLETION > 0


def test_an_answer_whose_conversation_is_deleted_meanwhile_is_paid(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        body = chat_body(SLOW, model="priced", stream=True)
        with client.stream("POST", PATHS["openai"], json=body) as response:
            pieces = response.iter_text()
            read_until(pieces, "w3")
            delete_conversations(Conversation.objects.all())
            read_until(pieces, "[DONE]")
    server.until_idle()
    charge = Charge.objects.get()
    assert (charge.end, charge.completion) == ("completed", 60)
    assert not Completion.objects.exists()


@pytest.fixture
def unpriced(server: Server) -> Iterator[str]:
    """A model on another server that has no price."""
    spec = ModelSpec(id="unpriced", engine="openai_compatible", base_url="http://127.0.0.1:9/v1", retries=0)
    with server.with_model(spec):
        yield spec.id


# --- prices ---------------------------------------------------------------------------------------


def test_an_answer_keeps_the_price_it_was_admitted_under(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        body = chat_body("[[slow: 0.02]] [[chunks: 20]]", model="priced", stream=True)
        with client.stream("POST", PATHS["openai"], json=body) as response:
            pieces = response.iter_text()
            read_until(pieces, "w3")
            dearer = add_price("priced", {0: rates_of({"prompt": 100, "completion": 1000})})
            read_until(pieces, "[DONE]")
    _, charge = ended(server)
    assert charge.price_id != dearer.id
    assert charge.cost == 4 * PROMPT + 20 * COMPLETION

    answered(server, alice, "What is the weather like?")
    new = Charge.objects.order_by("-id").first()
    assert new is not None
    assert (new.price_id, new.cost) == (dearer.id, 100 * ECHO_COST)


def test_the_model_that_answered_is_billed_at_its_own_price(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    answered(server, alice, "What is the weather like?", model="priced-with-fallback")
    completion, charge = ended(server)
    assert (completion.served_by, charge.model, charge.cost) == ("priced", "priced", ECHO_COST)
    assert charge.held > wallet_of(alice).held  # what the more expensive of the two might have cost


def test_a_call_to_a_model_without_a_price_is_refused(server: Server, alice: Person, unpriced: str) -> None:
    add_credit(alice, USD)
    with server.client(alice) as client:
        refused = post(client, "Hello", model=unpriced)
    assert refused.status_code == 503
    assert refused.headers["x-should-retry"] == "false"
    assert refused.json()["error"]["code"] == "model_unpriced"
    assert "import_prices" in refused.json()["error"]["message"]
    assert not Completion.objects.exists()


def test_a_call_to_a_model_without_a_price_is_recorded_where_the_setting_says_so(
    server: Server, alice: Person, settings: Settings, unpriced: str
) -> None:
    settings.CHATAPI_UNPRICED = "record"
    with server.client(alice) as client:
        assert post(client, "Hello", model=unpriced).status_code == 503  # its upstream is unreachable
    completion, charge = ended(server)
    assert (charge.price_id, charge.cost, completion.cost) == (None, None, None)


# --- repeats and refunds --------------------------------------------------------------------------


def test_a_retry_after_a_network_error_is_paid_once(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    again = {"Idempotency-Key": "order-22"}
    body = chat_body("[[slow: 0.02]] [[chunks: 20]]", model="priced", stream=True)
    with server.client(alice) as client:
        with client.stream("POST", PATHS["openai"], json=body, headers=again) as response:
            read_until(response.iter_text(), "w3")  # then the network fails
        whole = client.post(PATHS["openai"], json=body, headers=again)
    assert events(whole)[-1] == "[DONE]"
    charge = ended(server)[1]
    assert (charge.end, charge.completion) == ("completed", 20)
    post_settled()
    assert Transaction.objects.filter(kind="charge").count() == 1


def test_a_refund(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    answered(server, alice, "What is the weather like?")
    post_settled()
    charged = Transaction.objects.get(kind="charge")
    ledger.reverse(charged.id, reason="the answer was nonsense", by="support@example.com")
    wallet = wallet_of(alice)
    assert (wallet.balance, wallet.held) == (USD, 0)
    with pytest.raises(InvalidBillingAction, match="already"):
        ledger.reverse(charged.id, reason="twice", by="support@example.com")
    assert wallet_of(alice).balance == USD


# --- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", ["day", "month"])
@pytest.mark.parametrize("of_key", [True, False], ids=["key", "workspace"])
def test_a_budget_is_not_overspent(
    server: Server, alice: Person, bob: Person, period: str, of_key: bool
) -> None:
    add_credit(alice, USD)
    key = alice.user.api_keys.get()
    Budget.objects.create(
        workspace_id=alice.workspace.id,
        key_id=key.id if of_key else None,
        period=period,
        limit=BOUND + ECHO_COST,
    )
    long = " ".join(["word"] * 300)  # more bytes than fit into the context
    with server.client(alice) as client:
        assert post(client, "What is the weather like?").status_code == 200
        assert post(client, long).status_code == 200
        refused = post(client, long)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert f"a {period}" in refused.json()["error"]["message"]
    with server.client(bob) as client:
        assert post(client, long).status_code == (200 if of_key else 429)


def test_earlier_spending_counts_for_later_budgets(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    answered(server, alice, "What is the weather like?")
    assert {spend.amount for spend in Spend.objects.all()} == {ECHO_COST}
    Budget.objects.create(workspace_id=alice.workspace.id, period="day", limit=ECHO_COST)
    with server.client(alice) as client:
        assert post(client, "Hello", max_tokens=1).status_code == 429


# --- many at once ---------------------------------------------------------------------------------


def test_a_spoken_answer(server: Server, alice: Person) -> None:
    add_credit(alice, USD)
    usage = answered(
        server,
        alice,
        "[[text: Good morning]]",
        model="priced-voice",
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"},
    )["usage"]
    sound = usage["completion_tokens_details"]["audio_tokens"]
    assert sound > 0
    words = usage["completion_tokens"] - sound
    charge = ended(server)[1]
    assert (charge.audio_out, charge.completion) == (sound, words)
    assert charge.cost == usage["prompt_tokens"] * PROMPT + words * COMPLETION + sound * 40_000


def test_concurrent_calls_share_a_wallet_exactly(server: Server, alice: Person) -> None:
    """The wallet covers three of ten calls, each at its upper bound."""
    add_credit(alice, 3 * BOUND)
    codes: list[int] = []

    def call() -> None:
        with server.client(alice) as client:
            long = "[[wait: 1.5]] " + " ".join(["word"] * 300)
            codes.append(post(client, long).status_code)

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 3 + [429] * 7
    wait_until(lambda: wallet_of(alice).held < 3 * BOUND)
