"""Billing in any order of events: no drift, no negative hold, nothing billed twice, nothing overspent."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import ApiKey, EndUserToken
from billing import ledger
from billing.charge_posting import post_settled
from billing.exceptions import InvalidBillingAction, Unaffordable
from billing.holds import ChargeRequest, ChargeSettlement, Hold, HoldBatch, charge_request_of
from billing.models import Charge, Transaction, Wallet
from billing.money import pico_to_nano_rounded_up
from billing.prices import add_price
from billing.selectors import spent_of_tokens
from billing.tariffs import Bound
from billing.units import Units
from core.ids import new_id
from tests.support.charges import settle
from tests.support.examples import examples
from tests.support.people import Person
from tests.support.priced_usage import discrepancies

counts = st.integers(0, 50)
rates = st.fixed_dictionaries(
    {"prompt": st.integers(0, 5_000_000), "completion": st.integers(0, 5_000_000)},
    optional={"cached": st.integers(0, 5_000_000), "reasoning": st.integers(0, 9_000_000)},
)


@dataclass(frozen=True)
class Running:
    """A call as its own process knows it; `rates` are those it was admitted under."""

    hold: Hold
    rates: dict[str, int]


def cost_of(units: Units, rates: dict[str, int]) -> int:
    """Compute the cost independently of the product's code."""
    pico = units.prompt * rates["prompt"] + units.completion * rates["completion"]
    pico += units.cached * rates.get("cached", rates["prompt"])
    pico += units.reasoning * rates.get("reasoning", rates["completion"])
    return pico_to_nano_rounded_up(pico)


