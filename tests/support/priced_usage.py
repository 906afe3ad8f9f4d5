"""Helpers for tests of billing.

In tests/models.toml, `priced` costs 1,000 nano-USD per prompt token, 10,000 per completion token and 20,000
per reasoning token.
"""

from billing import ledger, verification
from billing.charge_posting import post_settled
from billing.models import Wallet
from chatapi.completions import billing_audit
from tests.support.people import Person

PROMPT, COMPLETION, REASONING = 1_000, 10_000, 20_000
BOUND = 1000 * PROMPT + 100 * REASONING
"""The most that a call of `priced` holds: its whole context, and the longest answer at the highest rate."""


def add_credit(who: Person, nano: int) -> None:
    ledger.top_up(who.workspace.id, nano, reason="paid by bank transfer", by="treasurer@example.com")


def wallet_of(who: Person) -> Wallet:
    return Wallet.objects.get(pk=who.workspace.id)


def assert_ledger_adds_up() -> None:
    """Check that the ledger adds up in its present state, and once everything is posted."""
    assert not (problems := discrepancies()), problems
    post_settled()
    assert not (problems := discrepancies()), problems


def discrepancies() -> list[str]:
    return [str(one) for one in (*verification.discrepancies(), *billing_audit.discrepancies())]