class Money(RuleBasedStateMachine):
    """One workspace with two keys and a capped end-user token, and one model whose price changes."""

    key: ApiKey
    """The token's."""

    running = Bundle("running")
    ended = Bundle("ended")

    @initialize(given=st.integers(0, 3_000_000_000), first=rates, limit=st.integers(0, 1_000))
    def begin(self, given: int, first: dict[str, int], limit: int) -> None:
        self.workspace, self.keys = new_id(), (new_id(), new_id())
        self.model = f"model-{self.workspace.hex}"
        self.balance = 0  # what was paid in or refunded
        self.open: dict[UUID, int] = {}
        self.costs: dict[UUID, int] = {}
        self.beyond_holds = 0
        self.refunded: set[UUID] = set()
        self.token, self.limit = self._create_token(limit), limit
        self.of_token: set[UUID] = set()
        self.beyond_token_holds = 0
        self.change_price(first)
        if given:
            self.top_up(given)

    # --- what people do ---------------------------------------------------------------------------

    @rule(amount=st.integers(1, 2_000_000_000))
    def top_up(self, amount: int) -> None:
        ledger.top_up(self.workspace, amount, reason="paid", by="treasurer")
        self.balance += amount

    @rule(amount=st.integers(1, 1_000_000), reference=st.sampled_from("ab"))
    def top_up_by_reference(self, amount: int, reference: str) -> None:
        """A payment service reports the same payment again and again."""
        name = f"{self.workspace.hex}-{reference}"
        known = Transaction.objects.filter(reference=name).exists()
        try:
            ledger.top_up(self.workspace, amount, reason="paid", by="bank", reference=name)
        except InvalidBillingAction:
            assert known
        else:
            self.balance += 0 if known else amount

    @rule(new=rates)
    def change_price(self, new: dict[str, int]) -> None:
        add_price(self.model, {0: new})
        self.rates = new

    # --- what calls do ----------------------------------------------------------------------------

    @rule(
        target=running,
        prompts=st.lists(st.tuples(counts, counts), min_size=1, max_size=4),
        key=st.integers(0, 1),
        with_token=st.booleans(),
    )
    def admit(self, prompts: list[tuple[int, int]], key: int, *, with_token: bool) -> Any:
        """Admit several calls in one transaction, as the writer does."""
        available = self.balance - sum(self.costs.values()) - sum(self.open.values())
        left = self.limit - self._spent_by_token()
        orders = [
            (self._order(key, with_token=with_token), Bound(prompt=prompt, output=output))
            for prompt, output in prompts
        ]
        admitted = []
        with transaction.atomic(), HoldBatch([order for order, _ in orders], []) as batch:
            for order, bound in orders:
                try:
                    hold = batch.hold(order, lambda bound=bound: bound)  # type: ignore[misc]
                except Unaffordable:
                    continue
                admitted.append(Running(hold, self.rates))
                self.open[order.charge_id] = hold.amount
                available -= hold.amount
                if with_token:
                    self.of_token.add(order.charge_id)
                    left -= hold.amount
        is_free = all(call.hold.amount == 0 for call in admitted)
        assert is_free or (available >= 0 and (left >= 0 or not with_token))
        return multiple(*admitted)

    @rule(
        target=ended,
        call=consumes(running),
        units=st.builds(Units, prompt=counts, completion=counts, cached=counts, reasoning=counts),
        end=st.sampled_from(["completed", "cancelled", "failed"]),
        is_estimated=st.booleans(),
        requests=st.integers(1, 3),
    )
    def settle(self, call: Running, units: Units, end: str, is_estimated: bool, requests: int) -> Any:
        """Settle whatever the upstream reports, even more than was held, or an estimate."""
        ending = ChargeSettlement(
            call.hold, self.model, units, end, timezone.now(), is_estimated=is_estimated, requests=requests
        )
        settle(ending)
        self._note_cost(call, units, is_estimated=is_estimated)
        return ending, call

    def _note_cost(self, call: Running, units: Units, *, is_estimated: bool) -> None:
        id, cost = call.hold.request.charge_id, cost_of(units, call.rates)
        held = self.open.pop(id)
        self.costs[id] = min(cost, held) if is_estimated else cost
        self.beyond_holds += max(0, self.costs[id] - held)
        if id in self.of_token:
            self.beyond_token_holds += max(0, self.costs[id] - held)

    @rule(again=ended)
    def settle_again(self, again: tuple[ChargeSettlement, Running]) -> None:
        """A writer that does not know whether its transaction was committed tries again."""
        settle(again[0])

    @rule(target=ended, call=consumes(running), units=st.builds(Units, prompt=counts, completion=counts))
    def crash(self, call: Running, units: Units) -> Any:
        """The call's process is gone; the sweep has only its row and what the journal says."""
        charge = Charge.objects.get(pk=call.hold.request.charge_id)
        assert charge.price_id is not None
        hold = Hold(charge_request_of(charge), {charge.model: charge.price_id}, charge.held)
        ending = ChargeSettlement(hold, charge.model, units, "interrupted", timezone.now(), is_estimated=True)
        settle(ending, ending)
        self._note_cost(call, units, is_estimated=True)
        return ending, call

    @rule(call=running)
    def die_while_settling(self, call: Running) -> None:
        """A transaction that is not committed leaves nothing behind."""
        ending = ChargeSettlement(call.hold, self.model, Units(prompt=7), "completed", timezone.now())
        with transaction.atomic():
            settle(ending)
            transaction.set_rollback(True)

    # --- what workers do --------------------------------------------------------------------------

    @rule(times=st.integers(1, 2))
    def post(self, times: int) -> None:
        for _ in range(times):
            post_settled()

    @rule(again=ended)
    def refund(self, again: tuple[ChargeSettlement, Running]) -> None:
        id = again[0].charge_id
        charged = Transaction.objects.filter(kind="charge", charge_id=id).first()
        if charged is None:
            return
        try:
            ledger.reverse(charged.id, reason="nonsense", by="support")
        except InvalidBillingAction:
            assert id in self.refunded
        else:
            assert id not in self.refunded
            self.refunded.add(id)
            self.balance += self.costs[id]

    @precondition(lambda self: self.costs)
    @rule()
    def forge(self) -> None:
        """The database itself refuses to bill twice."""
        charged = Transaction.objects.filter(kind="charge", workspace_id=self.workspace).first()
        if charged is not None and charged.charge_id:
            twice = ledger.Movement(Transaction.Kind.CHARGE, self.workspace, -1, charged.charge_id)
            with pytest.raises(IntegrityError), transaction.atomic():
                ledger.post_movements([twice])

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def the_wallet_is_right(self) -> None:
        wallet = Wallet.objects.filter(pk=self.workspace).first()
        if wallet is None:
            return
        assert wallet.held >= 0
        left = self.balance - sum(self.costs.values()) - sum(self.open.values())
        assert wallet.available == left

    @invariant()
    def a_wallet_is_overdrawn_only_by_what_upstreams_counted(self) -> None:
        wallet = Wallet.objects.filter(pk=self.workspace).first()
        if wallet is not None and wallet.available is not None:
            assert wallet.available >= -self.beyond_holds

    @invariant()
    def the_token_is_overspent_only_by_what_upstreams_counted(self) -> None:
        spent = spent_of_tokens([self.token])[self.token]
        assert spent == self._spent_by_token()
        assert spent <= self.limit + self.beyond_token_holds

    @invariant()
    def no_estimate_costs_more_than_was_held(self) -> None:
        charges = Charge.objects.filter(workspace_id=self.workspace, is_estimated=True)
        assert not charges.filter(cost__gt=F("held")).exists()

    def teardown(self) -> None:
        assert discrepancies() == []
        post_settled()
        assert discrepancies() == []

    def _order(self, key: int, *, with_token: bool) -> ChargeRequest:
        return ChargeRequest(
            charge_id=new_id(),
            kind="completion",
            workspace_id=self.workspace,
            user_id=1,
            key_id=self.keys[key],
            models=(self.model,),
            at=timezone.now(),
            token_id=self.token if with_token else None,
        )

    def _create_token(self, limit: int) -> UUID:
        token = EndUserToken.objects.create(
            workspace=self.key.workspace,
            key=self.key,
            end_user="eve",
            digest=new_id().hex,
            spending_limit=limit,
            expires_at=timezone.now() + timedelta(hours=1),
        )
        return token.id

    def _spent_by_token(self) -> int:
        return sum(self.open.get(id, 0) + self.costs.get(id, 0) for id in self.of_token)


@pytest.mark.hypothesis
@pytest.mark.django_db
def test_money_in_any_order(alice: Person) -> None:
    Money.key = alice.user.api_keys.get()
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=examples(40),
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=[
                phase for phase in Phase if phase != Phase.shrink
            ],  # shrinking takes minutes and gains little
        ),
    )
